"""Files with everything that a camera or an editor writes, made with Pillow and by hand."""

import functools
import io
from pathlib import Path
from typing import Any

import numpy as np
import pyvips
from PIL import Image, ImageCms

from pixperts.ops.pixels import Pixels

XMP = (
    b'<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
    b'rdf:about="" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6" '
    b'xmlns:exif="http://ns.adobe.com/exif/1.0/" xmlns:xmp="http://ns.adobe.com/xap/1.0/" '
    b'xmp:Rating="4"><exif:PixelXDimension>48</exif:PixelXDimension></rdf:Description></rdf:RDF>'
    b'</x:xmpmeta><?xpacket end="w"?>'
)
IPTC = b"\x1c\x02\x00\x00\x02\x00\x04\x1c\x02\x78\x00\x07Caption\x1c\x02\x19\x00\x04key1"
MAKER_NOTE = b"SONY DSC \0\0\0" + bytes(range(256)) * 4
EXIF_IFD, GPS_IFD = 0x8769, 0x8825


def gradient(height: int = 32, width: int = 48, channels: int = 3) -> Pixels:
    rows, columns = np.mgrid[0:height, 0:width]
    planes = [(rows * (2 + c) + columns * (3 - c % 2) + 20 * c) for c in range(channels)]
    pixels: Pixels = np.clip(np.stack(planes, -1), 0, 255).astype(np.uint8)
    return pixels


@functools.cache  # it holds the time of its making
def srgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def vips_profile(name: str) -> bytes:
    """One of libvips' own: "p3", "cmyk" or "srgb"."""
    return bytes(pyvips.Operation.call("profile_load", name))


def wide_profile() -> bytes:
    """The primaries and the gamma of Adobe RGB (1998), adapted to D50 (ICC.1, 8.3.3)."""
    columns = {
        b"rXYZ": (0.60974, 0.31111, 0.01947),
        b"gXYZ": (0.20528, 0.62567, 0.06087),
        b"bXYZ": (0.14919, 0.06322, 0.74457),
        b"wtpt": (0.9642, 1.0, 0.8249),
    }
    tags = {
        name: b"XYZ \0\0\0\0" + b"".join(round(v * 65536).to_bytes(4, "big") for v in values)
        for name, values in columns.items()
    }
    curve = b"curv\0\0\0\0" + (1).to_bytes(4, "big") + (0x0233).to_bytes(2, "big") + bytes(2)
    return profile(b"RGB ", tags | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve))


def grey_profile() -> bytes:
    """Linear gray (ICC.1, 8.4.2): white and a curve that changes nothing."""
    white = b"XYZ \0\0\0\0" + bytes.fromhex("0000f6d6000100000000d32d")
    return profile(b"GRAY", {b"wtpt": white, b"kTRC": b"curv\0\0\0\0" + bytes(4)})


def profile(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    """Header, table and data of an ICC profile of version 2 (ICC.1, 7.2 and 7.3)."""
    text = b"desc\0\0\0\0" + (5).to_bytes(4, "big") + b"name\0" + bytes(78)
    tags = tags | {b"desc": text + bytes(-len(text) % 4), b"cprt": b"text\0\0\0\0none"}
    table, body = b"", b""
    for name, data in tags.items():
        start = 128 + 4 + 12 * len(tags) + len(body)
        table += name + start.to_bytes(4, "big") + len(data).to_bytes(4, "big")
        body += data
    size = 128 + 4 + len(table) + len(body)
    head = size.to_bytes(4, "big") + bytes(4) + b"\2\x40\0\0" + b"mntr" + space + b"XYZ "
    head += bytes(12) + b"acsp" + bytes(28) + bytes.fromhex("0000f6d6000100000000d32d")
    return head.ljust(128, b"\0") + len(tags).to_bytes(4, "big") + table + body


def photoshop(iptc: bytes = IPTC) -> bytes:
    """An APP13 segment with a resource before the IPTC record."""
    other = b"8BIM\x04\x0a\x03abc\0\0\0\x01\x01\0"
    block = b"8BIM\x04\x04\0\0" + len(iptc).to_bytes(4, "big") + iptc + bytes(len(iptc) % 2)
    body = b"Photoshop 3.0\0" + other + block
    return b"\xff\xed" + (len(body) + 2).to_bytes(2, "big") + body


def exif(orientation: int = 1, thumbnail: bool = False) -> bytes:
    tags = Image.Exif()
    tags[0x10F], tags[0x110], tags[0x131] = "Maker", "Model X", "Camera 1.0"
    tags[0x112], tags[0x8298] = orientation, "Somebody"
    tags[0x100], tags[0x101] = 48, 32
    tags[0xFDE8] = "private"
    inner = tags.get_ifd(EXIF_IFD)
    inner[0x9003], inner[0xA002], inner[0xA003] = "2024:01:02 03:04:05", 48, 32
    inner[0x927C], inner[0x829A], inner[0xFE00] = MAKER_NOTE, 0.004, "inside"
    place = tags.get_ifd(GPS_IFD)
    place[1], place[2], place[3], place[4] = "N", (48.0, 8.0, 1.5), "E", (11.0, 34.0, 2.0)
    block = tags.tobytes()
    return _with_thumbnail(block) if thumbnail else block


def _with_thumbnail(block: bytes) -> bytes:
    """A second directory and a small JPEG behind it, as cameras write them (EXIF 2.32, 4.5.8)."""
    small = io.BytesIO()
    Image.fromarray(gradient(8, 12)).save(small, "jpeg")
    data = bytearray(block[6:])
    order: Any = {b"II": "little", b"MM": "big"}[bytes(data[:2])]
    first = int.from_bytes(data[4:8], order)
    count = int.from_bytes(data[first : first + 2], order)
    data += bytes(len(data) % 2)
    link = first + 2 + 12 * count
    data[link : link + 4] = len(data).to_bytes(4, order)
    start = len(data) + 2 + 3 * 12 + 4
    entries = [(0x103, 3, 6), (0x201, 4, start), (0x202, 4, len(small.getvalue()))]
    data += len(entries).to_bytes(2, order)
    for tag, kind, value in entries:
        field = value.to_bytes(2, order) + bytes(2) if kind == 3 else value.to_bytes(4, order)
        data += tag.to_bytes(2, order) + kind.to_bytes(2, order)
        data += (1).to_bytes(4, order) + field
    return block[:6] + bytes(data + bytes(4)) + small.getvalue()


def write_photo(path: Path, orientation: int = 6, thumbnail: bool = True) -> Path:
    """A JPEG of 48 x 32 stored pixels with EXIF, GPS, thumbnail, XMP, IPTC, profile, 300 dpi."""
    Image.fromarray(gradient()).save(
        path,
        "jpeg",
        quality=98,
        subsampling=0,
        exif=exif(orientation, thumbnail),
        xmp=XMP,
        icc_profile=srgb_profile(),
        dpi=(300, 240),
    )
    data = path.read_bytes()
    path.write_bytes(data[:2] + photoshop() + data[2:])
    return path
