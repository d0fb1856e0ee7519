"""Training samples of moce-isr-light: photos reduced by any factor, degraded, and the photos.

The input of a sample is a small picture with faults, the target is the large one without. Faults
are drawn as in `scenes`, except for haze, darkness and other changes of tone, which the enlarger
does not undo. Sample number i depends on (seed, i) only.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from pixperts.data.photos import check_largest, describe_photos
from pixperts.data.restoration import cut_and_turn
from pixperts.data.scenes import drawing
from pixperts.degradations.chain import reduced
from pixperts.degradations.mixture import LIGHT, MIXTURE, apply_steps, draw_mixture, faulty
from pixperts.models.moce_ir_light.tone import to_light, to_srgb
from pixperts.ops.resize import bicubic, quantize

_WHOLE = (2, 2, 2, 3, 4)  # factors of half of the samples
_SOFT = (1.2, 2.2)  # range of factors that make a photo soft
_DARKEST = 0.05  # smallest share of the light that a darkened picture keeps


class SmallScene(NamedTuple):
    """One sample; batched by stacking. Pictures are uint8."""

    degraded: Tensor  # (3, s, s)
    photo: Tensor  # (3, S, S), the target
    exposure: Tensor  # () float32, light of the degraded picture as a share of the photo's
    task: Tensor  # () int64, index in the list of tasks of the run


class SmallScenes(Dataset[SmallScene]):
    """Squares of photos, flipped and turned, and small, degraded versions of them.

    Args:
        photos: uint8 (3, H, W), no side below `side`.
        tasks: name, one of `scenes.SCENE_TASKS`, and weight of its draw.
        side: of a degraded picture, pixels; a multiple of 8.
        batch: number of consecutive samples with the same factor.
        largest: factor. Half of the batches have a whole factor, the others any from 1.
        dark: share of the samples that are darkened before they are degraded.
        soft: share of the samples of photos that are enlarged first, so that they are soft at pixel
            level, as most photos are.
        seed: 0 or more.

    Raises:
        DataError: no photo is large enough.
    """

    def __init__(
        self,
        photos: Sequence[Tensor],
        *,
        tasks: Mapping[str, float],
        side: int,
        batch: int,
        largest: float = 4.0,
        dark: float = 0.0,
        soft: float = 0.0,
        seed: int = 0,
    ) -> None:
        check_largest(photos, round(side * largest))
        self.photos, self.seed, self.side, self.batch = photos, seed, side, batch
        self.largest, self.dark, self.soft = largest, dark, soft
        self.tasks = tuple(tasks)
        weights = np.array(list(tasks.values()), np.float64)
        self.edges = np.cumsum(weights) / weights.sum()

    def describe(self) -> str:
        """One line on the training data."""
        return describe_photos(self.photos)

    def __getitem__(self, number: int) -> SmallScene:
        """Sample `number`, the same on every call."""
        common = np.random.Generator(np.random.PCG64([self.seed, number // self.batch, 1]))
        random = np.random.Generator(np.random.PCG64([self.seed, number, 0]))
        side = self._large_side(common)
        photo = self._photo(side, random)
        place = int(np.searchsorted(self.edges, random.random(), side="right"))
        place = min(place, len(self.tasks) - 1)
        task, seed = self.tasks[place], int(random.integers(2**31))
        large = self._square(photo, side, random)
        large, task = drawing(large, task, seed, random)
        small = self._small(large, random)
        exposure = 1.0
        if random.random() < self.dark:
            exposure = float(np.exp(random.uniform(np.log(_DARKEST), 0.0)))
            small = quantize(to_srgb(to_light(small) * exposure).clamp(0, 1))
        if task == MIXTURE:
            steps = tuple(step for step in draw_mixture(seed) if step.name not in LIGHT)
            degraded = apply_steps(small, steps, seed).degraded
        else:
            degraded = faulty(small, task, seed).degraded
        return SmallScene(
            _levels(degraded), _levels(large), torch.tensor(exposure), torch.tensor(place)
        )

    def _large_side(self, random: np.random.Generator) -> int:
        """Side of the square of the photo; in half of the batches a whole multiple of `side`."""
        if random.random() < 0.5:
            factor = min(float(random.choice(_WHOLE)), self.largest)
        else:
            factor = self.largest ** random.random()
        return max(self.side, round(self.side * factor))

    def _photo(self, side: int, random: np.random.Generator) -> Tensor:
        """A random photo that holds a square of this side."""
        while True:
            photo = self.photos[int(random.integers(len(self.photos)))]
            if min(photo.shape[1:]) >= side:
                return photo

    def _square(self, photo: Tensor, side: int, random: np.random.Generator) -> Tensor:
        """(3, side, side) of the photo as it is, reduced to be sharp, or enlarged to be soft."""
        own = side
        if self.soft and random.random() < self.soft:
            own = math.ceil(side / random.uniform(*_SOFT))
        most = min(photo.shape[1:]) / own
        factor = most ** random.random() if random.random() < 0.5 else 1.0
        (square,), _ = cut_and_turn([photo], round(own * factor), random)
        if factor > 1:
            square = bicubic(square, (own, own))
        if own != side:
            square = bicubic(square, (side, side))
        return square if factor == 1 and own == side else quantize(square)

    def _small(self, large: Tensor, random: np.random.Generator) -> Tensor:
        """(3, s, s), reduced by one of the kernels of common programs, mostly the bicubic one."""
        size = self.side, self.side
        if large.shape[1] == self.side:
            return large
        if random.random() < 0.6:
            return quantize(bicubic(large, size))
        return quantize(reduced(large, size, "area" if random.random() < 0.5 else "bilinear"))


def _levels(image: Tensor) -> Tensor:
    return (image * 255).round().to(torch.uint8)
