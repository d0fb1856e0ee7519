import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from pixperts.degradations.tasks import degrade
from pixperts.errors import DataError, UsageError
from pixperts.evaluation import metrics
from pixperts.evaluation.restoration import (
    RestorationSet,
    evaluate_restoration,
    format_restoration,
    restoration_json_lines,
)
from pixperts.inference.restorer import Restorer
from pixperts.io.image import write_image
from tests.helpers.moce_models import moce_ir

SIZES = ((40, 56), (64, 48))  # height and width of the photos


def pixels(number: int) -> np.ndarray:
    """A photo's stand-in: smooth, with edges, (H, W, 3)."""
    height, width = SIZES[number]
    rows, columns = np.mgrid[:height, :width]
    wave = 120 + 60 * np.sin(rows / 7 + number) + 50 * (columns // 12 % 2)
    return np.stack([wave, wave * 0.8, 250 - wave], axis=2).astype(np.uint8)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for number in range(len(SIZES)):
        write_image(folder / f"{number}.png", pixels(number))
    return folder


@pytest.fixture(scope="module")
def restorer() -> Restorer:
    return Restorer.load("moce-ir-tiny", device="cpu")


@pytest.mark.slow
def test_scores_are_means_over_what_a_user_gets(photos: Path, restorer: Restorer) -> None:
    (score,) = evaluate_restoration(restorer, [RestorationSet.synthetic(photos, "rain", seed=5)])
    marks, before, similar = [], [], []
    for number in range(2):
        clean = torch.from_numpy(pixels(number)).permute(2, 0, 1).float() / 255  # (3, H, W)
        spoilt = degrade(clean, "rain", 5 + number)
        restored = restorer.restore(spoilt)
        marks.append(metrics.psnr(restored, clean, "rgb"))
        before.append(metrics.psnr(spoilt, clean, "rgb"))
        similar.append(metrics.ssim(restored, clean, "rgb"))
    assert score.psnr == pytest.approx(sum(marks) / 2, abs=1e-6)
    assert score.degraded_psnr == pytest.approx(sum(before) / 2, abs=1e-6)
    assert score.ssim == pytest.approx(sum(similar) / 2, abs=1e-6)
    assert (score.images, score.task, score.origin) == (2, "rain", "synthetic, seeds from 5")


def test_experts_are_counted_and_the_unused_do_not_act(photos: Path, restorer: Restorer) -> None:
    data = RestorationSet.synthetic(photos, "noise25")
    (score,) = evaluate_restoration(restorer, [data])
    counts = torch.zeros(len(score.experts), 4)
    for pair in data.pairs:
        _, routings = restorer.restore_with_routing(pair()[0])
        for block, routing in enumerate(routings):
            counts[block, routing.experts[0, 0]] += 1
    assert score.experts == (counts / 2).tolist()
    experts = [
        sum(parameter.numel() for parameter in expert.parameters())
        for block in moce_ir(restorer.model).decoder_blocks
        for expert in block.adapter.experts
    ]
    assert score.parameters - sum(experts) < score.active_parameters < score.parameters
    assert 0 < score.skipped < 1


def test_folders_may_be_named_by_text(photos: Path, restorer: Restorer) -> None:
    sets = [RestorationSet.synthetic(folder, "snow", limit=1) for folder in (photos, str(photos))]
    first, second = evaluate_restoration(restorer, sets)
    assert first.psnr == second.psnr
    assert sets[1].name == photos.name


def test_two_folders_of_files(tmp_path: Path, photos: Path, restorer: Restorer) -> None:
    for number in range(2):
        write_image(tmp_path / f"{number}.png", 255 - pixels(number))
    data = RestorationSet.of_files(str(tmp_path), str(photos))
    (score,) = evaluate_restoration(restorer, [data])
    assert (data.name, score.task) == (tmp_path.name, "pairs")
    errors = [np.mean((255 - 2.0 * pixels(number)) ** 2) for number in range(2)]
    expected = sum(10 * math.log10(255**2 / error) for error in errors) / 2
    assert score.degraded_psnr == pytest.approx(expected, abs=1e-4)
    assert score.origin == "files"


def test_nothing_is_gained_on_clean_pictures_and_json_says_so(
    photos: Path, restorer: Restorer
) -> None:
    scores = evaluate_restoration(restorer, [RestorationSet.synthetic(photos, "clean")])
    assert math.isinf(scores[0].degraded_psnr)
    assert json.loads(restoration_json_lines("m", "d", scores))["degraded_psnr"] is None
    row = format_restoration("m", "d", scores).splitlines()[4]
    assert [cell.strip() for cell in row.split("|")][5] == "-"


def test_the_middle_is_cut_to_a_multiple(photos: Path, restorer: Restorer) -> None:
    data = RestorationSet.synthetic(photos, "haze")
    seen: list[None] = []
    (score,) = evaluate_restoration(restorer, [data], crop=16, progress=lambda: seen.append(None))
    marks = []
    for pair in data.pairs:
        spoilt, clean = pair()
        top = (clean.shape[1] % 16) // 2
        left = (clean.shape[2] % 16) // 2
        rows = slice(top, top + clean.shape[1] // 16 * 16)
        columns = slice(left, left + clean.shape[2] // 16 * 16)
        restored = restorer.restore(spoilt[:, rows, columns].contiguous())
        marks.append(metrics.psnr(restored, clean[:, rows, columns], "rgb"))
    assert score.psnr == pytest.approx(sum(marks) / 2, abs=1e-6)
    assert len(seen) == 2
    assert "sides cut to multiples of 16" in format_restoration("m", "d", [score])


@pytest.mark.parametrize(
    ("crop", "error", "said"),
    [
        (0, UsageError, "crop is 0, but must be at least 1."),
        (64, DataError, "A picture of 56x40 pixels is smaller than crop 64."),
    ],
)
def test_bad_crops_are_refused(
    photos: Path, restorer: Restorer, crop: int, error: type[Exception], said: str
) -> None:
    with pytest.raises(error) as caught:
        evaluate_restoration(restorer, [RestorationSet.synthetic(photos, "rain")], crop=crop)
    assert str(caught.value) == said


def test_an_unknown_task_is_named(photos: Path) -> None:
    with pytest.raises(UsageError, match="There is no degradation 'fog': choose from noise15, "):
        RestorationSet.synthetic(photos, "fog")
