"""What the lens does to a photo, blur, and what every synthetic degradation shares.

Pictures are float tensors (3, H, W) in [0, 1], one at a time, of any size from 1x1. The physics
runs in NumPy float64 on streams of PCG64, so that a seed gives the same 8-bit picture on every
machine; the result is float32 in [0, 1] on the picture's device.
"""

import math
from zlib import crc32

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pixperts.errors import UsageError

Array = NDArray[np.float64]


def motion_blur(image: Tensor, *, length: float, angle: float, gamma: float = 1.0) -> Tensor:
    """Blur along a straight line: the camera moved evenly while the shutter was open.

    A uniform line kernel (Lagendijk and Biemond, Handbook of Image and Video Processing, 2005)
    with smooth edges, of sum 1 and a centre that does not move. Light adds up in linear
    intensity, so with `gamma` above 1 x^gamma is averaged and returned to 1 / gamma, as GoPro
    does with 2.2 (Nah et al., arXiv 1612.02177, equation 2). At the border the picture is
    mirrored, edge pixels repeated.

    Args:
        image: (3, H, W) in [0, 1].
        length: of the path in pixels, 1 (no blur) to 101.
        angle: of the path in degrees, anticlockwise from the horizontal; any number.
        gamma: 1 (average the given values, linear) to 3.

    Returns:
        (3, H, W) float32 in [0, 1].

    Raises:
        UsageError: an argument out of its range.

    >>> import torch
    >>> dot = torch.zeros(3, 1, 5)
    >>> dot[:, 0, 2] = 1
    >>> [round(v, 3) for v in motion_blur(dot, length=3, angle=0)[0, 0].tolist()]
    [0.0, 0.333, 0.333, 0.333, 0.0]
    """
    clean = to_array(image)
    check_number("length", length, 1, 101)
    check_number("angle", angle, -math.inf, math.inf)
    check_number("gamma", gamma, 1, 3)
    blurred = _filter(clean**gamma, line_kernel(length, angle))
    return to_tensor(blurred ** (1 / gamma), image)


def defocus_blur(image: Tensor, *, radius: float, gamma: float = 1.0) -> Tensor:
    """Blur by a uniform disk, the circle of confusion of a lens out of focus.

    Geometric optics (Lagendijk and Biemond, as `motion_blur`, also for `gamma` and the mirrored
    border); the disk's edge is smoothed over one pixel and its sum is 1.

    Args:
        image: (3, H, W) in [0, 1].
        radius: in pixels, 0 (no blur) to 50.
        gamma: 1 (average the given values, linear) to 3.

    Returns:
        (3, H, W) float32 in [0, 1].

    Raises:
        UsageError: an argument out of its range.
    """
    clean = to_array(image)
    check_number("radius", radius, 0, 50)
    check_number("gamma", gamma, 1, 3)
    return to_tensor(_filter(clean**gamma, _disk_kernel(radius)) ** (1 / gamma), image)


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
    """The array as float32 on the device of `like`, clipped to [0, 1] unless told otherwise."""
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


def capsule(rows: Array, columns: Array, half_length: Array, radius: Array, angle: Array) -> Array:
    """Signed distance to the edge of a line with round ends, centred at (0, 0); inside positive.

    `angle` in radians from the rows' axis toward the columns'. All arguments broadcast.
    """
    along = rows * np.cos(angle) + columns * np.sin(angle)
    across = columns * np.cos(angle) - rows * np.sin(angle)
    beyond = np.maximum(np.abs(along) - half_length, 0)
    # sqrt is exactly rounded everywhere, hypot is not.
    return radius - np.sqrt(beyond * beyond + across * across)


def line_kernel(length: float, angle: float) -> Array:
    """The weights of `motion_blur`: square, of odd side and sum 1, even about its centre."""
    half = (length - 1) / 2
    reach = math.ceil(half)
    offsets = np.arange(-reach, reach + 1, dtype=np.float64)
    # Anticlockwise from the horizontal, as a direction from the rows' axis: angle + 90 degrees.
    turn = np.asarray(math.radians(math.fmod(angle, 180)) + math.pi / 2)
    inside = capsule(offsets[:, None], offsets[None, :], np.asarray(half), np.asarray(0.5), turn)
    return _normalised(inside)


def _disk_kernel(radius: float) -> Array:
    reach = math.ceil(radius + 0.5) - 1
    offsets = np.arange(-reach, reach + 1, dtype=np.float64)
    zero = np.asarray(0.0)
    return _normalised(capsule(offsets[:, None], offsets[None, :], zero, np.asarray(radius), zero))


def _normalised(inside: Array) -> Array:
    weights = np.clip(inside + 0.5, 0, 1)
    weights[weights < 1e-9] = 0  # rounding errors of sin and cos, which differ between machines
    return np.asarray(weights / weights.sum())


def _filter(image: Array, kernel: Array) -> Array:
    """Convolve each channel, (3, H, W), tap by tap: the same sums in the same order everywhere."""
    height, width = image.shape[1:]
    reach = kernel.shape[0] // 2
    padded = np.pad(image, ((0, 0), (reach, reach), (reach, reach)), mode="symmetric")
    blurred = np.zeros_like(image)
    for row, column in zip(*np.nonzero(kernel), strict=True):
        blurred += kernel[row, column] * padded[:, row : row + height, column : column + width]
    return blurred
