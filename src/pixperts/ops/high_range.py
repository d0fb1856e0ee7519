"""Floats that are linear light or lie outside of [0, 1], brought into it and back."""

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from pixperts.ops.pixels import SLACK, Pixels, color_channels, srgb_encoded

_SLOPE = 1.055 / 2.4  # of the curve of sRGB at white
_BEND = 10.0  # close to the curve of sRGB where the highest value is little above 1


class Curve(Protocol):
    """A way from colors that span `low` to `high` into [0, 1]; alpha stays as it is."""

    @property
    def low(self) -> float:
        """The lowest value."""

    @property
    def high(self) -> float:
        """The highest one."""

    def compress(self, pixels: Pixels) -> Pixels:
        """(H, W, C) float32 with colors in [low, high] -> the same with colors in [0, 1]."""

    def expand(self, pixels: Pixels) -> Pixels:
        """The inverse of `compress`, to the precision of float32."""


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


@dataclass(frozen=True)
class LightCurve:
    """The curve of sRGB up to white, and a logarithm of the same slope above, for linear light.

    Negative light goes through the same curve, turned around 0. White is 1, or the highest light
    where all is darker. The result is scaled so that it spans [0, 1].

    >>> curve = LightCurve.of(0.0, 100.0)
    >>> [round(float(y), 3) for y in curve.compress(np.float32([[[0], [1], [100]]]))[0, :, 0]]
    [0.0, 0.331, 1.0]
    """

    low: float
    high: float

    @classmethod
    def of(cls, low: float, high: float) -> "LightCurve":
        """For colors that span low to high."""
        return cls(min(low, 0.0), max(high, 0.0))

    @property
    def _white(self) -> float:
        return min(1.0, max(self.high, -self.low)) or 1.0

    @property
    def _ends(self) -> tuple[float, float]:
        low, high = _encoded(np.array([self.low, self.high]) / self._white)
        return float(low), float(high) if high > low else float(low) + 1.0

    def compress(self, pixels: Pixels) -> Pixels:
        """(H, W, C) float32 with colors in [low, high] -> the same with colors in [0, 1]."""
        result = pixels.astype(np.float32)
        low, high = self._ends
        colors = result[..., : color_channels(pixels)].astype(np.float64)
        unit = (_encoded(colors / self._white) - low) / (high - low)
        result[..., : color_channels(pixels)] = np.clip(unit, 0, 1)
        return result

    def expand(self, pixels: Pixels) -> Pixels:
        """The inverse of `compress`, to the precision of float32."""
        result = pixels.astype(np.float32)
        low, high = self._ends
        unit = result[..., : color_channels(pixels)].astype(np.float64)
        colors = _decoded(unit * (high - low) + low) * self._white
        result[..., : color_channels(pixels)] = colors
        return result


def _encoded(light: Pixels) -> Pixels:
    amount = np.abs(light)
    above = 1 + _SLOPE * np.log(np.maximum(amount, 1))
    return np.copysign(np.where(amount <= 1, srgb_encoded(amount), above), light)


def _decoded(codes: Pixels) -> Pixels:
    amount = np.abs(codes)
    above = np.exp((np.maximum(amount, 1) - 1) / _SLOPE)
    below = np.minimum(amount, 1)
    low, high = below / 12.92, ((below + 0.055) / 1.055) ** 2.4
    return np.copysign(np.where(amount <= 1, np.where(below <= 0.04045, low, high), above), codes)
