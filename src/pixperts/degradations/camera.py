"""What the camera does to a photo: a dark exposure, noise, JPEG. Conventions as in `common`."""

import math
from typing import Literal

import numpy as np
from torch import Tensor

from pixperts.degradations.common import check_number, random_stream, to_array, to_tensor
from pixperts.errors import ImageError, UsageError
from pixperts.ops.kernels import Array, convolve_along, gaussian_taps

Chroma = Literal["4:2:0", "4:4:4"]


def low_light(
    image: Tensor,
    *,
    exposure: float,
    gamma: float,
    read_noise: float,
    shot_noise: float,
    seed: int,
) -> Tensor:
    """A short exposure in linear light, with the noise of photons and of the electronics.

    The sRGB curve is undone (IEC 61966-2-1), the light becomes L = exposure * x^gamma (gamma
    deepens the shadows; Lv et al., arXiv 1908.00682, section 3), then noise of variance
    shot_noise * L + read_noise^2 is added (Foi et al., IEEE TIP 2008; Brooks et al., arXiv
    1811.11127, equation 1: Poisson counts by their Gaussian approximation), negative light is
    cut, and the sRGB curve is applied again.

    Args:
        image: (3, H, W) in [0, 1].
        exposure: share of the light that remains, 1e-6 to 1.
        gamma: 0.5 to 4; 1 keeps the ratios of light.
        read_noise: standard deviation, 0 to 1, where white before darkening is 1.
        shot_noise: variance for each unit of light, 0 to 1.
        seed: 0 or more.

    Returns:
        (3, H, W) float32 in [0, 1].

    Raises:
        UsageError: an argument out of its range.
    """
    clean = to_array(image)
    check_number("exposure", exposure, 1e-6, 1)
    check_number("gamma", gamma, 0.5, 4)
    check_number("read_noise", read_noise, 0, 1)
    check_number("shot_noise", shot_noise, 0, 1)
    light = exposure * to_light(clean) ** gamma
    noise = random_stream(seed, "low_light").standard_normal(light.shape)
    light = np.clip(light + np.sqrt(shot_noise * light + read_noise**2) * noise, 0, 1)
    return to_tensor(to_srgb(light), image)


def camera_noise(
    image: Tensor, *, shot_noise: float, read_noise: float, size: float, seed: int
) -> Tensor:
    """Noise of photons and electronics in linear light, correlated as demosaicking leaves it.

    The sRGB curve is undone (IEC 61966-2-1), noise of variance shot_noise * L + read_noise^2 is
    added (Foi et al., IEEE TIP 2008; Brooks et al., arXiv 1811.11127, equation 1) and the curve is
    applied again. Demosaicking fills two of three colors from neighbors, so that the noise of
    neighboring pixels is correlated: white noise is filtered by a Gaussian of standard deviation
    `size` and scaled back to its variance.

    Args:
        image: (3, H, W) in [0, 1].
        shot_noise: variance for each unit of light, 0 to 1.
        read_noise: standard deviation, 0 to 1, where white is 1.
        size: of the correlation in pixels, 0 (white noise) to 10.
        seed: 0 or more; the same seed gives the same pattern at each strength.

    Returns:
        (3, H, W) float32 in [0, 1].

    Raises:
        UsageError: an argument out of its range.
    """
    light = to_light(to_array(image))
    check_number("shot_noise", shot_noise, 0, 1)
    check_number("read_noise", read_noise, 0, 1)
    check_number("size", size, 0, 10)
    taps = gaussian_taps(size)
    taps /= math.sqrt((taps * taps).sum())  # the variance stays 1
    height, width = (side + len(taps) - 1 for side in light.shape[1:])
    noise = random_stream(seed, "camera_noise").standard_normal((3, height, width))
    for axis in (1, 2):
        noise = convolve_along(noise, taps, axis)
    noisy = light + np.sqrt(shot_noise * light + read_noise**2) * noise
    return to_tensor(to_srgb(np.clip(noisy, 0, 1)), image)


def to_light(values: Array) -> Array:
    """sRGB values as linear light (IEC 61966-2-1), both in [0, 1]."""
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def to_srgb(light: Array) -> Array:
    """The inverse of `to_light`."""
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


def jpeg(image: Tensor, *, quality: int, chroma: Chroma = "4:2:0") -> Tensor:
    """Compress as baseline JPEG and decode again, in memory.

    The picture is rounded to 8 bit first. Fixed for a version of libvips and its JPEG library,
    whose transforms are in integers; another library may differ by a level.

    Args:
        image: (3, H, W) in [0, 1], at most 65500 pixels a side.
        quality: 1 (worst) to 100.
        chroma: resolution of the color planes: 4:2:0 (half of each side) or 4:4:4 (all).

    Returns:
        (3, H, W) float32 in [0, 1], 8-bit levels.

    Raises:
        UsageError: an argument out of its range, or a side too long.
        ImageError: libvips could not compress the picture.
    """
    clean = to_array(image)
    if not isinstance(quality, int) or isinstance(quality, bool) or not 1 <= quality <= 100:
        raise UsageError(f"quality is {quality}: give an integer from 1 to 100.")
    if chroma not in ("4:2:0", "4:4:4"):
        raise UsageError(f"chroma is {chroma!r}: give 4:2:0 or 4:4:4.")
    height, width = clean.shape[1:]
    if max(height, width) > 65500:
        raise UsageError(f"JPEG holds at most 65500 pixels a side, not {max(height, width)}.")
    import pyvips

    levels = np.floor(clean * 255 + 0.5).astype(np.uint8)
    pixels = np.ascontiguousarray(levels.transpose(1, 2, 0))  # (H, W, 3)
    try:
        source = pyvips.Image.new_from_memory(pixels, width, height, 3, "uchar")
        source = source.copy(interpretation="srgb")
        subsampling = "on" if chroma == "4:2:0" else "off"
        data = source.jpegsave_buffer(Q=quality, subsample_mode=subsampling, keep="none")
        decoded = pyvips.Image.jpegload_buffer(data).numpy().reshape(height, width, 3)
    except pyvips.Error as error:
        raise ImageError(f"The picture could not be compressed as JPEG: {error}.") from error
    return to_tensor(decoded.transpose(2, 0, 1).astype(np.float64) / 255, image)
