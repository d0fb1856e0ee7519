"""The background of PNG files: the color on which a viewer may show transparent parts (bKGD).

PNG, 3rd edition, 11.3.4.1.
"""

import contextlib
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from pixperts.io.color.chunks import chunks_before_pixels
from pixperts.io.containers.heif_boxes import BROKEN
from pixperts.io.containers.splicing import insert

_HEADER = 8 + 25  # the signature and IHDR
_PALETTE = 3
_IN_COLOR = (2, 6)  # color types


def read_background(path: Path) -> tuple[float, ...] | None:
    """One number from 0 to 1 for gray, three for color; None where the file names none."""
    with contextlib.suppress(*BROKEN, IndexError), path.open("rb") as handle:
        depth, kind = struct.unpack(">BB", handle.read(26)[24:])
        found = dict(chunks_before_pixels(handle, (b"bKGD", b"PLTE"), longest=768))
        data = found.get(b"bKGD", b"")
        if kind == _PALETTE and data:
            start = 3 * data[0]
            return tuple(found[b"PLTE"][start + channel] / 255 for channel in range(3))
        if len(data) == (6 if kind in _IN_COLOR else 2):
            codes = struct.unpack(f">{len(data) // 2}H", data)
            return tuple(code / ((1 << depth) - 1) for code in codes)
    return None


def put_background(handle: BinaryIO, color: Sequence[float]) -> None:
    """Put it into a PNG file that libvips wrote, where it fits the file's kind."""
    handle.seek(24)
    depth, kind = struct.unpack(">BB", handle.read(2))
    if len(color) != (3 if kind in _IN_COLOR else 1):
        return
    codes = [round(value * ((1 << depth) - 1)) for value in color]
    chunk = b"bKGD" + struct.pack(f">{len(codes)}H", *codes)
    length = struct.pack(">I", len(chunk) - 4)
    insert(handle, _HEADER, length + chunk + struct.pack(">I", zlib.crc32(chunk)))
