"""Samples of the tone head: faults of light as they say, other faults gone from the second view."""

import numpy as np
import torch
from torch import Tensor

from pixperts.data.tone_scenes import ToneScenes


def photos() -> list[Tensor]:
    random = np.random.default_rng(0)
    coarse = torch.from_numpy(random.integers(0, 256, (2, 3, 20, 24))).float()
    large = torch.nn.functional.interpolate(coarse, size=(160, 192), mode="bicubic")
    return list(large.clamp(0, 255).byte())


def test_faults_are_what_the_views_show() -> None:
    data = ToneScenes(photos(), side=48, seed=1)
    samples = [data[number] for number in range(80)]
    kinds = torch.stack([sample.faults for sample in samples])
    assert 0.2 < float(kinds[:, 0].mean()) < 0.65
    assert 0.1 < float(kinds[:, 1].mean()) < 0.45
    for sample in samples:
        assert sample.degraded.shape == sample.plain.shape == sample.target.shape == (3, 48, 48)
        dark, hazy = sample.faults.tolist()
        if not dark and not hazy:
            assert torch.equal(sample.plain, sample.target)
        elif not hazy:
            assert float(sample.plain.float().mean()) < float(sample.target.float().mean())
        elif not dark:
            assert float(sample.plain.float().std()) < float(sample.target.float().std())
    clean = [s for s in samples if torch.equal(s.degraded, s.plain)]
    assert 0 < len(clean) < 60


def test_a_number_gives_the_same_sample() -> None:
    one, two = ToneScenes(photos(), side=48, seed=1), ToneScenes(photos(), side=48, seed=2)
    for a, b in zip(one[5], one[5], strict=True):
        assert torch.equal(a, b)
    assert any(not torch.equal(one[n].target, two[n].target) for n in range(5))


def test_varied_views_have_other_colors_and_good_ones_are_sometimes_drawn() -> None:
    plain = ToneScenes(photos(), side=48, seed=1)
    varied = ToneScenes(photos(), side=48, seed=1, variety=1.0)
    drawn, spread = 0, torch.zeros(2)
    for number in range(80):
        pair = plain[number], varied[number]
        spread += torch.stack([one.target.float().mean(dim=(1, 2)).std() for one in pair])
        levels = pair[1].target.flatten(1).unique(dim=1).shape[1]
        drawn += levels < 200 and not pair[1].faults.any()  # a photo has thousands of colors
    assert spread[1] > 1.3 * spread[0]  # between the three colors of a view
    assert 2 <= drawn < 30
    for a, b in zip(varied[5], varied[5], strict=True):
        assert torch.equal(a, b)
