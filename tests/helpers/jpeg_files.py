"""JPEG files with segments of every kind, and the segments of those that were written."""

import hashlib
import io
import struct
from pathlib import Path
from typing import Any

from PIL import Image

from pixperts.ops.pixels import Pixels
from tests.helpers.photo_files import gradient

XMP = b"http://ns.adobe.com/xap/1.0/\0"
EXTENDED = b"http://ns.adobe.com/xmp/extension/\0"


def segment(marker: int, data: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(data) + 2).to_bytes(2, "big") + data


def packet(spaces: str, attributes: str = "", inside: str = "") -> bytes:
    return (
        '<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
        f'rdf:about="" {spaces} {attributes}>{inside}</rdf:Description></rdf:RDF></x:xmpmeta>'
        '<?xpacket end="w"?>'
    ).encode()


def extended_segments(data: bytes, guid: bytes | None = None) -> list[bytes]:
    """The second part of XMP, in segments that are out of order."""
    name = guid or hashlib.md5(data).hexdigest().upper().encode()
    parts = [
        segment(0xE1, EXTENDED + name + struct.pack(">II", len(data), at) + data[at : at + 60000])
        for at in range(0, len(data), 60000)
    ]
    return parts[::-1]


def resource(number: int, data: bytes, name: bytes = b"") -> bytes:
    """One of Photoshop's blocks."""
    label = bytes([len(name)]) + name
    label += bytes(len(label) % 2)
    head = b"8BIM" + number.to_bytes(2, "big") + label
    return head + len(data).to_bytes(4, "big") + data + bytes(len(data) % 2)


def jpeg_bytes(*segments: bytes, pixels: Pixels | None = None, **options: Any) -> bytes:
    made = io.BytesIO()
    pixels = gradient() if pixels is None else pixels
    Image.fromarray(pixels.squeeze()).save(made, "jpeg", quality=95, subsampling=0, **options)
    data = made.getvalue()
    return data[:2] + b"".join(segments) + data[2:]


def write_jpeg(path: Path, *segments: bytes, behind: bytes = b"", **options: Any) -> Path:
    path.write_bytes(jpeg_bytes(*segments, **options) + behind)
    return path


def segments_of(data: Path | bytes) -> list[tuple[int, bytes]]:
    """Marker and content of each segment before the pixels."""
    data = data if isinstance(data, bytes) else data.read_bytes()
    at, found = 2, []
    while data[at + 1] != 0xDA:
        assert data[at] == 0xFF
        size = int.from_bytes(data[at + 2 : at + 4], "big")
        found.append((data[at + 1], data[at + 4 : at + 2 + size]))
        at += 2 + size
    return found
