"""Photos with several faults at once, and the target of a repair of their detail.

Conventions as in `common`. A photo goes through a scene (haze, darkness), weather (rain, snow), a
lens (blur), a program (resized down and up again), a sensor (noise) and a file (JPEG, once or
twice), as in SCUNet's recipe (Zhang et al., arXiv 2203.13278), with random strengths, in an order
that is sometimes shuffled, each part often absent.

Haze, darkness, sharpening and tone curves do not count as faults of detail: the target has them
too, without noise. Everything else is to be undone.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from pixperts.degradations.blur import defocus_blur, gaussian_blur, motion_blur
from pixperts.degradations.camera import camera_noise, jpeg, low_light
from pixperts.degradations.chain import reduced
from pixperts.degradations.common import random_stream, round_half_up, to_array, to_tensor
from pixperts.degradations.noise import gaussian_noise, grain
from pixperts.degradations.prints import dust_and_scratches, fade
from pixperts.degradations.tasks import RANGES, TASKS, apply_step, draw_parameters
from pixperts.degradations.weather import Frame, haze, rain, snow
from pixperts.errors import UsageError
from pixperts.ops.resize import bicubic

MIXTURE, SNAPSHOT, FILE, CLEAN = "mixture", "snapshot", "file", "clean"
GROUPS = ("noise", "weather", "light", "blur", "marks")  # kinds of faults
_GROUP_OF = {
    "white": 0, "camera": 0, "grain": 0, "jpeg": 0, "noise15": 0, "noise25": 0, "noise50": 0,
    "rain": 1, "snow": 1,
    "haze": 2, "low_light": 2,
    "blur": 3, "defocus": 3, "soft": 3, "resize": 3,
    "scratches": 4,
}  # fmt: skip
LIGHT = ("haze", "low_light", "tone", "fade", "sharpen")  # steps that the target has, too
_NOISE = ("white", "camera", "grain", "noise15", "noise25", "noise50")
PARTS = ("noise", "jpeg", "rest")  # parts of a repair, each with an amount of its own


class Faulty(NamedTuple):
    """A degraded picture and the target of a repair of its detail, all in 8-bit levels.

    The repair has three parts: from `degraded` to `noisy` the compression is undone, from there to
    `faulty` the noise, from there to `target` rain, snow, blur and marks.
    """

    degraded: Tensor  # (3, H, W) in [0, 1]
    noisy: Tensor  # (3, H, W), the picture without the compression
    faulty: Tensor  # (3, H, W), without the compression and the noise
    target: Tensor  # (3, H, W), without any fault of its detail
    groups: tuple[bool, ...]  # which of `GROUPS` the picture has


@dataclass(frozen=True)
class Step:
    """One fault and its strength."""

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)


def draw_mixture(seed: int) -> tuple[Step, ...]:
    """Random faults in the order in which they are applied; sometimes none.

    Raises:
        UsageError: a bad seed.

    Example:
        >>> [step.name for step in draw_mixture(5)]
        ['low_light', 'snow']
    """
    random = random_stream(seed, "mixture/parameters")
    scene: list[Step] = []
    if random.random() < 0.08:
        scene.append(_ranged("haze", random))
    if random.random() < 0.12:
        exposure = float(np.exp(random.uniform(np.log(0.03), np.log(0.6))))
        scene.append(Step("low_light", {"exposure": exposure, "gamma": random.uniform(0.9, 1.3)}))
    if random.random() < 0.16:
        scene.append(_ranged("rain", random))
    elif random.random() < 0.14:
        scene.append(_ranged("snow", random))
    camera = [*_lens(random), *_noise(random)]
    if random.random() < 0.08:
        camera.append(Step("resize", {"factor": random.uniform(1.2, 2.5), **_kernels(random)}))
    if random.random() < 0.07:  # an old print: the marks are there when it is scanned
        scene.append(_ranged("scratches", random))
        if random.random() < 0.6:
            spans = {"amount": (0, 1), "warmth": (0, 1), "contrast": (0.6, 1), "black": (0, 0.15)}
            faded = {key: random.uniform(*span) for key, span in spans.items()}
            scene.insert(0, Step("fade", faded))
    if random.random() < 0.1:
        curve = {"gamma": float(2 ** random.uniform(-0.5, 0.5)), "bend": random.uniform(-0.3, 0.3)}
        camera.append(Step("tone", curve))
    files = _files(random)
    if random.random() < 0.25:  # a picture that was edited, compressed and edited again
        camera += files[:1]
        random.shuffle(camera)
        files = files[1:]
    return (*scene, *camera, *files)


def draw_snapshot(seed: int) -> tuple[Step, ...]:
    """Random faults of a phone or a small camera, in the order in which they are applied.

    Sometimes too little light; the noise of the sensor, spread by demosaicking and by the smoothing
    of the camera; often blots of color; then sharpening and JPEG.

    Raises:
        UsageError: a bad seed.

    Example:
        >>> [step.name for step in draw_snapshot(3)]
        ['low_light', 'camera', 'grain', 'sharpen', 'jpeg']
    """
    random = random_stream(seed, "snapshot/parameters")
    steps: list[Step] = []
    if random.random() < 0.3:
        exposure = float(np.exp(random.uniform(np.log(0.03), np.log(0.5))))
        steps.append(Step("low_light", {"exposure": exposure, "gamma": random.uniform(0.9, 1.3)}))
    shot, read = 10 ** random.uniform(-3.8, -1.9), 10 ** random.uniform(-3.2, -1.8)
    size = random.uniform(0.4, 1.6)
    steps.append(Step("camera", {"shot_noise": shot, "read_noise": read, "size": size}))
    if random.random() < 0.5:
        blots = {"sigma": random.uniform(2, 14), "size": random.uniform(1.2, 4), "color": 1.0}
        steps.append(Step("grain", blots))
    if random.random() < 0.6:
        halo = {"amount": random.uniform(0.2, 1.5), "sigma": random.uniform(0.6, 1.6)}
        steps.append(Step("sharpen", halo))
    if random.random() < 0.85:
        chroma = "4:2:0" if random.random() < 0.7 else "4:4:4"
        quality = int(random.integers(60, 99))
        steps.append(Step("jpeg", {"quality": quality, "chroma": chroma}))
    return tuple(steps)


def draw_file(seed: int) -> tuple[Step, ...]:
    """One compression as programs save pictures: JPEG of quality 30 to 97.

    Raises:
        UsageError: a bad seed.

    Example:
        >>> draw_file(0)
        (Step(name='jpeg', parameters={'quality': 62, 'chroma': '4:2:0'}),)
    """
    random = random_stream(seed, "file/parameters")
    chroma = "4:2:0" if random.random() < 0.7 else "4:4:4"
    return (Step("jpeg", {"quality": int(random.integers(30, 98)), "chroma": chroma}),)


def _ranged(name: str, random: np.random.Generator) -> Step:
    return Step(name, {key: random.uniform(*span) for key, span in RANGES[name].items()})


def _lens(random: np.random.Generator) -> list[Step]:
    chance = random.random()
    if chance < 0.07:
        return [_ranged("blur", random)]
    if chance < 0.1:
        return [_ranged("defocus", random)]
    return [Step("soft", {"sigma": random.uniform(0.3, 1.5)})] if chance < 0.22 else []


def _noise(random: np.random.Generator) -> list[Step]:
    if random.random() < 0.3:
        return []
    kind = random.random()
    if kind < 0.5:
        usual = random.random() < 0.5
        sigma = float(random.choice([15, 25, 50])) if usual else random.uniform(1, 55)
        return [Step("white", {"sigma": sigma})]
    if kind < 0.8:
        size = random.uniform(0.35, 0.9) if random.random() < 0.8 else 0.0
        shot, read = 10 ** random.uniform(-4.2, -1.9), 10 ** random.uniform(-3.5, -1.7)
        return [Step("camera", {"shot_noise": shot, "read_noise": read, "size": size})]
    size, color = random.uniform(0.4, 1.5), random.random()
    return [Step("grain", {"sigma": random.uniform(3, 30), "size": size, "color": color})]


def _kernels(random: np.random.Generator) -> dict[str, str]:
    kernels = ["bicubic", "bilinear", "area"]
    return {"down": kernels[int(random.integers(3))], "up": kernels[int(random.integers(2))]}


def _files(random: np.random.Generator) -> list[Step]:
    if random.random() < 0.42:
        return []
    steps = []
    for _ in range(2 if random.random() < 0.15 else 1):
        span = (25, 99) if random.random() < 0.75 else (10, 51)
        chroma = "4:2:0" if random.random() < 0.7 else "4:4:4"
        steps.append(Step("jpeg", {"quality": int(random.integers(*span)), "chroma": chroma}))
    return steps


def apply_steps(
    image: Tensor, steps: tuple[Step, ...], seed: int, frame: Frame | None = None
) -> Faulty:
    """A picture with these faults, and the target of a repair.

    Args:
        image: (3, H, W) in [0, 1].
        steps: in the order in which they happen.
        seed: of what is random within them, 0 or more.
        frame: for a crop, where it lies in the whole picture.

    Raises:
        UsageError: an unknown step, a parameter or the picture out of range, or a bad seed.
    """
    made = _Versions(image)
    groups = [False] * len(GROUPS)
    for number, step in enumerate(steps):
        if step.name not in _STEPS:
            raise UsageError(f"There is no step {step.name!r}: choose from {', '.join(_STEPS)}.")

        def apply(picture: Tensor, given: Parameters, step: Step = step, n: int = number) -> Tensor:
            result: Tensor = _STEPS[step.name](picture, given, seed + n, frame)
            return result

        made.take(step.name, step.parameters, apply)
        if step.name in _GROUP_OF:
            groups[_GROUP_OF[step.name]] = True
    return made.result(groups)


def faulty(image: Tensor, task: str, seed: int, frame: Frame | None = None) -> Faulty:
    """A picture degraded by a task, and the target of a repair of its detail.

    Args:
        image: (3, H, W) in [0, 1].
        task: "mixture" (see `draw_mixture`), "snapshot" (`draw_snapshot`), "file" (`draw_file`),
            "clean", or one of `tasks.TASKS`, whose degraded picture is that of `tasks.degrade`.
        seed: 0 or more.
        frame: for a crop, where it lies in the whole picture.

    Raises:
        UsageError: an unknown task, a bad seed or a picture out of range.
    """
    if task == CLEAN:
        return apply_steps(image, (), seed, frame)
    if task == MIXTURE:
        return apply_steps(image, draw_mixture(seed), seed, frame)
    if task == SNAPSHOT:
        return apply_steps(image, draw_snapshot(seed), seed, frame)
    if task == FILE:
        return apply_steps(image, draw_file(seed), seed, frame)
    if task not in TASKS:
        raise UsageError(f"There is no degradation {task!r}: choose from {', '.join(TASKS)}.")
    made = _Versions(image)
    groups = [False] * len(GROUPS)
    for name, parameters in draw_parameters(task, seed).items():

        def apply(picture: Tensor, given: Parameters, name: str = name) -> Tensor:
            return apply_step(picture, name, given, seed, frame)

        made.take(name, parameters, apply)
        groups[0] |= any(key.endswith("_noise") for key in parameters)
        groups[_GROUP_OF[name]] = True
    return made.result(groups)


class _Versions:
    """A picture with all faults and with some of them; equal versions are computed once."""

    def __init__(self, image: Tensor) -> None:
        # In the order of `Faulty`.
        self.images = [image] * 4

    def take(
        self,
        name: str,
        parameters: "Parameters",
        apply: Callable[[Tensor, "Parameters"], Tensor],
    ) -> None:
        """Apply a step to each version that has this fault."""
        first = 1 if name == "jpeg" else 2 if name in _NOISE else 4 if name in LIGHT else 3
        calm = {k: 0.0 if k.endswith("_noise") else v for k, v in parameters.items()}
        given = [parameters, parameters, calm, calm]
        made: list[Tensor] = []
        done: dict[tuple[int, bool], Tensor] = {}
        for place, image in enumerate(self.images[:first]):
            key = id(image), given[place] == parameters
            if key not in done:
                done[key] = apply(image, given[place])
            made.append(done[key])
        self.images[:first] = made

    def result(self, groups: list[bool]) -> Faulty:
        """All as 8-bit levels."""
        known = {id(image): _levels(image) for image in self.images}
        degraded, noisy, faulty, target = (known[id(image)] for image in self.images)
        return Faulty(degraded, noisy, faulty, target, tuple(groups))


def tone_curve(image: Tensor, *, gamma: float, bend: float) -> Tensor:
    """A program's tone curve: a power, then a bend toward (or from) more contrast.

    Args:
        image: (3, H, W) in [0, 1].
        gamma: of the power, above 0.
        bend: -1 to 1; 1 is the curve 3 x^2 - 2 x^3.
    """
    values = to_array(image) ** gamma
    values = values + bend * (values * values * (3 - 2 * values) - values)
    return to_tensor(values, image)


def sharpened(image: Tensor, *, amount: float, sigma: float) -> Tensor:
    """An unsharp mask: what a Gaussian blur takes away is added once more, clipped to [0, 1].

    Args:
        image: (3, H, W) in [0, 1].
        amount: of it, 0 or more.
        sigma: of the blur, pixels.
    """
    return (image + amount * (image - gaussian_blur(image, sigma=sigma))).clamp(0, 1)


def resized_and_back(image: Tensor, *, factor: float, down: Any, up: str) -> Tensor:
    """Reduced by a factor and enlarged to its size again, clipped to [0, 1]."""
    size = (image.shape[1], image.shape[2])
    small = reduced(image, (max(1, round(size[0] / factor)), max(1, round(size[1] / factor))), down)
    if up == "bicubic":
        return bicubic(small, size).clamp(0, 1)
    large = F.interpolate(small[None], size=size, mode="bilinear", align_corners=False)
    return large[0].clamp(0, 1)  # sums of weights may be a little above 1


def _levels(image: Tensor) -> Tensor:
    return to_tensor(round_half_up(to_array(image)), image)


Parameters = Mapping[str, Any]


def _low_light(image: Tensor, given: Parameters, seed: int, frame: Frame | None) -> Tensor:
    return low_light(image, **{"read_noise": 0.0, "shot_noise": 0.0, **given}, seed=seed)


def _white(image: Tensor, given: Parameters, seed: int, frame: Frame | None) -> Tensor:
    return gaussian_noise(image, **given, seed=seed, clip=True, quantize=False)


# Each takes a picture, the step's parameters, a seed and a frame.
_STEPS: dict[str, Any] = {
    "haze": lambda image, given, seed, frame: haze(image, **given, seed=seed, frame=frame),
    "low_light": _low_light,
    "rain": lambda image, given, seed, frame: rain(image, **given, seed=seed),
    "snow": lambda image, given, seed, frame: snow(image, **given, seed=seed),
    "blur": lambda image, given, seed, frame: motion_blur(image, **given, gamma=2.2),
    "defocus": lambda image, given, seed, frame: defocus_blur(image, **given, gamma=2.2),
    "soft": lambda image, given, seed, frame: gaussian_blur(image, **given),
    "resize": lambda image, given, seed, frame: resized_and_back(image, **given),
    "white": _white,
    "camera": lambda image, given, seed, frame: camera_noise(image, **given, seed=seed),
    "grain": lambda image, given, seed, frame: grain(image, **given, seed=seed),
    "sharpen": lambda image, given, seed, frame: sharpened(image, **given),
    "tone": lambda image, given, seed, frame: tone_curve(image, **given),
    "scratches": lambda image, given, seed, frame: dust_and_scratches(image, **given, seed=seed),
    "fade": lambda image, given, seed, frame: fade(image, **given),
    "jpeg": lambda image, given, seed, frame: jpeg(image, **given),
}
