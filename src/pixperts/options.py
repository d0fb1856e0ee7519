"""Options, written once: a group is a frozen dataclass, an option is a field made by `option`.

The library takes the dataclass. The command line and docs/cli.md are made from its fields: name,
default, bounds and help stand there and nowhere else.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from fractions import Fraction
from typing import Any, TypeVar, get_args, get_origin

from pixperts.errors import UsageError, named

SIZE = "Size"
MODEL = "Model"
OUTPUT = "Output"
FOLDER = "Folder jobs"
CLUSTER = "Clusters"

T = TypeVar("T")


@dataclass(frozen=True)
class Option:
    """What is known of an option beside its type and its default."""

    summary: str  # one or two sentences for the help
    also: tuple[str, ...] = ()  # other names, such as -s
    flag: str | None = None  # where it is not that of the field
    panel: str | None = None  # of the help
    metavar: str | None = None  # for the value in the help
    low: float | None = None  # smallest value
    high: float | None = None  # largest value
    choices: tuple[str, ...] = ()
    parse: Callable[[str], Any] | None = None  # from what a person types
    shown: str | None = None  # the default in the help, where it is not the value
    positional: bool = False

    def name(self, of: str) -> str:
        """As a person types it; `of` is the field or parameter."""
        if self.positional:
            return self.metavar or of.upper()
        return self.flag or "--" + of.replace("_", "-")

    def named(self, of: str) -> str:
        """As a message calls it: like `name` in the command line, else the field or parameter."""
        return named(of, option=self.name(of))

    def check(self, of: str, value: object) -> None:
        """Raise UsageError for a value out of the bounds or not among the choices.

        >>> Option("Compute to spend.", low=0, high=1).check("budget", 2.0)
        Traceback (most recent call last):
        pixperts.errors.UsageError: budget is 2, but must be between 0 and 1.
        """
        name = self.named(of)
        if value is None:
            return
        if self.choices and value not in self.choices:
            raise UsageError(f"{name} is {value!r}, but must be {_listed(self.choices)}.")
        if self.low is None and self.high is None:
            return
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise UsageError(f"{name} takes a number, not {value!r}.")
        # Written so that NaN is refused, too.
        if (self.low is None or value >= self.low) and (self.high is None or value <= self.high):
            return
        between = self.low is not None and self.high is not None
        bound = f"be between {self.low} and {self.high}" if between else f"be {self.bounds}"
        shown = f"{value:g}" if isinstance(value, float) else value
        raise UsageError(f"{name} is {shown}, but must {bound}.")

    @property
    def bounds(self) -> str | None:
        """Smallest and largest value in words; None where any will do.

        >>> Option("Pictures read ahead.", low=0, high=64).bounds
        '0 to 64'
        """
        if self.low is None or self.high is None:
            one = self.high if self.low is None else self.low
            return None if one is None else f"at {'most' if self.low is None else 'least'} {one}"
        return f"{self.low} to {self.high}"


def option(default: T, summary: str, *, setting: bool = True, **details: Any) -> T:
    """A field of a group of options.

    Args:
        default: of the option.
        summary: one or two sentences for the help.
        setting: whether it changes the result, so that a manifest holds it.
        details: the other fields of `Option`.

    Example:
        >>> @dataclass(frozen=True)
        ... class Group:
        ...     workers: int = option(1, "Pictures read ahead.", low=0, high=64)
        >>> Group().workers
        1
    """
    metadata = {"option": Option(summary, **details), "setting": setting}
    made: T = field(default=default, metadata=metadata)
    return made


def options_of(group: type) -> dict[str, Option]:
    """The options of a dataclass by the names of their fields; other fields are left out."""
    return {one.name: one.metadata["option"] for one in fields(group) if "option" in one.metadata}


def check_options(group: object) -> None:
    """Raise UsageError for the first option of a dataclass whose value is not allowed."""
    for name, one in options_of(type(group)).items():
        one.check(name, getattr(group, name))


def types_in(kind: Any) -> tuple[Any, ...]:
    """A type, or the types of a union.

    >>> types_in(int | None)
    (int | None, <class 'int'>, <class 'NoneType'>)
    """
    return (kind,) if get_origin(kind) is list else (kind, *get_args(kind))


def parser_of(found: Option, kind: Any) -> Callable[[str], Any] | None:
    """From the text of a person to a value of an option of this type; None for text and switches.

    >>> parser_of(Option("New width."), int | None)("2.5")
    Traceback (most recent call last):
    pixperts.errors.UsageError: '2.5' is not a whole number.
    """
    return found.parse or next((_NUMBERS[one] for one in types_in(kind) if one in _NUMBERS), None)


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise UsageError(f"{text!r} is not a whole number.") from None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"{text!r} is not a number.") from None


_NUMBERS: dict[Any, Callable[[str], Any]] = {int: _whole, float: _number}


def parse_bytes(text: str) -> int:
    """An amount of memory such as "2G", "1.5 GB", "800M" or "4GiB", in bytes.

    K, M, G and T are powers of 1000, with an i powers of 1024.

    Raises UsageError for anything else, and for nothing.

    >>> parse_bytes("2G"), parse_bytes("512 MiB")
    (2000000000, 536870912)
    """
    match = re.fullmatch(r"\s*([0-9]{1,15}(?:\.[0-9]{1,9})?)\s*([kKmMgGtT]?)(i?)[bB]?\s*", text)
    amount = 0
    if match is not None and (match[2] or not match[3]):
        power = "kmgt".find(match[2].lower()) + 1 if match[2] else 0
        amount = int(Fraction(match[1]) * (1024 if match[3] else 1000) ** power)
    if amount < 1:
        raise UsageError(f"{text!r} is not an amount of memory: give one such as 2G or 800M.")
    return amount


def _listed(words: tuple[str, ...]) -> str:
    """Words with commas and "or"."""
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))
