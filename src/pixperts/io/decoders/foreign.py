"""A picture that another library than libvips reads: its header at once, its pixels later."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from pixperts.errors import ImageError, MissingDecoderError, PixpertsError
from pixperts.io.color.tags import ColorTags
from pixperts.io.decoders.hevc import has_hevc
from pixperts.io.formats import NAMES
from pixperts.io.metadata.exr import ExrHeader
from pixperts.io.vips import VIPS_FORMATS, libvips, reason, supports
from pixperts.ops.pixels import Pixels

_LONGEST = 10_000_000  # pixels of a side; libvips takes no more
# By format: the extra of pixperts, what it installs, and our module that uses it.
EXTRAS = {
    "heic": ("heic", "pillow_heif", "heif"),
    "jxl": ("jxl", "imagecodecs", "jpeg_xl"),
    "jp2": ("jxl", "imagecodecs", "jpeg_2000"),
    "exr": ("exr", "OpenImageIO", "open_exr"),
    "raw": ("raw", "rawpy", "camera_raw"),
    "bmp": ("bmp", "PIL", "simple"),
    "tga": ("bmp", "PIL", "simple"),
    "dds": ("bmp", "PIL", "simple"),
}


@dataclass(frozen=True, eq=False)
class Foreign:
    """What a header says; width and height are of the upright picture.

    `decode` gives (H, W, C) pixels, upright, uint8, uint16 or float32 with C from 1 to 4. `icc`,
    `exif`, `xmp`, `color` and `exr` are as in `Metadata`; `icc_later` gives the profile where only
    decoding finds it. `bits` of a sample where it is shifted up into 16, and `pages` are how many
    pictures the file holds.
    """

    width: int
    height: int
    decode: Callable[[], Pixels]
    icc: bytes | None = None
    icc_later: Callable[[], bytes | None] | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    color: ColorTags | None = None
    exr: ExrHeader | None = None
    bits: int | None = None
    pages: int = 1
    notes: tuple[str, ...] = ()


def needs_decoder(kind: str) -> bool:
    """Whether the installed libvips leaves this format to another library."""
    if kind == "heic":
        return not (supports(kind, "load") and has_hevc())
    # libvips' own "raw" are pixels without any header.
    return kind in EXTRAS and (kind == "raw" or not supports(kind, "load"))


def has_decoder(kind: str) -> bool:
    """Whether the library that reads it is installed; it is not imported."""
    return find_spec(EXTRAS[kind][1]) is not None


def open_foreign(path: Path, kind: str, page: int | None = None) -> Foreign:
    """The header of a file of this format, or of one of the pictures in it, counted from 0.

    Raises:
        MissingDecoderError: the library is not installed.
        ImageError: the file is damaged or of an unsupported kind.
    """
    extra, library, module = EXTRAS[kind]
    try:
        import_module(library)
    except ImportError:
        raise MissingDecoderError(path, NAMES[kind], extra) from None

    def read() -> Foreign:
        decoder = import_module(f"pixperts.io.decoders.{module}")
        found: Foreign = decoder.read_header(path, kind, page)
        return found

    opened: Foreign = _explained(path, kind, read)
    if not (1 <= opened.width <= _LONGEST and 1 <= opened.height <= _LONGEST):
        raise ImageError(
            f"{path} is {NAMES[kind]} of {opened.width} x {opened.height} pixels by its header: it "
            "is damaged, so copy it again from its source."
        )
    return opened


def placeholder(opened: Foreign) -> Any:
    """A libvips image of the size, without the pixels."""
    return libvips().Image.black(opened.width, opened.height)


def decoded(path: Path, kind: str, opened: Foreign) -> Any:
    """The pixels and the metadata as a libvips image.

    Raises ImageError where the file is damaged.
    """
    pixels: Pixels = _explained(path, kind, opened.decode)
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    expected = (opened.height, opened.width)
    if (
        pixels.dtype.name not in VIPS_FORMATS
        or pixels.shape[:2] != expected
        or (pixels.ndim != 3 or not 1 <= pixels.shape[2] <= 4)
    ):
        raise ImageError(
            f"{path} is {NAMES[kind]} of a kind that is not read here ({pixels.dtype} of shape "
            f"{pixels.shape}): convert it to TIFF or PNG."
        )
    pixels = np.ascontiguousarray(pixels)
    height, width, bands = pixels.shape
    image = libvips().Image.new_from_memory(
        pixels, width, height, bands, VIPS_FORMATS[pixels.dtype.name]
    )
    deep = pixels.dtype == np.uint16
    space = ("grey16" if deep else "b-w") if bands < 3 else ("rgb16" if deep else "srgb")
    icc = opened.icc if opened.icc_later is None else opened.icc_later()
    if icc is not None and icc[16:20] == b"CMYK" and bands == 4:
        space = "cmyk"
    image = image.copy(interpretation=space)
    value = libvips().GValue
    for name, data in (("icc-profile", icc), ("exif", opened.exif), ("xmp", opened.xmp)):
        if data is not None:
            image.set_type(value.blob_type, f"{name}-data", data)
    if opened.bits is not None:
        image.set_type(value.gint_type, "bits-per-sample", opened.bits)
    return image


def _explained(path: Path, kind: str, read: Callable[[], Any]) -> Any:
    """What `read` gives; whatever goes wrong inside of a library is one sentence."""
    try:
        return read()
    except (PixpertsError, MemoryError):
        raise
    except Exception as error:  # each library has its own, which are not to be imported here
        raise ImageError(
            f"{path} cannot be decoded as {NAMES[kind]} ({reason(error)}): it is damaged, cut "
            "short or of an unsupported kind, so copy it again or convert it to TIFF or PNG."
        ) from None
