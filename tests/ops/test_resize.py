import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from pixperts.errors import UsageError
from pixperts.ops.resize import bicubic, low_resolution_size, quantize

SIZES = [
    ((40, 60), (20, 30)),
    ((40, 60), (13, 20)),
    ((17, 11), (51, 33)),
    ((17, 11), (23, 5)),
    ((24, 24), (24, 24)),
]


@pytest.mark.parametrize(("source", "size"), SIZES)
def test_equals_pillow_on_floats(source: tuple[int, int], size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(1).random(source, dtype=np.float32)
    theirs = np.asarray(Image.fromarray(pixels).resize(size[::-1], Image.Resampling.BICUBIC))
    ours = bicubic(torch.tensor(pixels)[None], size)[0].numpy()
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize(("source", "size"), SIZES)
def test_equals_pillow_on_8_bit_within_its_rounding(
    source: tuple[int, int], size: tuple[int, int]
) -> None:
    # Pillow rounds and clips to 8 bit between the two directions: hence a level of slack, and
    # a range from which the kernel cannot overshoot.
    pixels = np.random.default_rng(2).integers(64, 192, (*source, 3), dtype=np.uint8)
    theirs = np.asarray(Image.fromarray(pixels).resize(size[::-1], Image.Resampling.BICUBIC))
    image = torch.tensor(pixels).permute(2, 0, 1) / 255  # (C, H, W)
    levels = quantize(bicubic(image, size)).mul(255).round().permute(1, 2, 0).numpy()
    assert np.abs(levels - theirs.astype(np.float32)).max() <= 1


def test_enlarging_applies_the_kernel_of_a_half() -> None:
    def kernel(x: float) -> float:
        if x <= 1:
            return 1.5 * x**3 - 2.5 * x**2 + 1
        return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2

    row = torch.zeros(1, 1, 9, dtype=torch.float64)
    row[..., 4] = 1
    enlarged = bicubic(row, (1, 18))[0, 0, 5:9]
    assert enlarged.tolist() == pytest.approx([kernel(d) for d in (1.75, 1.25, 0.75, 0.25)])


def test_batch_and_single_agree_and_keep_dtype() -> None:
    batch = torch.rand(2, 3, 8, 9, dtype=torch.float64)
    resized = bicubic(batch, (5, 20))
    assert resized.shape == (2, 3, 5, 20)
    assert resized.dtype == torch.float64
    assert torch.equal(bicubic(batch[1], (5, 20)), resized[1])


def test_a_flat_picture_stays_flat() -> None:
    torch.testing.assert_close(
        bicubic(torch.full((1, 7, 9), 0.3), (20, 3)), torch.full((1, 20, 3), 0.3)
    )


def test_shrinking_does_not_alias() -> None:
    stripes = (torch.arange(64) % 2).float().expand(1, 64, 64)
    assert bicubic(stripes, (16, 16))[..., 2:-2].sub(0.5).abs().max() < 0.01


@pytest.mark.parametrize(
    "image",
    [
        torch.zeros(4, 4),
        torch.zeros(1, 4, 4, dtype=torch.uint8),
        torch.zeros(1, 0, 4),
        torch.zeros(1, 1, 1, 4, 4),
    ],
)
def test_refuses_what_is_no_picture(image: torch.Tensor) -> None:
    with pytest.raises(UsageError, match="floating-point tensor"):
        bicubic(image, (2, 2))


def test_refuses_an_empty_size() -> None:
    with pytest.raises(UsageError, match="at least one pixel"):
        bicubic(torch.zeros(1, 4, 4), (0, 3))


def test_quantize_rounds_half_up_and_keeps_8_bit_values() -> None:
    steps = torch.arange(256) / 255
    assert torch.equal(quantize(steps), steps)
    halves = (torch.arange(255, dtype=torch.float64) + 0.5) / 255
    assert quantize(halves).mul(255).round().tolist() == list(range(1, 256))
    assert quantize(torch.tensor([-1.0, 2.0])).tolist() == [0.0, 1.0]


def test_quantize_refuses_no_levels() -> None:
    with pytest.raises(UsageError, match="levels"):
        quantize(torch.zeros(1), levels=0)


@settings(deadline=None)
@given(st.integers(1, 4000), st.integers(10, 120))
@example(33, 11)  # 33 / 1.1 = 29.999999999999996
def test_low_resolution_size_fits(length: int, tenths: int) -> None:
    scale = tenths / 10
    small, part = low_resolution_size(length, scale)
    assert small == length * 10 // tenths
    assert part <= length < (small + 1) * scale + 1e-6
    assert abs(part - small * scale) <= 0.5 + 1e-6


@pytest.mark.parametrize("scale", [0.5, 0.0, -2.0, float("inf"), float("nan")])
def test_low_resolution_size_refuses_scales(scale: float) -> None:
    with pytest.raises(UsageError, match="scale must be"):
        low_resolution_size(10, scale)
