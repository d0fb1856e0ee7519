"""A small camera raw file: DNG, uncompressed, with the colors of a Bayer pattern."""

import io
import struct
from pathlib import Path

import numpy as np

from pixperts.io.tiff.tags import Value, build

_D65 = 21  # EXIF 2.32, LightSource
# XYZ to linear sRGB (IEC 61966-2-1): a camera whose channels are those of sRGB.
_MATRIX = (3.2405, -1.5371, -0.4985, -0.9693, 1.8760, 0.0416, 0.0556, -0.2040, 1.0572)


def write_dng(path: Path, linear: np.ndarray, orientation: int = 1) -> Path:
    """`linear` is (H, W, 3), linear light in [0, 1], of which each pixel keeps one channel."""
    height, width, _ = linear.shape
    mosaic = np.empty((height, width))
    for row, column, channel in ((0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 2)):
        mosaic[row::2, column::2] = linear[row::2, column::2, channel]
    strip = np.rint(mosaic * 65535).astype("<u2").tobytes()

    def short(*values: int) -> Value:
        return Value(3, len(values), struct.pack(f"<{len(values)}H", *values))

    def long(value: int) -> Value:
        return Value(4, 1, struct.pack("<I", value))

    def text(words: str) -> Value:
        return Value(2, len(words) + 1, words.encode() + b"\0")

    matrix = b"".join(struct.pack("<ii", round(value * 10000), 10000) for value in _MATRIX)
    neutral = b"".join(struct.pack("<II", 1, 1) for _ in range(3))
    tags = {
        254: long(0),
        256: long(width),
        257: long(height),
        258: short(16),
        259: short(1),
        262: short(32803),  # a color filter array
        271: text("Maker"),
        272: text("Camera"),
        273: long(0),
        274: short(orientation),
        277: short(1),
        278: long(height),
        279: long(len(strip)),
        284: short(1),
        33421: short(2, 2),
        33422: Value(1, 4, bytes((0, 1, 1, 2))),
        50706: Value(1, 4, bytes((1, 4, 0, 0))),
        50707: Value(1, 4, bytes((1, 1, 0, 0))),
        50708: text("Maker Camera"),
        50714: short(0),
        50717: long(65535),
        50721: Value(10, 9, matrix),
        50728: Value(5, 3, neutral),
        50778: short(_D65),
    }
    size = io.BytesIO()
    build(dict(tags), size)
    tags[273] = long(len(size.getvalue()))
    whole = io.BytesIO()
    build(dict(tags), whole)
    path.write_bytes(whole.getvalue() + strip)
    return path
