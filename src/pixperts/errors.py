"""Errors whose message is one sentence for a person: what is wrong, where, and the cure."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LONGEST = 2000  # characters; two paths of common length and a cure are far below


def printable(text: str) -> str:
    """The text as one line that does no harm in a terminal.

    Names of files and what stands in them may hold line breaks, escape sequences, characters that
    turn the direction of writing, and bytes that are no text.

    >>> printable("a\\nb \\x1b[31m")
    'a\\\\nb \\\\x1b[31m'
    """
    if text.isprintable():
        return text
    return "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text
    )


_names_options = False  # whether the reader of messages is at a command line


def named(argument: str, value: object = None, *, option: str | None = None) -> str:
    """An argument as a message calls it: as in Python, or as an option in the command line.

    Args:
        argument: name of the parameter or field, such as "only_enlarge".
        value: to be given to it, for a cure.
        option: name of the option where it is not the argument's with dashes.

    Example:
        >>> named("only_enlarge"), named("precision", "float32")
        ('only_enlarge', "precision='float32'")
        >>> with naming_options():
        ...     named("only_enlarge"), named("precision", "float32")
        ('--only-enlarge', '--precision float32')
    """
    if not _names_options:
        return argument if value is None else f"{argument}={value!r}"
    option = option or "--" + argument.replace("_", "-")
    if value is None:
        return option
    import shlex  # only for messages

    return f"{option} {shlex.quote(str(value))}"


@contextmanager
def naming_options(wanted: bool = True) -> Iterator[None]:
    """Within, messages name options of the command line, or with False arguments of Python.

    It holds for all threads, and not for processes that are started within.
    """
    global _names_options
    before, _names_options = _names_options, wanted
    try:
        yield
    finally:
        _names_options = before


def names_options() -> bool:
    """Whether messages name options of the command line."""
    return _names_options


class PixpertsError(Exception):
    """Base of every error that pixperts raises on purpose; `exit_code` is the command line's.

    The message is shown as one line: control characters are escaped, and of more than 2000
    characters the middle is left out.
    """

    exit_code = 1

    def __str__(self) -> str:
        text = super().__str__()
        if len(text) > _LONGEST:
            text = f"{text[:1500]} [...] {text[-400:]}"
        return printable(text)


class UsageError(PixpertsError, ValueError):
    """An argument is wrong, or two of them contradict each other."""

    exit_code = 2


class NotEnoughMemoryError(UsageError, MemoryError):
    """A result is too large for the memory that is free."""


class ImageError(PixpertsError):
    """A picture cannot be read, written or processed."""


class TooLargeError(ImageError):
    """A picture has more pixels than are allowed, by its header."""


class WriteError(ImageError):
    """A result could not be written: a full disk, or a folder that is write-protected."""


class ModelError(PixpertsError):
    """A model name, a weights file or a configuration cannot be used."""


class UnknownModelError(ModelError, UsageError):
    """A name that no model has."""

    exit_code = 2


class DataError(PixpertsError):
    """Training or evaluation data is missing or does not fit together."""


class MissingExtraError(PixpertsError, ImportError):
    """A feature needs an optional dependency that is not installed."""

    exit_code = 2

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs an extra: pip install 'pixperts[{extra}]'.")


class MissingDecoderError(ImageError, MissingExtraError):
    """A picture is of a format that an optional dependency reads, which is not installed."""

    exit_code = 1

    def __init__(self, path: Path, name: str, extra: str) -> None:
        MissingExtraError.__init__(self, f"{path} is {name}, which", extra)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory was missing, by our own check, by Python or by torch.

    Example:
        >>> is_out_of_memory(MemoryError()), is_out_of_memory(ValueError("memory"))
        (True, False)
    """
    # torch reports its own allocators' failures as RuntimeError, each with its own words.
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and "memory" in str(error)
    )


def explain(source: Path | str, error: Exception) -> str:
    """One sentence that names the picture, whatever went wrong with it.

    Example:
        >>> explain(Path("a.png"), MemoryError())
        'a.png: there is not enough memory: choose a smaller size or close other programs.'
    """
    name = str(source)
    if isinstance(error, PixpertsError):
        text = str(error)  # escaped already, so the name is looked for as it stands there
        return text if printable(name) in text else f"{printable(name)}: {text}"
    return printable(_unforeseen(name, " ".join(str(error).split()), error))


def _unforeseen(source: str, text: str, error: Exception) -> str:
    if is_out_of_memory(error):
        return (
            f"{source}: there is not enough memory: choose a smaller size or close other programs."
        )
    if isinstance(error, OSError) and error.strerror:
        where = "" if error.filename is None else f" at {error.filename}"
        return f"{source}: a file failed ({error.strerror}{where}): check the disk and its folders."
    return f"{source}: failed unexpectedly ({type(error).__name__}: {text}); please report it."
