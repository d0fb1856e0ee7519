"""What the lens does to a photo: blur. Conventions as in `common`."""

import math

import numpy as np
from torch import Tensor

from pixperts.degradations.common import check_number, to_array, to_tensor
from pixperts.ops.kernels import (
    Array,
    convolve_along,
    disk_kernel,
    gaussian_taps,
    line_kernel,
)


def motion_blur(image: Tensor, *, length: float, angle: float, gamma: float = 1.0) -> Tensor:
    """Blur along a straight line: the camera moved evenly while the shutter was open.

    A uniform line kernel (Lagendijk and Biemond, Handbook of Image and Video Processing, 2005)
    with smooth edges, of sum 1 and a center that does not move. Light adds up in linear
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
    return to_tensor(_filter(clean**gamma, disk_kernel(radius)) ** (1 / gamma), image)


def gaussian_blur(image: Tensor, *, sigma: float) -> Tensor:
    """Blur by a Gaussian: a lens a little off its best, or an enlargement made before.

    At the border the picture is mirrored, edge pixels repeated.

    Args:
        image: (3, H, W) in [0, 1].
        sigma: standard deviation in pixels, 0 (no blur) to 20.

    Returns:
        (3, H, W) float32 in [0, 1].

    Raises:
        UsageError: an argument out of its range.
    """
    blurred = to_array(image)
    check_number("sigma", sigma, 0, 20)
    taps = gaussian_taps(sigma)
    taps /= taps.sum()
    for axis in (1, 2):
        margins = [(0, 0)] * 3
        margins[axis] = (len(taps) // 2,) * 2
        blurred = convolve_along(np.pad(blurred, margins, mode="symmetric"), taps, axis)
    return to_tensor(blurred, image)


def _filter(image: Array, kernel: Array) -> Array:
    """Convolve each channel, (3, H, W), tap by tap: the same sums in the same order everywhere."""
    height, width = image.shape[1:]
    reach = kernel.shape[0] // 2
    padded = np.pad(image, ((0, 0), (reach, reach), (reach, reach)), mode="symmetric")
    blurred = np.zeros_like(image)
    for row, column in zip(*np.nonzero(kernel), strict=True):
        blurred += kernel[row, column] * padded[:, row : row + height, column : column + width]
    return blurred
