"""The boxes of JPEG 2000 and JPEG XL files (ISO/IEC 15444-1, annex I; 18181-2)."""

import struct
from collections.abc import Iterator

# How boxes of JPEG 2000 with metadata are marked: EXIF by custom, XMP by its specification, part 3.
JP2_EXIF = b"JpgTiffExif->JP2"
JP2_XMP = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_CODESTREAM = b"\xff\x0a"


def boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Names and contents of the boxes that lie in some bytes (ISO/IEC 15444-1, I.4)."""
    at = 0
    while at + 8 <= len(data):
        size, name = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        head = 8
        if size == 1:
            size, head = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        end = len(data) if size == 0 else at + size
        if end < at + head:
            raise ValueError("a box shorter than its head")
        yield name, data[at + head : end]
        at = end


def box(name: bytes, body: bytes) -> bytes:
    """A box with its head."""
    return struct.pack(">I4s", 8 + len(body), name) + body


def jxl_codestream(data: bytes) -> bytes:
    """The codestream of a JPEG XL file, whatever lies around it."""
    if data.startswith(_CODESTREAM):
        return data
    parts = []
    for name, body in boxes(data):
        if name in (b"jxlc", b"jxlp"):
            parts.append(body if name == b"jxlc" else body[4:])  # a number stands before a part
    return b"".join(parts)
