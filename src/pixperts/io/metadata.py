"""What a picture file says besides its pixels: profile, EXIF, XMP, IPTC, resolution, PNG texts."""

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pixperts.io import exif
from pixperts.io.color_chunks import read_color_tags
from pixperts.io.color_tags import ColorTags
from pixperts.io.icc import profile_of, whole_profile
from pixperts.io.png_text import read_texts

_PHOTOSHOP = b"Photoshop 3.0\0"
_PNG_IPTC = "Raw profile type iptc"
_PNG_XMP = "XML:com.adobe.xmp"


@dataclass(frozen=True)
class Metadata:
    """What belongs to a picture besides its pixels, each part as bytes of its own standard.

    `icc` is a profile, `exif` a block that begins with its TIFF header, `xmp` a packet, `iptc` the
    datasets of an IIM record, `dpi` dots per inch (horizontal, vertical), `texts` the keywords and
    texts of a PNG. `color` is what a file says of its colors without a profile. None and () stand
    for nothing.
    """

    icc: bytes | None = field(default=None, repr=False)
    exif: bytes | None = field(default=None, repr=False)
    xmp: bytes | None = field(default=None, repr=False)
    iptc: bytes | None = field(default=None, repr=False)
    dpi: tuple[float, float] | None = None
    texts: tuple[tuple[str, str], ...] = ()
    color: ColorTags | None = None

    def stripped(self) -> "Metadata":
        """Profile and color tags alone, without which the colors would change."""
        return Metadata(icc=self.icc, color=self.color)

    def with_profile(self, icc: bytes | None) -> "Metadata":
        """The same for pixels that this profile describes, and no tags."""
        return replace(self, icc=icc, color=None)


NO_METADATA = Metadata()


def read_metadata(
    path: Path, kind: str, image: Any, directory: int | None = None
) -> tuple[Metadata, tuple[str, ...]]:
    """The metadata of an opened file, and a sentence for each part that had to be left out.

    `directory` is the place of the page in a TIFF file, the first one where it is None.
    """
    notes = []
    block = exif.from_tiff(path, directory) if kind == "tiff" else _blob(image, "exif-data")
    if block is not None:
        block = block.removeprefix(b"Exif\0\0")
        try:
            exif.updated(block, image.width, image.height)
        except exif.BROKEN:
            notes.append(f"The EXIF data of {path} is damaged and was left out.")
            block = None
    stored = exif.iptc_of_tiff(path, directory) if kind == "tiff" else _blob(image, "iptc-data")
    texts = read_texts(path) if kind == "png" else {}
    if stored is None and _PNG_IPTC in texts:
        stored = _from_raw_profile(texts[_PNG_IPTC])
    iptc = None if stored is None else iptc_record(stored)
    if stored is not None and iptc is None:
        notes.append(f"The IPTC data of {path} is damaged and was left out.")
    found = Metadata(
        icc=whole_profile(profile_of(image)),
        exif=block,
        xmp=_blob(image, "xmp-data"),
        iptc=iptc,
        dpi=_resolution(image, kind, block),
        texts=tuple((k, v) for k, v in texts.items() if k not in (_PNG_IPTC, _PNG_XMP)),
        color=read_color_tags(path, kind),
    )
    return found, tuple(notes)


def iptc_record(data: bytes) -> bytes | None:
    """The bare IIM datasets out of what JPEG, TIFF or PNG store, or None where there are none.

    >>> iptc_record(b"Photoshop 3.0\\0" + photoshop_block(b"\\x1c\\x02\\x78\\0\\x02hi"))
    b'\\x1c\\x02x\\x00\\x02hi'
    """
    data = data.removeprefix(_PHOTOSHOP)
    start = 0
    while data.startswith(b"8BIM", start):
        # Photoshop file formats, "Image Resource Blocks": a Pascal name and data, both even.
        name_size = (data[start + 6] + 2) // 2 * 2 if len(data) > start + 6 else 0
        at = start + 6 + name_size + 4
        size = int.from_bytes(data[at - 4 : at], "big")
        if data[start + 4 : start + 6] == b"\x04\x04":
            data, start = data[at : at + size], 0
            break
        start = at + size + size % 2
    data = data[start:]
    # Some TIFF writers store the record as 32-bit numbers of the wrong byte order.
    if data[3:4] == b"\x1c" and data[:1] != b"\x1c":
        data = b"".join(data[i : i + 4][::-1] for i in range(0, len(data), 4))
    return data if data.startswith(b"\x1c") else None


def photoshop_block(iptc: bytes) -> bytes:
    """An image resource block that holds an IIM record."""
    return b"8BIM\x04\x04\0\0" + len(iptc).to_bytes(4, "big") + iptc + bytes(len(iptc) % 2)


def to_raw_profile(iptc: bytes) -> tuple[str, str]:
    """Keyword and text under which PNG files carry IPTC, by ImageMagick's custom."""
    block = photoshop_block(iptc)
    digits = block.hex()
    lines = [digits[i : i + 72] for i in range(0, len(digits), 72)]
    return _PNG_IPTC, "\n".join(["", "iptc", f"{len(block):8d}", *lines, ""])


def _from_raw_profile(text: str) -> bytes:
    try:
        return bytes.fromhex(text.split(maxsplit=2)[2])
    except (ValueError, IndexError):
        return b""


def _blob(image: Any, name: str) -> bytes | None:
    return bytes(image.get(name)) or None if image.get_typeof(name) else None


def _resolution(image: Any, kind: str, block: bytes | None) -> tuple[float, float] | None:
    if block is not None and (found := exif.dots_per_inch(block)):
        return found
    dpi = image.xres * 25.4, image.yres * 25.4
    # libvips says one dot per millimeter where the file says nothing, and 72 per inch for JPEG.
    unknown = (72.0, 72.0) if kind == "jpeg" else (25.4, 25.4)
    silent = max(abs(a - b) for a, b in zip(dpi, unknown, strict=True)) < 1e-3
    if silent or kind not in ("jpeg", "png", "tiff") or not all(map(exif.is_resolution, dpi)):
        return None
    return dpi


def updated_xmp(packet: bytes, width: int, height: int) -> bytes:
    """A packet for an upright picture of this size, where it speaks of sizes or orientation.

    >>> updated_xmp(b'<a tiff:Orientation="6" exif:PixelXDimension="40"/>', 80, 60)
    b'<a tiff:Orientation="1" exif:PixelXDimension="80"/>'
    """
    numbers = {
        b"tiff:Orientation": 1,
        b"tiff:ImageWidth": width,
        b"tiff:ImageLength": height,
        b"exif:PixelXDimension": width,
        b"exif:PixelYDimension": height,
    }
    for name, number in numbers.items():
        # As an attribute (name="6") or as an element (<name>6</name>).
        pattern = rb"(" + name + rb"\s*(?:=\s*[\"']|>)\s*)\d+"
        packet = re.sub(pattern, rb"\g<1>%d" % number, packet)
    return packet
