"""The formats that this installation writes, and those that a person names."""

from pixperts.errors import UsageError, named
from pixperts.io.encoders.foreign import ENCODERS, has_encoder
from pixperts.io.formats import NAMES, SUFFIXES, WRITABLE
from pixperts.io.vips import supports


def writable_formats() -> list[str]:
    """The formats that the installed libraries can write."""
    return [
        kind
        for kind in WRITABLE
        if (has_encoder(kind) if kind in ENCODERS else supports(kind, "save"))
    ]


def writable_endings() -> str:
    """The endings of their files, for a sentence."""
    able = writable_formats()
    return ", ".join(ending for ending, kind in SUFFIXES.items() if kind in able)


def check_writable(target: str, kind: str) -> None:
    """Raise UsageError, about a file or an option, where the format cannot be written here."""
    able = writable_formats()
    if kind in able:
        return
    if kind in ENCODERS:
        raise UsageError(
            f"{target}: writing {NAMES[kind]} needs an extra: pip install "
            f"'pixperts[{ENCODERS[kind][0]}]', or use one of {', '.join(able)}."
        )
    what = f"{NAMES[kind]} cannot be written"
    if kind in WRITABLE:
        what = f"the installed libvips cannot write {NAMES[kind]}"
    raise UsageError(f"{target}: {what}: use one of {', '.join(able)}.")


def format_of_name(text: str) -> str:
    """The format that a person means, a value of `SUFFIXES` that can be written.

    Raises:
        UsageError: listing the formats.

    Example:
        >>> format_of_name("jpg"), format_of_name("TIFF")
        ('jpeg', 'tiff')
    """
    wanted = text.lower().removeprefix(".")
    kind = wanted if wanted in SUFFIXES.values() else SUFFIXES.get(f".{wanted}")
    if kind is None:
        known = ", ".join(writable_formats())
        raise UsageError(f"{named('format')} is {text!r}, which is unknown: use one of {known}.")
    check_writable(named("format", text), kind)
    return kind


def ending_of(text: str) -> str:
    """The ending of files of a format: the first that `SUFFIXES` has for it.

    Example:
        >>> ending_of("jpeg"), ending_of("png")
        ('.jpg', '.png')
    """
    kind = format_of_name(text)
    return next(suffix for suffix, known in SUFFIXES.items() if known == kind)
