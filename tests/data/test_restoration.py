"""Training samples of restoration: what is drawn, how often, and what belongs together."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pixperts.data.layouts import TASK_SETS, read_task_set
from pixperts.data.pairs import Pair, match_folders
from pixperts.data.restoration import FilePairs, SyntheticPairs, cut_and_turn, degraded_or_clean
from pixperts.degradations.tasks import degrade
from pixperts.degradations.weather import Frame, haze
from pixperts.errors import DataError
from pixperts.io.image import write_image
from tests.helpers.pair_files import WRITERS


def photo(height: int = 40, width: int = 50, seed: int = 0) -> Tensor:
    noise = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (3, height, width), generator=noise, dtype=torch.uint8)


def same(first: tuple[Tensor, ...], second: tuple[Tensor, ...]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


# ---------------------------------------------------------------- cutting and turning


def all_turns(square: Tensor) -> list[Tensor]:
    return [torch.rot90(s, k, (1, 2)) for s in (square, square.flip(2)) for k in range(4)]


@pytest.mark.slow
def test_both_pictures_are_cut_and_turned_alike() -> None:
    first = photo(30, 41)
    random = np.random.Generator(np.random.PCG64(0))
    turns, places = set(), set()
    for _ in range(300):
        (a, b), frame = cut_and_turn([first, 255 - first], 9, random)
        torch.testing.assert_close(b, 1 - a)
        assert a.shape == (3, 9, 9)
        assert a.is_contiguous()
        top, left, height, width = frame
        assert (height, width) == (30, 41)
        square = first[:, top : top + 9, left : left + 9].float() / 255
        turns.add([torch.equal(a, turned) for turned in all_turns(square)].index(True))
        places.add((top, left))
    assert turns == set(range(8))
    assert {top for top, _ in places} == set(range(22))
    assert {left for _, left in places} == set(range(33))


def test_a_patch_as_large_as_the_photo_is_the_photo() -> None:
    random = np.random.Generator(np.random.PCG64(0))
    (square,), frame = cut_and_turn([photo(8, 8)], 8, random)
    assert any(torch.equal(square, turned) for turned in all_turns(photo(8, 8).float() / 255))
    assert frame == Frame(0, 0, 8, 8)


# ---------------------------------------------------------------- haze of a crop


@pytest.mark.parametrize(("top", "left"), [(0, 0), (7, 11), (28, 34)])
def test_haze_of_a_crop_is_the_crop_of_the_haze(top: int, left: int) -> None:
    whole = photo().float() / 255
    crop = whole[:, top : top + 12, left : left + 16]
    frame = Frame(top, left, 40, 50)
    settings: dict[str, Any] = {"beta": 1.4, "airlight": 0.9, "seed": 3}
    expected = haze(whole, **settings)[:, top : top + 12, left : left + 16]
    torch.testing.assert_close(haze(crop, frame=frame, **settings), expected, atol=1e-6, rtol=0)
    assert (haze(crop, **settings) - expected).abs().max() > 0.01  # alone it sees a whole view
    for task in ("haze", "low_haze"):
        rounded = degrade(crop, "haze", 3, frame=frame)
        full = degrade(whole, "haze", 3)[:, top : top + 12, left : left + 16]
        assert (rounded - full).abs().max() <= 1.001 / 255, task


def test_training_patches_of_haze_see_one_distance() -> None:
    """In a small patch of a large black photo the haze is nearly one gray, not a whole view."""
    black = [torch.zeros(3, 256, 256, dtype=torch.uint8)]
    samples = SyntheticPairs(black, tasks={"haze": 1.0}, patch=8, seed=1)
    spreads = [float(samples[i].degraded.amax() - samples[i].degraded.amin()) for i in range(40)]
    assert max(spreads) < 0.06
    views = [degrade(torch.zeros(3, 8, 8), "haze", seed) for seed in range(40)]
    assert min(float(view.amax() - view.amin()) for view in views) > 0.06
    assert len({round(float(samples[i].degraded.mean()), 2) for i in range(40)}) > 10


@pytest.mark.slow
def test_reduced_patches_show_more_of_the_photo_and_of_its_depth() -> None:
    """On a ramp of gray, a patch's own range tells by how much its photo was reduced."""
    ramp = torch.arange(256).to(torch.uint8).expand(3, 256, 256).contiguous()
    plain = SyntheticPairs([ramp], tasks={"clean": 1}, patch=32, seed=2)
    wide = SyntheticPairs([ramp], tasks={"clean": 1}, patch=32, reduction=8, seed=2)
    factors = []
    for number in range(60):
        clean = wide[number].clean
        assert clean.shape == (3, 32, 32)
        levels = clean * 255
        assert (levels - levels.round()).abs().max() < 1e-4
        slope = max(float(clean[0].diff(dim=axis).abs().median()) for axis in (0, 1))
        factors.append(255 * slope)
        assert 255 * float(plain[number].clean[0].diff(dim=0).abs().amax()) <= 1.001
    assert 15 <= sum(factor < 1.01 for factor in factors) <= 45  # half of the patches stay as is
    assert max(factors) > 4
    black = [torch.zeros(3, 256, 256, dtype=torch.uint8)]
    hazy = SyntheticPairs(black, tasks={"haze": 1}, patch=8, reduction=32, seed=1)
    spreads = [float(hazy[i].degraded.amax() - hazy[i].degraded.amin()) for i in range(40)]
    assert min(spreads) > 0.06  # a wide view, where a small patch sees one distance


# ---------------------------------------------------------------- synthetic pairs


@pytest.mark.slow
def test_a_sample_depends_on_seed_and_number_alone() -> None:
    photos = [photo(seed=0), photo(seed=1)]
    tasks = {"noise25": 1, "rain": 2.0, "low_haze_snow": 0.5, "clean": 1}
    samples = SyntheticPairs(photos, tasks=tasks, patch=16, seed=4)
    first = [samples[number] for number in range(12)]
    torch.manual_seed(99)
    for number in (11, 3, 0, 7):
        assert same(samples[number], first[number])
    again = SyntheticPairs(photos, tasks=tasks, patch=16, seed=4)
    assert all(same(again[number], first[number]) for number in range(12))
    other = SyntheticPairs(photos, tasks=tasks, patch=16, seed=5)
    assert not any(torch.equal(other[i].clean, first[i].clean) for i in range(12))
    assert not torch.equal(first[0].clean, first[1].clean)
    for sample in first:
        assert sample.degraded.shape == sample.clean.shape == (3, 16, 16)
        name = list(tasks)[int(sample.task)]
        assert torch.equal(sample.degraded, sample.clean) == (name == "clean")
        assert 0 <= sample.degraded.min() <= sample.degraded.max() <= 1
        levels = sample.degraded * 255
        assert (levels - levels.round()).abs().max() < 1e-4


def test_tasks_are_drawn_by_their_weights() -> None:
    tasks = {"noise15": 1, "clean": 6, "noise50": 2.0, "jpeg": 1}
    samples = SyntheticPairs([photo()], tasks=tasks, patch=4, seed=0)
    counts = np.bincount([int(samples[number].task) for number in range(500)], minlength=4)
    # Four standard deviations of a share of 0.6 in 500 draws are 0.09.
    np.testing.assert_allclose(counts / 500, [0.1, 0.6, 0.2, 0.1], atol=0.09)
    assert (counts > 20).all()


def test_the_task_of_a_sample_is_what_was_done_to_it() -> None:
    grey = [torch.full((3, 64, 64), 128, dtype=torch.uint8)]
    samples = SyntheticPairs(grey, tasks={"noise15": 1, "noise50": 1}, patch=64)
    for number in range(10):
        sample = samples[number]
        sigma = 255 * float((sample.degraded - sample.clean).std())
        assert sigma == pytest.approx((15, 50)[int(sample.task)], rel=0.1)


def test_clean_is_left_as_it_is() -> None:
    image = photo().float() / 255
    assert degraded_or_clean(image, "clean", 3) is image
    assert torch.equal(degraded_or_clean(image, "rain", 3), degrade(image, "rain", 3))


# ---------------------------------------------------------------- pairs of files


def test_file_pairs_stay_together(tmp_path: Path) -> None:
    """The degraded files are the clean ones at half the brightness: so is every patch."""
    for name in "abc":
        clean = photo(20, 26, seed=ord(name)) // 2 * 2
        for half, pixels in (("gt", clean), ("lq", clean // 2)):
            write_image(tmp_path / half / f"{name}.png", pixels.permute(1, 2, 0).numpy())
    pairs = match_folders(tmp_path / "lq", tmp_path / "gt")
    samples = FilePairs(pairs, tasks=("pair",), patch=12, seed=2)
    assert samples.describe() == "3 training pairs, 3 of them different"
    first = [samples[number] for number in range(20)]
    for sample in first:
        assert sample.clean.shape == (3, 12, 12)
        torch.testing.assert_close(sample.degraded, sample.clean / 2)
        assert int(sample.task) == 0
    assert all(same(samples[number], first[number]) for number in range(20))
    assert len({float(sample.clean.sum()) for sample in first}) == 20


def test_a_pair_without_a_degraded_file_is_degraded_by_its_task(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    write_image(path, np.full((64, 64, 3), 128, np.uint8))
    tasks = ("noise15", "noise50")
    samples = FilePairs([Pair(path, None, task) for task in tasks], tasks=tasks, patch=48)
    seen = set()
    for number in range(12):
        sample = samples[number]
        sigma = 255 * float((sample.degraded - sample.clean).std())
        assert sigma == pytest.approx((15, 50)[int(sample.task)], rel=0.1)
        seen.add(int(sample.task))
    assert seen == {0, 1}
    assert samples.describe() == "2 training pairs, 2 of them different"


def test_a_pair_smaller_than_the_patch_is_named(tmp_path: Path) -> None:
    write_image(tmp_path / "small.png", np.zeros((9, 31, 3), np.uint8))
    samples = FilePairs([Pair(tmp_path / "small.png", None, "rain")], tasks=("rain",), patch=10)
    with pytest.raises(
        DataError, match=r"small\.png of 31x9 pixels is smaller than the patch of 10"
    ):
        samples[0]


@pytest.mark.parametrize("name", ["aio3", "aio5", "cdd11"])
def test_every_published_set_gives_samples_of_all_its_tasks(tmp_path: Path, name: str) -> None:
    for layout, write in WRITERS.items():
        write(tmp_path / layout)
    pairs = read_task_set(name, {layout: tmp_path / layout for layout in WRITERS})
    tasks = TASK_SETS[name]
    samples = FilePairs(pairs, tasks=tasks, patch=4)
    wanted = {pair.task: pair for pair in pairs}
    assert set(wanted) == set(tasks)
    for task, pair in wanted.items():
        sample = FilePairs([pair], tasks=tasks, patch=4)[0]
        assert tasks[int(sample.task)] == task
    for number in range(5):
        assert samples[number].degraded.shape == (3, 4, 4)
