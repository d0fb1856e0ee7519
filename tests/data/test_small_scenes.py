"""Training samples of moce-isr-light: small pictures fit their photos, seeds repeat."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import default_collate

from pixperts.data.small_scenes import SmallScenes
from pixperts.models.moce_ir_light.tone import to_light

TASKS = {"mixture": 1.0, "clean": 1.0, "drawn": 1.0, "screen": 1.0, "rain": 1.0}


def photos() -> list[Tensor]:
    random = np.random.default_rng(0)
    coarse = torch.from_numpy(random.integers(0, 256, (2, 3, 20, 24))).float()
    large = F.interpolate(coarse, size=(160, 192), mode="bicubic").clamp(0, 255).byte()
    small = F.interpolate(coarse, size=(80, 96), mode="bicubic").clamp(0, 255).byte()
    return [large[0], large[1], small[0]]


def scenes(tasks: dict[str, float] | None = None, **changes: object) -> SmallScenes:
    options = {"tasks": tasks or TASKS, "side": 48, "batch": 4, "largest": 3.0} | changes
    return SmallScenes(photos(), **options)  # type: ignore[arg-type]


def test_a_number_gives_the_same_sample() -> None:
    data, other = scenes(dark=0.5, seed=3), scenes(dark=0.5, seed=4)
    for number in range(12):
        for one, two in zip(data[number], data[number], strict=True):
            assert torch.equal(one, two)
    assert any(not torch.equal(data[n].degraded, other[n].degraded) for n in range(8))


def test_samples_of_a_batch_have_one_factor() -> None:
    data = scenes()
    sides = []
    for first in range(0, 80, 4):
        batch = default_collate([data[first + number] for number in range(4)])
        assert batch.degraded.shape == (4, 3, 48, 48)
        assert batch.degraded.dtype == batch.photo.dtype == torch.uint8
        sides.append(batch.photo.shape[2])
    assert min(sides) >= 48
    assert max(sides) <= 144
    assert sides.count(96) >= 4  # a whole factor
    assert len(set(sides)) > 4


def test_a_clean_small_picture_is_the_photo_reduced() -> None:
    data = scenes({"clean": 1.0})
    for number in range(24):
        sample = data[number]
        small, photo = sample.degraded.float(), sample.photo.float()
        reduced = F.interpolate(photo[None], size=(48, 48), mode="area")[0]
        assert float((small - reduced).abs().mean()) < 8
        assert float(sample.exposure) == 1.0


def test_dark_pictures_have_their_share_of_the_light() -> None:
    data = scenes({"clean": 1.0}, dark=1.0, largest=1.0)
    for number in range(6):
        sample = data[number]
        small, photo = (to_light(x.float() / 255) for x in (sample.degraded, sample.photo))
        exposure = float(sample.exposure)
        assert 0.05 <= exposure < 1
        assert float(small.mean() / photo.mean()) == pytest.approx(exposure, rel=0.05)


def test_no_fault_of_light_is_drawn() -> None:
    """Haze would be seen in the mean; the photo has no haze to compare with."""
    data = scenes({"mixture": 1.0})
    for number in range(40):
        sample = data[number]
        change = sample.degraded.float().mean() - sample.photo.float().mean()
        assert abs(float(change)) < 25
