"""Values that the network cannot take as they are: linear light, and floats outside of [0, 1]."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from pixperts.io.color.light import is_light
from pixperts.io.image import Picture
from pixperts.io.metadata.metadata import Metadata
from pixperts.io.rows import RowReader
from pixperts.ops.high_range import Curve, LightCurve, RangeCurve
from pixperts.ops.pixels import Pixels, color_channels

_BAND = 256  # rows that are searched for the highest value at a time


def curve_of(pixels: Pixels, metadata: Metadata) -> Curve | None:
    """The curve that brings a picture's floats into [0, 1]; None if they need none.

    Args:
        pixels: (H, W, C); only float32 can need a curve.
        metadata: says whether the values are linear light.
    """
    if pixels.dtype != np.float32:
        return None
    colors = pixels[..., : color_channels(pixels)]
    return _curve(float(colors.min()), float(colors.max()), is_light(pixels.dtype, metadata))


def curve_of_rows(open_reader: Callable[[], RowReader]) -> Curve | None:
    """The same as `curve_of` for a file of floats, which is read once, band by band."""
    low, high = np.inf, -np.inf
    with open_reader() as reader:
        if reader.dtype != np.float32:
            return None
        light = is_light(reader.dtype, reader.metadata)
        for top in range(0, reader.height, _BAND):
            rows = reader.rows(top, min(top + _BAND, reader.height))
            colors = rows[..., : color_channels(rows)]
            low, high = min(low, float(colors.min())), max(high, float(colors.max()))
    return _curve(low, high, light)


def compressed(pixels: Pixels, curve: Curve | None) -> Pixels:
    """The pixels in [0, 1], as the network takes them."""
    return pixels if curve is None else curve.compress(pixels)


def for_network(picture: Picture) -> Pixels:
    """The pixels of a decoded picture in [0, 1], as the network takes them."""
    return compressed(picture.pixels, curve_of(picture.pixels, picture.metadata))


def is_outside(curve: Curve | None) -> bool:
    """Whether there are values outside of [0, 1]."""
    return curve is not None and RangeCurve.of(curve.low, curve.high) is not None


def notes_of(source: Path, curve: Curve | None) -> tuple[str, ...]:
    """A sentence on the curve for the report; none without a curve."""
    if curve is None:
        return ()
    span = f"from {curve.low:.4g} to {curve.high:.4g}"
    if isinstance(curve, LightCurve):
        return (
            f"{source} holds linear light {span}: it was brought into 0 to 1 by the curve of sRGB, "
            "above white by a logarithm, for the network, and back in the result.",
        )
    return (
        f"{source} holds values {span}: they were brought into 0 to 1 by a logarithmic curve for "
        "the network, and back in the result.",
    )


def _curve(low: float, high: float, light: bool) -> Curve | None:
    return LightCurve.of(low, high) if light else RangeCurve.of(low, high)
