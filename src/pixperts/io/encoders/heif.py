"""HEIC by pillow-heif (x265)."""

from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif

from pixperts.io.color.chunks import add_light
from pixperts.io.encoders.foreign import Content

_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
_SRGB = (1, 13)  # primaries and transfer of ITU-T H.273
# Its matrices: none, for what must come back exactly, and the usual ones of color.
_NONE, _BT601, _BT2020 = 0, 6, 9


def write(path: Path, content: Content) -> None:
    """8 bits, or 10 where the pixels have 16; chroma is not subsampled."""
    pixels, tags = content.pixels, content.color
    codes = tags.codes if tags is not None and tags.codes is not None else _SRGB
    exact = content.lossless and pixels.shape[2] > 2
    matrix = _BT2020 if codes[0] == _BT2020 else _BT601
    options: dict[str, Any] = {
        "quality": -1 if content.lossless else content.quality,
        "chroma": 444,
        # Takes half the time of "slow", the default, for files larger by 3 percent.
        "enc_params": {"preset": "medium"},
        "color_primaries": codes[0],
        "transfer_characteristics": codes[1],
        "matrix_coefficients": _NONE if exact else matrix,
        "full_range_flag": 1,
        "exif": None if content.exif is None else b"Exif\0\0" + content.exif,
        "xmp": content.xmp,
    }
    if content.icc is not None:
        options |= {"icc_profile": content.icc, "icc_profile_type": "prof"}
    mode = _MODES[pixels.shape[2]] + (";16" if pixels.dtype == np.uint16 else "")
    made = pillow_heif.from_bytes(mode, content.size, pixels.tobytes())
    made.save(path, **options)
    if tags is not None and tags.boxes:
        with path.open("rb+") as handle:
            add_light(handle, tags)
