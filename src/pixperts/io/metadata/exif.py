"""EXIF blocks: read out of a TIFF file, brought up to date for a new picture, put into files."""

import io
import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

from pixperts.io.tiff.tags import (
    ASCII,
    EXIF_IFD,
    GPS_IFD,
    LONG,
    RATIONAL,
    SHORT,
    Tree,
    Value,
    amend,
    build,
    raw_entries,
    read_layout,
    read_tree,
    read_value,
    swapped_tree,
)

ORIENTATION, X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT = 0x112, 0x11A, 0x11B, 0x128
SOFTWARE, IPTC, PHOTOSHOP = 0x131, 0x83BB, 0x8649
_MAKER_NOTE = 0x927C
_WIDTH, _HEIGHT, _PIXEL_X, _PIXEL_Y = 0x100, 0x101, 0xA002, 0xA003
_THUMBNAIL, _THUMBNAIL_SIZE = 0x201, 0x202

# TIFF 6.0, section 8 and the baseline, and Windows' XP tags: what describes and does not decode.
_DESCRIPTIVE = frozenset(
    {0x10D, 0x10E, 0x10F, 0x110, ORIENTATION, X_RESOLUTION, Y_RESOLUTION, 0x11D, RESOLUTION_UNIT}
    | {SOFTWARE, 0x132, 0x13B, 0x13C, 0x4746, 0x4749, 0x8298, *range(0x9C9B, 0x9CA0)}
    | {EXIF_IFD, GPS_IFD}
)
# What the saver of a TIFF writes itself, and what would point into another file.
_STRUCTURE = frozenset(
    {0xFE, 0xFF, _WIDTH, _HEIGHT, 0x102, 0x103, 0x106, 0x111, ORIENTATION, 0x115, 0x116, 0x117}
    | {X_RESOLUTION, Y_RESOLUTION, 0x11C, RESOLUTION_UNIT, 0x13D, 0x14A, 0x152, 0x153}
    | {_THUMBNAIL, _THUMBNAIL_SIZE, 0x211, 0x212, 0x213, 0x214, 0x2BC, IPTC, 0x8649, 0x8773}
)

_PRIVATE = 32768  # tags from here on belong to programs and makers
_OF_COLOR = (0x12D, 0x13E, 0x13F)  # a transfer function, white and primaries
# Of the private ones: what is kept, and what only says how samples are stored (SGI, Pixar,
# prepress, the profile, and layers that the picture itself is made of).
_KNOWN = frozenset(
    {*_DESCRIPTIVE, 0x83BB, 0x8649, 0x8773, *range(32932, 33300), 33421, 33422}
    | {33550, 33922, 34264, 34735, 34736, 34737, 42112, 42113, *range(34016, 34034)}
    | {34925, 37439, 37724, 0xA005, 0xEA1C}
)

_HIGHEST_DPI = 1e6  # electron microscopes are below

BROKEN = (ValueError, struct.error, KeyError, OverflowError, ZeroDivisionError)


def parse(block: bytes) -> tuple[str, Tree]:
    """Byte order and first directory with what it points to; one of `BROKEN` where damaged."""
    handle = io.BytesIO(block)
    layout = read_layout(handle)
    if layout.big:
        raise ValueError("64-bit offsets have no place in EXIF")
    return layout.order, read_tree(handle, layout, layout.first)


def from_tiff(path: Path, directory: int | None = None) -> bytes | None:
    """The descriptive tags of a TIFF file's page, with its EXIF and GPS, as a block.

    `directory` is the place of the page in the file, the first one where it is None.
    """
    try:
        with path.open("rb") as handle:
            layout = read_layout(handle)
            tree = read_tree(handle, layout, directory or layout.first)
    except (*BROKEN, OSError):
        return None
    kept = {tag: value for tag, value in tree.items() if tag in _DESCRIPTIVE}
    resolution = {X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT, ORIENTATION}
    if kept.keys() <= resolution:
        return None
    handle_out = io.BytesIO()
    build(_without_wide_offsets(kept), handle_out, layout.order)
    return handle_out.getvalue()


def tag_of_tiff(path: Path, tag: int, directory: int | None = None) -> bytes | None:
    """What a tag of a TIFF file's page holds, as it is stored; of the first page where None."""
    try:
        with path.open("rb") as handle:
            layout = read_layout(handle)
            row = raw_entries(handle, layout, directory or layout.first)[0].get(tag)
            value = None if row is None else read_value(handle, layout, row)
    except (*BROKEN, OSError):
        return None
    return None if value is None else value.data


def left_out_tags(path: Path, directory: int | None = None) -> list[int]:
    """The numbers of a TIFF page's tags that say more than how it is stored and are not kept."""
    try:
        with path.open("rb") as handle:
            layout = read_layout(handle)
            tags = raw_entries(handle, layout, directory or layout.first)[0]
    except (*BROKEN, OSError):
        return []
    return [t for t in sorted(tags) if t in _OF_COLOR or (t >= _PRIVATE and t not in _KNOWN)]


def dots_per_inch(block: bytes) -> tuple[float, float] | None:
    """Horizontal and vertical resolution, or None where the block says nothing of use."""
    try:
        order, tree = parse(block)
        unit = 2
        if isinstance(stored := tree.get(RESOLUTION_UNIT), Value):
            (unit,) = struct.unpack_from(f"{order}H", stored.data)
        scale = {2: 1.0, 3: 2.54}[unit]
        found = []
        for tag in (X_RESOLUTION, Y_RESOLUTION):
            value = tree[tag]
            if not isinstance(value, Value) or value.type != RATIONAL:
                return None
            above, below = struct.unpack_from(f"{order}II", value.data)
            found.append(above / below * scale)
    except BROKEN:
        return None
    return (found[0], found[1]) if all(map(is_resolution, found)) else None


def has_orientation(block: bytes) -> bool:
    """Whether a block says from 1 to 8 how the picture stands."""
    try:
        order, tree = parse(block)
        value = tree.get(ORIENTATION)
        if not isinstance(value, Value) or value.type != SHORT:
            return False
        (number,) = struct.unpack_from(f"{order}H", value.data)
    except BROKEN:
        return False
    return number in range(1, 9)


def is_resolution(dpi: float) -> bool:
    """Whether a number of dots per inch can be meant.

    >>> is_resolution(300.0), is_resolution(0.0), is_resolution(float("inf"))
    (True, False, False)
    """
    return 1 / _HIGHEST_DPI <= dpi <= _HIGHEST_DPI


def updated(
    block: bytes | None,
    width: int,
    height: int,
    software: str | None = None,
    dpi: Sequence[float] | None = None,
) -> bytes:
    """The block for an upright picture of the given size, without a thumbnail.

    Sizes and orientation change where the block has them, the software tag is set, and a
    resolution is added where the block has none. Everything else keeps its place.
    """
    if block is None:
        order: str = "<"
        tree: Tree = {}
        handle = io.BytesIO()
        build(tree, handle, order)
    else:
        order, tree = parse(block)
        handle = io.BytesIO(_without_thumbnail(block))
        _set_pixel_size(handle, width, height)
    changes: Tree = {}
    for tag, number in ((_WIDTH, width), (_HEIGHT, height)):
        if tag in tree:
            changes[tag] = Value(LONG, 1, struct.pack(f"{order}I", number))
    if ORIENTATION in tree:
        changes[ORIENTATION] = Value(SHORT, 1, struct.pack(f"{order}H", 1))
    if software is not None:
        changes[SOFTWARE] = _text(software)
    if dpi is not None and X_RESOLUTION not in tree:
        for tag, value in zip((X_RESOLUTION, Y_RESOLUTION), dpi, strict=True):
            ratio = Fraction(value).limit_denominator(10000)
            data = struct.pack(f"{order}II", ratio.numerator, ratio.denominator)
            changes[tag] = Value(RATIONAL, 1, data)
        changes[RESOLUTION_UNIT] = Value(SHORT, 1, struct.pack(f"{order}H", 2))
    amend(handle, changes, frozenset({_THUMBNAIL, _THUMBNAIL_SIZE}))
    return handle.getvalue()


def without_maker_note(block: bytes) -> bytes:
    """The block without its largest part, the camera's own notes; unknown offsets are no more."""
    order, tree = parse(block)
    if isinstance(inner := tree.get(EXIF_IFD), dict):
        inner.pop(_MAKER_NOTE, None)
    handle = io.BytesIO()
    build(tree, handle, order)
    return handle.getvalue()


def into_tiff(
    handle: BinaryIO,
    block: bytes | None,
    iptc: bytes | None,
    software: str | None,
    more: Tree | None = None,
) -> None:
    """Add an `updated` block, an IPTC record, the software and more to the first page of a TIFF.

    The values of `more` are little-endian.
    """
    layout = read_layout(handle)
    changes: Tree = {}
    if block is not None:
        order, tree = parse(block)
        tree = tree if order == layout.order else swapped_tree(tree)
        changes |= {tag: value for tag, value in tree.items() if tag not in _STRUCTURE}
    if more:
        changes |= more if layout.order == "<" else swapped_tree(more)
    if iptc is not None:
        changes[IPTC] = Value(7, len(iptc), iptc)
    if software is not None:
        changes[SOFTWARE] = _text(software)
    amend(handle, changes)


def _text(text: str) -> Value:
    data = text.encode("ascii", "replace") + b"\0"
    return Value(ASCII, len(data), data)


def _set_pixel_size(handle: BinaryIO, width: int, height: int) -> None:
    """Overwrite the sizes in the EXIF directory where they stand, as 32-bit numbers."""
    layout = read_layout(handle)
    row = raw_entries(handle, layout, layout.first)[0].get(EXIF_IFD)
    if row is None:
        return
    (at,) = struct.unpack(f"{layout.order}I", row[8:])
    handle.seek(at)
    (count,) = struct.unpack(f"{layout.order}H", handle.read(2))
    sizes = {_PIXEL_X: width, _PIXEL_Y: height}
    for place in range(at + 2, at + 2 + 12 * count, 12):
        handle.seek(place)
        (tag,) = struct.unpack(f"{layout.order}H", handle.read(2))
        if tag in sizes:
            handle.write(struct.pack(f"{layout.order}HII", LONG, 1, sizes[tag]))


def _without_thumbnail(block: bytes) -> bytes:
    """The second directory and its picture as zeros, or cut off where they come last."""
    handle = io.BytesIO(block)
    layout = read_layout(handle)
    _, second = raw_entries(handle, layout, layout.first)
    if not second:
        return block
    try:
        rows, _ = raw_entries(handle, layout, second)
        numbers = [struct.unpack(f"{layout.order}I", rows[t][8:])[0] for t in (0x201, 0x202)]
    except BROKEN:
        return block
    start, end = numbers[0], min(sum(numbers), len(block))
    if not 8 <= start < end:
        return block
    tail = block[end:]
    # Behind the picture there is nothing, or a byte or two of padding.
    return block[:start] + (bytes(end - start) + tail if len(tail) > 3 else b"")


def _without_wide_offsets(tree: Tree) -> Tree:
    """BigTIFF's 64-bit numbers as 32-bit ones, which EXIF can hold; longer values drop out."""
    narrow: Tree = {}
    for tag, value in tree.items():
        if isinstance(value, dict):
            narrow[tag] = _without_wide_offsets(value)
        elif value.type not in (16, 17, 18):
            narrow[tag] = value
    return narrow
