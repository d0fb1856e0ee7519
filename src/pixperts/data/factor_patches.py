"""Patches of photos at whole factors and between them, cut and reduced on the fly.

They need no cache and no teacher. Sample number i depends on (seed, i) alone.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from pixperts.data.patch_cache import GRID, Patches
from pixperts.data.photos import check_largest, describe_photos
from pixperts.data.restoration import cut_and_turn
from pixperts.degradations.chain import draw_chain
from pixperts.ops.resize import bicubic, quantize

_BETWEEN = [n for n in range(GRID + 1, 4 * GRID) if n % GRID]  # factors times GRID
_SOFT = (1.2, 2.2)  # by which soft photos were enlarged
_WHOLE = 0.8  # share of the steps at a whole factor, half of them at 2


class FactorPatches(Dataset[Patches]):
    """Squares of photos, flipped and turned, and what is left of them at a lower resolution.

    Half of the squares are first reduced by a random factor, so that they are as sharp as can be.

    Args:
        photos: uint8 (3, H, W), some of them with sides of four times `side`.
        side: of an LR patch; a multiple of 16.
        batch: samples in a row that have the same factor.
        degraded: LR as photos have it (`degradations.chain`), instead of a plain reduction.
        clean: share of the samples that are reduced plainly all the same.
        soft: share of the samples of photos that are enlarged first, so that they are soft at pixel
            level, as many photos are.
        seed: 0 or more.

    Raises:
        DataError: no photo is large enough.
    """

    def __init__(
        self,
        photos: Sequence[Tensor],
        *,
        side: int,
        batch: int,
        degraded: bool = False,
        clean: float = 0.0,
        soft: float = 0.0,
        seed: int = 0,
    ) -> None:
        check_largest(photos, 4 * side)
        self.photos, self.side, self.batch = photos, side, batch
        self.degraded, self.clean, self.soft, self.seed = degraded, clean, soft, seed

    def describe(self) -> str:
        """One line on what there is to learn from."""
        return describe_photos(self.photos)

    def __getitem__(self, number: int) -> Patches:
        """Sample `number`, the same on every call; the photo stands for a teacher's answer."""
        common = np.random.Generator(np.random.PCG64([self.seed, number // self.batch, 1]))
        random = np.random.Generator(np.random.PCG64([self.seed, number, 0]))
        if common.random() < _WHOLE:
            side = self.side * int(common.choice([2, 2, 3, 4]))
        else:
            side = self.side * int(common.choice(_BETWEEN)) // GRID
        while True:
            photo = self.photos[int(random.integers(len(self.photos)))]
            if min(photo.shape[1:]) >= side:
                break
        own = side  # pixels of the square before it is enlarged
        if self.soft and random.random() < self.soft:
            own = math.ceil(side / random.uniform(*_SOFT))
        most = min(photo.shape[1:]) / own
        factor = most ** random.random() if random.random() < 0.5 else 1.0
        (large,), _ = cut_and_turn([photo], round(own * factor), random)
        if factor > 1:
            large = bicubic(large, (own, own))
        if large.shape[1] != side:
            large = bicubic(large, (side, side))
        large = quantize(large)
        size = self.side, self.side
        if self.degraded and random.random() >= self.clean:
            seed = int(random.integers(2**31))
            small = draw_chain(seed).apply(large, size, seed)
        else:
            small = quantize(bicubic(large, size))
        levels = _levels(large)
        return Patches(_levels(small), levels, levels)


def _levels(image: Tensor) -> Tensor:
    return (image * 255).round().to(torch.uint8)
