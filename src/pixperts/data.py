"""Training samples: clean photos in memory, LR patches made from them on the fly.

Sample number i of a run depends on (seed, i) alone, so a resumed run sees what an uninterrupted
one would have seen.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from pixperts.errors import DataError
from pixperts.image import from_float, list_images, read_image, to_float
from pixperts.resize import bicubic, quantise


class Sample(NamedTuple):
    """One training sample of arbitrary-scale super-resolution; batched by stacking."""

    lr: Tensor  # (3, p, p) in [0, 1], 8-bit levels
    positions: Tensor  # (Q, 2) int64, row and column in the sample's own output
    size: Tensor  # (2,) int64, output height and width
    target: Tensor  # (Q, 3) in [0, 1]


def load_photos(
    folders: Sequence[Path], exclude: Sequence[str] = (), min_side: int = 128
) -> list[Tensor]:
    """Every photo of some folders as uint8 (3, H, W); grey and alpha become RGB.

    Args:
        folders: searched recursively, in order, sorted by name.
        exclude: file names to leave out (test pictures, samples).
        min_side: smaller pictures are left out.

    Raises:
        DataError: if a folder is missing or nothing is left.
    """
    photos = []
    if not folders:
        raise DataError("the configuration names no folder of training photos ('photos').")
    for folder in folders:
        if not folder.is_dir():
            raise DataError(f"{folder}: there is no such folder of training photos.")
        for path in list_images(folder, recursive=True):
            if path.name in exclude:
                continue
            pixels = read_image(path).pixels
            if pixels.dtype != np.uint8:
                pixels = from_float(to_float(pixels), np.uint8)
            rgb = pixels[..., :3] if pixels.shape[2] >= 3 else pixels[..., :1].repeat(3, axis=2)
            if min(rgb.shape[:2]) >= min_side:
                photos.append(torch.from_numpy(rgb).permute(2, 0, 1).contiguous())
    if not photos:
        raise DataError(f"{', '.join(map(str, folders))}: no photo to train on was found.")
    return photos


def describe_photos(photos: Sequence[Tensor]) -> str:
    """Number and area of photos (3, H, W).

    Example:
        >>> describe_photos([torch.zeros(3, 1000, 1500)])
        '1 training photos, 2 megapixels'
    """
    megapixels = sum(photo.shape[1] * photo.shape[2] for photo in photos) / 1e6
    return f"{len(photos)} training photos, {megapixels:.0f} megapixels"


class ArbitraryScale(Dataset[Sample]):
    """Patches at a random continuous scale with random pixel queries, as LIIF samples them.

    A scale is drawn uniformly, an HR crop of round(patch * scale) is cut, flipped and turned,
    shrunk to `patch` by antialiased bicubic and rounded to 8 bit; `queries` of its pixels are
    the targets (arXiv 2012.09161, section 4.1).
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
        """One line on what there is to learn from."""
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
        lr = quantise(bicubic(crop, (self.patch, self.patch))) if side != self.patch else crop
        chosen = torch.from_numpy(random.permutation(side * side)[: self.queries])
        if len(chosen) < self.queries:
            extra = random.integers(side * side, size=self.queries - len(chosen))
            chosen = torch.cat([chosen, torch.from_numpy(extra)])
        target = crop.reshape(3, -1)[:, chosen].t()  # (Q, 3)
        positions = torch.stack([chosen // side, chosen % side], dim=1)
        return Sample(lr, positions, torch.tensor([side, side]), target)
