import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pixperts.degradations.weather import haze, rain, snow, synthetic_depth


def photo() -> Tensor:
    return torch.from_numpy(np.random.default_rng(0).random((3, 40, 48), dtype=np.float32))


def test_haze_between_its_limits() -> None:
    clean, depth = photo(), torch.ones(40, 48)
    torch.testing.assert_close(haze(clean, beta=0, airlight=0.9, depth=depth), clean)
    thick = haze(clean, beta=60, airlight=0.9, depth=depth)
    torch.testing.assert_close(thick, torch.full_like(clean, 0.9))
    # beta d = ln 4: a quarter of the scene, three quarters of the airlight.
    mixed = haze(clean, beta=math.log(4), airlight=0.8, depth=depth)
    torch.testing.assert_close(mixed, 0.25 * clean + 0.6)


def test_haze_twice_is_haze_of_twice_the_depth() -> None:
    depth = torch.from_numpy(synthetic_depth(40, 48, seed=1))
    once = haze(photo(), beta=0.7, airlight=0.8, depth=depth)
    twice = haze(once, beta=0.7, airlight=0.8, depth=depth)
    torch.testing.assert_close(twice, haze(photo(), beta=0.7, airlight=0.8, depth=2 * depth))
    assert torch.equal(once, haze(photo(), beta=0.7, airlight=0.8, seed=1))


def test_synthetic_depth_is_a_smooth_view() -> None:
    for seed in range(10):
        depth = synthetic_depth(60, 80, seed=seed)
        assert depth.shape == (60, 80)
        assert depth.min() > 0
        assert depth.max() <= 1
        assert depth[:10].mean() > depth[-10:].mean() + 0.05
        assert max(np.abs(np.diff(depth, axis=axis)).max() for axis in (0, 1)) < 0.05
        finer = synthetic_depth(120, 160, seed=seed).reshape(60, 2, 80, 2).mean((1, 3))
        np.testing.assert_allclose(depth, finer, atol=2e-3)


def streaks(**changes: float) -> Tensor:
    settings: dict[str, Any] = {
        "density": 2e-3,
        "length": 20.0,
        "angle": 0.0,
        "width": 1.5,
        "strength": 0.4,
    }
    return rain(torch.zeros(3, 160, 160), seed=6, **(settings | changes))


def test_rain_is_one_layer_on_any_scene() -> None:
    clean = photo()
    settings: dict[str, Any] = {"density": 0.02, "length": 12.0, "strength": 0.6}
    layer = rain(torch.zeros_like(clean), seed=2, **settings)
    assert torch.equal(layer[0], layer[2])
    assert layer.max() > 0.3
    added = rain(clean, seed=2, **settings)
    torch.testing.assert_close(added, (clean + layer).clamp(max=1))
    screened = rain(clean, seed=2, blend="screen", **settings)
    torch.testing.assert_close(screened, 1 - (1 - clean) * (1 - layer), atol=1e-6, rtol=0)


def test_rain_grows_with_each_parameter() -> None:
    base = streaks().mean().item()
    assert streaks(strength=0.2).mean().item() == pytest.approx(base / 2, rel=0.01)
    for name, value in (("density", 4e-3), ("length", 40.0), ("width", 3.0)):
        assert streaks(**{name: value}).mean().item() == pytest.approx(2 * base, rel=0.2)
    # Drops per pixel x length x width x mean brightness (0.6 of the strength) x mean of the
    # parabola (2/3): 2e-3 * 20 * 1.5 * 0.24 * 0.667 = 0.0096, the round ends aside.
    assert base == pytest.approx(0.0096, rel=0.25)
    for name in ("density", "strength"):
        assert streaks(**{name: 0.0}).max() == 0


@pytest.mark.parametrize(("angle", "step"), [(0, (6, 0)), (45, (5, 5)), (-45, (5, -5))])
def test_rain_falls_along_its_angle(angle: float, step: tuple[int, int]) -> None:
    layer = streaks(angle=float(angle))[0]

    def likeness(down: int, right: int) -> float:
        return (layer * layer.roll((down, right), (0, 1))).mean().item()

    along = likeness(*step)
    across = max(likeness(-step[1], step[0]), likeness(step[1], -step[0]))
    assert along > 4 * across


def test_snow_is_one_mask_on_any_scene() -> None:
    clean = photo()
    mask = snow(torch.zeros_like(clean), seed=2, density=0.02, opacity=0.7)
    assert torch.equal(mask[0], mask[1])
    assert 0.6 < mask.max() < 1
    snowy = snow(clean, seed=2, density=0.02, opacity=0.7)
    torch.testing.assert_close(snowy, mask + clean * (1 - mask), atol=1e-6, rtol=0)
    assert torch.equal(snow(torch.ones(3, 9, 9), seed=0), torch.ones(3, 9, 9))
    assert torch.equal(snow(clean, seed=2, density=0), clean)


def test_flakes_cover_their_area() -> None:
    # Few flakes: mean = density * sum of share * pi * r^2 * mean opacity (0.75 of the largest).
    # E[r^2] = 1.03 size^2 for 0.7 to 1.3 sizes; shares 0.7, 0.25 and 0.05 at sizes 1, 2 and 4 give
    # 2.5; soft edges and the drawn-out fall add to it.
    mask = snow(torch.zeros(3, 300, 300), seed=3, density=1e-3, size=3, opacity=0.4)
    expected = 1e-3 * math.pi * 9 * 1.03 * 2.5 * 0.3
    assert expected < mask.mean().item() < 1.8 * expected


def test_a_slanting_fall_cuts_nothing_off() -> None:
    upright, slanted = (
        snow(torch.zeros(3, 300, 300), seed=3, density=5e-4, size=4, angle=angle)
        for angle in (0, 60)
    )
    assert slanted.mean().item() == pytest.approx(upright.mean().item(), rel=0.03)
    lean = streaks(angle=60.0, length=30.0).mean().item()
    assert lean == pytest.approx(streaks(length=30.0).mean().item(), rel=0.15)
