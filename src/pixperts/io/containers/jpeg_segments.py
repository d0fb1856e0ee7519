"""The segments of JPEG files: read before the pixels, and put into what libvips has written.

libvips knows one segment of XMP and one of Photoshop's, and drops what is longer without a word.
"""

import hashlib
import mmap
import os
import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pixperts.io.containers.splicing import insert

APP0, APP1, APP2, APP13, COM = 0xE0, 0xE1, 0xE2, 0xED, 0xFE
_SOI, _EOI, _SOS = 0xD8, 0xD9, 0xDA
_MOST = 65533  # bytes of a segment's content
_LARGEST = 1 << 26  # bytes of all of them
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_EXTENDED = b"http://ns.adobe.com/xmp/extension/\0"
_PHOTOSHOP = b"Photoshop 3.0\0"
XMP_ROOM = _MOST - len(_XMP)  # bytes of a packet
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]", re.DOTALL)

Segment = tuple[int, bytes]  # marker, and content without its length


@dataclass(frozen=True)
class Jpeg:
    """The APP and COM segments before the pixels, in order; where each content begins."""

    segments: list[Segment]
    starts: list[int]

    def first(self, marker: int, prefix: bytes) -> bytes | None:
        """The content behind a prefix, of the first segment that begins with it."""
        return next(
            (d[len(prefix) :] for m, d in self.segments if m == marker and d.startswith(prefix)),
            None,
        )

    def xmp(self) -> bytes | None:
        """The main packet."""
        return self.first(APP1, _XMP) or None

    def extended_xmp(self, guid: bytes) -> bytes | None:
        """What did not fit into the main packet, if it is whole (XMP, part 3, 1.1.3.1)."""
        parts: dict[int, bytes] = {}
        total = 0
        for marker, data in self.segments:
            head = len(_EXTENDED) + 40
            if marker == APP1 and data.startswith(_EXTENDED) and len(data) > head:
                own, total_here, offset = struct.unpack_from(">32sII", data, len(_EXTENDED))
                if own.upper() == guid.upper():
                    parts[offset], total = data[head:], total_here
        whole = b"".join(part for _, part in sorted(parts.items()))
        at = 0
        for offset, part in sorted(parts.items()):
            if offset != at:
                return None
            at += len(part)
        return whole if whole and len(whole) == total else None

    def photoshop(self) -> bytes | None:
        """Photoshop's resources, which may be spread over several segments."""
        parts = [
            data.removeprefix(_PHOTOSHOP)
            for marker, data in self.segments
            if marker == APP13 and data.startswith(_PHOTOSHOP)
        ]
        return b"".join(parts) or None

    def comments(self) -> tuple[bytes, ...]:
        """The comments, without zeros at their ends."""
        found = (data.rstrip(b"\0") for marker, data in self.segments if marker == COM)
        return tuple(data for data in found if data)


def read_segments(handle: BinaryIO, start: int = 0) -> Jpeg:
    """The segments of the picture that begins at `start`, as far as they are sound."""
    found = Jpeg([], [])
    handle.seek(start + 2)
    left = _LARGEST
    while left > 0:
        head = handle.read(2)
        while head[1:] == b"\xff":  # fill bytes
            head = b"\xff" + handle.read(1)
        if len(head) < 2 or head[0] != 0xFF or head[1] in (_SOS, _EOI):
            break
        size = int.from_bytes(handle.read(2), "big") - 2
        if size < 0:
            break
        marker = head[1]
        if not (APP0 <= marker <= 0xEF or marker == COM):
            handle.seek(size, os.SEEK_CUR)
            continue
        at = handle.tell()
        data = handle.read(size)
        if len(data) < size:
            break
        found.segments.append((marker, data))
        found.starts.append(at)
        left -= size
    return found


def end_of_picture(path: Path, start: int = 0) -> int | None:
    """Where the file continues behind the picture that begins at `start`; None where it has no end.

    Pictures within segments, such as a thumbnail, are no ends.
    """
    with path.open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at = start + 2
        while found := _MARKER.search(data, at):
            at = found.end()
            marker = data[at - 1]
            if marker == _EOI:
                return at
            if marker != _SOI:
                at += int.from_bytes(data[at : at + 2], "big")
        return None


def photoshop_segments(resources: bytes) -> list[Segment]:
    """Resources of any length as segments."""
    room = _MOST - len(_PHOTOSHOP)
    parts = (resources[at : at + room] for at in range(0, len(resources), room))
    return [(APP13, _PHOTOSHOP + part) for part in parts]


def comment_segments(comments: Iterable[bytes]) -> list[Segment]:
    """Comments, one a segment, or more where one is longer."""
    return [
        (COM, comment[at : at + _MOST])
        for comment in comments
        for at in range(0, len(comment), _MOST)
    ]


def guid_of(extended: bytes) -> bytes:
    """The name of an extension, by which the main packet refers to it."""
    return hashlib.md5(extended, usedforsecurity=False).hexdigest().upper().encode()


def xmp_segments(main: bytes, extended: bytes | None) -> list[Segment]:
    """A packet of at most `XMP_ROOM` bytes, and its extension in as many parts as it takes."""
    found = [(APP1, _XMP + main)]
    room = 65400
    for at in range(0, len(extended or b""), room):
        assert extended is not None
        head = _EXTENDED + guid_of(extended) + struct.pack(">II", len(extended), at)
        found.append((APP1, head + extended[at : at + room]))
    return found


def encoded(segments: Iterable[Segment]) -> bytes:
    """Segments as they stand in a file."""
    return b"".join(
        bytes([0xFF, marker]) + (len(data) + 2).to_bytes(2, "big") + data
        for marker, data in segments
    )


def insert_segments(handle: BinaryIO, data: bytes) -> int:
    """Put encoded segments behind those that a file begins with (JFIF, EXIF), and say where."""
    found = read_segments(handle)
    at = 2
    for (marker, content), start in zip(found.segments, found.starts, strict=True):
        if marker != APP0 and not content.startswith(b"Exif\0\0"):
            break
        at = start + len(content)
    insert(handle, at, data)
    return at
