"""The boxes of AVIF and HEIC files: what belongs to the main picture (ISO 14496-12, 23008-12)."""

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

_LARGEST = 1 << 24  # bytes of a description; it holds no pixels
BROKEN = (ValueError, IndexError, struct.error, OSError)


class Box(NamedTuple):
    """A box: its name, where it begins, where its content begins, and where it ends."""

    name: bytes
    start: int
    body: int
    end: int


@dataclass(frozen=True)
class Description:
    """The `meta` box of a file.

    `data` are its bytes, which begin at `start` of the file; `properties` are in the order of
    their numbers, which count from 1; `associations` are the numbers of each item's properties.
    """

    data: bytes
    start: int
    primary: int
    types: dict[int, bytes]
    properties: list[Box]
    associations: dict[int, list[int]]

    def of_primary(self, name: bytes) -> list[bytes]:
        """Contents of the main picture's properties of this name."""
        numbers = self.associations.get(self.primary, [])
        found = [self.properties[number - 1] for number in numbers if number]
        return [self.data[box.body : box.end] for box in found if box.name == name]

    def child(self, *names: bytes) -> Box:
        """The box at the end of a path below `meta`; ValueError where there is none."""
        start, end = _body_of_meta(self.data), len(self.data)
        found = None
        for name in names:
            found = next((b for b in boxes(self.data, start, end) if b.name == name), None)
            if found is None:
                raise ValueError(f"no {name!r} box")
            start, end = found.body, found.end
        assert found is not None
        return found


def top_level(handle: BinaryIO) -> Iterator[Box]:
    """The outermost boxes of a file."""
    size = handle.seek(0, os.SEEK_END)
    at = 0
    while at + 8 <= size:
        handle.seek(at)
        box = _box(handle.read(16), 0, size - at)
        if box is None:
            return
        yield Box(box.name, at, at + box.body, at + box.end)
        at += box.end


def boxes(data: bytes, start: int, end: int) -> Iterator[Box]:
    """The boxes that lie side by side in a part of `data`."""
    while start + 8 <= end:
        box = _box(data[start : start + 16], 0, end - start)
        if box is None:
            return
        yield Box(box.name, start, start + box.body, start + box.end)
        start += box.end


def _box(head: bytes, start: int, limit: int) -> Box | None:
    size, name = struct.unpack_from(">I4s", head)
    body = 8
    if size == 1 and len(head) >= 16:
        (size,) = struct.unpack_from(">Q", head, 8)
        body = 16
    elif size == 0:
        size = limit
    return Box(name, start, body, size) if body <= size <= limit else None


def read_description(handle: BinaryIO) -> Description:
    """The `meta` box; one of `BROKEN` where it is missing or damaged."""
    box = next((box for box in top_level(handle) if box.name == b"meta"), None)
    if box is None or box.end - box.start > _LARGEST:
        raise ValueError("no description")
    handle.seek(box.start)
    data = handle.read(box.end - box.start)
    bare = Description(data, box.start, 0, {}, [], {})
    primary = bare.child(b"pitm")
    wide = data[primary.body] > 0
    (number,) = struct.unpack_from(">I" if wide else ">H", data, primary.body + 4)
    store = bare.child(b"iprp", b"ipco")
    return Description(
        data,
        box.start,
        number,
        dict(_item_types(data, bare.child(b"iinf"))),
        list(boxes(data, store.body, store.end)),
        {item: numbers for item, numbers, _ in associations(data, bare.child(b"iprp", b"ipma"))},
    )


def _body_of_meta(data: bytes) -> int:
    return 12 if struct.unpack_from(">I", data)[0] != 1 else 20


def _item_types(data: bytes, info: Box) -> Iterator[tuple[int, bytes]]:
    start = info.body + (6 if data[info.body] == 0 else 8)
    for box in boxes(data, start, info.end):
        version = data[box.body]
        if box.name == b"infe" and version in (2, 3):
            pattern = ">HH4s" if version == 2 else ">IH4s"
            item, _, kind = struct.unpack_from(pattern, data, box.body + 4)
            yield item, kind


def associations(data: bytes, box: Box) -> Iterator[tuple[int, list[int], int]]:
    """Item, the numbers of its properties, and where the count of these stands, in `ipma`."""
    version, flags = data[box.body], data[box.body + 3]
    (count,) = struct.unpack_from(">I", data, box.body + 4)
    at = box.body + 8
    for _ in range(count):
        item_pattern = ">H" if version == 0 else ">I"
        (item,) = struct.unpack_from(item_pattern, data, at)
        at += struct.calcsize(item_pattern)
        place, many = at, data[at]
        at += 1
        width, mask = (2, 0x7FFF) if flags & 1 else (1, 0x7F)
        if at + many * width > box.end:
            raise ValueError("associations cut short")
        numbers = [
            int.from_bytes(data[at + i * width : at + (i + 1) * width], "big") & mask
            for i in range(many)
        ]
        at += many * width
        yield item, numbers, place


class Extent(NamedTuple):
    """Where an item's bytes begin in the file, how many there are, and the number that says so.

    `place` and `width` are of that number in the description.
    """

    item: int
    start: int
    length: int
    place: int
    width: int


def extents(data: bytes, box: Box) -> Iterator[Extent]:
    """What `iloc` says of items that lie in the file itself (construction method 0)."""
    version = data[box.body]
    sizes = data[box.body + 4], data[box.body + 5]
    offset_size, length_size, base_size = sizes[0] >> 4, sizes[0] & 15, sizes[1] >> 4
    index_size = sizes[1] & 15 if version in (1, 2) else 0
    at = box.body + 6
    count_width = 4 if version == 2 else 2
    count = int.from_bytes(data[at : at + count_width], "big")
    at += count_width
    for _ in range(count):
        item = int.from_bytes(data[at : at + count_width], "big")
        at += count_width
        method = 0
        if version in (1, 2):
            method = data[at + 1] & 15
            at += 2
        at += 2  # data_reference_index
        base_place = at
        base = int.from_bytes(data[at : at + base_size], "big")
        at += base_size
        (many,) = struct.unpack_from(">H", data, at)
        at += 2
        for number in range(many):
            at += index_size
            offset = int.from_bytes(data[at : at + offset_size], "big")
            length = int.from_bytes(data[at + offset_size :][:length_size], "big")
            if at + offset_size + length_size > box.end:
                raise ValueError("locations cut short")
            if method == 0 and base_size and number == 0:
                yield Extent(item, base + offset, length, base_place, base_size)
            elif method == 0 and not base_size:
                yield Extent(item, offset, length, at, offset_size)
            at += offset_size + length_size


def animation_frames(path: Path) -> int:
    """How many pictures the longest track of a file holds; 0 where there is none (`stsz`)."""
    most = 0
    try:
        with path.open("rb") as handle:
            for box in top_level(handle):
                if box.name == b"moov" and box.end - box.start <= _LARGEST:
                    handle.seek(box.body)
                    data = handle.read(box.end - box.body)
                    most = max([most, *_sample_counts(data)])
    except BROKEN:
        return most
    return most


def _sample_counts(data: bytes) -> Iterator[int]:
    for track in boxes(data, 0, len(data)):
        part = track
        for name in (b"mdia", b"minf", b"stbl", b"stsz"):
            inner = (b for b in boxes(data, part.body, part.end) if b.name == name)
            found = next(inner, None)
            if track.name != b"trak" or found is None:
                break
            part = found
        else:
            yield int(struct.unpack_from(">I", data, part.body + 8)[0])


def has_gain_map(path: Path, kind: str) -> bool:
    """Whether an AVIF or HEIC file has a map for HDR screens (ISO 21496-1, or Apple's)."""
    if kind not in ("avif", "heic"):
        return False
    try:
        with path.open("rb") as handle:
            found = read_description(handle)
    except BROKEN:
        return False
    return b"tmap" in found.types.values() or b":aux:hdrgainmap" in found.data
