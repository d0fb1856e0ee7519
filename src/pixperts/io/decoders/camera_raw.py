"""Camera raw by rawpy (LibRaw): developed to 16-bit sRGB with the camera's white balance."""

from pathlib import Path

import numpy as np
import rawpy

from pixperts.io.decoders.foreign import Foreign
from pixperts.io.metadata import exif
from pixperts.ops.pixels import Pixels

_SRGB_GAMMA = (2.4, 12.92)  # IEC 61966-2-1


def read_header(path: Path, kind: str, page: int | None) -> Foreign:
    """LibRaw turns the picture upright, so that the orientation in its EXIF is done with."""
    with rawpy.imread(str(path)) as raw:
        width, height = raw.sizes.iwidth, raw.sizes.iheight
        if raw.sizes.flip & 4:
            width, height = height, width

    def decode() -> Pixels:
        with rawpy.imread(str(path)) as raw:
            return np.asarray(raw.postprocess(use_camera_wb=True, output_bps=16, gamma=_SRGB_GAMMA))

    note = f"{path} was developed with the camera's white balance and automatic brightness."
    # Most raw files are built like TIFF; the others keep their EXIF where only their maker looks.
    return Foreign(width, height, decode, exif=exif.from_tiff(path), notes=(note,))
