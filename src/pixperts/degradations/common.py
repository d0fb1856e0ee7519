"""What every synthetic degradation shares.

Pictures are float tensors (3, H, W) in [0, 1], one at a time, of any size from 1x1. The physics
runs in NumPy float64 on streams of PCG64, so that a seed gives the same 8-bit picture on every
machine; the result is float32 in [0, 1] on the picture's device.
"""

import math
from zlib import crc32

import numpy as np
import torch
from torch import Tensor

from pixperts.errors import UsageError
from pixperts.ops.kernels import Array


def to_array(image: Tensor) -> Array:
    """The picture as float64.

    Raises:
        UsageError: not a floating-point (3, H, W) of at least 1x1 within [0, 1].
    """
    if image.ndim != 3 or image.shape[0] != 3 or image.numel() == 0:
        raise UsageError(f"The picture has shape {tuple(image.shape)}: give one RGB (3, H, W).")
    if not image.is_floating_point():
        raise UsageError(f"The picture is {image.dtype}: give floats in [0, 1].")
    array = image.detach().to("cpu", torch.float64).numpy()
    low, high = float(array.min()), float(array.max())
    if not (low >= 0 and high <= 1):  # also refuses NaN
        raise UsageError(f"The picture spans {low:.4g} to {high:.4g}: scale it into [0, 1].")
    return array


def to_tensor(array: Array, like: Tensor, *, clip: bool = True) -> Tensor:
    """The array as float32 on the device of `like`, clipped to [0, 1] unless `clip` is false."""
    values = np.clip(array, 0, 1) if clip else array
    return torch.from_numpy(values.astype(np.float32)).to(like.device)


def round_half_up(values: Array) -> Array:
    """To multiples of 1 / 255, halves up."""
    return np.asarray(np.floor(values * 255 + 0.5) / 255)


def random_stream(seed: int, name: str) -> np.random.Generator:
    """Independent random numbers for each seed and name.

    Raises:
        UsageError: the seed is not an integer of 0 or more.
    """
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise UsageError(f"seed is {seed!r}: give an integer of 0 or more.")
    return np.random.Generator(np.random.PCG64([int(seed), crc32(name.encode())]))


def check_number(name: str, value: float, low: float, high: float) -> None:
    """Raise UsageError unless `value` is finite and within [low, high]."""
    if math.isfinite(value) and low <= value <= high:
        return
    span = "finite" if low == -math.inf else f"{low:g} or more"
    raise UsageError(
        f"{name} is {value}: it must be {span if high == math.inf else f'{low:g} to {high:g}'}."
    )
