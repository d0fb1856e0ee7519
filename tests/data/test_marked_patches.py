"""Samples of the stage for dust and scratches: marks where they say, and nothing else differs."""

import numpy as np
import torch
from torch import Tensor

from pixperts.data.marked_patches import VISIBLE, MarkedPatches


def photos() -> list[Tensor]:
    random = np.random.default_rng(0)
    coarse = torch.from_numpy(random.integers(0, 256, (2, 3, 20, 24))).float()
    large = torch.nn.functional.interpolate(coarse, size=(160, 192), mode="bicubic")
    return list(large.clamp(0, 255).byte())


def test_half_of_the_patches_have_marks_where_they_say() -> None:
    data = MarkedPatches(photos(), side=64, reduction=2, density=60, seed=1)
    samples = [data[number] for number in range(80)]
    marked, apart = 0, 0
    for sample in samples:
        assert sample.degraded.shape == sample.target.shape == (3, 64, 64)
        assert sample.marks.shape == (1, 64, 64)
        assert sample.marks.max() <= 1
        difference = (sample.degraded.float() - sample.target.float()).abs().amax(dim=0)
        if not sample.marks.any():
            continue  # see below
        marked += 1
        covered = sample.marks[0] > 0
        # Compression may spread a mark over its block; most of the difference is where it is.
        assert float(difference[covered].mean()) > 3 * float(difference[~covered].mean())
        apart += float(difference[covered].mean()) > 255 * VISIBLE
    assert 20 <= marked <= 60
    assert apart > 0.8 * marked


def test_patches_without_marks_are_their_own_target() -> None:
    data = MarkedPatches(photos(), side=64, density=60, seed=2)
    samples = [data[number] for number in range(60)]
    plain = [s for s in samples if not s.marks.any()]
    assert 15 <= len(plain) <= 50
    # A mark may be too faint to be seen.
    assert all((s.degraded.int() - s.target.int()).abs().max() < 12 for s in plain)
    assert len({s.degraded.float().mean().item() for s in plain}) == len(plain)


def test_a_number_gives_the_same_sample() -> None:
    one, two = (MarkedPatches(photos(), side=64, seed=seed) for seed in (1, 2))
    for number in range(5):
        for a, b in zip(one[number], one[number], strict=True):
            assert torch.equal(a, b)
    assert any(not torch.equal(one[n].target, two[n].target) for n in range(5))


def test_a_density_gives_more_marks() -> None:
    few, many = (
        [
            MarkedPatches(photos(), side=64, density=d, seed=3)[n].marks.float().mean()
            for n in range(60)
        ]
        for d in (1, 20)
    )
    assert sum(many) > 2 * sum(few) > 0
