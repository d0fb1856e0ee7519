"""Cases of repair: good pictures are equal to their targets, others are not, seeds repeat."""

import pytest
import torch
from torch import Tensor

from pixperts.errors import UsageError
from pixperts.evaluation.metrics import psnr
from pixperts.evaluation.repair_cases import (
    DARK_CASES,
    FAULTS,
    SAVED,
    UNTOUCHED,
    repair_pair,
    small_pair,
)


def photo() -> Tensor:
    random = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 3, 8, 9, generator=random)
    large = torch.nn.functional.interpolate(coarse, size=(96, 112), mode="bicubic")
    return (large[0].clamp(0, 1) * 255).round() / 255


@pytest.mark.parametrize("case", UNTOUCHED)
def test_good_pictures_are_their_own_targets(case: str) -> None:
    degraded, target = repair_pair(photo(), case, 3)
    assert torch.equal(degraded, target)
    assert target.shape == photo().shape
    assert torch.equal(target, photo()) == (case == "clean")


@pytest.mark.parametrize("case", [*FAULTS, *DARK_CASES, "rain", "grain_jpeg"])
def test_faults_are_seeded_and_the_photo_is_the_target(case: str) -> None:
    degraded, target = repair_pair(photo(), case, 3)
    assert torch.equal(target, photo())
    assert torch.equal(degraded, repair_pair(photo(), case, 3)[0])
    assert 3 < psnr(degraded, target, "rgb") < 45


@pytest.mark.parametrize("case", SAVED)
def test_saved_drawings_were_compressed(case: str) -> None:
    degraded, target = repair_pair(photo(), case, 3)
    assert torch.equal(target, repair_pair(photo(), case.partition("_")[0], 3)[0])
    assert 15 < psnr(degraded, target, "rgb") < 50


def test_there_are_twelve_kinds_of_darkness_each_darker_than_the_last() -> None:
    assert len(DARK_CASES) == 12
    levels = [
        float(repair_pair(photo(), f"dark{share}", 0)[0].mean()) for share in (0.3, 0.12, 0.05)
    ]
    assert levels == sorted(levels, reverse=True)


def test_hatching_is_black_on_white_at_its_period() -> None:
    image = repair_pair(photo(), "hatched90_4", 0)[0]
    assert image.unique().tolist() == [0, 1]
    assert torch.equal(image[:, :, 0], torch.zeros(3, 96))
    assert torch.equal(image[:, :, 4:8], image[:, :, :4])


def test_unknown_cases_are_refused() -> None:
    for case in (
        "fog",
        "dark",
        "hatched45",
        "dark2",
        "page_jpeg",
        "tree_jpeg85",
        "page_jpeg0",
        "page_jpeg101",
    ):
        with pytest.raises(UsageError, match=f"case is '{case}'"):
            repair_pair(photo(), case, 0)


def test_a_small_picture_is_reduced_before_its_faults() -> None:
    whole = photo()
    small, target = small_pair(whole, 2.5, "clean", 0)
    size = tuple(int(side / 2.5) for side in whole.shape[1:])
    assert small.shape[1:] == size
    assert target.shape[1:] == tuple(round(side * 2.5) for side in size)
    assert torch.equal(target, whole[:, : target.shape[1], : target.shape[2]])
    noisy, _ = small_pair(whole, 2.5, "noise25", 0)
    assert torch.equal(noisy, repair_pair(small, "noise25", 0)[0])
    assert torch.equal(small_pair(whole, 1, "clean", 0)[0], whole)
    for case in ("page", "hatched45_6", "page_jpeg85"):
        with pytest.raises(UsageError, match=f"{case} is drawn over a picture"):
            small_pair(whole, 2, case, 0)
