"""Patches of one factor a batch: they fit their photos, seeds repeat."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import default_collate

from pixperts.data.factor_patches import FactorPatches
from pixperts.errors import DataError
from pixperts.ops.resize import bicubic, quantize


def photos(side: int = 160) -> list[Tensor]:
    coarse = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 3, 20, 24))).float()
    large = F.interpolate(coarse, size=(side, side + 20), mode="bicubic")
    return list(large.clamp(0, 255).byte())


@pytest.mark.parametrize("degraded", [False, True])
def test_batches_of_one_factor(degraded: bool) -> None:
    data = FactorPatches(photos(), side=32, batch=4, degraded=degraded, seed=1)
    sides = []
    for first in range(0, 160, 4):
        samples = [data[first + number] for number in range(4)]
        batch = default_collate(samples)
        assert batch.lr.shape == (4, 3, 32, 32)
        assert batch.lr.dtype == batch.photo.dtype == torch.uint8
        assert torch.equal(batch.photo, batch.taught)
        sides.append(batch.photo.shape[2])
        for small, photo in zip(batch.lr, batch.photo, strict=True):
            reduced = 255 * quantize(bicubic(photo.float() / 255, (32, 32)))
            change = float((small.float() - reduced).abs().mean())
            assert change < (60 if degraded else 1e-3)
        assert torch.equal(data[first].lr, samples[0].lr)
    assert all(32 < side <= 128 for side in sides)
    between = [side for side in sides if side % 32]
    assert 2 <= len(between) <= 16
    assert sides.count(64) > sides.count(96) > 0


def test_some_patches_stay_clean() -> None:
    data = FactorPatches(photos(), side=32, batch=4, degraded=True, clean=1.0)
    found = data[3]
    reduced = quantize(bicubic(found.photo.float() / 255, (32, 32)))
    assert torch.equal(found.lr, (255 * reduced).round().to(torch.uint8))


def test_photos_must_hold_the_largest_square() -> None:
    with pytest.raises(DataError, match="no photo has sides of 256 pixels"):
        FactorPatches(photos(), side=64, batch=1)


def test_soft_photos_were_enlarged() -> None:
    """Neighboring pixels of them differ by less."""
    plain, soft = (
        FactorPatches(photos(320), side=32, batch=4, soft=share, seed=2) for share in (0.0, 1.0)
    )

    def fine(data: FactorPatches) -> float:
        found = [data[number].photo.float() for number in range(0, 40, 4)]
        return sum(float((one[:, :, 1:] - one[:, :, :-1]).abs().mean()) for one in found)

    assert plain[0].photo.shape == soft[0].photo.shape
    assert fine(soft) < 0.9 * fine(plain)
