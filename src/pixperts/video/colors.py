"""Convert between RGB and the YCbCr colors of a video.

Matrix and range are those that the file names. If it names none, players guess them by the size of
the picture, which an enlargement changes; so the assumed values are written into the result.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from pixperts.ops.pixels import Pixels

# Numbers of ITU-T H.273, which FFmpeg and the files use.
_RGB, _UNSPECIFIED, _BT709, _BT601 = 0, 2, 1, 6
_LIMITED, _FULL = 1, 2  # of FFmpeg, for the range
# The scaler of FFmpeg has numbers of its own for the matrices.
_SCALER = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}
_STANDARD_HEIGHT = 576  # standard definition; larger frames are BT.709 if the file names no matrix


@dataclass(frozen=True)
class Colors:
    """How the samples of a video mean colors, in the numbers of ITU-T H.273.

    Attributes:
        matrix: from RGB to the stored samples.
        full: whether samples use the full range, and not 16 to 235.
        primaries: color primaries; 2 if the file names none.
        transfer: transfer characteristics; 2 if the file names none.
    """

    matrix: int
    full: bool
    primaries: int
    transfer: int

    @property
    def range(self) -> int:
        """The range as a number of FFmpeg."""
        return _FULL if self.full else _LIMITED


def colors_of(frame: Any) -> Colors:
    """The colors of a decoded frame of PyAV."""
    matrix, full = int(frame.colorspace), int(frame.color_range) == _FULL
    if frame.format.is_rgb or matrix == _RGB:
        matrix, full = _BT709, False  # for the result, which is YCbCr
    elif matrix not in _SCALER:
        large = frame.height > _STANDARD_HEIGHT or frame.width > 1024
        matrix = _BT709 if large else _BT601
    full = full or frame.format.name.startswith("yuvj")
    return Colors(matrix, full, int(frame.color_primaries), int(frame.color_trc))


def to_rgb(frame: Any, colors: Colors, deep: bool) -> Pixels:
    """A decoded frame of PyAV as RGB (H, W, 3), uint16 if `deep`, else uint8."""
    options: dict[str, Any] = {}
    if not frame.format.is_rgb:
        options = {"src_colorspace": _SCALER[colors.matrix], "src_color_range": colors.range}
    made = frame.reformat(
        format="rgb48le" if deep else "rgb24", interpolation=_filters(), threads=1, **options
    )
    pixels: Pixels = np.ascontiguousarray(made.to_ndarray())
    return pixels


def from_rgb(pixels: Pixels, colors: Colors, pixel_format: str) -> Any:
    """A frame of PyAV for RGB pixels (H, W, 3) uint8 or uint16.

    The last row or column is repeated if a side is odd, because 4:2:0 needs even sides.
    """
    from av import VideoFrame

    height, width = pixels.shape[:2]
    if height % 2 or width % 2:
        pixels = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    kind = "rgb48le" if pixels.dtype == np.uint16 else "rgb24"
    frame = VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format=kind)
    made = frame.reformat(
        format=pixel_format,
        dst_colorspace=_SCALER[colors.matrix],
        dst_color_range=colors.range,
        interpolation=_filters(),
        threads=1,
    )
    made.colorspace, made.color_range = colors.matrix, colors.range
    made.color_primaries, made.color_trc = colors.primaries, colors.transfer
    return made


def _filters() -> int:
    """Flags of the scaler: colors are interpolated, with the same result on every machine."""
    from av.video.reformatter import Interpolation as Filter

    exact = Filter.ACCURATE_RND | Filter.BITEXACT
    return int(Filter.BICUBIC | Filter.FULL_CHR_H_INT | Filter.FULL_CHR_H_INP | exact)
