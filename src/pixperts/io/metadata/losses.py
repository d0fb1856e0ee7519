"""What of a picture an output format cannot hold, in sentences."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from pixperts.errors import named
from pixperts.io.color.icc import fits, profile_space
from pixperts.io.color.tags import ColorTags
from pixperts.io.containers.jpeg_parts import comments_of, xmp_of_jpeg
from pixperts.io.formats import NAMES
from pixperts.io.metadata.metadata import NO_METADATA, Metadata

_BITS = {"avif": 12, "heic": 10}  # of a sample
# Numbers of ITU-T H.273 that JPEG XL has (ISO/IEC 18181-1, E.2).
_JXL_PRIMARIES, _JXL_TRANSFERS = {1, 9, 12}, {1, 8, 13, 16, 18}


def _keywords(metadata: Metadata) -> list[str]:
    """Of the texts that only PNG holds; the software's is written anew."""
    return [keyword for keyword, _ in metadata.texts if keyword not in ("Comment", "Software")]


def effective_profile(kind: str, metadata: Metadata, bands: int) -> bytes | None:
    """The profile to write: where the format has no other words for its colors, one of them."""
    tags = metadata.color
    if metadata.icc is not None or tags is None or kind in ("png", "exr"):
        return metadata.icc
    if _holds_codes(kind, tags):
        return None
    return tags.profile(bands < 3)


def _holds_codes(kind: str, tags: ColorTags) -> bool:
    """Whether the format has a place for these numbers."""
    if tags.codes is None:
        return False
    known = tags.codes[0] in _JXL_PRIMARIES and tags.codes[1] in _JXL_TRANSFERS
    return kind in ("avif", "heic") or (kind == "jxl" and known)


def _loses_colors(kind: str, metadata: Metadata, bands: int) -> bool:
    tags = metadata.color
    if tags is None or tags.is_srgb or kind in ("png", "exr") or _holds_codes(kind, tags):
        return False
    return effective_profile(kind, metadata, bands) is None


def _clips_light(kind: str, metadata: Metadata) -> bool:
    tags = metadata.color
    if tags is None or not tags.is_hdr or metadata.icc is not None:
        return False
    return kind != "png" and not _holds_codes(kind, tags)


def losses(
    kind: str,
    dtype: np.dtype[Any],
    bands: int,
    metadata: Metadata = NO_METADATA,
    bits: int | None = None,
    *,
    outside: bool = False,
) -> tuple[str, ...]:
    """Sentences on what of a picture the format cannot hold; () where it holds it all.

    `bits` are those of a sample in the file that the picture came from, all of `dtype` if None;
    `outside` says that there are floats outside of [0, 1].

    >>> losses("jpeg", np.dtype(np.uint16), 3)
    ('JPEG has 8 bits per channel, so finer steps are rounded.',)
    """
    parts = (
        *_of_samples(kind, dtype, bands, bits, outside),
        *_of_colors(kind, metadata, bands),
        *_of_the_rest(kind, metadata),
    )
    return tuple(f"{NAMES[kind]} {what}." for what in parts)


def _of_samples(
    kind: str, dtype: np.dtype[Any], bands: int, bits: int | None, outside: bool
) -> Iterator[str]:
    if kind in ("jpeg", "webp") and dtype != np.uint8:
        yield "has 8 bits per channel, so finer steps are rounded"
    if kind in _BITS and (bits or 8 * dtype.itemsize) > _BITS[kind]:
        yield f"has {_BITS[kind]} bits per channel, so finer steps are rounded"
    if kind in ("png", "jxl", "jp2") and dtype == np.float32:
        yield "gets 16 bits per channel, so floats are rounded"
    if outside and kind not in ("tiff", "exr"):
        yield "cannot store values outside 0 to 1, so they were clipped"
    if kind == "jpeg" and bands in (2, 4):
        yield "has no transparency, so the picture was put on white"


def _of_colors(kind: str, metadata: Metadata, bands: int) -> Iterator[str]:
    if metadata.icc is not None and not fits(metadata.icc, bands):
        space = profile_space(metadata.icc)
        yield f"cannot have a profile of {space} for these channels, so it was left out"
    if _loses_colors(kind, metadata, bands):
        name = metadata.color.name if metadata.color else ""
        yield f"cannot describe the file's colors ({name}), which look different"
    elif _clips_light(kind, metadata):
        yield (
            "gets a color profile that ends at white, so most viewers clip what is brighter: "
            f"{named('color', 'srgb')} compresses it"
        )


def _of_the_rest(kind: str, metadata: Metadata) -> Iterator[str]:
    if kind == "exr" and (metadata.exif is not None or metadata.xmp is not None):
        yield "cannot store EXIF and XMP, so they were left out"
    without_iptc = kind in ("webp", "avif", "heic", "jxl", "jp2", "exr")
    if without_iptc and metadata.iptc is not None:
        yield "cannot store IPTC, so it was left out"
    if without_iptc and metadata.photoshop is not None:
        yield "cannot store Photoshop's resources, so they were left out"
    if kind == "jpeg" and metadata.xmp is not None and xmp_of_jpeg(metadata.xmp) is None:
        yield f"cannot store {len(metadata.xmp)} bytes of XMP, so it was left out"
    if kind != "jpeg" and metadata.gain_map is not None:
        yield "is written without a gain map, which made it brighter on HDR screens"
    if kind != "tiff" and metadata.place is not None:
        yield "cannot store the position on the map (GeoTIFF), so it was left out"
    if kind != "png" and metadata.background is not None:
        yield "cannot store a background color, so it was left out"
    if kind != "exr" and metadata.exr is not None and (own := list(metadata.exr.names())):
        yield f"cannot store attributes of OpenEXR, so these were left out: {', '.join(own)}"
    if kind not in ("jpeg", "png") and comments_of(metadata):
        yield "cannot store comments, so they were left out"
    if kind != "png" and (keywords := _keywords(metadata)):
        names = ", ".join(keywords)
        yield f"cannot store texts as in PNG, so these were left out: {names}"
