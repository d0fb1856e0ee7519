"""Whether a file of a format that has a lossy and a lossless mode was written without loss."""

import contextlib
import re
import struct
from pathlib import Path

from pixperts.io.containers.jpeg_boxes import boxes, jxl_codestream
from pixperts.io.decoders.jxl_header import read_codestream

_COD = b"\xff\x52"  # ISO/IEC 15444-1, A.6.1
_HEAD = 1 << 16  # bytes in which the properties of a picture stand


def is_lossless(path: Path, kind: str) -> bool:
    """True for WebP of the lossless kind, AVIF and HEIC that store RGB as it is, JPEG XL without
    XYB, and JPEG 2000 with the reversible wavelet; else False.

    The file is one of this format, by its first bytes.
    """
    if kind == "webp":
        return _is_lossless_webp(path)
    if kind == "jxl":
        return _is_lossless_jxl(path)
    if kind == "jp2":
        return _is_reversible(path)
    return kind in ("avif", "heic") and _stores_rgb(path)


def _is_lossless_webp(path: Path) -> bool:
    # RFC 9649, 2.3: chunks of a name, a size and data of an even length.
    with path.open("rb") as handle:
        end, at = handle.seek(0, 2), 12
        while at + 8 <= end:
            handle.seek(at)
            head = handle.read(8)
            name, size = head[:4], int.from_bytes(head[4:], "little")
            if name in (b"VP8L", b"VP8 "):
                return name == b"VP8L"
            # A frame of an animation: 16 bytes of its own, then chunks.
            at += 24 if name == b"ANMF" else 8 + size + size % 2
    return False


def _stores_rgb(path: Path) -> bool:
    # ITU-T H.273, table 4: matrix 0 is none at all, which only lossless files have.
    with path.open("rb") as handle:
        head = handle.read(_HEAD)
    found = re.search(rb"colrnclx.{4}(.{2})", head, re.DOTALL)
    return found is not None and found[1] == b"\0\0"


def _is_lossless_jxl(path: Path) -> bool:
    data = path.read_bytes()
    with contextlib.suppress(ValueError):
        # A box of that name restores a JPEG, which was lossy before.
        jpeg = not data.startswith(b"\xff\x0a") and any(n == b"jbrd" for n, _ in boxes(data))
        return not (jpeg or read_codestream(jxl_codestream(data)).xyb)
    return False


def _is_reversible(path: Path) -> bool:
    # The last byte of the parameters of the wavelet is 1 for that of whole numbers.
    data = path.read_bytes()[:_HEAD]
    at = data.find(_COD)
    with contextlib.suppress(struct.error):
        (size,) = struct.unpack_from(">H", data, at + 2)
        return at > 0 and size >= 12 and data[at + 13] == 1
    return False
