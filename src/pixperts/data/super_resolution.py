"""Training samples of super-resolution at any scale, cut from photos.

Sample number i of a run depends on (seed, i) only, so that a resumed run gets the same samples as
one without a break.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from pixperts.data.photos import describe_photos
from pixperts.ops.resize import bicubic, quantize


class Sample(NamedTuple):
    """One training sample of arbitrary-scale super-resolution; batched by stacking."""

    lr: Tensor  # (3, p, p) in [0, 1], 8-bit levels
    positions: Tensor  # (Q, 2) int64, row and column in the output of this sample
    size: Tensor  # (2,) int64, output height and width
    target: Tensor  # (Q, 3) in [0, 1]


class ArbitraryScale(Dataset[Sample]):
    """Patches at a random continuous scale with random pixel queries, as LIIF samples them.

    A scale is drawn uniformly. A square of round(patch * scale) pixels is cut from a photo, flipped
    and turned, reduced to `patch` by antialiased bicubic interpolation and rounded to 8 bits;
    `queries` of its pixels are the targets (arXiv 2012.09161, section 4.1).

    Args:
        photos: uint8 (3, H, W).
        patch: side of an LR patch, in pixels.
        queries: number of pixels of each sample.
        scales: smallest and largest scale.
        seed: 0 or more.
    """

    def __init__(
        self,
        photos: Sequence[Tensor],
        *,
        patch: int,
        queries: int,
        scales: tuple[float, float] = (1.0, 4.0),
        seed: int = 0,
    ) -> None:
        self.photos, self.patch, self.queries = photos, patch, queries
        self.scales, self.seed = scales, seed

    def describe(self) -> str:
        """One line on the training data."""
        return describe_photos(self.photos)

    def __getitem__(self, number: int) -> Sample:
        """Sample `number`, the same on every call."""
        random = np.random.Generator(np.random.PCG64([self.seed, number]))
        photo = self.photos[int(random.integers(len(self.photos)))]
        largest = min(photo.shape[1:]) / self.patch
        low, high = self.scales
        scale = float(random.uniform(low, max(low, min(high, largest))))
        side = min(round(self.patch * scale), *photo.shape[1:])
        top = int(random.integers(photo.shape[1] - side + 1))
        left = int(random.integers(photo.shape[2] - side + 1))
        crop = photo[:, top : top + side, left : left + side].float() / 255  # (3, side, side)
        if random.random() < 0.5:
            crop = crop.flip(2)
        crop = torch.rot90(crop, int(random.integers(4)), (1, 2))
        lr = quantize(bicubic(crop, (self.patch, self.patch))) if side != self.patch else crop
        chosen = torch.from_numpy(random.permutation(side * side)[: self.queries])
        if len(chosen) < self.queries:
            extra = random.integers(side * side, size=self.queries - len(chosen))
            chosen = torch.cat([chosen, torch.from_numpy(extra)])
        target = crop.reshape(3, -1)[:, chosen].t()  # (Q, 3)
        positions = torch.stack([chosen // side, chosen % side], dim=1)
        return Sample(lr, positions, torch.tensor([side, side]), target)
