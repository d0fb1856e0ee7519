import math

import pytest
import torch
from torch import Tensor

from pixperts.degradations.camera import jpeg
from pixperts.degradations.noise import grain
from pixperts.degradations.tasks import degrade, draw_parameters
from pixperts.errors import UsageError


def added(*, sigma: float = 20, size: float = 1.0, color: float = 0.5, seed: int = 0) -> Tensor:
    """What grain adds to mid gray, in 8-bit units, (3, 256, 256)."""
    gray = torch.full((3, 256, 256), 0.5)
    return (grain(gray, sigma=sigma, size=size, color=color, seed=seed) - 0.5) * 255


def correlation(one: Tensor, other: Tensor) -> float:
    return ((one * other).mean() / (one.std() * other.std())).item()


@pytest.mark.parametrize("size", [0.0, 0.4, 1.0, 2.5])
@pytest.mark.parametrize("color", [0.0, 0.3, 1.0])
def test_the_spread_is_sigma_whatever_the_size(size: float, color: float) -> None:
    noise = added(size=size, color=color)
    # Blots are fewer than pixels: of 4 pi size^2 pixels each, where they are larger than one.
    blots = 256**2 / max(1, 4 * math.pi * size**2)
    assert abs(noise.mean()) < 4 * 20 / math.sqrt(blots)
    assert noise.std().item() == pytest.approx(20, rel=4 / math.sqrt(2 * blots))


def test_twice_the_sigma_is_the_same_grain_twice_as_strong() -> None:
    torch.testing.assert_close(added(sigma=10) * 2, added(sigma=20), atol=1e-4, rtol=0)


@pytest.mark.parametrize("distance", [1, 2, 4])
def test_pixels_correlate_as_documented(distance: int) -> None:
    noise = added(size=1.5, color=1.0)
    expected = math.exp(-(distance**2) / (4 * 1.5**2))
    across = correlation(noise[:, :, distance:], noise[:, :, :-distance])
    down = correlation(noise[:, distance:], noise[:, :-distance])
    assert across == pytest.approx(expected, abs=0.05)
    assert down == pytest.approx(expected, abs=0.05)


def test_without_size_it_is_white() -> None:
    noise = added(size=0.0, color=1.0)
    assert abs(correlation(noise[:, :, 1:], noise[:, :, :-1])) < 0.01


@pytest.mark.parametrize("color", [0.0, 0.25, 1.0])
def test_channels_correlate_as_documented(color: float) -> None:
    noise = added(size=0.0, color=color)
    for one, other in ((0, 1), (1, 2), (0, 2)):
        assert correlation(noise[one], noise[other]) == pytest.approx(1 - color, abs=0.02)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"sigma": -1.0}, "sigma is -1.0: it must be 0 to 255."),
        ({"size": 11.0}, "size is 11.0: it must be 0 to 10."),
        ({"color": math.nan}, "color is nan: it must be 0 to 1."),
        ({"seed": -1}, "seed is -1: give an integer of 0 or more."),
    ],
)
def test_arguments_out_of_range_are_named(wrong: dict[str, float], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        added(**wrong)  # type: ignore[arg-type]
    assert str(caught.value) == said


def test_grain_is_compressed_after_it_came() -> None:
    clean = torch.linspace(0.2, 0.8, 3 * 32 * 32).reshape(3, 32, 32)
    drawn = draw_parameters("grain_jpeg", 3)
    assert list(drawn) == ["grain", "jpeg"]
    first = grain(clean, seed=3, **drawn["grain"])
    assert torch.equal(
        degrade(clean, "grain_jpeg", 3), jpeg(first, quality=round(drawn["jpeg"]["quality"]))
    )
