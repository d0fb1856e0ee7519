"""JPEG 2000 by imagecodecs (OpenJPEG)."""

import struct
from pathlib import Path

import imagecodecs
import numpy as np

from pixperts.errors import ImageError
from pixperts.io.containers.jpeg_boxes import JP2_EXIF, JP2_XMP, box, boxes
from pixperts.io.decoders.foreign import Foreign
from pixperts.io.decoders.samples import spread
from pixperts.ops.pixels import Pixels

_CODESTREAM = b"\xff\x4f\xff\x51"
_SRGB, _GRAY, _SYCC = 16, 17, 18  # ISO/IEC 15444-1, table I.10


def read_header(path: Path, kind: str, page: int | None) -> Foreign:
    """Size and depth from the codestream, profile and metadata from the boxes around it."""
    data = path.read_bytes()
    icc = exif = xmp = None
    stream = data
    if not data.startswith(_CODESTREAM):
        stream = b""
        for name, body in boxes(data):
            if name == b"jp2c" and not stream:
                stream = body[:1024]
            elif name == b"jp2h":
                icc = _profile(path, body) or icc
            elif name == b"uuid" and body[:16] == JP2_EXIF:
                exif = body[16:]
            elif name == b"uuid" and body[:16] == JP2_XMP:
                xmp = body[16:]
    # ISO/IEC 15444-1, A.5.1: the end of the image area, its begin, and a byte per component.
    right, bottom, left, top = struct.unpack_from(">4I", stream, 8)
    (count,) = struct.unpack_from(">H", stream, 40)
    depths = [depth for depth, _, _ in struct.iter_unpack(">3B", stream[42 : 42 + 3 * count])]
    if not stream.startswith(_CODESTREAM) or not depths:
        raise ValueError("no codestream")
    bits = (depths[0] & 0x7F) + 1
    if any(depth != depths[0] for depth in depths) or depths[0] & 0x80 or bits > 16:
        raise ImageError(
            f"{path} is JPEG 2000 with signed samples, or of several depths or over 16 bits: "
            "convert it to TIFF."
        )

    def decode() -> Pixels:
        # It would convert colors by a profile, which is kept beside the pixels instead.
        plain = data if icc is None else _without_profile(data, len(depths))
        return spread(np.asarray(imagecodecs.jpeg2k_decode(plain)), bits)

    return Foreign(right - left, bottom - top, decode, icc=icc, exif=exif, xmp=xmp)


def _without_profile(data: bytes, channels: int) -> bytes:
    space = struct.pack(">3BI", 1, 0, 0, _GRAY if channels < 3 else _SRGB)

    def header(body: bytes) -> bytes:
        parts = [(name, part) for name, part in boxes(body) if name != b"colr"]
        return b"".join(box(*one) for one in [*parts[:1], (b"colr", space), *parts[1:]])

    return b"".join(
        box(name, header(body) if name == b"jp2h" else body) for name, body in boxes(data)
    )


def _profile(path: Path, header: bytes) -> bytes | None:
    for name, body in boxes(header):
        if name != b"colr":
            continue
        if body[0] == 2:
            return body[3:]
        if body[0] == 1 and int.from_bytes(body[3:7], "big") not in (_SRGB, _GRAY, _SYCC):
            raise ImageError(
                f"{path} is JPEG 2000 in CMYK, Lab or another space without a profile: convert "
                "it to RGB."
            )
    return None
