import json
import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from pixperts.data.benchmarks import SuperResolutionSet
from pixperts.errors import DataError, MissingExtraError, ModelError, UsageError
from pixperts.evaluation import metrics
from pixperts.evaluation.upscaling import (
    Score,
    bicubic_upscaler,
    evaluate_upscaling,
    format_table,
    to_json_lines,
)
from pixperts.io.image import list_images
from pixperts.ops.resize import bicubic, quantize
from pixperts.routing import Routing
from tests.helpers.places import BENCH


def write(path: Path, height: int, width: int, seed: int = 0, mode: str = "RGB") -> Tensor:
    """Save a smooth random picture; return it as (C, H, W) in [0, 1]."""
    channels = len(mode) if mode != "L" else 1
    coarse = np.random.default_rng(seed).random((channels, 6, 6), dtype=np.float32)
    smooth = quantize(bicubic(torch.tensor(coarse), (height, width)))
    pixels = smooth.mul(255).round().to(torch.uint8).permute(1, 2, 0).numpy()  # (H, W, C)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels[..., 0] if mode == "L" else pixels).save(path)
    return smooth


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """Two pictures with LR at scale 2 that is brighter than what bicubic would make."""
    folder = tmp_path / "Tiny"
    for seed, name in enumerate(("a", "b")):
        hr = write(folder / "HR" / f"{name}.png", 41, 50, seed)
        lr = quantize(bicubic(hr[:, :40], (20, 25)) + 0.1)
        pixels = lr.mul(255).round().to(torch.uint8).permute(1, 2, 0).numpy()
        (folder / "LR_x2").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(folder / "LR_x2" / f"{name}.png")
    return folder


class Expert:
    """Bicubic that claims all of a wide picture for the cheap expert, of a tall one for the dear.

    It also notes what it was asked for.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[tuple[int, ...], tuple[int, int], float | None]] = []

    def upscale(
        self, image: Tensor, *, size: tuple[int, int], budget: float | None = None
    ) -> Tensor:
        raise AssertionError("the routing was not asked for")

    def upscale_with_routing(
        self, image: Tensor, *, size: tuple[int, int], budget: float | None = None
    ) -> tuple[Tensor, Routing]:
        self.calls.append((tuple(image.shape), size, budget))
        width, height = size
        number = 0 if width > height else 1
        experts = torch.full((1, height, width), number, dtype=torch.uint8)
        return bicubic(image, (height, width)), Routing(experts, costs=(0.25, 1.0))


class Constant:
    """An upscaler that answers with one value, or in a wrong size."""

    def __init__(self, value: float, extra: int = 0) -> None:
        self.value, self.extra = value, extra

    def upscale(
        self, image: Tensor, *, size: tuple[int, int], budget: float | None = None
    ) -> Tensor:
        return torch.full((3, size[1] + self.extra, size[0]), self.value)


def test_published_lr_is_read_and_hr_cropped(published: Path) -> None:
    dataset = SuperResolutionSet.open(published)
    assert (dataset.name, len(dataset), dataset.lr_source(2.0)) == ("Tiny", 2, "published")
    lr, hr = dataset.pair(0, 2)
    assert (lr.shape, hr.shape) == ((3, 20, 25), (3, 40, 50))
    whole = write(published / "again.png", 41, 50, seed=0)
    torch.testing.assert_close(hr, whole[:, :40])
    torch.testing.assert_close(lr, quantize(bicubic(whole[:, :40], (20, 25)) + 0.1))


@pytest.mark.parametrize(
    ("scale", "small", "part"), [(3, (13, 16), (39, 48)), (2.5, (16, 20), (40, 50))]
)
def test_missing_lr_is_made_by_bicubic(
    published: Path, scale: float, small: tuple[int, int], part: tuple[int, int]
) -> None:
    dataset = SuperResolutionSet.open(published)
    assert dataset.lr_source(scale) == "bicubic, antialiased, 8 bit"
    lr, hr = dataset.pair(1, scale)
    assert hr.shape == (3, *part)
    assert torch.equal(lr, quantize(bicubic(hr, small)))
    torch.testing.assert_close(lr * 255, (lr * 255).round())


def test_flat_folder_and_grey_pictures(tmp_path: Path) -> None:
    grey = write(tmp_path / "grey.png", 24, 30, mode="L")
    dataset = SuperResolutionSet.open(str(tmp_path))
    lr, hr = dataset.pair(0, 2)
    torch.testing.assert_close(hr, grey.expand(3, -1, -1))
    assert lr.shape == (3, 12, 15)


def test_16_bit_pictures_keep_their_depth(tmp_path: Path) -> None:
    ramp = np.arange(24 * 20, dtype=np.uint16).reshape(24, 20) * 100
    Image.fromarray(ramp).save(tmp_path / "deep.png")
    _, hr = SuperResolutionSet.open(tmp_path).pair(0, 2)
    np.testing.assert_allclose(hr[1].numpy() * 65535, ramp, atol=0.01)


def test_refuses_folders_without_pictures(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(DataError, match=r"holds no picture: name a folder of HR"):
        SuperResolutionSet.open(tmp_path)
    with pytest.raises(DataError, match=r"nowhere is not a folder"):
        SuperResolutionSet.open(tmp_path / "nowhere")


def test_refuses_missing_and_doubled_stems(published: Path) -> None:
    dataset = SuperResolutionSet.open(published)
    write(published / "LR_x2" / "c.png", 20, 25)
    with pytest.raises(DataError, match=r"do not pair up: 'c' \(one of 1\) exists only in LR"):
        evaluate_upscaling(bicubic_upscaler(), dataset, [3, 2])
    (published / "LR_x2" / "c.png").unlink()
    (published / "LR_x2" / "a.png").unlink()
    with pytest.raises(DataError, match=r"'a' .* exists only in HR"):
        dataset.check(2)
    write(published / "HR" / "b.tif", 41, 50)
    with pytest.raises(DataError, match="share a stem"):
        SuperResolutionSet.open(published)


def test_a_folder_is_listed_once_and_anew_for_each_check(
    published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, plain = SuperResolutionSet.open(published), list_images
    listed: list[Path] = []

    def note(folder: Path) -> list[Path]:
        listed.append(folder)
        return plain(folder)

    monkeypatch.setattr("pixperts.data.benchmarks.list_images", note)
    for number in (0, 1, 0):
        dataset.pair(number, 2)
    assert listed == [published / "LR_x2"]
    dataset.check(2)
    assert len(listed) == 2


@pytest.mark.parametrize(("height", "width"), [(21, 25), (20, 26), (10, 12)])
def test_refuses_lr_of_another_size(published: Path, height: int, width: int) -> None:
    write(published / "LR_x2" / "b.png", height, width)
    dataset = SuperResolutionSet.open(published)
    dataset.pair(0, 2)
    with pytest.raises(DataError, match=rf"b\.png of {width}x{height} pixels does not fit scale 2"):
        dataset.pair(1, 2)


def test_refuses_alpha_and_pictures_below_a_pixel(tmp_path: Path) -> None:
    write(tmp_path / "a.png", 12, 12, mode="RGBA")
    write(tmp_path / "b.png", 3, 12)
    dataset = SuperResolutionSet.open(tmp_path)
    with pytest.raises(DataError, match=r"a\.png has 4 channels"):
        dataset.pair(0, 2)
    with pytest.raises(DataError, match=r"b\.png of 12x3 pixels is too small for scale 4"):
        dataset.pair(1, 4)


def test_scores_are_means_over_pictures(published: Path) -> None:
    dataset = SuperResolutionSet.open(published)
    seen: list[tuple[int, int]] = []
    scores = evaluate_upscaling(
        bicubic_upscaler(), dataset, [2, 3], progress=lambda done, total: seen.append((done, total))
    )
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    for score, scale in zip(scores, (2.0, 3.0), strict=True):
        pairs = [dataset.pair(i, scale) for i in range(2)]
        enlarged = [(bicubic(lr, (hr.shape[1], hr.shape[2])), hr) for lr, hr in pairs]
        psnrs = [metrics.psnr(sr, hr, "y-shave", scale) for sr, hr in enlarged]
        ssims = [metrics.ssim(sr, hr, "y-shave", scale) for sr, hr in enlarged]
        assert psnrs[0] != psnrs[1]
        assert score.psnr == pytest.approx(sum(psnrs) / 2)
        assert score.ssim == pytest.approx(sum(ssims) / 2)
        assert (score.scale, score.images, score.protocol) == (scale, 2, "y-shave")
        assert (score.mean_cost, score.shares) == (None, None)
        assert score.seconds > 0
    assert [s.lr_source for s in scores] == ["published", "bicubic, antialiased, 8 bit"]
    # The published LR is 0.1 brighter: 20 dB in RGB, as far as nothing clips.
    assert 20 < scores[0].psnr < 23 < scores[1].psnr


def test_routing_is_averaged_over_pixels(tmp_path: Path) -> None:
    write(tmp_path / "tall.png", 60, 30)
    write(tmp_path / "wide.png", 30, 60)
    write(tmp_path / "wider.png", 30, 120)
    expert = Expert()
    (score,) = evaluate_upscaling(
        expert, SuperResolutionSet.open(tmp_path), [2], protocol="rgb", budget=0.5
    )
    assert expert.calls == [
        ((3, 30, 15), (30, 60), 0.5),
        ((3, 15, 30), (60, 30), 0.5),
        ((3, 15, 60), (120, 30), 0.5),
    ]
    # 1800 of 7200 pixels at cost 1, the rest at 0.25.
    assert score.shares == pytest.approx((0.75, 0.25))
    assert score.mean_cost == pytest.approx(0.4375)


def test_refuses_predictions_that_are_no_picture(published: Path) -> None:
    dataset = SuperResolutionSet.open(published)
    with pytest.raises(ModelError, match=r"a\.png by 2 .* with 6000 values not finite"):
        evaluate_upscaling(Constant(math.nan), dataset, [2])
    with pytest.raises(ModelError, match=r"shape \(3, 40, 50\), but gave shape \(3, 41, 50\)"):
        evaluate_upscaling(Constant(0.5, extra=1), dataset, [2])


def test_names_the_picture_that_is_too_small_to_measure(tmp_path: Path) -> None:
    write(tmp_path / "small.png", 16, 16)
    dataset = SuperResolutionSet.open(tmp_path)
    with pytest.raises(DataError, match=r"small\.png cannot be measured at scale 4: .*11x11"):
        evaluate_upscaling(bicubic_upscaler(), dataset, [4])


def test_refuses_bad_arguments_before_any_work(
    published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = SuperResolutionSet.open(published)
    expert = Expert()
    with pytest.raises(UsageError, match="at least one factor"):
        evaluate_upscaling(expert, dataset, [])
    with pytest.raises(UsageError, match="scale must be"):
        evaluate_upscaling(expert, dataset, [2, 0.5])
    with pytest.raises(UsageError, match="protocol must be one of"):
        evaluate_upscaling(expert, dataset, [2], protocol="y")
    with pytest.raises(UsageError, match="no experts"):
        evaluate_upscaling(bicubic_upscaler(), dataset, [2], budget=0.5)
    monkeypatch.setitem(sys.modules, "torchmetrics.functional.image", None)
    with pytest.raises(MissingExtraError):
        evaluate_upscaling(expert, dataset, [2])
    assert expert.calls == []


SCORE = Score(
    scale=2.0,
    psnr=33.684,
    ssim=0.93061,
    images=5,
    protocol="y-shave",
    lr_source="published",
    seconds=1.26,
    mean_cost=0.4375,
    shares=(0.75, 0.25),
)


def test_table() -> None:
    plain = replace(SCORE, scale=2.5, mean_cost=None, shares=None, psnr=math.inf)
    title, blank, head, rule, *rows = format_table("tiny", "Set5", [SCORE, plain]).split("\n")
    assert title == "tiny on Set5; y-shave: BT.601 luma, border of `scale` pixels cut"
    assert blank == ""
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in (head, *rows)]
    assert cells == [
        ["scale", "protocol", "images", "PSNR (dB)", "SSIM", "cost", "shares", "seconds", "LR"],
        ["2", "y-shave", "5", "33.68", "0.9306", "0.438", "75% / 25%", "1.3", "published"],
        ["2.5", "y-shave", "5", "inf", "0.9306", "-", "-", "1.3", "published"],
    ]
    assert set(rule) == {"|", "-", " "}
    assert len({len(line) for line in (head, rule, *rows)}) == 1


def test_json_lines() -> None:
    text = to_json_lines("tiny", "Set5", [SCORE, replace(SCORE, psnr=math.inf, shares=None)])
    first, second = (json.loads(line) for line in text.splitlines())
    assert first == {"model": "tiny", "dataset": "Set5", **SCORE.to_dict()}
    assert first["shares"] == [0.75, 0.25]
    assert (second["psnr"], second["shares"]) == (None, None)
    assert text.endswith("}\n")


@pytest.mark.slow
def test_bicubic_reaches_the_published_figures_on_set5() -> None:
    if not (BENCH / "Set5" / "HR").is_dir():
        pytest.skip(f"needs the Set5 pictures in {BENCH.parent.name}/{BENCH.name}/Set5")
    dataset = SuperResolutionSet.open(BENCH / "Set5")
    scores = evaluate_upscaling(bicubic_upscaler(), dataset, [2, 3, 4])
    assert [score.images for score in scores] == [5, 5, 5]
    assert [score.psnr for score in scores] == pytest.approx([33.66, 30.39, 28.42], abs=0.05)
    assert [score.ssim for score in scores] == pytest.approx([0.9299, 0.8682, 0.8104], abs=0.002)
    assert {score.lr_source for score in scores} == {"published"}
