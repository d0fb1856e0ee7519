"""Names of outputs from a template such as "{stem}_{model}_x{scale}"."""

import os
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pixperts.errors import UsageError, named
from pixperts.io.formats import (
    CONTAINERS,
    RAW_SUFFIXES,
    READ_SUFFIXES,
    SUFFIXES,
    is_video_path,
)
from pixperts.io.writable import ending_of, format_of_name, writable_formats

FIELDS = ("stem", "name", "suffix", "ext", "model", "scale", "width", "height", "index")
_NUMBERS = ("width", "height", "index")
SIZES = ("scale", "width", "height")  # those that need the picture's own size

Value = str | int


@dataclass(frozen=True)
class Template:
    """A name with fields in braces, and the format that all outputs get.

    `stem`, `name`, `suffix` and `ext` are those of the input: "a", "a.jpg", ".jpg" and "jpg".
    `width` and `height` are of the output, in pixels; `scale` is the factor of the width; `index`
    counts the inputs from 1. The whole numbers width, height and index take a format such as
    {index:04}. If the template has no ending, that of `format` is appended, or else that of the
    input.

    Raises:
        UsageError: an unknown field or format, or a name that would leave its folder.

    Example:
        >>> values = {"model": lambda: "m", "scale": lambda: "2.5", "index": lambda: 7}
        >>> Template("{stem}_{model}_x{scale}").render(Path("in/a.jpg"), values)
        'a_m_x2.5.jpg'
        >>> Template("{index:03}-{name}", "png").render(Path("in/a.jpg"), values)
        '007-a.jpg.png'
    """

    text: str = "{stem}"
    format: str | None = None

    def __post_init__(self) -> None:
        if self.format is not None:
            ending_of(self.format)
        if not self.text:
            raise UsageError(
                f"{named('name')} is empty: give a template such as '{{stem}}_x{{scale}}'."
            )
        for bad, word in (("/", "a slash"), (os.sep, "a separator"), ("\0", "a null byte")):
            if bad in self.text:
                raise UsageError(
                    f"{self._named} holds {word}: it names files only; "
                    f"{named('recursive', option='-r')} keeps the "
                    "folders of the inputs."
                )
        for _, field, layout in self._pieces():
            if field is None:
                continue
            if field not in FIELDS:
                raise UsageError(
                    f"{self._named} has an unknown field {{{field}}}: use {', '.join(FIELDS)}."
                )
            digits = layout.removesuffix("d")
            if layout and (field not in _NUMBERS or not digits.isdecimal() or int(digits) > 20):
                raise UsageError(
                    f"{self._named} has an unknown format {layout!r}: only "
                    f"{', '.join(_NUMBERS)} take one, such as {{index:04}}."
                )
        own = self._own_kind()
        if own is not None and self.format is not None and own != format_of_name(self.format):
            raise UsageError(
                f"{self._named} and {named('format', self.format)} contradict each other: leave "
                "the ending out of the name."
            )

    @property
    def _named(self) -> str:
        """As messages call it."""
        return named("name", self.text)

    def needs(self, *fields: str) -> bool:
        """Whether the template contains one of these fields."""
        return any(field in fields for _, field, _ in self._pieces())

    def render(self, source: Path, values: Mapping[str, Callable[[], Value]]) -> str:
        """The file name for one input.

        Args:
            source: the input, whose name gives stem, name, suffix and ext.
            values: functions for the other fields.

        Raises:
            UsageError: the name would be empty, an ending alone, or lie in another folder.
        """
        own: dict[str, Value] = {
            "stem": source.stem,
            "name": source.name,
            "suffix": source.suffix,
            "ext": source.suffix.removeprefix("."),
        }
        name = ""
        for literal, field, layout in self._pieces():
            name += literal
            if field is not None:
                value = own[field] if field in own else values[field]()
                name += format(value, layout)
        name += self._ending(source)
        if name in {"", ".", ".."} or any(
            mark in name for mark in filter(None, ("/", "\0", os.sep, os.altsep))
        ):
            raise UsageError(
                f"{self._named} gives {name!r} for {source}, which is not a file name."
            )
        if name[0] == "." and f".{name.lstrip('.')}".lower() in SUFFIXES:  # such as ".jpg"
            raise UsageError(
                f"{self._named} gives {name!r} for {source}, an ending without a name."
            )
        return name

    def _pieces(self) -> list[tuple[str, str | None, str]]:
        """(text before, field, its format) in order; field None for text at the end."""
        try:
            parsed = list(string.Formatter().parse(self.text))
        except ValueError as error:
            raise UsageError(
                f"{self._named} is not a template ({error}): write a brace twice to get one."
            ) from None
        for _, field, _, conversion in parsed:
            if conversion is not None:
                raise UsageError(f"{self._named} has an unknown field {{{field}!...}}.")
        return [(literal, field, layout or "") for literal, field, layout, _ in parsed]

    def _own_kind(self) -> str | None:
        """The format of the ending of the template itself, if it has one."""
        literal, field, _ = self._pieces()[-1]
        ending = Path(f"x{literal}").suffix.lower()
        return SUFFIXES.get(ending) or CONTAINERS.get(ending) if field is None else None

    def _ending(self, source: Path) -> str:
        """The ending that is appended to the template."""
        if self._own_kind() is not None:
            return ""
        ending = source.suffix
        if is_video_path(source):
            # Matroska holds everything that the containers hold that can only be read.
            ending = ending if ending.lower() in CONTAINERS else ".mkv"
        elif self.format is not None and SUFFIXES.get(ending.lower()) != format_of_name(
            self.format
        ):
            ending = ending_of(self.format)
        elif ending.lower() in (".jpe", ".jfif"):
            ending = ".jpg"
        elif ending.lower() == ".j2k" and "jp2" in writable_formats():
            ending = ".jp2"
        elif ending.lower() in READ_SUFFIXES | RAW_SUFFIXES and (
            SUFFIXES.get(ending.lower()) not in writable_formats()
        ):
            ending = ".png"
        literal, field, _ = self._pieces()[-1]
        there = field in {"name", "suffix"} or (field == "ext" and literal.endswith("."))
        return "" if there and ending == source.suffix else ending


def numbered(path: Path, number: int) -> Path:
    """The path with a number in its name, for a file that must not replace another.

    Example:
        >>> numbered(Path("out/a.png"), 2).name
        'a_2.png'
    """
    return path.with_name(f"{path.stem}_{number}{path.suffix}")
