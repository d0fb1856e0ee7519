"""The requested size of a result, and what it means for a picture's width and height.

Sides are in pixels, width before height; halves round up.
"""

import math
import re
from dataclasses import dataclass, fields
from fractions import Fraction

from pixperts.errors import UsageError, named
from pixperts.options import SIZE, option

MAX_SIDE = 1_000_000
DEFAULT_SCALE = 2.0

_SIGNS = {"width": "w", "height": "h", "long_side": "long", "short_side": "short"}


def parse_size(text: str) -> tuple[int, int]:
    """(width, height) from text such as "1920x1080"; x, X and × separate.

    Raises UsageError for any other text, and for sides below 1 or above `MAX_SIDE`.

    >>> parse_size("1920x1080"), parse_size("640 × 480")
    ((1920, 1080), (640, 480))
    """
    match = re.fullmatch(r"\s*([0-9]{1,18})\s*[xX×]\s*([0-9]{1,18})\s*", text)
    if match is None:
        raise UsageError(f"The size {text!r} is not WIDTHxHEIGHT, such as 1920x1080.")
    width, height = int(match[1]), int(match[2])
    for side in (width, height):
        _check_side(side, "size")
    return width, height


def parse_scale(text: str) -> float:
    """A factor from text such as "2.5", "2x", "x2" or "250%".

    Raises UsageError for any other text.

    >>> parse_scale("2x"), parse_scale("×1.5"), parse_scale("250%"), parse_scale("1e1")
    (2.0, 1.5, 2.5, 10.0)
    """
    number = text.strip()
    percent = number.endswith("%")
    number = number.removesuffix("%")
    for sign in () if percent else "xX×":
        number = number.removesuffix(sign) if number.endswith(sign) else number.removeprefix(sign)
    try:
        return float(number) / (100 if percent else 1)
    except ValueError:
        raise UsageError(f"{text!r} is not a factor such as 2, 2.5, 2x or 250%.") from None


@dataclass(frozen=True)
class SizeRequest:
    """The requested size of a result; a `scale` of 2 if no field is given.

    `scale` multiplies both sides. `size` is (W, H) and may change the aspect ratio. `width`,
    `height`, `long_side` and `short_side` give one side in pixels, and `megapixels` the area in
    units of 10**6 pixels; these keep the aspect ratio. With `only_enlarge`, a picture keeps its
    size if one of its sides would get shorter.

    Raises:
        UsageError: more than one size is given, or a value is not positive, not finite or above
            `MAX_SIDE`.

    >>> SizeRequest(scale=2.5).resolve(5, 4)
    (13, 10)
    >>> SizeRequest(long_side=1920).resolve(3000, 4000)
    (1440, 1920)
    """

    scale: float | None = option(
        None,
        "Factor for both sides, such as 2.5 or 2x.",
        also=("-s",),
        parse=parse_scale,
        metavar="NUMBER",
        shown=f"{DEFAULT_SCALE:g}, unless another size is given",
        panel=SIZE,
    )
    size: tuple[int, int] | None = option(
        None,
        "Exact size, such as 1920x1080.",
        parse=parse_size,
        metavar="WIDTHxHEIGHT",
        panel=SIZE,
    )
    width: int | None = option(None, "New width in pixels.", panel=SIZE)
    height: int | None = option(None, "New height in pixels.", panel=SIZE)
    long_side: int | None = option(None, "New longer side in pixels.", panel=SIZE)
    short_side: int | None = option(None, "New shorter side in pixels.", panel=SIZE)
    megapixels: float | None = option(None, "New area in megapixels.", panel=SIZE)
    only_enlarge: bool = option(
        False, "Keep the size of pictures that would get shorter on a side.", panel=SIZE
    )

    def __post_init__(self) -> None:
        names = [field.name for field in fields(self) if field.name != "only_enlarge"]
        given = [name for name in names if getattr(self, name) is not None]
        if not given:
            object.__setattr__(self, "scale", DEFAULT_SCALE)
        if len(given) > 1:
            names = [named(name) for name in given]
            both = (
                f"{named('size')}, which has both" if given == ["width", "height"] else "only one"
            )
            raise UsageError(
                f"{', '.join(names[:-1])} and {names[-1]} contradict each other: give {both}."
            )
        for name in _SIGNS:
            if (side := getattr(self, name)) is not None:
                _check_side(side, name)
        if self.size is not None:
            if not isinstance(self.size, tuple) or len(self.size) != 2:
                raise UsageError(
                    f"{named('size')} is {self.size!r}, which is not a (width, height) pair."
                )
            for side in self.size:
                _check_side(side, "size")
        for name in ("scale", "megapixels"):
            if (amount := getattr(self, name)) is not None:
                _check_amount(amount, name)

    @property
    def label(self) -> str:
        """The text for the request in the names of files.

        >>> SizeRequest().label, SizeRequest(size=(1920, 1080)).label, SizeRequest(width=800).label
        ('x2', '1920x1080', 'w800')
        >>> SizeRequest(width=800, only_enlarge=True).label
        'w800_only_enlarge'
        """
        # A factor of 1 or more makes no picture smaller, so that the results are the same.
        same = self.scale is not None and self.scale >= 1
        return self._label + ("_only_enlarge" if self.only_enlarge and not same else "")

    @property
    def _label(self) -> str:
        if self.size is not None:
            return f"{self.size[0]}x{self.size[1]}"
        if self.megapixels is not None:
            return f"{self.megapixels:g}mp"
        if self.scale is not None:
            return f"x{self.scale:g}"
        for name, sign in _SIGNS.items():
            if (side := getattr(self, name)) is not None:
                return f"{sign}{side}"
        raise AssertionError("one of them is given")

    def resolve(self, width: int, height: int) -> tuple[int, int]:
        """(W, H) in pixels for a picture of `width` x `height`, each at least 1.

        Raises:
            UsageError: a side of the result is above `MAX_SIDE`, or the picture has no pixels.
        """
        for side in (width, height):
            if side < 1:
                raise UsageError(f"A picture of {width} x {height} pixels cannot be enlarged.")
        result = self._resolve(width, height)
        if self.only_enlarge and (result[0] < width or result[1] < height):
            return width, height
        if max(result) > MAX_SIDE:
            raise UsageError(
                f"The result would be {_shown(result[0])} x {_shown(result[1])} "
                f"pixels, over the limit of {MAX_SIDE} per side: choose a smaller size."
            )
        return result

    def _resolve(self, width: int, height: int) -> tuple[int, int]:
        if self.size is not None:
            return self.size
        if self.megapixels is not None:
            area = self.megapixels * 1e6
            sides = (math.sqrt(area * width / height), math.sqrt(area * height / width))
            return _rounded(Fraction(sides[0])), _rounded(Fraction(sides[1]))
        if self.scale is not None:
            # Through its decimal text, 1.005 is 1005/1000 and not the binary number just below.
            factor = Fraction(repr(float(self.scale)))
            return _rounded(width * factor), _rounded(height * factor)
        if self.width is not None:
            wide, side = True, self.width
        elif self.height is not None:
            wide, side = False, self.height
        elif self.long_side is not None:
            wide, side = width >= height, self.long_side
        else:
            assert self.short_side is not None
            wide, side = width < height, self.short_side
        if wide:
            return side, _rounded(Fraction(side * height, width))
        return _rounded(Fraction(side * width, height)), side


def _rounded(value: Fraction) -> int:
    return max(1, math.floor(value + Fraction(1, 2)))


def _shown(number: float) -> str:
    # Python refuses to print integers of thousands of digits.
    if isinstance(number, int) and abs(number) >= 10**12:
        return "a number beyond 10^12"
    return str(number)


def _check_side(side: object, argument: str) -> None:
    name = named(argument)
    if isinstance(side, bool) or not isinstance(side, int):
        raise UsageError(f"{name} takes whole pixels, not {side!r}.")
    if side < 1:
        raise UsageError(f"{name} must be at least 1 pixel, not {_shown(side)}.")
    if side > MAX_SIDE:
        raise UsageError(f"{name} must be at most {MAX_SIDE} pixels, not {_shown(side)}.")


def _check_amount(amount: object, argument: str) -> None:
    name = named(argument)
    if isinstance(amount, bool) or not isinstance(amount, int | float):
        raise UsageError(f"{name} takes a number, not {amount!r}.")
    if not 0 < amount <= 1e12:  # Also refuses NaN; the bound only keeps the arithmetic finite.
        raise UsageError(f"{name} must be a positive, finite number, not {_shown(amount)}.")
