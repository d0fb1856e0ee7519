"""Floats outside of [0, 1], as in pictures of high dynamic range, compressed into it and back."""

import math
from dataclasses import dataclass

import numpy as np

from pixperts.ops.pixels import SLACK, Pixels

_BEND = 10.0  # close to the curve of sRGB where the highest value is little above 1


@dataclass(frozen=True)
class RangeCurve:
    """A logarithmic curve from [low, high] to [0, 1], for colors; alpha stays as it is.

    y = ln(1 + 10 (x - low)) / ln(1 + 10 (high - low)), with low at most 0 and high at least 1.

    >>> curve = RangeCurve(0.0, 100.0)
    >>> [round(float(y), 3) for y in curve.compress(np.float32([[[0], [1], [100]]]))[0, :, 0]]
    [0.0, 0.347, 1.0]
    """

    low: float
    high: float

    @classmethod
    def of(cls, low: float, high: float) -> "RangeCurve | None":
        """For colors that span low to high; None where they lie in [0, 1], up to `SLACK`."""
        if low >= -SLACK and high <= 1 + SLACK:
            return None
        return cls(min(low, 0.0), max(high, 1.0))

    @property
    def _scale(self) -> float:
        return math.log1p(_BEND * (self.high - self.low))

    def compress(self, pixels: Pixels) -> Pixels:
        """(H, W, C) float32 with colors in [low, high] -> the same with colors in [0, 1]."""
        result = pixels.astype(np.float32)
        colors = result[..., : color_channels(pixels)].astype(np.float64)
        unit = np.log1p(_BEND * np.maximum(colors - self.low, 0)) / self._scale
        result[..., : color_channels(pixels)] = np.clip(unit, 0, 1)
        return result

    def expand(self, pixels: Pixels) -> Pixels:
        """The inverse of `compress`, to the precision of float32."""
        result = pixels.astype(np.float32)
        unit = result[..., : color_channels(pixels)].astype(np.float64)
        colors = np.expm1(unit * self._scale) / _BEND + self.low
        result[..., : color_channels(pixels)] = colors
        return result


def color_channels(pixels: Pixels) -> int:
    """Channels of (H, W, C) pixels that are no alpha."""
    return 1 if pixels.shape[-1] < 3 else 3
