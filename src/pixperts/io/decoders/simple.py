"""BMP, TGA and DDS by Pillow."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.DdsImagePlugin import DdsImageFile
from PIL.TgaImagePlugin import TgaImageFile

from pixperts.io.decoders.foreign import Foreign
from pixperts.ops.pixels import Pixels

# By class and not by `Image.open`, which has a limit of its own and tries other formats.
_FILES: dict[str, Any] = {"bmp": BmpImageFile, "tga": TgaImageFile, "dds": DdsImageFile}
# Pillow's names of the layouts of uncompressed DDS files, by bits and the masks of red, green, blue
# and alpha; others are left to its own decoder, which takes a second for 60,000 pixels.
_LAYOUTS = {
    (32, 0xFF0000, 0xFF00, 0xFF, 0xFF000000): ("RGBA", "BGRA"),
    (32, 0xFF, 0xFF00, 0xFF0000, 0xFF000000): ("RGBA", "RGBA"),
    (32, 0xFF0000, 0xFF00, 0xFF, 0): ("RGB", "BGRX"),
    (32, 0xFF, 0xFF00, 0xFF0000, 0): ("RGB", "RGBX"),
    (24, 0xFF0000, 0xFF00, 0xFF, 0): ("RGB", "BGR"),
    (24, 0xFF, 0xFF00, 0xFF0000, 0): ("RGB", "RGB"),
}
_ALPHA, _RGB = 0x1, 0x40  # flags of DDS_PIXELFORMAT


def read_header(path: Path, kind: str, page: int | None) -> Foreign:
    """Palettes become RGB, and bits become 8-bit gray."""
    with _FILES[kind](str(path)) as image:
        width, height = image.size

    def decode() -> Pixels:
        if kind == "dds" and (plain := _plain_dds(path, width, height)) is not None:
            return plain
        with _FILES[kind](str(path)) as image:
            mode = image.mode
            if mode in ("1", "L"):
                mode = "L"
            elif mode not in ("LA", "RGBA"):
                mode = "RGBA" if image.has_transparency_data else "RGB"
            return np.array(image.convert(mode))

    return Foreign(width, height, decode)


def _plain_dds(path: Path, width: int, height: int) -> Pixels | None:
    """The pixels of a DDS file that is not compressed, None for other files."""
    with path.open("rb") as handle:
        head = handle.read(128)
        flags, _, bits, *masks = struct.unpack_from("<7I", head, 80)
        if not flags & _ALPHA:
            masks[3] = 0
        layout = _LAYOUTS.get((bits, *masks)) if flags & _RGB else None
        if layout is None:
            return None
        data = handle.read(width * height * bits // 8)
    mode, raw = layout
    return np.array(Image.frombytes(mode, (width, height), data, "raw", raw))
