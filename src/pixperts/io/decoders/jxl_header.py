"""The beginning of a JPEG XL codestream: size, orientation, depth and colors.

ISO/IEC 18181-1, annexes D (sizes and image metadata) and E (color encoding).
"""

from dataclasses import dataclass

from pixperts.io.color.tags import ColorTags

_RATIOS = {1: (1, 1), 2: (12, 10), 3: (4, 3), 4: (3, 2), 5: (16, 9), 6: (5, 4), 7: (2, 1)}
_LENGTHS = ((9, 1), (13, 1), (18, 1), (30, 1))  # bits and what is added, by a selector of two bits
_RGB, _GRAY, _XYB = 0, 1, 2
_D65, _CUSTOM = 1, 2
_GAMMA_22, _UNKNOWN = 4, 3
_P3, _P3_D65 = 11, 12  # primaries there, and with that white in ITU-T H.273


@dataclass(frozen=True)
class Codestream:
    """What a decoder does not tell: upright (width, height), bits of a sample, colors.

    `color` is None where a profile says it; `xyb` is whether the pixels are stored as XYB, as all
    but lossless files are.
    """

    size: tuple[int, int]
    bits: int
    gray: bool
    animated: bool
    color: ColorTags | None
    xyb: bool


class _Bits:
    """Numbers from bytes, the lowest bits first."""

    def __init__(self, data: bytes) -> None:
        self._value, self._left = int.from_bytes(data, "little"), 8 * len(data)

    def take(self, count: int) -> int:
        if count > self._left:
            raise ValueError("the header is cut short")
        value = self._value & ((1 << count) - 1)
        self._value, self._left = self._value >> count, self._left - count
        return value

    def flag(self) -> bool:
        return bool(self.take(1))

    def choice(self, *ways: tuple[int, int]) -> int:
        """One of four ways: bits to read, and what is added to them."""
        bits, more = ways[self.take(2)]
        return self.take(bits) + more

    def enum(self) -> int:
        return self.choice((0, 0), (0, 1), (4, 2), (6, 18))


def read_codestream(data: bytes) -> Codestream:
    """The header; ValueError where there is none or it is cut short."""
    if not data.startswith(b"\xff\x0a"):
        raise ValueError("no codestream")
    bits = _Bits(data[2:4098])
    width, height = _size(bits)
    if bits.flag():  # everything as usual
        return Codestream((width, height), 8, False, False, ColorTags((1, 13)), True)
    orientation, animated = 1, False
    if bits.flag():
        orientation = 1 + bits.take(3)
        if bits.flag():
            _size(bits)  # at which it should be shown
        if bits.flag():
            _preview(bits)
        animated = bits.flag()
        if animated:
            _animation(bits)
    depth = _depth(bits)
    bits.flag()  # whether 16 bits suffice inside
    for _ in range(bits.choice((0, 0), (0, 1), (4, 2), (12, 1))):
        _extra_channel(bits)
    xyb = bits.flag()
    color, gray = _color(bits)
    size = (height, width) if orientation >= 5 else (width, height)
    return Codestream(size, depth, gray, animated, color, xyb)


def _size(bits: _Bits) -> tuple[int, int]:
    small = bits.flag()

    def length() -> int:
        return 8 * (bits.take(5) + 1) if small else bits.choice(*_LENGTHS)

    height = length()
    ratio = bits.take(3)
    if ratio == 0:
        return length(), height
    above, below = _RATIOS[ratio]
    return height * above // below, height


def _preview(bits: _Bits) -> None:
    by_eight = bits.flag()
    ways = ((0, 16), (0, 32), (5, 1), (9, 33))
    if not by_eight:
        ways = ((6, 1), (8, 65), (10, 321), (12, 1345))
    bits.choice(*ways)
    if bits.take(3) == 0:
        bits.choice(*ways)


def _animation(bits: _Bits) -> None:
    bits.choice((0, 100), (0, 1000), (10, 1), (30, 1))
    bits.choice((0, 1), (0, 1001), (8, 1), (10, 1))
    bits.choice((0, 0), (3, 0), (16, 0), (32, 0))
    bits.flag()


def _depth(bits: _Bits) -> int:
    if not bits.flag():
        return bits.choice((0, 8), (0, 10), (0, 12), (6, 1))
    depth = bits.choice((0, 32), (0, 16), (0, 24), (6, 1))
    bits.take(4)  # of the exponent
    return depth


def _extra_channel(bits: _Bits) -> None:
    if bits.flag():  # alpha of 8 bits
        return
    kind = bits.enum()
    _depth(bits)
    bits.choice((0, 0), (0, 3), (0, 4), (3, 1))
    bits.take(8 * bits.choice((0, 0), (4, 0), (5, 16), (10, 48)))  # its name
    if kind != 0:
        raise ValueError("it has a channel that is neither color nor alpha")
    bits.flag()  # whether colors are multiplied by alpha


def _color(bits: _Bits) -> tuple[ColorTags | None, bool]:
    """The colors by their numbers in ITU-T H.273, None for a profile; and whether it is gray."""
    if bits.flag():
        return ColorTags((1, 13)), False
    profile = bits.flag()
    space = bits.enum()
    if profile:
        return None, space == _GRAY
    white = primaries = 1
    if space != _XYB:
        white = bits.enum()
        if white == _CUSTOM:
            _points(bits, 1)
        if space != _GRAY:
            primaries = bits.enum()
            if primaries == _CUSTOM:
                _points(bits, 3)
    if bits.flag():  # a gamma, in 1/10000000
        gamma = bits.take(24)
        transfer = _GAMMA_22 if abs(gamma - 4545455) < 50000 else _UNKNOWN
    else:
        transfer = bits.enum()
    if white != _D65 or _CUSTOM in (white, primaries):
        primaries = _UNKNOWN  # H.273 has no number for them
    elif primaries == _P3:
        primaries = _P3_D65
    return ColorTags((primaries, transfer)), space == _GRAY


def _points(bits: _Bits, count: int) -> None:
    for _ in range(2 * count):
        bits.choice((19, 0), (19, 524288), (20, 1048576), (21, 2097152))
