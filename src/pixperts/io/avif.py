"""Samples of AVIF and HEIC that libvips leaves as they are stored: depth, range and gray."""

import contextlib
import re
from pathlib import Path
from typing import Any

import numpy as np

from pixperts.io.color.chunks import av1_header
from pixperts.io.containers.heif_boxes import BROKEN, read_description
from pixperts.io.vips import libvips

_HEAD = 1 << 16  # bytes in which the properties of the pictures stand


def bits_of(image: Any) -> int:
    """Bits per sample of an opened AVIF or HEIC."""
    return int(image.get("bits-per-sample")) if image.get_typeof("bits-per-sample") else 8


def full_range(path: Path, image: Any) -> Any:
    """Samples spread over all of 8 or 16 bit, and gray pictures as gray."""
    with path.open("rb") as handle:
        head = handle.read(_HEAD)
    gray = image.bands >= 3 and _is_monochrome(head)
    bits = bits_of(image)
    if image.format != "ushort" or not 8 <= bits < 16:
        bits = 8
    # libvips expands the limited range of color, but not of gray.
    limited = gray and _is_limited(path)
    color = image.extract_band(0) if gray else image
    alpha = image.extract_band(3) if gray and image.bands > 3 else None
    color = _spread(color, bits, limited)
    if gray:
        if alpha is not None:
            color = color.bandjoin(_spread(alpha, bits, limited=False))
        color = color.copy(interpretation="b-w" if image.format == "uchar" else "grey16")
    return color


def _spread(image: Any, bits: int, limited: bool) -> Any:
    """Codes of so many bits over the whole range of the type.

    libvips shifts 10 and 12 bits up to 16, which leaves white short of 65535.
    """
    deep = image.format == "ushort"
    if (bits == 8) is deep or not (deep or limited):
        return image
    low, span = 0, (1 << bits) - 1
    if limited:  # ITU-R BT.2100, table 9
        low, span = 16 << (bits - 8), 219 << (bits - 8)
    top = 65535 if deep else 255
    codes = np.arange(top + 1, dtype=np.int64) >> (16 - bits if deep else 0)
    table = np.clip(((codes - low) * top + span // 2) // span, 0, top)
    table = table.astype(np.uint16 if deep else np.uint8)
    kind = "ushort" if deep else "uchar"
    lut = libvips().Image.new_from_memory(table, top + 1, 1, 1, kind)
    return image.maplut(lut).copy(interpretation=image.interpretation)


def _is_monochrome(head: bytes) -> bool:
    # AV1 Codec ISO Media File Format Binding, 2.3: the monochrome bit of the third byte. Alpha is
    # a monochrome picture of its own, so the file is gray only if every picture in it is.
    flags = [found[1][0] & 0x10 for found in re.finditer(rb"av1C\x81.(.)", head, re.DOTALL)]
    return bool(flags) and all(flags)


def _is_limited(path: Path) -> bool:
    """By the property of the main picture, else by the header of its data."""
    with contextlib.suppress(*BROKEN), path.open("rb") as handle:
        found = read_description(handle)
        for data in found.of_primary(b"colr"):
            # ISO/IEC 14496-12, 12.1.5: three codes of two bytes, then the flag.
            if data[:4] == b"nclx" and len(data) >= 11:
                return not data[10] & 0x80
        return not av1_header(handle, found)[1].full_range
    return False
