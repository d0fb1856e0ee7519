"""What a picture file says besides its pixels: profile, EXIF, XMP, IPTC, resolution, and more."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pixperts.io.color.chunks import read_color_tags
from pixperts.io.color.icc import profile_of, whole_profile
from pixperts.io.color.tags import ColorTags
from pixperts.io.containers.behind import Behind, GainMap, read_behind, turned
from pixperts.io.containers.heif_boxes import has_gain_map
from pixperts.io.containers.jpeg_segments import Jpeg, read_segments
from pixperts.io.metadata import exif
from pixperts.io.metadata.background import read_background
from pixperts.io.metadata.exr import ExrHeader
from pixperts.io.metadata.geotiff import Place, read_place
from pixperts.io.metadata.left_out import left_out_by_name
from pixperts.io.metadata.photoshop import (
    Resources,
    from_raw_profile,
    read_resources,
    without_paths,
)
from pixperts.io.metadata.png_text import read_texts
from pixperts.io.metadata.xmp import extension_of, joined, without_elsewhere

_PNG_IPTC = "Raw profile type iptc"
_PNG_XMP = "XML:com.adobe.xmp"


@dataclass(frozen=True)
class Metadata:
    """What belongs to a picture besides its pixels, each part as bytes of its own standard.

    `icc` is a profile, `exif` a block that begins with its TIFF header, `xmp` a packet, `iptc` the
    datasets of an IIM record, `dpi` dots per inch (horizontal, vertical), `texts` the keywords and
    texts of a PNG. `color` is what a file says of its colors without a profile, `photoshop` are
    Photoshop's resources but for IPTC, `comments` those of a JPEG, `gain_map` its map for HDR
    screens, `place` is where a GeoTIFF lies on the map, `background` the color behind a PNG, from 0
    to 1, and `exr` what an OpenEXR file says. None and () stand for nothing.
    """

    icc: bytes | None = field(default=None, repr=False)
    exif: bytes | None = field(default=None, repr=False)
    xmp: bytes | None = field(default=None, repr=False)
    iptc: bytes | None = field(default=None, repr=False)
    dpi: tuple[float, float] | None = None
    texts: tuple[tuple[str, str], ...] = ()
    color: ColorTags | None = None
    photoshop: bytes | None = field(default=None, repr=False)
    comments: tuple[bytes, ...] = ()
    gain_map: GainMap | None = None
    place: Place | None = None
    background: tuple[float, ...] | None = None
    exr: ExrHeader | None = None

    def stripped(self) -> "Metadata":
        """What says how the pixels look alone, without which the colors would change."""
        exr = None if self.exr is None else self.exr.stripped()
        return Metadata(icc=self.icc, color=self.color, exr=exr)

    def with_profile(self, icc: bytes | None) -> "Metadata":
        """The same for pixels that this profile describes, and no tags."""
        return replace(self, icc=icc, color=None)


NO_METADATA = Metadata()


def read_metadata(
    path: Path, kind: str, image: Any, orientation: int = 1, directory: int | None = None
) -> tuple[Metadata, tuple[str, ...]]:
    """The metadata of an opened file, and a sentence for each part that had to be left out.

    They are for the picture that `orientation` (EXIF, 1 to 8) turns upright. `directory` is
    the place of the page in a TIFF file, the first one where it is None.
    """
    notes: list[str] = []
    block = exif.from_tiff(path, directory) if kind == "tiff" else _blob(image, "exif-data")
    if block is not None:
        block = block.removeprefix(b"Exif\0\0")
        try:
            exif.updated(block, image.width, image.height)
        except exif.BROKEN:
            notes.append(f"The EXIF data of {path} is damaged and was left out.")
            block = None
    jpeg = _segments(path) if kind == "jpeg" else None
    texts = read_texts(path) if kind == "png" else {}
    resources = _resources(path, kind, jpeg, texts, directory)
    if resources.damaged:
        notes.append(f"The IPTC data of {path} is damaged and was left out.")
    others = resources.others
    if others is not None and resources.paths and orientation != 1:
        others = without_paths(others)
        notes.append(f"The clipping paths of {path} were left out, because it was turned upright.")
    packet = _blob(image, "xmp-data") if jpeg is None else _whole_xmp(path, jpeg, notes)
    packet, elsewhere = (None, frozenset()) if packet is None else without_elsewhere(packet)
    behind = Behind() if jpeg is None else read_behind(path, jpeg)
    gain_map = None if behind.gain_map is None else turned(behind.gain_map, orientation)
    notes += _of_elsewhere(path, kind, behind, gain_map, elsewhere)
    notes += left_out_by_name(path, kind, jpeg, directory)
    place = None
    if kind == "tiff":
        place = read_place(path, image.width, image.height, orientation, directory)
    found = Metadata(
        icc=whole_profile(profile_of(image)),
        exif=block,
        xmp=packet,
        iptc=resources.iptc,
        dpi=_resolution(image, kind, block),
        texts=tuple((k, v) for k, v in texts.items() if k not in (_PNG_IPTC, _PNG_XMP)),
        color=read_color_tags(path, kind),
        photoshop=others,
        comments=() if jpeg is None else jpeg.comments(),
        gain_map=gain_map,
        place=place,
        background=read_background(path) if kind == "png" else None,
    )
    return found, tuple(notes)


def _segments(path: Path) -> Jpeg:
    with path.open("rb") as handle:
        return read_segments(handle)


def _resources(
    path: Path, kind: str, jpeg: Jpeg | None, texts: dict[str, str], directory: int | None
) -> Resources:
    """IPTC and Photoshop's resources from the places that the format has for them."""
    if jpeg is not None:
        return read_resources(jpeg.photoshop() or b"")
    if kind == "png":
        return read_resources(from_raw_profile(texts[_PNG_IPTC]) if _PNG_IPTC in texts else b"")
    if kind != "tiff":
        return Resources()
    own = read_resources(exif.tag_of_tiff(path, exif.IPTC, directory) or b"")
    beside = read_resources(exif.tag_of_tiff(path, exif.PHOTOSHOP, directory) or b"")
    return replace(
        beside,
        iptc=own.iptc or beside.iptc,
        damaged=own.iptc is None and (own.damaged or beside.damaged),
    )


def _whole_xmp(path: Path, jpeg: Jpeg, notes: list[str]) -> bytes | None:
    """The packet with its extension, if it has one."""
    packet = jpeg.xmp()
    name = None if packet is None else extension_of(packet)
    if packet is None or name is None:
        return packet
    extended = jpeg.extended_xmp(name)
    for part in (extended, None):
        if part is None:
            notes.append(f"The second part of the XMP of {path} is damaged and was left out.")
        try:
            return joined(packet, part)
        except ValueError:
            continue
    return packet


def _of_elsewhere(
    path: Path, kind: str, behind: Behind, gain_map: GainMap | None, told: frozenset[str]
) -> Iterator[str]:
    """Sentences on what lies, or is said to lie, beside the picture and was left out."""
    if behind.video or "video" in told:
        yield f"{path} is a motion photo: only the picture was read, its video was left out."
    lost = behind.gain_map is not None or "gain map" in told or has_gain_map(path, kind)
    if lost and gain_map is None:
        yield (
            f"{path} has a gain map, which makes it brighter on HDR screens: it cannot be read "
            "and was left out."
        )
    if "depth" in told:
        yield f"{path} has a depth map, which was left out."
    if behind.pictures:
        yield f"{path} holds {behind.pictures + 1} pictures: only the main one was read."
    elif "picture" in told:
        yield f"{path} holds several pictures: only the main one was read."
    if behind.unknown:
        yield f"{path} holds {behind.unknown} bytes after the picture, which were left out."


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
