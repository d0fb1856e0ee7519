"""Pairs are read as pixels, and BMP as its own reader does."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from pixperts.data.layouts import read_denoise, read_haze, read_rain
from pixperts.data.pairs import Pair, match_folders, read_pair
from pixperts.degradations.tasks import degrade
from pixperts.errors import ImageError
from pixperts.io.image import write_image
from tests.helpers.pair_files import path_of, put, put_bmp, refusal
from tests.helpers.places import BENCH


def test_a_pair_is_two_uint8_pictures_channels_first(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (2, 5, 7, 3), np.uint8)
    write_image(tmp_path / "lq.png", pixels[0])
    write_image(tmp_path / "hq.tif", pixels[1])
    degraded, clean = read_pair(Pair(tmp_path / "hq.tif", tmp_path / "lq.png", "rain"))
    assert degraded is not None
    for found, expected in ((degraded, pixels[0]), (clean, pixels[1])):
        assert found.dtype == torch.uint8
        assert found.is_contiguous()
        assert np.array_equal(found.numpy(), expected.transpose(2, 0, 1))


def test_a_clean_photo_alone_feeds_its_degradation(tmp_path: Path) -> None:
    put(tmp_path, "a.png", width=16, height=16)
    pair = read_denoise(tmp_path)[1]
    degraded, clean = read_pair(pair)
    assert degraded is None
    noisy = degrade(clean.float() / 255, pair.task, seed=0)
    assert 10 < float((noisy - clean / 255).std()) * 255 < 40  # level 25, clipped perhaps


def test_grey_becomes_three_channels_and_16_bit_the_nearest_level(tmp_path: Path) -> None:
    """65535 = 255 * 257, so level v lies at 257 v and 128 more still belongs to it."""
    codes = np.array([[[0], [257 * 100 - 128], [257 * 100 + 128], [65535]]], np.uint16)
    write_image(tmp_path / "deep.png", codes)
    clean = read_pair(Pair(tmp_path / "deep.png", None, "rain"))[1]
    assert clean.dtype == torch.uint8
    assert clean.tolist() == [[[0, 100, 100, 255]]] * 3


@pytest.mark.parametrize("bands", [2, 4])
def test_alpha_is_refused(tmp_path: Path, bands: int) -> None:
    put(tmp_path, "a.png", bands=bands)
    expected = f"{tmp_path}/a.png has an alpha channel: convert it to gray or RGB without alpha."
    assert refusal(lambda: read_pair(Pair(tmp_path / "a.png", None, "rain"))) == expected


def test_sizes_are_compared_again(tmp_path: Path) -> None:
    put(tmp_path, "lq.png")
    put(tmp_path, "hq.png", height=5)
    pair = Pair(tmp_path / "hq.png", tmp_path / "lq.png", "rain")
    assert refusal(lambda: read_pair(pair)) == (
        f"{tmp_path}/lq.png of 6x4 pixels does not fit {tmp_path}/hq.png of 6x5: "
        "put the right pictures there."
    )


def test_the_frame_of_reside_is_cut_off_and_nothing_else(tmp_path: Path) -> None:
    inner = np.random.default_rng(2).integers(0, 255, (8, 9, 3), np.uint8)
    framed = np.pad(inner, ((10, 10), (10, 10), (0, 0)), constant_values=255)
    write_image(tmp_path / "hazy" / "1_1_0.9.png", inner)
    write_image(tmp_path / "clear" / "1.png", framed)
    pair = read_haze(tmp_path)[0]
    degraded, clean = read_pair(pair)
    assert degraded is not None
    assert torch.equal(clean, degraded)
    other = Pair(pair.clean, pair.degraded, "rain")
    assert "9x8 pixels does not fit" in refusal(lambda: read_pair(other))
    write_image(tmp_path / "clear" / "1.png", framed[:-1])
    message = refusal(lambda: read_haze(tmp_path))
    assert re.search(r"1 unequal in size \(\S+/1_1_0\.9\.png 9x8, clean 29x27\)", message)


@pytest.mark.parametrize("top_first", [False, True])
@pytest.mark.parametrize("width", [1, 4, 5])
def test_bmp_pixels(tmp_path: Path, width: int, top_first: bool) -> None:
    """Rows are padded to four bytes and stored from the bottom unless the height is negative."""
    pixels = np.random.default_rng(3).integers(0, 256, (3, width, 3), np.uint8)
    put_bmp(tmp_path / "a.bmp", pixels, top_first=top_first)
    write_image(tmp_path / "clean" / "a.png", pixels)
    put_bmp(tmp_path / "lq" / "a.bmp", pixels, top_first=top_first)
    degraded, clean = read_pair(match_folders(tmp_path / "lq", tmp_path / "clean")[0])
    assert degraded is not None
    assert torch.equal(degraded, clean)
    assert np.array_equal(clean.numpy(), pixels.transpose(2, 0, 1))


def test_bmp_as_another_program_writes_it(tmp_path: Path) -> None:
    from PIL import Image

    pixels = np.random.default_rng(4).integers(0, 256, (6, 7, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.bmp")
    clean = read_pair(read_denoise(tmp_path)[0])[1]
    assert np.array_equal(clean.numpy(), pixels.transpose(2, 0, 1))


def test_bmp_of_other_kinds_or_cut_short_is_refused(tmp_path: Path) -> None:
    pixels = np.zeros((3, 4, 3), np.uint8)
    put_bmp(tmp_path / "deep.bmp", pixels, bits=32)
    put_bmp(tmp_path / "short.bmp", pixels)
    put_bmp(tmp_path / "head.bmp", pixels)
    for name, kept in (("short.bmp", -1), ("head.bmp", 20)):
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:kept])
    message = refusal(lambda: read_denoise(tmp_path))
    assert "3 unreadable" in message
    for name in ("deep.bmp", "short.bmp", "head.bmp"):
        with pytest.raises(ImageError, match="cut short or no plain 24-bit BMP: convert it"):
            read_pair(Pair(tmp_path / name, None, "noise15"))


def test_a_missing_picture_is_an_image_error(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="does not exist"):
        read_pair(Pair(tmp_path / "gone.png", None, "rain"))


@pytest.mark.parametrize(("folder", "read"), [("derain", read_rain), ("dehaze", read_haze)])
def test_published_benchmark_pairs_are_read(
    folder: str, read: Callable[[Path], list[Pair]]
) -> None:
    root = BENCH / "pairs" / folder
    if not root.is_dir():
        pytest.skip("needs the benchmark pairs of the shared data folder")
    pairs = read(root)
    assert len(pairs) == 2
    for pair in pairs:
        degraded, clean = read_pair(pair)
        assert degraded is not None
        assert pair.degraded is not None
        assert path_of(pair.degraded).stem.split("_")[0] == path_of(pair.clean).stem
        assert degraded.shape == clean.shape
        assert not torch.equal(degraded, clean)
