"""Training samples: the same for the same number, targets from the picture, LR from the crop."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pixperts.data.photos import load_photos
from pixperts.data.super_resolution import ArbitraryScale
from pixperts.errors import DataError
from pixperts.io.image import write_image
from pixperts.ops.resize import bicubic, quantize
from pixperts.training.distributed import FromStep, Layout


def photos() -> list[torch.Tensor]:
    """Two photos in which every pixel has its own color."""
    torch.manual_seed(0)
    places = torch.arange(60 * 70).view(60, 70)
    unique = torch.stack([places % 256, places // 256, places * 7 % 256]).to(torch.uint8)
    return [unique, torch.randint(0, 256, (3, 64, 50), dtype=torch.uint8)]


def samples(**options: object) -> ArbitraryScale:
    settings: dict[str, object] = {"patch": 12, "queries": 40, "seed": 5}
    return ArbitraryScale(photos(), **settings | options)  # type: ignore[arg-type]


def test_a_number_gives_the_same_sample_whatever_came_before() -> None:
    first, second = samples(), samples()
    expected = first[7]
    for number in (3, 0, 7):
        again = second[number]
    assert all(torch.equal(a, b) for a, b in zip(expected, again, strict=True))


def test_another_number_or_seed_gives_another_sample() -> None:
    assert not torch.equal(samples()[0].lr, samples()[1].lr)
    assert not torch.equal(samples()[0].lr, samples(seed=6)[0].lr)


@pytest.mark.parametrize("number", range(6))
def test_shapes_ranges_and_levels(number: int) -> None:
    lr, positions, size, target = samples()[number]
    assert lr.shape == (3, 12, 12)
    assert positions.shape == (40, 2)
    assert target.shape == (40, 3)
    assert 12 <= size[0] == size[1] <= 48
    assert positions.min() >= 0
    assert (positions < size).all()
    assert len({tuple(p) for p in positions.tolist()}) == 40  # no pixel twice
    for values in (lr, target):
        assert torch.equal((values * 255).round() / 255, values)
        assert values.min() >= 0
        assert values.max() <= 1


@pytest.mark.parametrize("number", range(12))
def test_targets_are_the_pixels_of_a_crop_whose_bicubic_is_the_lr(number: int) -> None:
    """With every pixel asked for, the crop can be put together and found in the photo."""
    lr, positions, size, target = samples(queries=48 * 48)[number]
    side = int(size[0])
    crop = torch.full((3, side, side), torch.nan)
    crop[:, positions[:, 0], positions[:, 1]] = target.t()
    assert crop.isfinite().all()
    expected = crop if side == 12 else quantize(bicubic(crop, (12, 12)))
    torch.testing.assert_close(lr, expected, atol=1e-6, rtol=0)
    assert any(is_a_crop(crop, photo) for photo in photos())


def is_a_crop(crop: torch.Tensor, photo: torch.Tensor) -> bool:
    """Whether the crop, turned or mirrored in one of eight ways, lies somewhere in the photo."""
    side = crop.shape[1]
    windows = (photo.float() / 255).unfold(1, side, 1).unfold(2, side, 1)  # (3, y, x, side, side)
    for turned in (torch.rot90(crop, k, (1, 2)) for k in range(4)):
        for view in (turned, turned.flip(2)):
            if (windows == view[:, None, None]).all(-1).all(-1).all(0).any():
                return True
    return False


def test_crops_are_turned_and_mirrored_in_all_eight_ways() -> None:
    ways = set()
    ramp = torch.arange(16 * 16, dtype=torch.uint8).view(1, 16, 16).expand(3, 16, 16)
    data = ArbitraryScale([ramp], patch=16, queries=1, scales=(1.0, 1.0))
    for number in range(100):
        lr = (data[number].lr[0] * 255).round().int()
        ways.add((int(lr[0, 0]), int(lr[0, -1])))
    assert len(ways) == 8


def test_scales_are_spread_over_their_range() -> None:
    data = samples(queries=1)
    sides = [int(data[i].size[0]) for i in range(200)]
    assert min(sides) < 15
    assert max(sides) > 44
    assert 26 < np.mean(sides) < 34


def test_a_small_photo_limits_the_scale() -> None:
    data = ArbitraryScale([torch.zeros(3, 20, 31, dtype=torch.uint8)], patch=12, queries=500)
    for number in range(20):
        sample = data[number]
        assert 12 <= sample.size[0] <= 20
        assert len(sample.positions) == 500  # more than there are pixels: some come twice


def test_sample_numbers_go_on_from_the_step() -> None:
    step = 0
    sampler = FromStep(lambda: step, 3, Layout(4))
    assert list(sampler) == list(range(12))
    step = 3
    assert list(sampler) == list(range(12, 24))
    assert len(sampler) == 12


def test_photos_are_read_in_order_and_as_rgb(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (9, 8, 3), dtype=np.uint8)
    (tmp_path / "sub").mkdir()
    Image.fromarray(rgb).save(tmp_path / "b.png")
    Image.fromarray(rgb[..., 0]).save(tmp_path / "a.png")
    Image.fromarray(np.dstack([rgb, rgb[..., :1]])).save(tmp_path / "sub" / "c.png")
    write_image(tmp_path / "d.png", rgb.astype(np.uint16) * 257)
    write_image(tmp_path / "e.tif", rgb.astype(np.float32) / 255)
    Image.fromarray(rgb).save(tmp_path / "left-out.png")
    Image.fromarray(rgb[:4]).save(tmp_path / "small.png")
    found = load_photos([tmp_path], exclude=["left-out.png"], min_side=8)
    assert len(found) == 5
    expected = torch.from_numpy(rgb).permute(2, 0, 1)
    assert all(photo.dtype == torch.uint8 for photo in found)
    grey = [photo for photo in found if torch.equal(photo, expected[:1].expand(3, -1, -1))]
    assert len(grey) == 1
    assert sum(torch.equal(photo, expected) for photo in found) == 4


def test_missing_photos_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent.*no such folder"):
        load_photos([tmp_path / "absent"])
    with pytest.raises(DataError, match="no photo"):
        load_photos([tmp_path])
