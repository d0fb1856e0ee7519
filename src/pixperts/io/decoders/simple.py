"""BMP, TGA and DDS by Pillow."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL.BmpImagePlugin import BmpImageFile
from PIL.DdsImagePlugin import DdsImageFile
from PIL.TgaImagePlugin import TgaImageFile

from pixperts.io.decoders.foreign import Foreign
from pixperts.ops.pixels import Pixels

# By class and not by `Image.open`, which has a limit of its own and tries other formats.
_FILES: dict[str, Any] = {"bmp": BmpImageFile, "tga": TgaImageFile, "dds": DdsImageFile}


def read_header(path: Path, kind: str, page: int | None) -> Foreign:
    """Palettes become RGB, and bits become 8-bit gray."""
    with _FILES[kind](str(path)) as image:
        width, height = image.size

    def decode() -> Pixels:
        with _FILES[kind](str(path)) as image:
            mode = image.mode
            if mode in ("1", "L"):
                mode = "L"
            elif mode not in ("LA", "RGBA"):
                mode = "RGBA" if image.has_transparency_data else "RGB"
            return np.array(image.convert(mode))

    return Foreign(width, height, decode)
