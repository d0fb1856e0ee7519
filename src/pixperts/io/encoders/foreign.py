"""Which library writes a format that libvips does not, and what it is given."""

from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the names of formats are needed where NumPy is not
    from pixperts.io.color.tags import ColorTags
    from pixperts.io.metadata.exr import ExrHeader
    from pixperts.ops.pixels import Pixels

# By format: the extra of pixperts, what it installs, and our module that uses it.
ENCODERS = {
    "heic": ("heic", "pillow_heif", "heif"),
    "jxl": ("jxl", "OpenImageIO", "jpeg_xl"),
    "jp2": ("jxl", "imagecodecs", "jpeg_2000"),
    "exr": ("exr", "OpenImageIO", "open_exr"),
}


@dataclass(frozen=True, eq=False)
class Content:
    """What goes into a file: contiguous (H, W, C) pixels that the format can hold, and the rest.

    `exif` is a block that begins with its TIFF header; `quality` is from 1 to 100, and means
    nothing where `lossless` is set.
    """

    pixels: "Pixels"
    quality: int
    lossless: bool
    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    color: "ColorTags | None" = None
    exr: "ExrHeader | None" = None
    software: str | None = None  # where it is not in `exif`

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return int(self.pixels.shape[1]), int(self.pixels.shape[0])


def has_encoder(kind: str) -> bool:
    """Whether the library that writes a format of `ENCODERS` is installed; it is not imported."""
    return find_spec(ENCODERS[kind][1]) is not None


def encode_foreign(path: Path, kind: str, content: Content) -> None:
    """Write a file of a format of `ENCODERS`; the library's own exceptions where that fails."""
    encoder = import_module(f"pixperts.io.encoders.{ENCODERS[kind][2]}")
    encoder.write(path, content)
