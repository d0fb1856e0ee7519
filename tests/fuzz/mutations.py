"""Damage to files: blind, and where each format keeps its lengths, counts and offsets."""

import random
import struct
import zlib
from collections.abc import Callable, Iterator

Field = tuple[int, int]  # offset and size in bytes

_EXTREMES = (0, 1, 2, 3, 7, 8, 255, 4096, 65535, 1 << 20, 1 << 24, 1 << 31, (1 << 32) - 1)


def fields(data: bytes) -> list[Field]:
    """Where a sound file keeps numbers that decide how the rest is read."""
    found: list[Field] = []
    if data.startswith(b"\xff\xd8"):
        found += _jpeg_fields(data)
    elif data.startswith(b"\x89PNG"):
        for at, size in png_chunks(data):
            found += [(at, 4), (at + 4, 4)]
            found += [(at + 8 + place, 4) for place in range(0, min(size, 16), 4)]
    elif data.startswith(b"RIFF"):
        found += [(4, 4), *_riff_fields(data)]
    elif data[4:8] == b"ftyp":
        found += _box_fields(data, 0, len(data))
    elif data.startswith(b"GIF"):
        found += [(6, 2), (8, 2), (10, 1), (11, 1)]
        found += [(at + 1, 2) for at in range(13, len(data) - 9) if data[at] == 0x2C]
    for magic in (b"II*\0", b"MM\0*", b"II+\0"):
        at = data.find(magic)
        while at >= 0:
            found += [(at + where, size) for where, size in _tiff_fields(data[at:])]
            at = data.find(magic, at + 1)
    return [(at, size) for at, size in found if 0 <= at <= len(data) - size]


def _jpeg_fields(data: bytes) -> Iterator[Field]:
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker, size = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        yield from ((at + 1, 1), (at + 2, 2))
        if 0xC0 <= marker <= 0xCF:
            yield from ((at + 4, 1), (at + 5, 2), (at + 7, 2), (at + 9, 1), (at + 11, 1))
        if marker == 0xDA:
            return
        at += 2 + size


def png_chunks(data: bytes) -> list[Field]:
    """Where each chunk begins, and the length of its data."""
    found, at = [], 8
    while at + 12 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        if at + 12 + size > len(data):
            break
        found.append((at, size))
        at += 12 + size
    return found


def _riff_fields(data: bytes) -> Iterator[Field]:
    at = 12
    while at + 8 <= len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        yield from ((at, 4), (at + 4, 4))
        yield from ((at + 8 + place, 3) for place in range(0, min(size, 12), 3))
        at += 8 + size + size % 2


def _box_fields(data: bytes, at: int, end: int) -> Iterator[Field]:
    """ISO/IEC 14496-12: boxes are a size, a name and what they hold, often boxes again."""
    inside = {b"meta": 12, b"iprp": 8, b"ipco": 8, b"iinf": 14, b"iref": 12}
    while at + 8 <= end:
        size, name = struct.unpack_from(">I4s", data, at)
        yield (at, 4)
        if name in inside:
            yield from _box_fields(data, at + inside[name], min(at + size, end))
        elif name != b"mdat":
            yield from ((at + place, 4) for place in range(8, min(size, 64), 4))
        at += max(size, 8)


def _tiff_fields(data: bytes) -> Iterator[Field]:
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in (b"+\0", b"\0+")
    head, count_size, step, word = (8, 8, 20, "Q") if big else (4, 2, 12, "I")
    width = struct.calcsize(word)
    waiting, seen = [head], set()
    while waiting:
        where = waiting.pop()
        yield (where, width)
        if where + width > len(data):
            continue
        (at,) = struct.unpack_from(order + word, data, where)
        if at in seen or not 0 < at < len(data) - count_size:
            continue
        seen.add(at)
        (count,) = struct.unpack_from(order + ("Q" if big else "H"), data, at)
        yield (at, count_size)
        start = at + count_size
        for row in range(start, min(start + count * step, len(data) - step), step):
            yield from ((row, 2), (row + 2, 2), (row + 4, width), (row + 4 + width, width))
            (tag,) = struct.unpack_from(order + "H", data, row)
            if tag in (0x8769, 0x8825, 0xA005, 0x14A):
                waiting.append(row + 4 + width)
        waiting.append(start + count * step)


def _flip(rng: random.Random, data: bytearray, _: bytes) -> None:
    for _count in range(rng.choice((1, 1, 2, 8, 64))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _head_bytes(rng: random.Random, data: bytearray, _: bytes) -> None:
    end = min(len(data), rng.choice((32, 128, 1024)))
    for _count in range(rng.randint(1, 6)):
        data[rng.randrange(end)] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))


def _cut(rng: random.Random, data: bytearray, _: bytes) -> None:
    del data[rng.randrange(rng.choice((64, len(data))) % len(data) + 1) :]


def _hole(rng: random.Random, data: bytearray, _: bytes) -> None:
    at = rng.randrange(len(data))
    del data[at : at + rng.choice((1, 2, 4, 16, 400))]


def _lie(rng: random.Random, data: bytearray, _: bytes) -> None:
    places = fields(bytes(data))
    for _count in range(rng.choice((1, 1, 1, 2, 3)) if places else 0):
        at, size = rng.choice(places)
        order = rng.choice(("little", "big"))
        value = int.from_bytes(data[at : at + size], order)  # type: ignore[arg-type]
        near = value + rng.choice((-256, -8, -2, -1, 1, 2, 8, 256)), value * 2, value ^ 0x80
        other = rng.choice((*near, len(data), len(data) - 1, rng.randrange(len(data))))
        chosen = rng.choice((other, rng.choice(_EXTREMES), (1 << (8 * size)) - 1))
        chosen %= 1 << (8 * size)
        data[at : at + size] = chosen.to_bytes(size, order)  # type: ignore[arg-type]


def _loop(rng: random.Random, data: bytearray, _: bytes) -> None:
    """Offsets of directories that lead back to where a directory begins."""
    for magic in (b"II*\0", b"MM\0*"):
        start = bytes(data).find(magic)
        if start < 0 or len(data) < start + 8:
            continue
        order = "<I" if magic[:1] == b"I" else ">I"
        offsets = [at for at, size in _tiff_fields(bytes(data[start:])) if size == 4]
        targets = [0, 8, *(struct.unpack_from(order, data, start + 4))]
        for _count in range(rng.randint(1, 4) if offsets else 0):
            at = start + rng.choice(offsets)
            if at + 4 <= len(data):
                struct.pack_into(order, data, at, rng.choice(targets) % (1 << 32))


def _splice(rng: random.Random, data: bytearray, other: bytes) -> None:
    at = rng.randrange(len(data))
    begin = rng.randrange(len(other))
    part = other[begin : begin + rng.choice((4, 40, 400, len(other)))]
    if rng.random() < 0.5:
        data[at : at + len(part)] = part
    else:
        data[at:at] = part


def _again(rng: random.Random, data: bytearray, _: bytes) -> None:
    """A chunk, a segment or any part of the file a second time, or a hundred times."""
    begin = rng.randrange(len(data))
    end = begin + rng.randrange(1, 400)
    if data.startswith(b"\x89PNG"):
        begin, size = rng.choice(png_chunks(bytes(data)) or [(begin, 12)])
        end = begin + size + 12
    elif data.startswith(b"\xff\xd8"):
        starts = [at - 1 for at, size in _jpeg_fields(bytes(data)) if size == 1 and data[at] > 0xC0]
        begin = rng.choice([at for at in starts if data[at] == 0xFF] or [begin])
        end = begin + 2 + int.from_bytes(data[begin + 2 : begin + 4], "big")
    data[end:end] = bytes(data[begin:end]) * rng.choice((1, 1, 2, 100))


KINDS: dict[str, Callable[[random.Random, bytearray, bytes], None]] = {
    "flip": _flip,
    "head": _head_bytes,
    "cut": _cut,
    "hole": _hole,
    "lie": _lie,
    "loop": _loop,
    "splice": _splice,
    "again": _again,
}
_WEIGHTS = (3, 3, 1, 1, 6, 2, 1, 1)


def _sealed(data: bytearray) -> None:
    """Right checksums for the chunks of a PNG, or damage would end there."""
    for at, size in png_chunks(bytes(data)):
        seal = zlib.crc32(data[at + 4 : at + 8 + size])
        struct.pack_into(">I", data, at + 8 + size, seal)


def damaged(rng: random.Random, pool: dict[str, bytes]) -> tuple[str, str, bytes]:
    """(Name of the specimen, kinds of damage, content)."""
    name = rng.choice(sorted(pool))
    data = bytearray(pool[name])
    done = []
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        kind = rng.choices(list(KINDS), _WEIGHTS)[0]
        if data:
            KINDS[kind](rng, data, pool[rng.choice(sorted(pool))])
            done.append(kind)
    if rng.random() < 0.7:
        _sealed(data)
    return name, "+".join(done), bytes(data)
