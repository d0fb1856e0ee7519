"""Noise put on a clean photo: white, as in the benchmarks, and coarse, as in many real photos.

Conventions as in `common`.
"""

import math

import numpy as np
from torch import Tensor

from pixperts.degradations.common import (
    check_number,
    random_stream,
    round_half_up,
    to_array,
    to_tensor,
)
from pixperts.ops.kernels import convolve_along, gaussian_taps


def gaussian_noise(image: Tensor, *, sigma: float, seed: int, clip: bool, quantize: bool) -> Tensor:
    """White Gaussian noise, independent in each pixel and channel.

    y = x + n, n ~ N(0, (sigma / 255)^2), the model of the denoising benchmarks (DnCNN, arXiv
    1608.03981). Published all-in-one code truncates the noisy picture to 8 bit, which darkens it
    by half a level; here levels are rounded, halves up.

    Args:
        image: (3, H, W) in [0, 1].
        sigma: standard deviation in 8-bit units, 0 to 255.
        seed: 0 or more; the same seed gives the same noise at each sigma, only scaled.
        clip: into [0, 1]; without it the noise keeps its mean and spread, and leaves the range.
        quantize: to multiples of 1 / 255.

    Returns:
        (3, H, W) float32; in [0, 1] only if clipped.

    Raises:
        UsageError: an argument out of its range.
    """
    clean = to_array(image)
    check_number("sigma", sigma, 0, 255)
    noise = random_stream(seed, "gaussian_noise").standard_normal(clean.shape)
    noisy = clean + (sigma / 255) * noise
    if clip:
        noisy = np.clip(noisy, 0, 1)
    return to_tensor(round_half_up(noisy) if quantize else noisy, image, clip=False)


def grain(image: Tensor, *, sigma: float, size: float, color: float, seed: int) -> Tensor:
    """Noise in blots of more than a pixel: film grain, and sensor noise after a camera's filters.

    y = x + n, where n is white Gaussian noise through a Gaussian of standard deviation `size`,
    scaled back to standard deviation `sigma` (filtered Gaussian noise as a model of grain:
    Norkin and Birkbeck, DCC 2018). Two pixels d apart correlate by about exp(-d^2 / (4 size^2)),
    two channels by 1 - color.

    Args:
        image: (3, H, W) in [0, 1].
        sigma: standard deviation in 8-bit units, 0 to 255.
        size: of the blots, in pixels, 0 (white noise) to 10.
        color: 0 (the same in all channels, as film in black and white) to 1 (independent).
        seed: 0 or more; the same seed gives the same grain at each sigma, only scaled.

    Returns:
        (3, H, W) float32 in [0, 1].

    Raises:
        UsageError: an argument out of its range.

    >>> import torch
    >>> gray = torch.full((3, 2, 2), 0.5)
    >>> spoiled = grain(gray, sigma=10, size=1.0, color=0, seed=0)
    >>> bool((spoiled[0] == spoiled[2]).all()), bool((spoiled == gray).any())
    (True, False)
    """
    clean = to_array(image)
    check_number("sigma", sigma, 0, 255)
    check_number("size", size, 0, 10)
    check_number("color", color, 0, 1)
    height, width = clean.shape[1:]
    taps = gaussian_taps(size)
    reach = len(taps) // 2
    taps /= math.sqrt((taps * taps).sum())  # the variance stays 1
    white = random_stream(seed, "grain").standard_normal((4, height + 2 * reach, width + 2 * reach))
    noise = math.sqrt(1 - color) * white[:1] + math.sqrt(color) * white[1:]  # (3, ...)
    for axis in (1, 2):
        noise = convolve_along(noise, taps, axis)
    return to_tensor(clean + (sigma / 255) * noise, image)
