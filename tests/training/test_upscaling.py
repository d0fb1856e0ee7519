"""Short real trainings on synthetic photos: files, resuming, stopping, averaging."""

import dataclasses
import weakref
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from PIL import Image
from torch import Tensor

from pixperts.errors import DataError, ModelError, UsageError
from pixperts.models.presets import create_model
from pixperts.training.config import TrainConfig, UpscalingConfig
from pixperts.training.stages import Recipe
from pixperts.weights import store
from tests.helpers.places import ROOT
from tests.helpers.tiny_models import moeisr
from tests.helpers.training_runs import RUNS, make_photos

pytest.importorskip("lightning", reason="needs the train extra: pip install 'pixperts[train]'")

OPTIONS: dict[str, Any] = RUNS["enlarging"]["model_options"]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three photos of waves, 128 pixels a side, and a benchmark of one picture."""
    root = tmp_path_factory.mktemp("upscaling")
    folder, bench = make_photos(root / "photos"), root / "bench"
    for name, side in (("HR", 32), ("LR_x2", 16)):
        (bench / name).mkdir(parents=True)
        with Image.open(folder / "0.png") as photo:
            photo.resize((side, side), Image.Resampling.BICUBIC).save(bench / name / "0.png")
    return folder


def config(folder: Path, **changes: Any) -> TrainConfig:
    values: dict[str, Any] = {
        "model": "moeisr-tiny",
        "model_options": OPTIONS,
        "photos": [str(folder)],
        "patch": 8,
        "queries": 32,
        "batch": 2,
        "max_steps": 8,
        "warmup_steps": 2,
        "learning_rate": 1e-2,
        "ema": 0.5,
        "check_every": 2,
        "expert_weight": 0.1,
        "cost_weight": 0.01,
    }
    return TrainConfig.from_dict(values | changes, "test")


def train(*arguments: Any, **options: Any) -> Path:
    from pixperts.training.run import train as run

    return run(*arguments, **options)


def weights(path: Path) -> dict[str, torch.Tensor]:
    return store.load(path)[0].state_dict()


def step_of(folder: Path) -> int:
    saved = torch.load(folder / "last.ckpt", weights_only=False)
    return int(saved["global_step"])


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


@pytest.mark.slow
def test_a_run_that_is_resumed_equals_one_that_is_not(photos: Path, tmp_path: Path) -> None:
    straight = train(config(photos), tmp_path / "straight")
    assert step_of(tmp_path / "straight") == 8
    half = train(config(photos), tmp_path / "halves", max_steps=4)
    middle = weights(half)
    assert step_of(tmp_path / "halves") == 4
    resumed = train(config(photos), tmp_path / "halves", resume=True)
    assert step_of(tmp_path / "halves") == 8
    assert store.read_card(resumed).notes["training"]["step"] == 8
    assert not same(weights(resumed), middle)
    assert same(weights(resumed), weights(straight))


@pytest.mark.slow
def test_a_stop_within_a_stretch_is_kept_and_resumed(photos: Path, tmp_path: Path) -> None:
    straight = train(config(photos, check_every=4, max_steps=6), tmp_path / "straight")
    assert store.read_card(straight).notes["training"]["step"] == 6
    train(config(photos, check_every=4, max_steps=6), tmp_path / "parts", max_steps=3)
    assert step_of(tmp_path / "parts") == 3
    resumed = train(config(photos, check_every=4, max_steps=6), tmp_path / "parts", resume=True)
    assert step_of(tmp_path / "parts") == 6
    assert same(weights(resumed), weights(straight))


def test_the_averaged_weights_are_validated_and_saved(photos: Path, tmp_path: Path) -> None:
    bench = photos.with_name("bench")
    options: dict[str, Any] = {"validation": str(bench), "validation_scales": [2], "max_steps": 4}
    path = train(config(photos, **options), tmp_path / "run")
    model, card = store.load(path)
    saved = torch.load(tmp_path / "run" / "last.ckpt", weights_only=False)

    def part(name: str) -> dict[str, torch.Tensor]:
        held = saved[name].items()
        return {k.removeprefix("model."): v for k, v in held if k.startswith("model.")}

    assert same(model.state_dict(), part("state_dict"))
    assert not same(model.state_dict(), part("current_model_state"))
    # The number on the card is that of the weights in the file.
    from pixperts.data.benchmarks import SuperResolutionSet
    from pixperts.evaluation.metrics import psnr

    lr, hr = SuperResolutionSet.open(str(bench)).pair(0, 2)
    with torch.inference_mode():
        output = model(lr[None], (32, 32))
    measured = psnr(output.image[0].clamp(0, 1), hr, "y-shave", 2)
    notes = card.notes["training"]
    assert notes["psnr_x2"] == pytest.approx(measured, abs=1e-4)
    assert notes["cost_x2"] == pytest.approx(output.routings[0].mean_cost)
    assert notes["step"] == 4


def test_validation_pictures_are_read_when_they_are_measured(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pixperts.data.benchmarks import SuperResolutionSet
    from pixperts.training.run import module_of

    plain = SuperResolutionSet.pair
    read: list[tuple[float, weakref.ref[Tensor]]] = []

    def pair(pictures: SuperResolutionSet, index: int, scale: float) -> tuple[Tensor, Tensor]:
        found = plain(pictures, index, scale)
        read.append((scale, weakref.ref(found[1])))
        return found

    monkeypatch.setattr(SuperResolutionSet, "pair", pair)
    bench = str(photos.with_name("bench"))
    module = module_of(config(photos, validation=bench, validation_scales=[2, 3]))
    assert [scale for scale, _ in read] == [2, 3]  # faults are found at the start
    with torch.inference_mode():
        names = [name for name, _ in module.scores()]
    assert names == ["psnr_x2", "cost_x2", "psnr_x3", "cost_x3"]
    assert list(module.pictures()) == ["x2", "x3"]
    assert [scale for scale, _ in read[2:]] == [2, 3, 2, 3]
    assert all(held() is None for _, held in read)


@pytest.mark.slow
def test_training_lowers_the_loss(photos: Path, tmp_path: Path) -> None:
    """Forty steps on waves: the mean error of the trained model falls below the start's."""
    from pixperts.data.photos import load_photos
    from pixperts.data.super_resolution import ArbitraryScale

    settings = config(photos, max_steps=40, check_every=40, batch=4, ema=0.8)
    trained = moeisr(store.load(train(settings, tmp_path / "run"))[0])
    torch.manual_seed(settings.seed)
    fresh = moeisr(create_model("moeisr-tiny", **OPTIONS))
    data = ArbitraryScale(load_photos([photos]), patch=8, queries=200, seed=99)
    errors = []
    for model in (fresh, trained):
        total = 0.0
        for number in range(10):
            lr, positions, size, target = data[number]
            with torch.inference_mode():
                colours, _ = model.query(lr[None], positions[None], size[None])
            total += float((colours[0] - target[:, None]).abs().mean())
        errors.append(total / 10)
    assert errors[1] < 0.7 * errors[0]


@pytest.mark.slow
def test_a_time_limit_stops_and_keeps_what_there_is(photos: Path, tmp_path: Path) -> None:
    settings = config(photos, max_steps=100_000, check_every=50_000)
    path = train(settings, tmp_path / "run", max_time=timedelta(seconds=1))
    assert 1 <= step_of(tmp_path / "run") < 50_000
    assert store.read_card(path).notes["training"]["step"] == step_of(tmp_path / "run")


def test_frozen_parameters_stay_and_a_start_is_taken_over(photos: Path, tmp_path: Path) -> None:
    torch.manual_seed(9)
    start = create_model("moeisr-tiny", **OPTIONS)
    card = store.Card(name="moeisr-tiny", config={})
    store.save(tmp_path / "start.safetensors", start, card)
    settings = config(
        photos, init=str(tmp_path / "start.safetensors"), frozen=["encoder", "mapper"], max_steps=2
    )
    after = weights(train(settings, tmp_path / "run"))
    for key, value in start.state_dict().items():
        assert torch.equal(after[key], value) == key.startswith(("encoder", "mapper")), key


def test_a_dense_model_trains_too(photos: Path, tmp_path: Path) -> None:
    options = OPTIONS | {"depths": [1], "widths": [8]}
    path = train(config(photos, model_options=options, max_steps=2), tmp_path / "run")
    assert len(moeisr(store.load(path)[0]).experts) == 1


@pytest.mark.slow
def test_a_teacher_is_learned_from(photos: Path, tmp_path: Path) -> None:
    options = OPTIONS | {"depths": [1], "widths": [8]}
    paths = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        paths.append(tmp_path / f"{seed}.safetensors")
        start = create_model("moeisr-tiny", **options)
        store.save(paths[-1], start, store.Card(name="moeisr-tiny", config={}))
    changes: dict[str, Any] = {"model_options": options, "init": str(paths[0]), "max_steps": 2}
    # One that is taught nothing but what it says already stays as it is.
    same = changes | {"teacher": str(paths[0]), "teacher_weight": 1.0}
    after = weights(train(config(photos, **same), tmp_path / "same"))
    before = weights(paths[0])
    assert after.keys() == before.keys()
    assert all(torch.equal(after[key], value) for key, value in before.items())
    # Another teacher, or a part of the photo, moves it.
    for number, (path, share) in enumerate([(paths[1], 1.0), (paths[0], 0.5)]):
        other = changes | {"teacher": str(path), "teacher_weight": share}
        moved = weights(train(config(photos, **other), tmp_path / str(number)))
        assert not all(torch.equal(moved[key], value) for key, value in before.items())


def test_hard_choices_and_a_falling_temperature_train(photos: Path, tmp_path: Path) -> None:
    changes: dict[str, Any] = {"hard": True, "temperature": [5.0, 0.5], "max_steps": 2}
    assert weights(train(config(photos, **changes), tmp_path / "run"))


# ---------------------------------------------------------------- refusals


def test_a_folder_with_a_run_needs_resume(photos: Path, tmp_path: Path) -> None:
    train(config(photos, max_steps=2), tmp_path / "run")
    with pytest.raises(UsageError, match=r"holds a run already.*add resume"):
        train(config(photos, max_steps=2), tmp_path / "run")
    with pytest.raises(UsageError, match="nothing to resume"):
        train(config(photos), tmp_path / "empty", resume=True)
    assert not (tmp_path / "empty").exists()


def test_weights_without_a_checkpoint_are_not_written_over(photos: Path, tmp_path: Path) -> None:
    path = train(config(photos, max_steps=2), tmp_path / "run")
    for checkpoints in (tmp_path / "run").glob("*.ckpt"):
        checkpoints.unlink()
    before = path.read_bytes()
    with pytest.raises(UsageError, match=r"without a checkpoint: move that file away or name"):
        train(config(photos, max_steps=2), tmp_path / "run")
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"photos": []}, DataError, "photos"),
        ({"photos": ["absent-folder"]}, DataError, "absent-folder"),
        ({"model": "unknown"}, ModelError, "unknown"),
        ({"init": "absent.safetensors"}, ModelError, "absent.safetensors"),
        ({"frozen": ["encodr"]}, UsageError, "encodr"),
        ({"balance_target": [0.5, 0.6]}, UsageError, "balance_target"),
        ({"balance_target": [1.0]}, UsageError, "balance_target"),
        ({"teacher": "moce-ir-tiny"}, UsageError, "moce-ir-tiny"),
        ({"teacher": "absent.safetensors"}, ModelError, "absent.safetensors"),
        ({"teacher": "no-such-model"}, ModelError, "unknown model 'no-such-model': choose from"),
        ({"teacher": "a.pth"}, ModelError, "pixperts convert a.pth"),
        ({"init": "a.pth"}, ModelError, "pixperts convert a.pth"),
        ({"teacher_weight": 2}, UsageError, "teacher_weight"),
        ({"teacher_weight": 0.9}, UsageError, "teacher_weight is 0.9, but there is no teacher"),
    ],
)
def test_what_cannot_be_trained_is_refused(
    photos: Path, tmp_path: Path, changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        train(config(photos, **changes), tmp_path / "run")


def test_a_configuration_is_read_from_yaml(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("model: moeisr-tiny\nphotos: [a, b]\nlearning_rate: 1e-4\nscales: [1, 3]\n")
    read = TrainConfig.from_yaml(path)
    assert read.photos == ("a", "b")
    assert read.learning_rate == 1e-4  # YAML by itself takes this for text
    assert isinstance(read, UpscalingConfig)
    assert read.scales == (1.0, 3.0)
    assert read == TrainConfig.from_dict(dataclasses.asdict(read), "again")


@pytest.mark.slow
def test_the_shipped_configurations_are_valid() -> None:
    files = sorted((ROOT / "configs").rglob("*.yaml"))
    assert files
    for file in files:
        recipe = "stages" in yaml.safe_load(file.read_text())
        stages = Recipe.from_yaml(file, Path("cache")).stages if recipe else ()
        for read in [config for _, config in stages] or [TrainConfig.from_yaml(file)]:
            create_model(read.model, **read.model_options)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model: moeisr-tiny\ncolour: 3\n", "unknown field 'colour'"),
        ("photos: [a]\n", "at least 'model'"),
        ("[1, 2]\n", "at least 'model'"),
        ("model: [\n", "not valid YAML"),
        ("model: 3\n", "model is 3.*str"),
        ("model: moeisr-tiny\nbatch: many\n", "batch is 'many'.*int"),
        ("model: moeisr-tiny\nbatch: 0\n", "batch is 0.*at least 1"),
        ("model: moeisr-tiny\nlearning_rate: fast\n", "learning_rate is 'fast'.*float"),
        ("model: moeisr-tiny\nphotos: folder\n", "photos is 'folder'"),
        ("model: moeisr-tiny\nscales: [1, 2, 3]\n", "scales"),
        ("model: moeisr-tiny\nscales: [3, 2]\n", "scales"),
        ("model: moeisr-tiny\nema: 1\n", "ema"),
        ("model: moeisr-tiny\ntemperature: [1, 0]\n", "temperature"),
        ("model: moeisr-tiny\nhard: 1\n", "hard is 1.*bool"),
    ],
)
def test_a_wrong_configuration_is_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=rf"run\.yaml.*{message}"):
        TrainConfig.from_yaml(path)


def test_a_missing_configuration_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"absent\.yaml.*cannot be read"):
        TrainConfig.from_yaml(tmp_path / "absent.yaml")
