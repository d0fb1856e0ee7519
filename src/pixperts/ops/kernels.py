"""Kernels of blur, and signed distances to the shapes that they are drawn from."""

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def capsule(rows: Array, columns: Array, half_length: Array, radius: Array, angle: Array) -> Array:
    """Signed distance to the edge of a line with round ends, centered at (0, 0); inside positive.

    `angle` in radians from the rows' axis toward the columns'. All arguments broadcast.
    """
    along = rows * np.cos(angle) + columns * np.sin(angle)
    across = columns * np.cos(angle) - rows * np.sin(angle)
    beyond = np.maximum(np.abs(along) - half_length, 0)
    # sqrt is exactly rounded everywhere, hypot is not.
    return radius - np.sqrt(beyond * beyond + across * across)


def line_kernel(length: float, angle: float) -> Array:
    """The weights of `motion_blur`: square, of odd side and sum 1, even about its center."""
    half = (length - 1) / 2
    reach = math.ceil(half)
    offsets = np.arange(-reach, reach + 1, dtype=np.float64)
    # Anticlockwise from the horizontal, as a direction from the rows' axis: angle + 90 degrees.
    turn = np.asarray(math.radians(math.fmod(angle, 180)) + math.pi / 2)
    inside = capsule(offsets[:, None], offsets[None, :], np.asarray(half), np.asarray(0.5), turn)
    return _normalized(inside)


def disk_kernel(radius: float) -> Array:
    """The weights of `defocus_blur`: square, of odd side and sum 1, even about its center."""
    reach = math.ceil(radius + 0.5) - 1
    offsets = np.arange(-reach, reach + 1, dtype=np.float64)
    zero = np.asarray(0.0)
    return _normalized(capsule(offsets[:, None], offsets[None, :], zero, np.asarray(radius), zero))


def gaussian_taps(size: float) -> Array:
    """exp(-x^2 / (2 size^2)) at whole x up to three times the size; [1] for a size of 0."""
    reach = math.ceil(3 * size)
    return np.exp(-0.5 * (np.arange(-reach, reach + 1) / size) ** 2) if reach else np.ones(1)


def convolve_along(values: Array, taps: Array, axis: int) -> Array:
    """Convolve along an axis where the taps fit whole: the same sums in the same order always."""
    length = values.shape[axis] - len(taps) + 1
    total = np.zeros_like(values.take(range(length), axis))
    for start, tap in enumerate(taps):
        total += tap * values.take(range(start, start + length), axis)
    return total


def _normalized(inside: Array) -> Array:
    weights = np.clip(inside + 0.5, 0, 1)
    weights[weights < 1e-9] = 0  # rounding errors of sin and cos, which differ between machines
    return np.asarray(weights / weights.sum())
