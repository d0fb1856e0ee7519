"""The header of a sequence of AV1 pictures: what it says of colors (AV1 Bitstream, 5.5)."""

from dataclasses import dataclass

_SEQUENCE_HEADER = 1


@dataclass(frozen=True)
class SequenceHeader:
    """Colors as a header describes them.

    `at` is the bit of the data at which primaries, transfer and matrix stand, 8 bits each; None
    where the header has none, and all three are then "unspecified", or where they cannot change.
    """

    codes: tuple[int, int]
    matrix: int
    full_range: bool
    at: int | None

    def with_codes(self, data: bytes, codes: tuple[int, int]) -> bytes:
        """The data with other primaries and transfer, where they have a place."""
        if self.at is None:
            return data
        size = 8 * len(data)
        number = int.from_bytes(data, "big")
        shift = size - self.at - 16
        number &= ~(0xFFFF << shift)
        number |= (codes[0] << 8 | codes[1]) << shift
        return number.to_bytes(len(data), "big")


class _Bits:
    def __init__(self, data: bytes, at: int) -> None:
        self.data, self.at = data, at

    def read(self, count: int) -> int:
        first, last = self.at // 8, (self.at + count + 7) // 8
        if last > len(self.data):
            raise ValueError("header cut short")
        number = int.from_bytes(self.data[first:last], "big")
        self.at += count
        return number >> (8 * last - self.at) & ((1 << count) - 1)


def read_header(data: bytes) -> SequenceHeader:
    """The header in the first bytes of a picture; ValueError where there is none of a still."""
    at = 0
    while at < len(data):
        kind, extended, sized = data[at] >> 3 & 15, data[at] >> 2 & 1, data[at] >> 1 & 1
        at += 1 + extended
        size = shift = 0
        while sized:  # LEB128
            if at >= len(data) or shift > 28:
                raise ValueError("header cut short")
            size |= (data[at] & 0x7F) << shift
            shift += 7
            at += 1
            if data[at - 1] < 0x80:
                break
        if kind == _SEQUENCE_HEADER:
            return _colors(_Bits(data, 8 * at))
        if not sized:
            break
        at += size
    raise ValueError("no header of a sequence")


def _colors(bits: _Bits) -> SequenceHeader:
    profile, _, reduced = bits.read(3), bits.read(1), bits.read(1)
    if reduced:
        bits.read(5)  # level
    else:
        if bits.read(1):
            raise ValueError("times in the header of a still")
        delay = bits.read(1)
        if delay:
            raise ValueError("delays in the header of a still")
        for _ in range(bits.read(5) + 1):
            bits.read(12)
            if bits.read(5) > 7:
                bits.read(1)
    width, height = bits.read(4) + 1, bits.read(4) + 1
    bits.read(width)
    bits.read(height)
    if not reduced and bits.read(1):
        bits.read(7)  # frame numbers
    bits.read(3)
    if not reduced:
        bits.read(4)
        ordered = bits.read(1)
        if ordered:
            bits.read(2)
        force = 2 if bits.read(1) else bits.read(1)
        if force and not bits.read(1):
            bits.read(1)
        if ordered:
            bits.read(3)
    bits.read(3)
    deep = bits.read(1)
    if profile == 2 and deep:
        bits.read(1)
    gray = 0 if profile == 1 else bits.read(1)
    described = bits.read(1)
    at = bits.at if described else None
    primaries, transfer, matrix = (
        (bits.read(8), bits.read(8), bits.read(8)) if described else (2, 2, 2)
    )
    whole = (primaries, transfer, matrix) == (1, 13, 0) and not gray
    full = True if whole else bool(bits.read(1))
    # With these three the bits that follow mean something else, so that they must stay.
    return SequenceHeader((primaries, transfer), matrix, full, None if whole else at)
