"""What lies behind the main picture of a JPEG file: gain maps, further pictures, videos.

A gain map says how much brighter each part of a picture is on a screen that can show it (Ultra
HDR, ISO 21496-1, Apple). It may be of any size, so that it serves a larger picture as it is.
"""

import contextlib
import io
import mmap
import os
import struct
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

from pixperts.io.containers.jpeg_segments import (
    APP1,
    APP2,
    Jpeg,
    Segment,
    encoded,
    end_of_picture,
    insert_segments,
    read_segments,
)
from pixperts.io.vips import libvips

_MPF = b"MPF\0"
_ISO = b"urn:iso:std:iso:ts:21496:-1\0"
_ADOBE = b"http://ns.adobe.com/hdr-gain-map/1.0/"
_APPLE = (b"aux:hdrgainmap", b"http://ns.apple.com/HDRGainMap/")
_LARGEST = 1 << 26  # bytes of a map
_MOST = 64  # pictures
_PREVIEWS = (0x010001, 0x010002)  # CIPA DC-007, 5.2.3.3.1: large thumbnails
_QUALITY = 95  # of a map that had to be turned
BROKEN = (ValueError, struct.error, OSError, IndexError)


@dataclass(frozen=True)
class GainMap:
    """A map as the JPEG file that it is; `iso` is what the main picture says of it."""

    data: bytes = field(repr=False)
    announced: bool = False  # in the XMP of the main picture, as Ultra HDR has it
    iso: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Behind:
    """What was found: a map, how many other pictures, whether a video, bytes of other kinds."""

    gain_map: GainMap | None = None
    pictures: int = 0
    video: bool = False
    unknown: int = 0


def read_behind(path: Path, jpeg: Jpeg) -> Behind:
    """What follows a JPEG's main picture, whose segments are given."""
    try:
        with path.open("rb") as handle:
            entries = _listed(jpeg)
            size = handle.seek(0, os.SEEK_END)
            handle.seek(max(0, size - 2))
            if not entries and handle.read() == b"\xff\xd9" and not _speaks_of_more(jpeg):
                return Behind()
            end = end_of_picture(path)
            if end is None:
                return Behind()
            if not entries:
                entries = _in_a_row(path, handle, end)
            found, last = Behind(), end
            for kind, start, length in entries:
                if not end <= start < start + length <= size:
                    continue
                last = max(last, start + length)
                found = _with_picture(found, handle, kind, start, length, jpeg)
            return _with_rest(found, handle, last, size)
    except BROKEN:
        return Behind()


def _speaks_of_more(jpeg: Jpeg) -> bool:
    return jpeg.first(APP2, _ISO) is not None or b"ns.google.com/photos" in (jpeg.xmp() or b"")


def _listed(jpeg: Jpeg) -> list[tuple[int, int, int]]:
    """Kind, place and length of each further picture by the MP index (CIPA DC-007, 5.2)."""
    places = zip(jpeg.segments, jpeg.starts, strict=True)
    index = next((s for s, _ in places if s[0] == APP2 and s[1].startswith(_MPF)), None)
    if index is None:
        return []
    start = jpeg.starts[jpeg.segments.index(index)]
    block = index[1][len(_MPF) :]
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    if order is None:
        return []
    with contextlib.suppress(struct.error):
        (at,) = struct.unpack_from(f"{order}I", block, 4)
        (count,) = struct.unpack_from(f"{order}H", block, at)
        for number in range(count):
            tag, _, size, value = struct.unpack_from(f"{order}HHII", block, at + 2 + 12 * number)
            if tag == 0xB002:
                rows = range(value + 16, value + min(size, 16 * _MOST), 16)
                parts = [struct.unpack_from(f"{order}III", block, row) for row in rows]
                base = start + len(_MPF)
                return [(a & 0xFFFFFF, base + offset, length) for a, length, offset in parts]
    return []


def _in_a_row(path: Path, handle: BinaryIO, start: int) -> list[tuple[int, int, int]]:
    found = []
    for _ in range(_MOST):
        handle.seek(start)
        if handle.read(3) != b"\xff\xd8\xff" or (end := end_of_picture(path, start)) is None:
            break
        found.append((0, start, end - start))
        start = end
    return found


def _with_picture(
    found: Behind, handle: BinaryIO, kind: int, start: int, length: int, jpeg: Jpeg
) -> Behind:
    handle.seek(start)
    if handle.read(2) != b"\xff\xd8":
        return found
    own = read_segments(handle, start)
    packet = own.xmp() or b""
    iso = own.first(APP2, _ISO)
    if _ADOBE in packet or iso is not None or any(sign in packet for sign in _APPLE):
        if found.gain_map is None and length <= _LARGEST:
            handle.seek(start)
            told = jpeg.first(APP2, _ISO)
            made = GainMap(handle.read(length), _ADOBE in packet, told)
            return replace(found, gain_map=made)
        return found
    return found if kind in _PREVIEWS else replace(found, pictures=found.pictures + 1)


def _with_rest(found: Behind, handle: BinaryIO, start: int, size: int) -> Behind:
    if start >= size:
        return found
    with mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if data.find(b"ftyp", start, size) >= 0 or data.find(b"MotionPhoto_Data", start) >= 0:
            return replace(found, video=True)
        rest = data[start : min(size, start + _LARGEST)].strip(b"\0 \r\n")
    return replace(found, unknown=len(rest))


def turned(gain_map: GainMap, orientation: int) -> GainMap | None:
    """The map for a picture that is turned upright; None where it cannot be decoded."""
    if orientation == 1:
        return gain_map
    vips: Any = libvips()
    try:
        image = vips.Image.jpegload_buffer(gain_map.data)
        image = image.copy()
        image.set_type(vips.GValue.gint_type, "orientation", orientation)
        upright = image.autorot()
        data = upright.jpegsave_buffer(Q=_QUALITY, subsample_mode="off", keep=0)
    except vips.Error:
        return None
    kept = [
        s
        for s in read_segments(io.BytesIO(gain_map.data)).segments
        if s[0] in (APP1, APP2) and _stays(s)
    ]
    return replace(gain_map, data=data[:2] + encoded(kept) + data[2:])


def _stays(segment: Segment) -> bool:
    return not segment[1].startswith((b"Exif\0\0", _MPF))


def append_gain_map(handle: BinaryIO, gain_map: GainMap) -> None:
    """Put a map behind the picture of a JPEG file, and an index of both into it."""
    segments = [] if gain_map.iso is None else [(APP2, _ISO + gain_map.iso)]
    before = encoded(segments)
    size = handle.seek(0, os.SEEK_END) + len(before) + len(encoded([(APP2, _index(0, 0, 0))]))
    # The index counts from its own header, behind the marker, the length and the name.
    at = insert_segments(handle, b"")
    base = at + len(before) + 4 + len(_MPF)
    index = _index(size, len(gain_map.data), size - base)
    insert_segments(handle, before + encoded([(APP2, index)]))
    handle.seek(0, os.SEEK_END)
    handle.write(gain_map.data)


def _index(first: int, second: int, offset: int) -> bytes:
    entries = struct.pack(">IIIHH", 0x030000, first, 0, 0, 0)
    entries += struct.pack(">IIIHH", 0, second, offset, 0, 0)
    table = struct.pack(">HHI4s", 0xB000, 7, 4, b"0100")
    table += struct.pack(">HHII", 0xB001, 4, 1, 2)
    table += struct.pack(">HHII", 0xB002, 7, len(entries), 8 + 2 + 3 * 12 + 4)
    return _MPF + b"MM\0*\0\0\0\x08" + struct.pack(">H", 3) + table + bytes(4) + entries
