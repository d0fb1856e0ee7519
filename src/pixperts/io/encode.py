"""Encode one picture file, with what it says besides its pixels; the only caller of savers."""

import io
import os
import secrets
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from pixperts.errors import ImageError
from pixperts.io.color import chunks as color_chunks
from pixperts.io.color.icc import fits, is_usable, profile_of, profile_space, with_profile
from pixperts.io.containers.jpeg_parts import complete_jpeg
from pixperts.io.encoders.foreign import ENCODERS, Content, encode_foreign
from pixperts.io.formats import DEFAULT_QUALITY
from pixperts.io.metadata import exif
from pixperts.io.metadata.background import put_background
from pixperts.io.metadata.losses import effective_profile
from pixperts.io.metadata.metadata import NO_METADATA, Metadata
from pixperts.io.metadata.photoshop import resource_blocks, to_raw_profile
from pixperts.io.metadata.png_text import append_texts
from pixperts.io.metadata.xmp import updated_xmp
from pixperts.io.tiff.tags import BYTE, EXIF_IFD, Tree, Value, build
from pixperts.io.vips import VIPS_FORMATS, libvips
from pixperts.ops.pixels import Pixels

_EXIF, _XMP, _IPTC, _ICC, _OTHER = 1, 2, 4, 8, 16  # VipsForeignKeep
# What libexif, and with it libvips, takes; a segment of a JPEG file ends there as well.
_LONGEST_EXIF = 64000
_OPTIMIZED_PIXELS = 16_000_000
_USER_COMMENT = 0x9286
_UNKNOWN_DPI = (72.0, 72.0)  # what EXIF 2.32, tag 0x011A, says for an unknown resolution


@dataclass(frozen=True)
class Recipe:
    """How and with what to encode: format, quality from 1 to 100 (None: the default), metadata."""

    kind: str
    quality: int | None = None
    lossless: bool = False
    metadata: Metadata = NO_METADATA
    software: str | None = None
    strip_metadata: bool = False

    @property
    def grade(self) -> int:
        """The quality that the saver gets."""
        return self.quality or DEFAULT_QUALITY.get(self.kind, 95)


def image_of(pixels: Pixels) -> Any:
    """Contiguous (H, W, C) pixels as a libvips image that shares their memory."""
    height, width, channels = pixels.shape
    kind = VIPS_FORMATS[pixels.dtype.name]
    return libvips().Image.new_from_memory(pixels, width, height, channels, kind)


def encode(path: Path, image: Any, recipe: Recipe) -> None:
    """Write an image whose samples the format can hold (`pixels.for_format`)."""
    kind = recipe.kind
    kept = recipe.metadata.stripped() if recipe.strip_metadata else recipe.metadata
    software = None if recipe.strip_metadata else recipe.software
    block = _exif_block(kept, image.width, image.height, kind, software)
    image = _tagged(image, kind, kept)
    keep = _XMP | _IPTC | _ICC | _OTHER
    if kind in ENCODERS:
        encode_foreign(path, kind, _content(image, recipe, kept, block, software))
        return
    marker = secrets.token_hex(16).encode()
    if block is not None and kind != "tiff":
        image.set_type(libvips().GValue.blob_type, "exif-data", _placeholder(block, marker))
        keep |= _EXIF
    _save(os.fsencode(path), image, recipe, keep)
    if kind == "tiff":
        more = _tiff_tags(kept, image.width, image.height)
        if more or not (block is None and kept.iptc is None and software is None):
            with path.open("rb+") as handle:
                exif.into_tiff(handle, block, kept.iptc, software, more)
    elif block is not None:
        with path.open("rb+") as handle:
            _splice(handle, kind, block, marker)
    if kind == "jpeg":
        with path.open("rb+") as handle:
            complete_jpeg(handle, kept, image.width, image.height)
    if kind == "png" and (texts := _png_texts(kept, software)):
        with path.open("rb+") as handle:
            append_texts(handle, texts)
    if kept.background is not None and kind == "png":
        with path.open("rb+") as handle:
            put_background(handle, kept.background)
    if kept.color is not None and kind in ("png", "avif"):
        with path.open("rb+") as handle:
            put = color_chunks.into_png if kind == "png" else color_chunks.into_avif
            put(handle, kept.color)


def _content(
    image: Any, recipe: Recipe, metadata: Metadata, block: bytes | None, software: str | None
) -> Content:
    """What an encoder of another library gets; `image` has its profile and XMP already."""
    pixels = image.numpy().reshape(image.height, image.width, image.bands)
    xmp = image.get("xmp-data") if image.get_typeof("xmp-data") else None
    return Content(
        np.ascontiguousarray(pixels),
        recipe.grade,
        recipe.lossless,
        icc=profile_of(image),
        exif=block,
        xmp=None if xmp is None else bytes(xmp),
        color=metadata.color,
        exr=metadata.exr,
        software=software,
    )


def _png_texts(metadata: Metadata, software: str | None) -> list[tuple[str, str]]:
    texts = [text for text in metadata.texts if text[0] != "Software" or software is None]
    if software is not None:
        texts.append(("Software", software))
    if not any(keyword == "Comment" for keyword, _ in texts):
        texts += [("Comment", comment.decode("utf-8", "replace")) for comment in metadata.comments]
    if blocks := resource_blocks(metadata.iptc, metadata.photoshop):
        texts.append(to_raw_profile(blocks))
    return texts


def _tiff_tags(metadata: Metadata, width: int, height: int) -> Tree:
    """What else goes into the first page of a TIFF file, little-endian."""
    tags: Tree = {}
    if metadata.place is not None:
        tags |= metadata.place.scaled(width, height)
    if metadata.photoshop is not None:
        tags[exif.PHOTOSHOP] = Value(BYTE, len(metadata.photoshop), metadata.photoshop)
    return tags


def _save(name: bytes, image: Any, recipe: Recipe, keep: int) -> None:
    kind, grade = recipe.kind, recipe.grade
    options: dict[str, Any]
    deep = image.format == "ushort"
    if kind == "jpeg":
        # Best codes take 12 bytes of memory per pixel, for a few percent of the file.
        small = image.width * image.height <= _OPTIMIZED_PIXELS
        image.jpegsave(name, Q=grade, subsample_mode="off", optimize_coding=small, keep=keep)
    elif kind == "webp":
        # Without `exact` the colors under full transparency are dropped.
        options = {"lossless": True, "exact": True} if recipe.lossless else {"Q": grade}
        image.webpsave(name, smart_subsample=True, keep=keep, **options)
    elif kind == "png":
        image.pngsave(name, filter="all", keep=keep)
    elif kind == "avif":
        options = {"lossless": True} if recipe.lossless else {"Q": grade}
        options |= {"compression": "av1", "subsample_mode": "off", "bitdepth": 12 if deep else 8}
        # Effort 4, the default, takes six times as long for files smaller by 2 percent.
        image.heifsave(name, effort=3, keep=keep, **options)
    else:
        samples = image.width * image.height * image.bands
        size = samples * {"uchar": 1, "ushort": 2, "float": 4}[image.format]
        image.tiffsave(
            name,
            compression="deflate",
            resunit="inch",
            predictor="float" if image.format == "float" else "horizontal",
            # Deflate can grow noise past the samples' own size, so 128 MiB are kept free.
            bigtiff=size > 2**32 - 2**27,
            keep=keep,
        )


def _tagged(image: Any, kind: str, metadata: Metadata) -> Any:
    """The image with color space, resolution, profile, XMP and IPTC, but without EXIF."""
    deep = image.format == "ushort"
    space = ("grey16" if deep else "b-w") if image.bands < 3 else ("rgb16" if deep else "srgb")
    dpi = metadata.dpi or _UNKNOWN_DPI
    image = image.copy(interpretation=space, xres=dpi[0] / 25.4, yres=dpi[1] / 25.4)
    for name in image.get_fields():
        if name.endswith("-data") or name in ("orientation", "resolution-unit", "n-pages"):
            image.remove(name)
    blob = libvips().GValue.blob_type
    icc = effective_profile(kind, metadata, image.bands)
    if icc is not None and fits(icc, image.bands):
        image = with_profile(image, icc)
        as_rgb = kind in ("webp", "avif") or (kind in ("heic", "jxl") and image.bands == 2)
        if as_rgb and profile_space(icc) == "GRAY":
            # They store gray as RGB, where a profile of gray has no meaning.
            if is_usable(icc):
                depth = 16 if deep else 8
                image = image.icc_transform("srgb", embedded=True, depth=depth, intent="relative")
            image = with_profile(image, None)
    if metadata.xmp is not None and kind != "jpeg":
        packet = updated_xmp(metadata.xmp, image.width, image.height)
        image.set_type(blob, "xmp-data", packet)
    return image


def _exif_block(
    metadata: Metadata, width: int, height: int, kind: str, software: str | None
) -> bytes | None:
    """The EXIF to write; it also carries what the format has no other place for."""
    alone = kind in ("jpeg", "webp", "avif", *ENCODERS) and (software or metadata.dpi)
    if kind == "exr" or (metadata.exif is None and not alone):
        return None
    block = exif.updated(metadata.exif, width, height, software, metadata.dpi)
    if kind != "tiff" and len(block) > _LONGEST_EXIF:
        block = exif.without_maker_note(block)
        if len(block) > _LONGEST_EXIF:
            raise ImageError(f"its EXIF data has {len(block)} bytes, over {_LONGEST_EXIF}")
    return block


def _placeholder(block: bytes, marker: bytes) -> bytes:
    """EXIF that is not shorter than `block` once libvips has rewritten it, and can be found.

    libvips passes EXIF through libexif, which drops tags that it does not know and the notes of
    most cameras; `_splice` puts the block itself in place.
    """
    handle = io.BytesIO()
    # libexif changes comments that do not name their encoding (EXIF 2.32, tag 0x9286).
    comment = b"ASCII\0\0\0" + marker + bytes(len(block))
    build({EXIF_IFD: {_USER_COMMENT: Value(7, len(comment), comment)}}, handle)
    return b"Exif\0\0" + handle.getvalue()


def _splice(handle: BinaryIO, kind: str, block: bytes, marker: bytes) -> None:
    at = _find(handle, marker)
    if at is None:
        raise ImageError("the EXIF data found no place in the file; leave the metadata out")
    start = max(0, at - 4096)
    handle.seek(start)
    before = handle.read(at - start)
    header = start + before.rindex(b"II*\0")
    handle.seek(header)
    handle.write(block.ljust(at - header + len(marker) + len(block), b"\0"))
    if kind == "png":
        # A chunk is its length, its name, its data, and a checksum of name and data.
        handle.seek(header - 8)
        (length,) = struct.unpack(">I", handle.read(4))
        checksum = zlib.crc32(handle.read(4 + length))
        handle.seek(header + length)
        handle.write(struct.pack(">I", checksum))


def _find(handle: BinaryIO, marker: bytes) -> int | None:
    """Where the marker begins; the file is read in parts."""
    part, at, rest = 1 << 20, 0, b""
    handle.seek(0)
    while data := handle.read(part):
        window = rest + data
        if (found := window.find(marker)) >= 0:
            return at - len(rest) + found
        rest = window[-len(marker) :]
        at += len(data)
    return None
