"""Pixel arrays: depth, finiteness, orientation, and what a format can hold. No files."""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from pixperts.errors import ImageError, UsageError

Pixels = NDArray[Any]

SLACK = 0.5 / 255  # how far floats may lie outside of [0, 1] and are clipped: half an 8-bit code
# The most bits of AV1, and of HEVC as its decoders have them.
_BITS = {"avif": 12, "heic": 10}
DTYPES = (np.dtype(np.uint8), np.dtype(np.uint16), np.dtype(np.float32))


def to_float(pixels: Pixels) -> NDArray[np.float32]:
    """Integer codes over their full range, or floats, as float32 in [0, 1]; any shape.

    Floats may lie outside of [0, 1] by `SLACK`, which is clipped; beyond that, and for NaN,
    ImageError. UsageError for other types.

    >>> to_float(np.array([0, 51, 255], np.uint8)).tolist()
    [0.0, 0.20000000298023224, 1.0]
    """
    pixels = np.asarray(pixels)
    if pixels.dtype in (np.uint8, np.uint16):
        codes = np.float32(np.iinfo(pixels.dtype).max)
        return np.divide(pixels, codes, dtype=np.float32)
    if not np.issubdtype(pixels.dtype, np.floating):
        raise UsageError(f"Pixels are {pixels.dtype}: give uint8, uint16 or float32.")
    refuse_non_finite(pixels)
    if pixels.size and (pixels.min() < -SLACK or pixels.max() > 1 + SLACK):
        raise ImageError(
            f"Float pixels span {pixels.min():.4g} to {pixels.max():.4g}: scale them into [0, 1]."
        )
    return np.clip(pixels.astype(np.float32), 0, 1)


def from_float(array: Pixels, dtype: DTypeLike) -> Pixels:
    """Floats in [0, 1] as uint8 or uint16 codes (nearest; clipped), or as clipped float32.

    The exact inverse of `to_float` on every code. ImageError for NaN or infinity, UsageError for
    another type.

    >>> from_float(np.array([-1.0, 0.2, 2.0]), np.uint8).tolist()
    [0, 51, 255]
    """
    wanted = np.dtype(dtype)
    array = np.asarray(array)
    if wanted not in DTYPES:
        raise UsageError(f"Pixels cannot become {wanted}: use uint8, uint16 or float32.")
    if not np.issubdtype(array.dtype, np.floating):
        raise UsageError(f"from_float takes floats in [0, 1], not {array.dtype}.")
    refuse_non_finite(array)
    unit = np.clip(array.astype(np.float32), 0, 1)
    if wanted == np.float32:
        return unit
    unit *= np.iinfo(wanted).max
    return np.rint(unit, out=unit).astype(wanted)


def is_finite(array: Pixels) -> bool:
    """Whether no sample is NaN or infinite."""
    # The extremes carry any NaN along, without a boolean copy of the picture.
    return not array.size or bool(np.isfinite(array.min()) and np.isfinite(array.max()))


def refuse_non_finite(array: Pixels) -> None:
    """ImageError for NaN or infinity."""
    if not is_finite(array):
        raise ImageError("The pixels hold NaN or infinity: check what computed them.")


def upright(pixels: Pixels, orientation: int) -> Pixels:
    """Pixels as they should be seen, given the file's EXIF orientation."""
    # EXIF 2.32, tag 0x0112: which sides of the picture row 0 and column 0 of the file are.
    if orientation not in range(2, 9):
        return pixels
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)  # (W, H, C)
    rows = slice(None, None, -1 if orientation in (3, 4, 7, 8) else 1)
    columns = slice(None, None, -1 if orientation in (2, 3, 6, 7) else 1)
    return np.ascontiguousarray(pixels[rows, columns])


def onto_white(pixels: Pixels) -> Pixels:
    """(H, W, C + 1) with straight alpha over white -> (H, W, C) of the same type."""
    unit = to_float(pixels)
    color, alpha = unit[..., :-1], unit[..., -1:]
    return from_float(color * alpha + (1 - alpha), pixels.dtype)


def color_channels(pixels: Pixels) -> int:
    """Channels of (H, W, C) pixels that are no alpha."""
    return 1 if pixels.shape[-1] < 3 else 3


def srgb_encoded(light: Pixels) -> Pixels:
    """Light from 0 to 1 by the curve of sRGB (IEC 61966-2-1).

    >>> srgb_encoded(np.array([0.0, 0.0031308, 0.18, 1.0])).round(3).tolist()
    [0.0, 0.04, 0.461, 1.0]
    """
    low = light * 12.92
    return np.where(light <= 0.0031308, low, 1.055 * np.maximum(light, 0) ** (1 / 2.4) - 0.055)


def for_format(pixels: Pixels, kind: str, *, encode: bool = False) -> Pixels:
    """The pixels as the format holds them: type, alpha and memory order.

    With `encode`, colors are linear light in floats and go through the curve of sRGB.
    """
    if pixels.dtype == np.float32:
        refuse_non_finite(pixels)
        if kind not in ("tiff", "exr"):
            pixels = np.clip(pixels, 0, 1)
        if encode:
            colors = color_channels(pixels)
            codes = srgb_encoded(pixels[..., :colors]).astype(np.float32)
            pixels = np.concatenate([codes, pixels[..., colors:]], axis=-1)
    if kind == "jpeg" and pixels.shape[2] in (2, 4):
        pixels = onto_white(pixels)
    if kind in ("jpeg", "webp") and pixels.dtype == np.uint16:
        # 65535 = 255 * 257, and 257 is odd: no code lies halfway between two.
        pixels = ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)
    elif kind not in ("tiff", "exr") and pixels.dtype == np.float32:
        pixels = from_float(pixels, np.uint8 if kind in ("jpeg", "webp") else np.uint16)
    if kind in _BITS and pixels.dtype == np.uint16:
        # The libraries drop the bits at the end without rounding.
        top, shift = (1 << _BITS[kind]) - 1, 16 - _BITS[kind]
        pixels = ((pixels.astype(np.uint32) * top + 32767) // 65535 << shift).astype(np.uint16)
    return np.ascontiguousarray(pixels)


def stored_shape(dtype: np.dtype[Any], bands: int, kind: str) -> tuple[np.dtype[Any], int]:
    """Type and number of channels that `for_format` returns."""
    one: Pixels = for_format(np.zeros((1, 1, bands), dtype), kind)
    return one.dtype, one.shape[2]
