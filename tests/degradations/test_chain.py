"""The way of a photo: each part by itself, often absent, and the same for a seed."""

import dataclasses

import pytest
import torch
from torch import Tensor

from pixperts.degradations.blur import gaussian_blur
from pixperts.degradations.camera import camera_noise, jpeg
from pixperts.degradations.chain import PhotoChain, draw_chain, reduced
from pixperts.errors import UsageError
from pixperts.ops.resize import bicubic, quantize


def scene(side: int = 48) -> Tensor:
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    waves = [torch.sin(x / (2.0 + c) + y / (3.0 + c)) for c in range(3)]
    return 0.5 + 0.4 * torch.stack(waves)


def test_without_parts_it_is_the_reduction_of_the_papers() -> None:
    expected = quantize(bicubic(scene(), (16, 16)))
    assert (PhotoChain().apply(scene(), (16, 16), 0) - expected).abs().max() < 1.5 / 255


@pytest.mark.parametrize(
    "part",
    [
        {"blur": 0.5},
        {"kernel": "bilinear"},
        {"kernel": "area"},
        {"shot_noise": 0.01},
        {"read_noise": 0.02, "noise_size": 0.5},
        {"jpegs": ((30, "4:2:0"),)},
    ],
)
def test_each_part_changes_the_picture_and_leaves_8_bit(part: dict[str, object]) -> None:
    plain = PhotoChain().apply(scene(), (24, 24), 3)
    result = dataclasses.replace(PhotoChain(), **part).apply(scene(), (24, 24), 3)  # type: ignore[arg-type]
    assert result.shape == (3, 24, 24)
    assert (result - plain).abs().max() > 2 / 255
    assert torch.allclose(result * 255, (result * 255).round(), atol=1e-4)


def test_the_seed_decides_about_the_noise_alone() -> None:
    noisy = PhotoChain(read_noise=0.05)
    first, again, other = (noisy.apply(scene(), (24, 24), seed) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    blurred = PhotoChain(blur=0.5, jpegs=((80, "4:4:4"),))
    assert torch.equal(blurred.apply(scene(), (24, 24), 1), blurred.apply(scene(), (24, 24), 2))


def test_parts_are_as_often_as_documented_and_within_their_ranges() -> None:
    chains = [draw_chain(seed) for seed in range(2000)]
    share = {
        "blur": sum(chain.blur > 0 for chain in chains) / 2000,
        "noise": sum(chain.read_noise > 0 for chain in chains) / 2000,
        "jpeg": sum(bool(chain.jpegs) for chain in chains) / 2000,
        "double": sum(len(chain.jpegs) == 2 for chain in chains) / 2000,
        "nothing": sum(dataclasses.replace(c, kernel="bicubic") == PhotoChain() for c in chains)
        / 2000,
    }
    expected = {"blur": 0.22, "noise": 0.22, "jpeg": 0.79, "double": 0.12, "nothing": 0.17}
    for name, value in expected.items():
        assert abs(share[name] - value) < 0.03, name
    qualities = {quality for chain in chains for quality, _ in chain.jpegs}
    assert (min(qualities), max(qualities)) == (30, 100)
    assert {chroma for chain in chains for _, chroma in chain.jpegs} == {"4:2:0", "4:4:4"}
    assert all(chain.blur == 0 or 0.2 <= chain.blur <= 0.8 for chain in chains)


def test_noise_in_linear_light_has_its_variance_and_correlates() -> None:
    grey = torch.full((3, 200, 200), 0.7354)  # half of the light
    white = camera_noise(grey, shot_noise=1e-4, read_noise=0.0, size=0.0, seed=0)
    slope = 1.055 / 2.4 * 0.5 ** (1 / 2.4 - 1)  # of the sRGB curve there
    assert float(white.std()) == pytest.approx(slope * (1e-4 * 0.5) ** 0.5, rel=0.03)
    coarse = camera_noise(grey, shot_noise=1e-4, read_noise=0.0, size=0.8, seed=0) - grey
    assert float(coarse.std()) == pytest.approx(float(white.std()), rel=0.05)
    correlation = (coarse[..., 1:] * coarse[..., :-1]).mean() / coarse.square().mean()
    assert float(correlation) == pytest.approx(2.718 ** (-1 / (4 * 0.64)), abs=0.03)


def test_gaussian_blur_keeps_the_mean_and_spreads_by_sigma() -> None:
    dot = torch.zeros(3, 21, 21)
    dot[:, 10, 10] = 1
    spread = gaussian_blur(dot, sigma=1.5)[0]
    assert float(spread.sum()) == pytest.approx(1, abs=1e-5)
    offsets = torch.arange(21) - 10.0
    assert float((spread.sum(0) * offsets.square()).sum()) == pytest.approx(1.5**2, rel=0.05)
    assert torch.equal(gaussian_blur(dot, sigma=0), dot)


def test_full_color_planes_lose_less() -> None:
    errors = [
        float((jpeg(scene(), quality=80, chroma=chroma) - scene()).square().mean())
        for chroma in ("4:2:0", "4:4:4")
    ]
    assert errors[1] < errors[0]
    with pytest.raises(UsageError, match="chroma is '4:1:1'"):
        jpeg(scene(), quality=80, chroma="4:1:1")  # type: ignore[arg-type]


def test_area_is_the_mean_of_what_a_pixel_covers() -> None:
    image = torch.arange(12.0).reshape(1, 2, 6).expand(3, 2, 6) / 12
    assert reduced(image, (1, 3), "area")[0].mul(12).tolist() == [[3.5, 5.5, 7.5]]
