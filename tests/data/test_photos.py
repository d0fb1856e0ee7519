"""Photos as they are read while training: kept when decoded, the same in workers, or refused."""

import multiprocessing
import pickle
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader

from pixperts.data.packing import pack_photos
from pixperts.data.photos import PhotoSource, load_photos
from pixperts.data.super_resolution import ArbitraryScale
from pixperts.errors import DataError, ImageError
from pixperts.io.image import read_image, write_image
from tests.helpers.packing_files import pixels, put_photos, same


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return put_photos(tmp_path / "photos")


def test_decoded_photos_are_kept_up_to_the_limit(photos: Path) -> None:
    source = load_photos([photos], min_side=1, limit=200 * 200 * 3 + 150 * 200 * 3)
    for _ in range(2):
        for photo in source:
            assert photo.dtype == torch.uint8
            assert source._bytes == sum(kept.numel() for kept in source._kept.values())
            assert source._bytes <= source.limit
    assert source[2] is source[2]
    last = source[-1]
    for place in range(5):
        _ = source[place]
    assert source[-1] is not last
    assert torch.equal(source[-1], last)
    none = load_photos([photos], min_side=1, limit=0)
    assert none[0] is not none[0]
    with pytest.raises(IndexError):
        none[8]


def test_a_pickled_source_starts_empty(photos: Path) -> None:
    source = load_photos([photos])
    first = source[0]
    again = pickle.loads(pickle.dumps(source))
    assert isinstance(again, PhotoSource)
    assert (again._bytes, len(again._kept)) == (0, 0)
    assert torch.equal(again[0], first)


def test_workers_give_the_samples_of_a_single_process(photos: Path, tmp_path: Path) -> None:
    """After a fork, with photos decoded before it: libvips' threads would hang there."""
    if "fork" not in multiprocessing.get_all_start_methods():
        pytest.skip("this system cannot fork")
    pack_photos([photos], tmp_path / "pack")
    data = ArbitraryScale(load_photos([photos, tmp_path / "pack"]), patch=16, queries=9, seed=2)
    expected = [data[number] for number in range(12)]
    assert read_image(photos / "b.png").pixels.shape == (150, 200, 3)  # with threads
    fresh = ArbitraryScale(load_photos([photos, tmp_path / "pack"]), patch=16, queries=9, seed=2)
    loader = DataLoader(
        fresh, batch_size=6, sampler=range(12), num_workers=1, multiprocessing_context="fork",
        timeout=30,
    )  # fmt: skip
    found = [row for batch in loader for row in zip(*batch, strict=True)]
    assert all(same(a, b) for a, b in zip(expected, found, strict=True))


def test_a_photo_that_changes_is_refused(photos: Path) -> None:
    source = load_photos([photos])
    write_image(photos / "a.png", pixels(200, 130, 1))
    with pytest.raises(DataError, match=r"a\.png has 130x200 pixels, but had 130x140"):
        source[0]


def test_a_photo_cut_short_is_refused_when_it_is_used(photos: Path) -> None:
    data = (photos / "b.png").read_bytes()
    (photos / "b.png").write_bytes(data[: len(data) // 2])
    source = load_photos([photos])
    with pytest.raises(ImageError, match=r"b\.png cannot be decoded as PNG"):
        list(source)
    (photos / "b.png").write_bytes(b"nothing")
    with pytest.raises(ImageError, match=r"b\.png holds no JPEG"):
        load_photos([photos])
