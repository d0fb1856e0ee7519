"""Pictures that get smaller: Lanczos instead of the network, the same however they are cut."""

import itertools

import numpy as np
import pytest
import pyvips
import torch
from PIL import Image

from pixperts.inference.reduction import ReducedSource
from pixperts.inference.streams import ArraySource
from pixperts.inference.upscaler import Upscaler
from tests.helpers.image_files import noise, smooth
from tests.helpers.tiny_models import picture, same, tiny, upscaler


@pytest.fixture(scope="module")
def network() -> Upscaler:
    return upscaler(tiny())


def detailed(height: int = 90, width: int = 120) -> np.ndarray:
    """Fine stripes and noise: what is not filtered comes out as moire."""
    stripes = (np.indices((height, width)).sum(0) % 2 * 120)[..., None].astype(np.uint8)
    grain = noise(3, height=height, width=width) // 8
    return np.asarray(smooth(3, height, width) // 2 + stripes // 2 + grain)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((a.astype(float) - b.astype(float)) ** 2)))


@pytest.mark.parametrize("size", [(60, 45), (40, 30), (47, 31), (119, 90), (7, 5), (1, 1)])
def test_what_shrinks_is_what_pillow_and_libvips_make_of_it(
    network: Upscaler, size: tuple[int, int]
) -> None:
    image = detailed()
    result = network.upscale(image, size=size)
    pillow = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))
    # Pillow rounds between the two axes, and clips there.
    assert np.abs(result.astype(int) - pillow).max() <= 2
    vips = pyvips.Image.new_from_array(image).resize(
        size[0] / 120, vscale=size[1] / 90, kernel="lanczos3", gap=0
    )
    if min(size) > 12:  # libvips repeats the border pixels, which is seen nearby
        inner = np.s_[4:-4, 4:-4]
        assert psnr(result[inner], vips.numpy()[inner]) > 45


def test_fine_stripes_leave_no_moire(network: Upscaler) -> None:
    stripes = (np.indices((60, 90)).sum(0) % 2 * 255)[..., None].repeat(3, 2).astype(np.uint8)
    result = network.upscale(stripes, size=(59, 39))[6:-6, 6:-6]
    assert np.ptp(result) < 70  # a filter that is too weak leaves nearly 255


def test_a_picture_of_the_same_size_stays_as_it_is(network: Upscaler) -> None:
    image = detailed()
    np.testing.assert_array_equal(network.upscale(image, size=(120, 90)), image)
    np.testing.assert_array_equal(network.upscale(image, scale=1), image)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
def test_kinds_and_channels_stay(network: Upscaler, channels: int, kind: type) -> None:
    image = noise(channels, kind)
    result, routing = network.upscale_with_routing(image, size=(20, 11))
    assert result.shape == (11, 20, channels)
    assert result.dtype == kind
    assert routing is None


def test_hidden_colors_do_not_bleed(network: Upscaler) -> None:
    image = np.zeros((40, 40, 4), np.uint8)
    image[:, :20] = (200, 100, 50, 255)
    image[:, 20:] = (0, 255, 0, 0)  # green that nobody sees
    result = network.upscale(image, size=(19, 19))
    seen = result[result[..., 3] > 8]
    np.testing.assert_allclose(seen[:, :3], [[200, 100, 50]] * len(seen), atol=1)


@pytest.mark.parametrize(("size", "kept"), [((13, 60), (13, 23)), ((60, 13), (37, 13))])
def test_one_side_smaller_one_larger(
    network: Upscaler, size: tuple[int, int], kept: tuple[int, int]
) -> None:
    image = picture(1, 3, 23, 37)
    result = network.upscale(image, size=size)
    reduced = ReducedSource(ArraySource(image), kept[::-1]).rows(0, kept[1])
    same(result, network.upscale(reduced, size=size))


@pytest.mark.parametrize("channels", [3, 4])
def test_rows_are_the_same_however_they_are_cut(channels: int) -> None:
    image = picture(2, channels, 61, 47)
    source = ReducedSource(ArraySource(image), (23, 31))
    whole = source.rows(0, 23)
    for cuts in ([0, 1, 2, 23], [0, 11, 12, 23], [0, 7, 14, 21, 23], [3, 9]):
        for top, bottom in itertools.pairwise(cuts):
            assert torch.equal(source.rows(top, bottom), whole[:, :, top:bottom])


def test_progress_ends_at_one_and_no_expert_works(network: Upscaler) -> None:
    seen: list[float] = []
    image = picture(1, 3, 900, 700)
    network.upscale(image, size=(350, 450), progress=seen.append)
    assert len(seen) > 1
    assert seen == sorted(seen)
    assert seen[-1] == 1
    assert network.multiply_adds(700, 900, 350, 450, None) == 0
    assert network.multiply_adds(700, 900, 701, 450, None) > 0
