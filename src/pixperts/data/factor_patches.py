"""Patches of photos at whole factors and between them, cut and reduced on the fly.

They need no cache and no teacher network. Sample number i depends on (seed, i) only.
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
from pixperts.degradations.drawings import draw_over
from pixperts.ops.resize import bicubic, quantize

_BETWEEN = [n for n in range(GRID + 1, 4 * GRID) if n % GRID]  # factors times GRID
_SOFT = (1.2, 2.2)  # range of factors that make a photo soft
_WHOLE = 0.8  # share of the steps at a whole factor, half of them at 2


class FactorPatches(Dataset[Patches]):
    """Squares of photos, flipped and turned, and the same squares at a lower resolution.

    Half of the squares are reduced by a random factor before that, which makes them sharper.

    Args:
        photos: uint8 (3, H, W), some of them with sides of four times `side`.
        side: of a low-resolution (LR) patch, in pixels; a multiple of 16.
        batch: number of consecutive samples with the same factor.
        degraded: whether LR has the faults of real photos (`degradations.chain`).
        clean: share of the samples without faults all the same, if `degraded`.
        soft: share of the samples whose photo is enlarged first, so that it is soft at pixel level,
            as many photos are.
        drawn: share of the samples that are drawings, some of them over the photo.
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
        drawn: float = 0.0,
        seed: int = 0,
    ) -> None:
        check_largest(photos, 4 * side)
        self.photos, self.side, self.batch = photos, side, batch
        self.degraded, self.clean, self.seed = degraded, clean, seed
        self.soft, self.drawn = soft, drawn

    def describe(self) -> str:
        """One line on the training data."""
        return describe_photos(self.photos)

    def __getitem__(self, number: int) -> Patches:
        """Sample `number`, the same on every call; `taught` is the photo itself."""
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
        if self.drawn and random.random() < self.drawn:
            large = draw_over(large, int(random.integers(2**31)))
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
