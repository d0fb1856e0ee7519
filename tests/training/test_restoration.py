"""Short real trainings of a model that repairs: files, resuming, published layouts, refusals."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pixperts.cli.app import main
from pixperts.data.photos import load_photos
from pixperts.data.restoration import FilePairs, SyntheticPairs
from pixperts.degradations.tasks import degrade
from pixperts.errors import DataError, UsageError
from pixperts.evaluation.metrics import psnr
from pixperts.io.image import write_image
from pixperts.models.moce_ir.model import MoCEIR
from pixperts.models.presets import create_model
from pixperts.training.config import RestorationConfig, TrainConfig
from pixperts.weights import store
from tests.helpers.moce_models import moce_ir
from tests.helpers.pair_files import WRITERS
from tests.helpers.training_runs import RUNS, make_photos

pytest.importorskip("lightning", reason="needs the train extra: pip install 'pixperts[train]'")

OPTIONS: dict[str, Any] = RUNS["repair"]["model_options"] | {
    "windows": [4, 8],
    "rank_divisors": [4, 1],
}
TITLE = "experts by task, % of the training samples, blocks in order:"


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_photos(tmp_path_factory.mktemp("photos"))


def config(**changes: Any) -> TrainConfig:
    values: dict[str, Any] = {
        "model": "moce-ir-tiny",
        "model_options": OPTIONS,
        "patch": 16,
        "batch": 2,
        "max_steps": 4,
        "warmup_steps": 2,
        "learning_rate": 1e-3,
        "ema": 0.5,
        "check_every": 2,
        "validation_images": 2,
    }
    return TrainConfig.from_dict(values | changes, "test")


def train(*arguments: Any, **options: Any) -> Path:
    from pixperts.training.run import train as run

    return run(*arguments, **options)


def weights(path: Path) -> dict[str, torch.Tensor]:
    return store.load(path)[0].state_dict()


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


def table(text: str, tasks: int) -> dict[str, list[list[int]]]:
    """The last table of experts: task -> for each block the share of each expert in %."""
    lines = text.splitlines()
    start = len(lines) - lines[::-1].index(TITLE)
    rows = [line.split(maxsplit=1) for line in lines[start : start + tasks]]
    return {name: [[int(x) for x in b.split()] for b in rest.split("|")] for name, rest in rows}


@pytest.mark.slow
def test_a_run_trains_is_measured_and_equals_one_that_is_resumed(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = config(
        photos=[str(photos)],
        tasks={"noise50": 1, "low_light": 2, "clean": 0.5},
        validation=str(photos),
        validation_tasks=["noise25", "clean"],
    )
    straight = train(settings, tmp_path / "straight")
    printed = capsys.readouterr().out
    assert "3 training photos, 0 megapixels" in printed
    model, card = store.load(straight)
    assert isinstance(model, MoCEIR)
    assert (card.name, card.family) == ("moce-ir-tiny", "moce-ir")
    torch.manual_seed(settings.seed)
    assert not same(create_model("moce-ir-tiny", **OPTIONS).state_dict(), model.state_dict())

    notes = card.notes["training"]  # of the weights in the file
    assert notes["step"] == 4
    expected = []
    for number, photo in enumerate(load_photos([photos])[:2]):
        clean = photo.float() / 255
        with torch.inference_mode():
            image = model(degrade(clean, "noise25", number)[None]).image[0].clamp(0, 1)
        expected.append(psnr(image, clean, "rgb"))
    assert notes["psnr_noise25"] == pytest.approx(sum(expected) / 2, abs=1e-4)
    assert 0 < notes["psnr_clean"] <= 100
    assert f"psnr_noise25 {notes['psnr_noise25']:.3f}" in printed

    assert printed.count(TITLE) == 2  # once a stretch
    shown = table(printed, 3)
    assert list(shown) == ["noise50", "low_light", "clean"]
    for name, blocks in shown.items():
        assert len(blocks) == 3
        total = sum(notes[f"share_{name}_{expert}"] for expert in (0, 1))
        assert total == pytest.approx(1.0) or total == 0.0  # not drawn in two steps
        assert all(abs(sum(block) - 100 * total) <= 1 for block in blocks)
    assert sum(sum(block) for block in shown["low_light"]) > 0

    half = train(settings, tmp_path / "halves", max_steps=2)
    middle = weights(half)
    resumed = train(settings, tmp_path / "halves", resume=True)
    assert not same(weights(resumed), middle)
    assert same(weights(resumed), model.state_dict())
    assert store.read_card(resumed).notes == card.notes


@pytest.mark.slow
def test_training_lowers_the_error(photos: Path, tmp_path: Path) -> None:
    """Forty steps on dark pictures of waves: their mean error falls below that of the input."""
    settings = config(
        photos=[str(photos)],
        tasks={"low_light": 1},
        max_steps=40,
        check_every=40,
        batch=4,
        learning_rate=1e-2,
        ema=0.8,
    )
    trained = moce_ir(store.load(train(settings, tmp_path / "run"))[0])
    torch.manual_seed(settings.seed)
    fresh = moce_ir(create_model("moce-ir-tiny", **OPTIONS)).eval()
    data = SyntheticPairs(load_photos([photos]), tasks={"low_light": 1}, patch=32, seed=99)
    samples = [data[number] for number in range(12)]
    degraded, clean = (torch.stack(x) for x in zip(*[s[:2] for s in samples], strict=True))
    with torch.inference_mode():
        before, after = ((m(degraded).image - clean).abs().mean() for m in (fresh, trained))
    assert after < 0.7 * before
    assert after < 0.7 * (degraded - clean).abs().mean()


@pytest.mark.slow
def test_published_layouts_train(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for layout, write in WRITERS.items():
        write(tmp_path / layout)
    layouts = {layout: str(tmp_path / layout) for layout in WRITERS}
    settings = config(published="aio5", layouts=layouts, patch=4, batch=8, max_steps=2)
    assert isinstance(settings, RestorationConfig)
    path = train(settings, tmp_path / "run")
    assert moce_ir(store.load(path)[0])
    printed = capsys.readouterr().out
    assert "training pairs, " in printed
    tasks = ["haze", "rain", "noise15", "noise25", "noise50", "blur", "low_light"]
    shown = table(printed, len(tasks))
    assert list(shown) == tasks
    # 120 repetitions of the rain make it 360 of 443 pairs.
    assert all(sum(block) in (99, 100, 101) for block in shown["rain"])

    from pixperts.training.run import module_of

    task = module_of(config(published="cdd11", layouts=layouts, patch=4))
    samples = task.samples()
    assert isinstance(samples, FilePairs)
    assert len(samples.pairs) == 2 * 11 * 2
    assert samples.tasks[-1] == "low_haze_snow"


@pytest.mark.slow
def test_pairs_of_ones_own_train(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    noise = np.random.default_rng(0)
    for name in ("a", "b"):
        clean = noise.integers(0, 256, (20, 24, 3), np.uint8)
        write_image(tmp_path / "gt" / f"{name}.png", clean)
        write_image(tmp_path / "lq" / f"{name}.png", clean // 2)
    folders = {"input": str(tmp_path / "lq"), "target": str(tmp_path / "gt")}
    (tmp_path / "run.yaml").write_text(
        "model: moce-ir-tiny\nmodel_options: {dim: 8, heads: [1, 1, 2, 2]}\n"
        f"input: {folders['input']}\ntarget: {folders['target']}\n"
        "patch: 16\nbatch: 2\nmax_steps: 1\n"
    )
    assert main(["train", str(tmp_path / "run.yaml"), "-o", str(tmp_path / "run")]) == 0
    captured = capsys.readouterr()
    assert "2 training pairs, 2 of them different" in captured.out
    assert list(table(captured.out, 1)) == ["pair"]
    path = tmp_path / "run" / "last.safetensors"
    said = captured.err.splitlines()[-1]
    assert said == f"{path} is ready for 'pixperts restore --model {path}'."
    assert store.read_card(path).family == "moce-ir"
    line = ["restore", str(tmp_path / "lq"), "-o", str(tmp_path / "out"), "-m", str(path), "-q"]
    assert main(line) == 0
    with pytest.raises(DataError, match=r"[ab]\.png of 24x20 pixels is smaller than .* 21:"):
        train(config(**folders, patch=21), tmp_path / "too-large")


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "give exactly one source of training data"),
        ({"tasks": {}}, "give exactly one source"),
        ({"tasks": {"rain": 1}, "published": "aio3"}, "give exactly one source"),
        ({"tasks": {"rain": 1}, "input": "a", "target": "b"}, "give exactly one source"),
        ({"published": "aio3", "input": "a", "target": "b"}, "give exactly one source"),
        ({"input": "a"}, "give exactly one source"),
        ({"target": "a"}, "give exactly one source"),
        ({"tasks": {"rain": 1}, "target": "b"}, "give exactly one source"),
        ({"tasks": {"fog": 1}}, "unknown task 'fog': choose from .*haze"),
        ({"tasks": {"rain": 1}, "validation_tasks": ["fog"]}, "unknown task 'fog'"),
        ({"tasks": {"rain": 0}}, "the weight of task 'rain' is 0, but must be a number above 0"),
        ({"tasks": {"rain": -1}}, "the weight of task 'rain' is -1"),
        ({"tasks": {"rain": float("nan")}}, "the weight of task 'rain' is nan"),
        ({"tasks": {"rain": float("inf")}}, "the weight of task 'rain' is inf"),
        ({"tasks": {"rain": True}}, "the weight of task 'rain' is True"),
        ({"tasks": {"rain": "much"}}, "the weight of task 'rain' is 'much'"),
        ({"tasks": ["rain"]}, r"tasks is \['rain'\], but must be a table"),
        ({"published": "aio4"}, "published is 'aio4', but must be one of aio3, aio5, cdd11"),
        ({"published": "all"}, "published is 'all', but must be one of"),
        ({"published": "aio3", "layouts": {"rain": 3}}, "the folder of layout 'rain' is 3"),
        ({"tasks": {"rain": 1}, "validation_images": 0}, "validation_images is 0"),
        ({"tasks": {"rain": 1}, "reduction": 0.5}, "reduction is 0.5"),
        (
            {"tasks": {"rain": 1}, "balance": "fair"},
            "balance is 'fair', but must be shazeer",
        ),
        ({"published": "aio3", "reduction": 2}, "reduction is 2.0, but"),
        ({"tasks": {"rain": 1}, "queries": 3}, "unknown field 'queries'"),
    ],
)
def test_a_wrong_configuration_is_refused_by_name(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=rf"^test: {message}"):
        config(**changes)


@pytest.mark.slow
def test_what_cannot_be_trained_is_refused(photos: Path, tmp_path: Path) -> None:
    rain: dict[str, Any] = {"tasks": {"rain": 1}, "photos": [str(photos)]}
    WRITERS["rain"](tmp_path / "rain")
    foreign = tmp_path / "foreign.safetensors"
    small = {"encoder_options": {"channels": 8, "blocks": 1}, "width": 8}
    store.save(foreign, create_model("liif-edsr", **small), store.Card("liif-edsr", {}))
    cases: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"tasks": {"rain": 1}}, DataError, "no folder of training photos"),
        (rain | {"patch": 129}, DataError, "no photo to train on was found"),
        (rain | {"validation": str(photos), "validation_images": 4}, DataError, "holds 3 photos"),
        (rain | {"validation": "absent-folder"}, DataError, "absent-folder"),
        (rain | {"frozen": ["encodr"]}, UsageError, "encodr"),
        (rain | {"init": str(foreign)}, UsageError, "none of its tensors fits"),
        ({"published": "aio3"}, DataError, "needs a folder for each"),
        (
            {"published": "aio3", "layouts": {"rain": str(tmp_path / "rain")}},
            DataError,
            "The set aio3 needs a folder for each of these: 'haze'",
        ),
        ({"input": str(tmp_path), "target": str(tmp_path)}, DataError, "name two folders"),
    ]
    for number, (changes, error, message) in enumerate(cases):
        with pytest.raises(error, match=message):
            train(config(**changes), tmp_path / f"run{number}")
