"""Cached patches: what a chunk holds, what a sample is cut from, what coming chunks change."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from pixperts.data import patch_cache, patch_writing
from pixperts.data.patch_cache import BETWEEN, CYCLE, CachedPatches, claim, kind_of, list_chunks
from pixperts.data.patch_writing import ChunkMaker
from pixperts.data.photos import load_photos
from pixperts.errors import DataError
from pixperts.ops.resize import bicubic
from tests.helpers.training_runs import make_photos


def smooth(lr: Tensor, side: int) -> Tensor:
    """A teacher whose answer at x3 holds what it was asked in the middle of each 3x3."""
    return torch.nn.functional.interpolate(lr, size=(side, side), mode="bilinear")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> ChunkMaker:
    """Chunks of eight patches of 32 LR pixels."""
    photos = load_photos([make_photos(tmp_path_factory.mktemp("photos"))])
    return ChunkMaker(photos, smooth, seed=3)


@pytest.fixture(autouse=True)
def sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (patch_cache, patch_writing):
        monkeypatch.setattr(module, "PATCHES", 8)
        monkeypatch.setattr(module, "SIDE", 32)


@pytest.fixture
def cache(small: ChunkMaker, tmp_path: Path) -> Path:
    for number in range(len(CYCLE)):
        small.write(tmp_path / "cache", number)
    return tmp_path / "cache"


def samples(folder: Path, numbers: range, **options: int) -> list[patch_cache.Patches]:
    settings = {"batch": 4, "side": 16, "seed": 0} | options
    patches = CachedPatches(folder, **settings)
    return [patches[number] for number in numbers]


def same(first: list[patch_cache.Patches], second: list[patch_cache.Patches]) -> bool:
    pairs = [pair for a, b in zip(first, second, strict=True) for pair in zip(a, b, strict=True)]
    return all(torch.equal(a, b) for a, b in pairs)


def test_a_chunk_is_a_function_of_seed_and_number(small: ChunkMaker) -> None:
    for number in (0, CYCLE.index(BETWEEN)):
        again = zip(small.make(number), small.make(number), strict=True)
        assert all(np.array_equal(a, b) for a, b in again)
    other = ChunkMaker(small.photos, smooth, seed=4)
    assert not np.array_equal(small.make(0)[0], other.make(0)[0])


def test_lr_is_the_reduced_photo_and_the_teacher_sees_it(small: ChunkMaker) -> None:
    lr, photo, taught = small.make(2)
    assert (lr.shape, photo.shape) == ((8, 32, 32, 3), (8, 96, 96, 3))
    expected = bicubic(torch.from_numpy(photo).permute(0, 3, 1, 2).float(), (32, 32))
    assert (torch.from_numpy(lr).permute(0, 3, 1, 2) - expected).abs().max() <= 0.51
    assert np.array_equal(taught[:, 1::3, 1::3], lr)


def test_degraded_patches_are_taught_by_the_clean_ones(small: ChunkMaker) -> None:
    maker = ChunkMaker(small.photos, smooth, seed=3, degraded=True)
    lr, photo, taught = maker.make(2)
    clean = bicubic(torch.from_numpy(photo).permute(0, 3, 1, 2).float(), (32, 32))
    asked = torch.from_numpy(taught[:, 1::3, 1::3]).permute(0, 3, 1, 2)
    assert (asked - clean).abs().max() <= 0.51
    assert np.abs(lr.astype(int) - taught[:, 1::3, 1::3]).max() > 5


def test_scales_between_are_sixteenths(small: ChunkMaker) -> None:
    numbers = [n for n in range(80) if kind_of(n) == BETWEEN]
    sides = {small.make(number)[1].shape[1] for number in numbers}
    assert len(sides) > 3
    assert all(32 < side < 128 and side not in (64, 96) for side in sides)


def test_a_sample_depends_on_its_number_alone(cache: Path) -> None:
    whole = samples(cache, range(40))
    patches = CachedPatches(cache, batch=4, side=16)
    copied = pickle.loads(pickle.dumps(patches))
    order = np.random.default_rng(0).permutation(40)
    assert same([whole[n] for n in order], [copied[int(n)] for n in order])
    assert not same(whole, samples(cache, range(40), seed=1))


def test_a_step_has_one_scale_and_all_scales_come(cache: Path) -> None:
    found = samples(cache, range(400))
    sides = [sample.photo.shape[1] for sample in found]
    assert all(len(set(sides[step : step + 4])) == 1 for step in range(0, 400, 4))
    share = {side: sides.count(side) / 400 for side in set(sides)}
    assert len(share) == 4
    assert abs(share[32] - 0.40) < 0.15
    assert all(sample.lr.shape == (3, 16, 16) for sample in found)


def test_parts_of_a_sample_show_the_same_place(cache: Path) -> None:
    """Turned and cut alike at whole scales and between: reduced, the photo is the LR patch."""
    for sample in samples(cache, range(0, 160, 4)):
        large = sample.photo.shape[1]
        reduced = bicubic(sample.photo.float(), (16, 16))
        inner = (sample.lr.float() - reduced)[:, 3:-3, 3:-3]
        assert inner.abs().max() < 3, large
        answer = smooth(sample.lr[None].float(), large)[0]
        inner = (sample.taught.float() - answer)[:, 4:-4, 4:-4]
        assert inner.abs().max() < 0.51, large


@pytest.mark.slow
def test_chunks_that_come_take_part_from_the_next_stretch_on(
    cache: Path, small: ChunkMaker
) -> None:
    before = samples(cache, range(400))
    patches = CachedPatches(cache, batch=4, side=16, stretch=200)
    begun = [patches[number] for number in range(100)]
    for number in range(len(CYCLE), 3 * len(CYCLE)):
        small.write(cache, number)
    begun += [patches[number] for number in range(100, 200)]
    assert same(begun, before[:200])
    assert not same([patches[number] for number in range(200, 400)], before[200:])


def test_chunks_that_go_are_read_to_the_end_of_the_stretch(cache: Path) -> None:
    before = samples(cache, range(100))
    patches = CachedPatches(cache, batch=4, side=16)
    first = patches[0]
    for path in list_chunks(cache).values():
        path.unlink()
    assert same([first, *[patches[number] for number in range(1, 100)]], before)


def test_an_unfinished_cache_is_named(cache: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no chunk of scale 2 yet"):
        CachedPatches(tmp_path / "absent", batch=4, side=16)
    patch_cache.chunk_path(cache, CYCLE.index(BETWEEN)).unlink()
    with pytest.raises(DataError, match=r"of a scale between whole ones yet: let scripts/cache"):
        CachedPatches(cache, batch=4, side=16)


@pytest.mark.parametrize("side", [0, 24, 48])
def test_sides_that_do_not_fit_the_grid_are_refused(cache: Path, side: int) -> None:
    with pytest.raises(DataError, match=f"patch is {side}, but must be a multiple of 16 up to 32"):
        CachedPatches(cache, batch=4, side=side)


def test_a_damaged_chunk_is_named(cache: Path) -> None:
    path = patch_cache.chunk_path(cache, 3)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(DataError, match=r"chunk-000003\.npy: this chunk is damaged"):
        CachedPatches(cache, batch=4, side=16)
    np.save(path, np.zeros(3))
    with pytest.raises(DataError, match=r"chunk-000003\.npy: this is not a chunk"):
        CachedPatches(cache, batch=4, side=16)


def test_a_cache_of_other_settings_is_not_continued(tmp_path: Path) -> None:
    claim(tmp_path, {"seed": 1})
    claim(tmp_path, {"seed": 1})
    with pytest.raises(DataError, match=r"made with \{'seed': 1\}, not \{'seed': 2\}"):
        claim(tmp_path, {"seed": 2})


def test_photos_that_are_too_small_are_named(small: ChunkMaker) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(patch_writing, "SIDE", 64)
        with pytest.raises(DataError, match="sides of 256 pixels, which patches of scale 4 need"):
            small.make(CYCLE.index(4))
