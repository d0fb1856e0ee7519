"""Training samples of moce-ir-light's stage for marks: patches with dust and scratches, or without.

Marks are there when a print is scanned, so fading comes before them, and the scanner's blur, noise
and compression come after. The target has all of it but the marks. A third of the patches have
none: photos with other faults, drawings, stars, screens, which must stay as they are. Sample number
i depends on (seed, i) only.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from pixperts.data.photos import describe_photos
from pixperts.data.restoration import cut_and_turn
from pixperts.data.unusual_views import unusual
from pixperts.degradations.drawings import draw_over
from pixperts.degradations.mixture import Step, apply_steps, draw_mixture, draw_snapshot
from pixperts.degradations.prints import dust_and_scratches
from pixperts.degradations.tasks import RANGES
from pixperts.ops.resize import bicubic, quantize

VISIBLE = 0.03  # difference from which a pixel counts as marked
_MARKED = 0.65  # share of the samples with marks
_LARGE = 0.25  # share of those whose marks are twice as large, as in finely scanned prints
_MOST = {"specks": 0.01, "hairs": 0.001, "scratches": 0.001}  # of marks per pixel
_WEATHER = ("rain", "snow")


class MarkedPatch(NamedTuple):
    """One sample; batched by stacking. All are uint8."""

    degraded: Tensor  # (3, p, p) with all faults
    target: Tensor  # (3, p, p) with all faults but marks
    marks: Tensor  # (1, p, p) 1 where a mark covers a pixel, else 0


class MarkedPatches(Dataset[MarkedPatch]):
    """Squares of photos, reduced by a random factor, with marks and other faults.

    Args:
        photos: uint8 (3, H, W), no side below `side`.
        side: of a patch; a multiple of 8.
        reduction: largest factor by which a square is reduced to a patch.
        density: largest factor by which there are more marks than usual. With the usual number,
            there are so few in a patch that a new network learns very slowly.
        seed: 0 or more.
    """

    def __init__(
        self,
        photos: Sequence[Tensor],
        *,
        side: int,
        reduction: float = 1.0,
        density: float = 1.0,
        seed: int = 0,
    ) -> None:
        self.photos, self.side, self.seed = photos, side, seed
        self.reduction, self.density = reduction, density

    def describe(self) -> str:
        """One line on the training data."""
        return describe_photos(self.photos)

    def __getitem__(self, number: int) -> MarkedPatch:
        """Sample `number`, the same on every call."""
        random = np.random.Generator(np.random.PCG64([self.seed, 3, number]))
        clean = self._square(random)
        seed = int(random.integers(2**31))
        if random.random() >= _MARKED:
            image = _unmarked(clean, seed, random)
            return MarkedPatch(_levels(image), _levels(image), _none(image))
        if random.random() < 0.12:
            clean = draw_over(clean, seed)
        before = apply_steps(clean, _aged(random), seed).target
        marked = _with_marks(before, seed, random, self.density ** random.random())
        marks = ((marked - before).abs().amax(dim=0, keepdim=True) > VISIBLE).to(torch.uint8)
        after = _scanned(random)
        # The noise depends on the seed and the step's number, so it is the same in both.
        degraded, target = (apply_steps(x, after, seed + 10).degraded for x in (marked, before))
        return MarkedPatch(_levels(degraded), _levels(target), marks)

    def _square(self, random: np.random.Generator) -> Tensor:
        """(3, side, side) in [0, 1] of a photo, half of them reduced."""
        photo = self.photos[int(random.integers(len(self.photos)))]
        largest = max(1.0, min(self.reduction, min(photo.shape[1:]) / self.side))
        factor = largest ** random.random() if random.random() < 0.5 else 1.0
        (square,), _ = cut_and_turn([photo], round(self.side * factor), random)
        if square.shape[1] > self.side:
            square = quantize(bicubic(square, (self.side, self.side)))
        return square


def _aged(random: np.random.Generator) -> tuple[Step, ...]:
    """The colors of an old print, of a black-and-white one, or as they are."""
    chance = random.random()
    if chance < 0.45:
        return ()
    gray = chance < 0.65
    amount, warmth = (1.0, random.uniform(0, 0.1)) if gray else random.random(2).tolist()
    flat = {"contrast": random.uniform(0.6, 1), "black": random.uniform(0, 0.15)}
    return (Step("fade", {"amount": amount, "warmth": warmth, **flat}),)


def _with_marks(image: Tensor, seed: int, random: np.random.Generator, factor: float) -> Tensor:
    """Marks of all sizes, on half of the samples as `RANGES` has them, `factor` times as many."""
    if random.random() < 0.5:
        given = {key: random.uniform(*span) for key, span in RANGES["scratches"].items()}
    else:
        given = {
            "specks": float(np.exp(random.uniform(*np.log([5e-5, 2e-3])))),
            "hairs": float(random.choice([0.0, random.uniform(0, 6e-5)])),
            "scratches": float(random.choice([0.0, random.uniform(1e-5, 1e-4)])),
            "light": float(random.choice([0.0, 1.0, random.random()])),
            "opacity": random.uniform(0.25, 1),
        }
    for name, most in _MOST.items():
        given[name] = min(most, factor * given[name])
    if random.random() >= _LARGE:
        return dust_and_scratches(image, seed=seed, **given)
    small = tuple(-(-side // 2) for side in image.shape[1:])
    gray = bicubic(image, (small[0], small[1])).clamp(0, 1)
    # On half the side there are a quarter of the pixels, and so of the marks.
    change = dust_and_scratches(gray, seed=seed, **given) - gray
    size = (image.shape[1], image.shape[2])
    return (image + bicubic(change, size)).clamp(0, 1)


def _scanned(random: np.random.Generator) -> tuple[Step, ...]:
    """What a scanner and a file do to a print."""
    steps: list[Step] = []
    if random.random() < 0.25:
        steps.append(Step("soft", {"sigma": random.uniform(0.3, 0.9)}))
    if random.random() < 0.3:
        size, color = random.uniform(0.4, 1.5), random.random()
        steps.append(Step("grain", {"sigma": random.uniform(1, 14), "size": size, "color": color}))
    elif random.random() < 0.2:
        steps.append(Step("white", {"sigma": random.uniform(1, 15)}))
    if random.random() < 0.4:
        quality = int(random.integers(60, 99))
        chroma = "4:2:0" if random.random() < 0.7 else "4:4:4"
        steps.append(Step("jpeg", {"quality": quality, "chroma": chroma}))
    return tuple(steps)


def _unmarked(clean: Tensor, seed: int, random: np.random.Generator) -> Tensor:
    """A picture without marks: as it is, drawn, unusual, or with other faults."""
    chance = random.random()
    if chance < 0.2:
        return apply_steps(clean, (*_aged(random), *_scanned(random)), seed).degraded
    if chance < 0.4:
        return clean
    if chance < 0.7:  # dots look most like dust
        drawn = draw_over(clean, seed, "dots" if random.random() < 0.6 else None)
        return apply_steps(drawn, _scanned(random), seed).degraded if chance < 0.5 else drawn
    if chance < 0.77:
        return unusual(clean, random)
    if chance < 0.88:
        name = _WEATHER[int(random.integers(2))]
        given = {key: random.uniform(*span) for key, span in RANGES[name].items()}
        return apply_steps(clean, (Step(name, given), *_scanned(random)), seed).degraded
    draw = draw_mixture if chance < 0.95 else draw_snapshot
    steps = (step for step in draw(seed) if step.name != "scratches")
    return apply_steps(clean, tuple(steps), seed).degraded


def _none(image: Tensor) -> Tensor:
    return torch.zeros_like(image[:1], dtype=torch.uint8)


def _levels(image: Tensor) -> Tensor:
    return (image * 255).round().to(torch.uint8)
