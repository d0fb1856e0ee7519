"""Training samples of the tone head of moce-ir-light: whole views, dark, hazy or neither.

The head judges a picture with all its faults, but its curve is applied after noise and compression
were removed. A sample therefore holds three versions of a view: with all faults, with darkness and
haze only, and without both. Four in ten are neither dark nor hazy and must stay as they are; some
of these were made pale or dark on purpose, or are faded prints or drawings. Sample number i depends
on (seed, variety, i) only.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from pixperts.data.photos import describe_photos
from pixperts.data.restoration import cut_and_turn
from pixperts.data.unusual_views import unusual
from pixperts.degradations.mixture import Step, apply_steps, draw_mixture
from pixperts.degradations.tasks import RANGES
from pixperts.ops.resize import bicubic, quantize

_LIGHT = ("haze", "low_light")
_DARK = (0.025, 0.5)  # range of exposures, whose logarithm is drawn uniformly
_LEAST = 0.6  # smallest side of the square, as a share of the shorter side of the photo
_LEAST_VARIED = 0.4
# Of varied views: shares of those from two photos, and of those without a fault that are no photos.
_TWO_PHOTOS, _UNUSUAL = 0.25, 0.5
_KINDS = (0.22, 0.25, 0.13, 0.4)  # shares of samples that are hazy, dark, both, and neither


class ToneScene(NamedTuple):
    """One sample; batched by stacking. Pictures are uint8 (3, s, s)."""

    degraded: Tensor  # with all faults
    plain: Tensor  # with darkness and haze only
    target: Tensor  # without both
    faults: Tensor  # (2,) float32: 1 if it is dark, 1 if it is hazy


class ToneScenes(Dataset[ToneScene]):
    """Large squares of photos, reduced to a small side and degraded.

    Args:
        photos: uint8 (3, H, W), no side below `side`.
        side: of a sample, pixels.
        seed: 0 or more.
        variety: share of views with other colors, of two photos, or of `unusual_views`. The head
            must not learn a few hundred photos by heart. Above 0, smaller squares of photos are
            taken for all views, too.
    """

    def __init__(
        self, photos: Sequence[Tensor], *, side: int, seed: int = 0, variety: float = 0
    ) -> None:
        self.least = _LEAST_VARIED if variety else _LEAST
        # Reduced once, as far as the smallest square that may be cut from them allows.
        self.photos = [_reduced(photo, math.ceil(side / self.least)) for photo in photos]
        self.side, self.seed, self.variety = side, seed, variety

    def describe(self) -> str:
        """One line on the training data."""
        return describe_photos(self.photos)

    def __getitem__(self, number: int) -> ToneScene:
        """Sample `number`, the same on every call."""
        random = np.random.Generator(np.random.PCG64([self.seed, 1, number]))
        clean = self._view(random)
        seed = int(random.integers(2**31))
        before, light, after = _draw_steps(random)
        if self.variety:
            other = np.random.Generator(np.random.PCG64([self.seed, 2, number]))
            if other.random() < self.variety:
                if not light and other.random() < _UNUSUAL:
                    clean, before = unusual(clean, other), ()
                else:
                    clean = self._varied(clean, other)
        # The noise of a step depends on its number, so it is the same in all three versions.
        start = apply_steps(clean, before, seed).degraded
        plain = apply_steps(start, light, seed + 10).target
        degraded = apply_steps(start, (*light, *after), seed + 10).degraded
        names = {step.name for step in light}
        faults = torch.tensor([float("low_light" in names), float("haze" in names)])
        return ToneScene(_levels(degraded), _levels(plain), _levels(start), faults)

    def _view(self, random: np.random.Generator) -> Tensor:
        """(3, side, side) in [0, 1] of a photo."""
        photo = self.photos[int(random.integers(len(self.photos)))]
        shortest = min(photo.shape[1:])
        side = max(self.side, round(shortest * random.uniform(self.least, 1)))
        (view,), _ = cut_and_turn([photo], min(side, shortest), random)
        if view.shape[1] > self.side:
            view = quantize(bicubic(view, (self.side, self.side)))
        return view

    def _varied(self, view: Tensor, random: np.random.Generator) -> Tensor:
        """A view with another white balance and saturation, sometimes beside another view."""
        if random.random() < _TWO_PHOTOS:
            start = int(random.integers(self.side // 4, self.side - self.side // 4))
            rows = slice(start, None) if random.random() < 0.5 else slice(None)
            columns = slice(None) if rows.start else slice(start, None)
            view = view.clone()
            view[:, rows, columns] = self._view(random)[:, rows, columns]
        gains = torch.from_numpy(np.exp2(random.uniform(-0.25, 0.25, (3, 1, 1)))).float()
        gray = view.mean(dim=0, keepdim=True)
        colored = gray + (view - gray) * random.uniform(0.3, 1.4)
        return quantize((colored * gains).clamp(0, 1))


def _draw_steps(
    random: np.random.Generator,
) -> tuple[tuple[Step, ...], tuple[Step, ...], tuple[Step, ...]]:
    """The steps before: changes on purpose; then darkness and haze; then all other faults."""
    before: list[Step] = []
    chance = random.random()
    if chance < 0.3:
        curve = {"gamma": float(2 ** random.uniform(-1, 1)), "bend": random.uniform(-0.6, 0.4)}
        before.append(Step("tone", curve))
    elif chance < 0.45:
        spans = {"amount": (0, 1), "warmth": (0, 1), "contrast": (0.6, 1), "black": (0, 0.15)}
        before.append(Step("fade", {key: random.uniform(*span) for key, span in spans.items()}))
    light: list[Step] = []
    kind = str(random.choice(["hazy", "dark", "both", "neither"], p=_KINDS))
    if kind in ("hazy", "both"):
        ranges = RANGES["haze"]
        light.append(Step("haze", {key: random.uniform(*span) for key, span in ranges.items()}))
    if kind in ("dark", "both"):
        exposure = float(np.exp(random.uniform(*np.log(_DARK))))
        given = {"exposure": exposure, "gamma": random.uniform(0.9, 1.3)}
        # Either the scene is dark and the haze is bright, as in CDD-11, or the exposure was short.
        place = len(light) if random.random() < 0.5 else 0
        light.insert(place, Step("low_light", given))
    after = tuple(step for step in draw_mixture(int(random.integers(2**31))) if _is_other(step))
    return tuple(before), tuple(light), after if random.random() < 0.7 else ()


def _reduced(photo: Tensor, shortest: int) -> Tensor:
    factor = shortest / min(photo.shape[1:])
    if factor >= 1:
        return photo
    size = (
        max(shortest, round(photo.shape[1] * factor)),
        max(shortest, round(photo.shape[2] * factor)),
    )
    return _levels(quantize(bicubic(photo[None].float() / 255, size)[0]))


def _is_other(step: Step) -> bool:
    return step.name not in (*_LIGHT, "tone", "fade")


def _levels(image: Tensor) -> Tensor:
    return (image * 255).round().to(torch.uint8)
