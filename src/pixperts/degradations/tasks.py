"""Degradations by task name, with the ranges of their parameters, and their mixtures.

Pictures are float tensors (3, H, W) in [0, 1], one at a time, of any size from 1x1; results are
float32 in [0, 1] on the device of the picture.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from torch import Tensor

from pixperts.degradations.blur import defocus_blur, motion_blur
from pixperts.degradations.camera import jpeg, low_light
from pixperts.degradations.common import (
    random_stream,
    round_half_up,
    to_array,
    to_tensor,
)
from pixperts.degradations.noise import gaussian_noise, grain
from pixperts.degradations.prints import dust_and_scratches
from pixperts.degradations.weather import Frame, haze, rain, snow
from pixperts.errors import UsageError

# Haze takes the ranges of RESIDE's indoor set. The others are set by eye and by PSNR: on the 41
# photos of CID22's validation set the means are: rain 24.7, haze 13.6, snow 23.7, low light
# 8.9, blur 23.9, defocus 27.1, JPEG 30.5 and grain 25.2 dB.
RANGES: Mapping[str, Mapping[str, tuple[float, float]]] = MappingProxyType(
    {
        "noise15": {},
        "noise25": {},
        "noise50": {},
        "rain": {
            "density": (8e-4, 3e-3),
            "length": (15, 55),
            "angle": (-30, 30),
            "width": (0.8, 1.8),
            "strength": (0.3, 0.75),
        },
        "haze": {"beta": (0.6, 1.8), "airlight": (0.7, 1.0)},
        "snow": {
            "density": (2e-3, 5e-3),
            "size": (0.8, 1.8),
            "angle": (-30, 30),
            "opacity": (0.6, 0.95),
        },
        "low_light": {
            "exposure": (0.04, 0.2),
            "gamma": (1.0, 1.3),
            "read_noise": (2e-4, 1e-3),
            "shot_noise": (5e-5, 5e-4),
        },
        "blur": {"length": (5, 19), "angle": (0, 180)},
        "defocus": {"radius": (1, 4)},
        "jpeg": {"quality": (10, 50)},
        "grain": {"sigma": (5, 30), "size": (0.4, 1.5), "color": (0, 1)},
        "scratches": {
            "specks": (1e-4, 8e-4),
            "hairs": (0, 2e-5),
            "scratches": (5e-6, 4e-5),
            "light": (0.4, 1),
            "opacity": (0.5, 1),
        },
    }
)

# The mixtures of CDD-11 (Guo et al., OneRestore, arXiv 2407.04621). Its own generator lays the
# haze over rain and snow; here the scene is dark, haze lies before it, and rain or snow falls
# nearest to the camera.
COMPOSITIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "low": ("low_light",),
        "haze": ("haze",),
        "rain": ("rain",),
        "snow": ("snow",),
        "low_haze": ("low_light", "haze"),
        "low_rain": ("low_light", "rain"),
        "low_snow": ("low_light", "snow"),
        "haze_rain": ("haze", "rain"),
        "haze_snow": ("haze", "snow"),
        "low_haze_rain": ("low_light", "haze", "rain"),
        "low_haze_snow": ("low_light", "haze", "snow"),
    }
)

TASKS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {name: (name,) for name in RANGES} | {"grain_jpeg": ("grain", "jpeg")} | dict(COMPOSITIONS)
)


def draw_parameters(task: str, seed: int) -> dict[str, dict[str, float]]:
    """The parameters of `degrade` for this task and seed: step -> parameter -> value.

    Steps are in the order in which they are applied. Values are uniform within `RANGES`. They
    depend on the seed and the step only, so that "low_haze" has the same haze as "haze".

    Raises:
        UsageError: an unknown task or a bad seed.

    >>> list(draw_parameters("low_haze_rain", seed=0))
    ['low_light', 'haze', 'rain']
    """
    if task not in TASKS:
        raise UsageError(f"There is no degradation {task!r}: choose from {', '.join(TASKS)}.")
    drawn = {}
    for step in TASKS[task]:
        random = random_stream(seed, f"{step}/parameters")
        drawn[step] = {name: random.uniform(*span) for name, span in RANGES[step].items()}
    return drawn


def degrade(image: Tensor, task: str, seed: int, *, frame: Frame | None = None) -> Tensor:
    """Degrade a clean picture as a task name says, with parameters that the seed draws.

    "noise15", "noise25" and "noise50" add Gaussian noise of the level in the name, clipped and
    rounded; the other single steps, "grain_jpeg" and the mixtures of CDD-11 are listed in `TASKS`
    ("low" and "low_light" are the same) with their parameters in `RANGES`. The result is rounded
    to 8-bit levels once, at the end, as degraded pictures come from files with 8 bits.

    Args:
        image: (3, H, W) in [0, 1].
        task: a key of `TASKS`.
        seed: 0 or more.
        frame: for a crop, where it lies in the whole picture (the depth of haze depends on it).

    Returns:
        (3, H, W) float32 in [0, 1], multiples of 1 / 255.

    Raises:
        UsageError: an unknown task, a bad seed or a picture out of range.
    """
    result = image
    for step, parameters in draw_parameters(task, seed).items():
        result = apply_step(result, step, parameters, seed, frame)
    return to_tensor(round_half_up(to_array(result)), image)


def apply_step(
    image: Tensor, step: str, parameters: Mapping[str, float], seed: int, frame: Frame | None = None
) -> Tensor:
    """One step of a task, as `degrade` applies it, not yet rounded to 8-bit levels."""
    options: dict[str, Any] = {"frame": frame} if step == "haze" else {}
    return _STEPS[step](image, seed, **parameters, **options)


def _noise(sigma: float) -> Callable[..., Tensor]:
    def step(image: Tensor, seed: int) -> Tensor:
        return gaussian_noise(image, sigma=sigma, seed=seed, clip=True, quantize=True)

    return step


def _seeded(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def step(image: Tensor, seed: int, **parameters: Any) -> Tensor:
        return function(image, seed=seed, **parameters)

    return step


def _blurred(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def step(image: Tensor, seed: int, **parameters: Any) -> Tensor:
        return function(image, gamma=2.2, **parameters)

    return step


def _compressed(image: Tensor, seed: int, quality: float) -> Tensor:
    return jpeg(image, quality=round(quality))


_STEPS: dict[str, Callable[..., Tensor]] = {
    "noise15": _noise(15),
    "noise25": _noise(25),
    "noise50": _noise(50),
    "rain": _seeded(rain),
    "haze": _seeded(haze),
    "snow": _seeded(snow),
    "low_light": _seeded(low_light),
    "blur": _blurred(motion_blur),
    "defocus": _blurred(defocus_blur),
    "jpeg": _compressed,
    "grain": _seeded(grain),
    "scratches": _seeded(dust_and_scratches),
}
