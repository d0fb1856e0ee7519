"""`ColorTags` in files: read from PNG and AVIF, and put into what libvips has written."""

import contextlib
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from pixperts.io.color.tags import UNSPECIFIED, ColorTags
from pixperts.io.containers import av1
from pixperts.io.containers.heif_boxes import (
    BROKEN,
    Description,
    associations,
    extents,
    read_description,
)
from pixperts.io.containers.splicing import insert

_CHUNKS = (b"sRGB", b"gAMA", b"cHRM", b"mDCV", b"cLLI")
_LIGHT = (b"clli", b"mdcv")
_LONGEST = 64  # bytes of any of them


def read_color_tags(path: Path, kind: str) -> ColorTags | None:
    """What a PNG or an AVIF file says of its colors; None where it says nothing."""
    with contextlib.suppress(*BROKEN), path.open("rb") as handle:
        if kind == "png":
            return _of_png(handle)
        if kind in ("avif", "heic"):
            return _of_avif(handle)
    return None


def _of_png(handle: BinaryIO) -> ColorTags | None:
    found: dict[bytes, bytes] = {}
    for name, data in chunks_before_pixels(handle, (*_CHUNKS, b"cICP")):
        found.setdefault(name, data)
    codes = found.pop(b"cICP", b"")
    # Full range RGB is the only kind that has pixels as they are meant (PNG, 11.3.2.6).
    usable = len(codes) == 4 and codes[2:] == b"\0\1"
    if not found and not usable:
        return None
    chunks = tuple(sorted(found.items()))
    return ColorTags((codes[0], codes[1]) if usable else None, codes_first=True, chunks=chunks)


def chunks_before_pixels(
    handle: BinaryIO, names: tuple[bytes, ...], longest: int = _LONGEST
) -> Iterator[tuple[bytes, bytes]]:
    """The short chunks of these names between a PNG's header and its pixels, sound ones only."""
    handle.seek(8)
    while len(head := handle.read(8)) == 8:
        size, name = struct.unpack(">I4s", head)
        if name == b"IDAT":
            return
        if name in names and size <= longest:
            data = handle.read(size)
            if handle.read(4) == struct.pack(">I", zlib.crc32(name + data)):
                yield name, data
        else:
            handle.seek(size + 4, os.SEEK_CUR)


def animation_frames_of_png(path: Path) -> int:
    """The number of frames that a PNG says it has; 0 for one without animation (acTL)."""
    with contextlib.suppress(*BROKEN), path.open("rb") as handle:
        for _, data in chunks_before_pixels(handle, (b"acTL",)):
            return int.from_bytes(data[:4], "big")
    return 0


def _of_avif(handle: BinaryIO) -> ColorTags | None:
    found = read_description(handle)
    codes = None
    for data in found.of_primary(b"colr"):
        if data[:4] == b"nclx" and len(data) >= 11:
            codes = int.from_bytes(data[4:6], "big"), int.from_bytes(data[6:8], "big")
    if codes is None:
        with contextlib.suppress(*BROKEN):
            codes = av1_header(handle, found)[1].codes
    boxes = tuple((n, d) for n in _LIGHT for d in found.of_primary(n) if len(d) <= _LONGEST)
    if codes in (None, (1, 13), (UNSPECIFIED, UNSPECIFIED)):  # sRGB, as it is without a word
        return ColorTags(boxes=boxes) if boxes else None
    return ColorTags(codes, boxes=boxes)


def av1_header(handle: BinaryIO, found: Description) -> tuple[int, av1.SequenceHeader]:
    """Where the main picture's AV1 data begin, and what their header says of colors."""
    if found.types.get(found.primary) != b"av01":
        raise ValueError("no picture of AV1")
    places = extents(found.data, found.child(b"iloc"))
    start = next((one.start for one in places if one.item == found.primary), None)
    if start is None:
        raise ValueError("no place of the picture")
    handle.seek(start)
    return start, av1.read_header(handle.read(256))


def into_png(handle: BinaryIO, tags: ColorTags) -> None:
    """Put the chunks behind a PNG's header, where they must stand."""
    chunks = list(tags.chunks)
    if tags.codes is not None:
        chunks.insert(0, (b"cICP", bytes((*tags.codes, 0, 1))))
    body = b""
    for name, data in chunks:
        checksum = struct.pack(">I", zlib.crc32(name + data))
        body += struct.pack(">I", len(data)) + name + data + checksum
    insert(handle, 8 + 25, body)


def into_avif(handle: BinaryIO, tags: ColorTags) -> None:
    """Have an AVIF file that libvips wrote say this of its main picture's colors.

    One of `BROKEN` where it is not built as expected.
    """
    found = read_description(handle)
    added = []
    if tags.codes is not None:
        start, header = av1_header(handle, found)
        handle.seek(start)
        old = handle.read(256)
        handle.seek(start)
        handle.write(header.with_codes(old, tags.codes))
        nclx = b"nclx" + struct.pack(">HHH", *tags.codes, header.matrix)
        nclx += bytes([0x80 * header.full_range])
        stored = _stored_nclx(found)
        if stored is None:
            added.append((b"colr", nclx))
        else:
            handle.seek(found.start + stored)
            handle.write(nclx)
    added += tags.boxes
    if added:
        _add_properties(handle, found, added)


def add_light(handle: BinaryIO, tags: ColorTags) -> None:
    """Have a file of the family of AVIF say what `tags.boxes` say of light, and nothing else."""
    _add_properties(handle, read_description(handle), list(tags.boxes))


def _stored_nclx(found: Description) -> int | None:
    for number in found.associations.get(found.primary, []):
        box = found.properties[number - 1]
        if box.name == b"colr" and found.data[box.body : box.body + 4] == b"nclx":
            return box.body
    return None


def _add_properties(handle: BinaryIO, found: Description, added: list[tuple[bytes, bytes]]) -> None:
    """Append properties, give them to the main picture, and correct all sizes and places."""
    data = bytearray(found.data)
    store, links = found.child(b"iprp", b"ipco"), found.child(b"iprp", b"ipma")
    wide = data[links.body + 3] & 1
    first = len(found.properties) + 1
    numbers = range(first, first + len(added))
    if not wide and numbers[-1] > 0x7F:
        raise ValueError("too many properties")
    entry = b"".join(number.to_bytes(1 + wide, "big") for number in numbers)
    body = b"".join(struct.pack(">I", len(d) + 8) + name + d for name, d in added)
    shift = len(entry) + len(body)
    for place in extents(found.data, found.child(b"iloc")):
        if place.start >= found.start + len(found.data):
            old = int.from_bytes(data[place.place : place.place + place.width], "big")
            data[place.place : place.place + place.width] = (old + shift).to_bytes(
                place.width, "big"
            )
    count = next(at for item, _, at in associations(found.data, links) if item == found.primary)
    many = data[count]
    data[count] = many + len(added)
    grown = [(0, shift), (found.child(b"iprp").start, shift), (store.start, len(body))]
    for start, more in (*grown, (links.start, len(entry))):
        struct.pack_into(">I", data, start, struct.unpack_from(">I", data, start)[0] + more)
    # From behind, so that the places before stay right.
    parts = [(store.end, body), (count + 1 + many * (1 + wide), entry)]
    for at, new in sorted(parts, reverse=True):
        data[at:at] = new
    insert(handle, found.start, bytes(data), len(found.data))
