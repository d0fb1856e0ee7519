"""The script that trains on a borrowed machine: packed, trained in pieces, measured."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import weight_figures
import weights
from pixperts.models.presets import create_model
from pixperts.training.config import LightConfig, TrainConfig
from pixperts.training.judge_config import JudgeConfig
from pixperts.training.stages import CacheRecipe, Recipe
from pixperts.weights import store
from pixperts.weights.packaged import weights_file
from tests.helpers.training_runs import make_cache, make_photos, values_of

pytest.importorskip("lightning", reason="needs the train extra: pip install 'pixperts[train]'")

ROOT = weights.ROOT
FILES = sorted((ROOT / "configs" / "weights").iterdir())
STAGED = [path.stem for path in FILES if "stages" in yaml.safe_load(path.read_text())]
RECIPES = [path.stem for path in FILES if path.stem not in STAGED]


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.slow
def test_every_recipe_is_one_that_trains(name: str, tmp_path: Path) -> None:
    config = TrainConfig.from_dict(weights.settings(name, tmp_path), name)
    assert config.model == name.replace("_", "-")
    assert config.photos == (str(tmp_path / "photos"),)
    create_model(config.model, **config.model_options)


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    for name in ("CID22-val", "CBSD68", "Set5/HR"):
        (tmp_path / "bench" / name).parent.mkdir(parents=True, exist_ok=True)
        make_photos(tmp_path / "bench" / name)
    return tmp_path / "bench"


def call(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["weights.py", *map(str, arguments)])
    weights.main()


@pytest.mark.slow
def test_a_run_in_two_pieces_is_measured_against_nothing(
    bench: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    photos = make_photos(tmp_path / "photos")
    monkeypatch.setattr(weights, "TRIAL", (1, 2))
    call(monkeypatch, "pack", tmp_path / "carry", "--photos", photos, "--bench", bench)
    assert len(list((tmp_path / "carry" / "CID22-val").iterdir())) == 3
    recipe = values_of("repair", photos, workers=0, max_steps=9, warmup_steps=100)
    recipes = tmp_path / "configs" / "weights"
    recipes.mkdir(parents=True)
    (recipes / "mini.yaml").write_text(yaml.safe_dump(recipe))
    monkeypatch.setattr(weights, "ROOT", tmp_path)
    monkeypatch.setattr(weights, "seconds_a_step", lambda values, folder: 60 * weights.MARGIN / 12)
    run = tmp_path / "run"
    run.mkdir()
    train = ("train", "mini", tmp_path / "carry", run, "--total", 1)
    call(monkeypatch, *train, "--minutes", 0)  # one step, and then the time is over
    plan = {"max_steps": 12, "check_every": 1, "warmup_steps": 1}
    assert json.loads((run / "plan.json").read_text()) == plan
    assert "12 steps in 1 minutes" in capsys.readouterr().out
    call(monkeypatch, *train, "--minutes", 5)
    out = capsys.readouterr().out
    assert "step 12," in out
    assert "step 1," not in out
    call(monkeypatch, "finish", "mini", run, "--bench", bench, "--limit", 1, "--no-package")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "| benchmark | before, dB | after, dB | difference |"
    assert len(lines) == 2 + sum(map(len, weight_figures.REPAIRS.values()))
    assert (run / "figures.md").read_text().splitlines() == lines


@pytest.mark.parametrize("name", STAGED)
def test_every_recipe_of_stages_says_what_it_reads(name: str, tmp_path: Path) -> None:
    recipe = Recipe.from_yaml(ROOT / "configs" / "weights" / f"{name}.yaml", tmp_path)
    if name in ("moce_ir_light", "moce_isr_light"):  # degraded scenes are made on the fly
        assert recipe.cache is None
        assert {config.model for _, config in recipe.stages} == {name.replace("_", "-")}
        return
    assert recipe.cache is not None
    assert recipe.cache.degraded == (name == "moeisr_photo")
    for stage, config in recipe.stages:
        assert config.model == ("moeisr-photo" if "judge" in stage else "moeisr-light")
        assert isinstance(config, JudgeConfig if "judge" in stage else LightConfig)
        assert config.ema > 0


@pytest.fixture
def staged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, list[str]]:
    """A recipe of two short stages, and how often a cache was filled for it."""
    photos = make_photos(tmp_path / "photos")
    common = values_of("light", photos, max_steps=2)
    del common["cache"]
    stages = [{"name": "first"}, {"name": "second", "optimizer": "adam"}]
    values = {"cache": {"photos": [str(photos)], "chunks": 8}, "all": common, "stages": stages}
    (tmp_path / "configs" / "weights").mkdir(parents=True)
    (tmp_path / "configs" / "weights" / "mini.yaml").write_text(
        yaml.safe_dump(values | {"price": 0.1})
    )
    filled: list[str] = []

    @contextmanager
    def filling(recipe: CacheRecipe, cache: Path, teachers: Path | None) -> Iterator[None]:
        filled.append("begun")
        if not cache.exists():
            cache.parent.mkdir()
            make_cache(photos).rename(cache)
        yield
        filled.append("ended")

    monkeypatch.setattr(weights, "ROOT", tmp_path)
    monkeypatch.setattr(weights, "filling", filling)
    monkeypatch.setattr("weight_figures.ENLARGES", ("Set5",))
    return tmp_path / "run", filled


@pytest.mark.slow
def test_a_recipe_is_carried_out_in_time_boxes(
    staged: tuple[Path, list[str]],
    bench: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run, filled = staged
    line = ("make", "mini", run, "--bench", bench, "--no-package")
    codes = []
    for _ in range(6):
        try:
            call(monkeypatch, *line, "--minutes", 1e-4)
        except SystemExit as stopped:
            codes.append(stopped.code)
        else:
            break
    assert codes
    assert set(codes) == {weights.CONTINUES}
    assert filled == ["begun", "ended"] * (len(codes) + 1)
    out = capsys.readouterr().out
    assert "stage second, from step 0 of 2" in out
    assert "| Set5 x2 | - |" in (run / "figures.md").read_text()
    assert (run / "second" / "priced.safetensors").is_file()


@pytest.mark.slow
def test_a_cache_that_cannot_be_filled_ends_the_program(tmp_path: Path) -> None:
    recipe = CacheRecipe(photos=(str(tmp_path / "absent"),), chunks=8)
    with (
        weights.filling(recipe, tmp_path / "cache", tmp_path) as writer,
        pytest.raises(SystemExit, match="the cache could not be filled"),
    ):
        weights.wait_for_chunks(tmp_path / "cache", 8, writer, None)


def test_the_speed_is_that_of_the_steps_between_two_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 7.0, 10.0, 32.0])  # a start of 2 s, then half a second a step
    monkeypatch.setattr("weights.time.perf_counter", lambda: next(clock))
    values: Any = values_of("repair", tmp_path)
    folder = tmp_path / "trial"
    folder.mkdir()
    ran: list[int] = []
    monkeypatch.setattr(
        "pixperts.training.run.train", lambda config, place: ran.append(config.max_steps)
    )
    assert weights.seconds_a_step(values, folder) == 0.5
    assert tuple(ran) == weights.TRIAL


@pytest.mark.slow
def test_photos_are_measured_as_they_come(bench: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weight_figures, "PHOTO_CASES", ("clean", "jpeg40"))
    found = weight_figures.figures_of("moeisr-light", bench, 2, photos=True)
    assert list(found) == [f"CID22-val x{s} {case}" for s in (2, 4) for case in ("clean", "jpeg40")]
    for scale in (2, 4):
        clean, compressed = (found[f"CID22-val x{scale} {case}"] for case in ("clean", "jpeg40"))
        assert compressed < clean - 1
    assert found["CID22-val x4 clean"] < found["CID22-val x2 clean"] - 1


def test_a_comparison_tells_what_changed() -> None:
    lines = weight_figures.comparison({"a": 30.0}, {"a": 30.254})
    assert lines[2:] == ["| a | 30.00 | 30.25 | +0.25 |"]
    assert weight_figures.comparison(None, {"a": 30.254})[2:] == ["| a | - | 30.25 | - |"]


def test_the_stage_for_motion_blur_comes_from_another_model(tmp_path: Path) -> None:
    options: dict[str, Any] = {
        "channels": (8, 8, 8), "expert_widths": (8, 8), "bottleneck": 4, "scout_channels": 4,
        "embedding": 8, "tone_width": 4,
    }  # fmt: skip
    plain = create_model("moce-ir-light", **options)
    card = store.Card("moce-ir-light", {**asdict(plain.config)})
    store.save(tmp_path / "a.safetensors", plain, card)
    found, own = store.load(weights.moving(tmp_path / "a.safetensors", "moce-ir-tiny"))
    assert own.config["motion"] is True
    tiny = store.load(weights_file("moce-ir-tiny"))[0]
    stage = {f"motion.{name}": value for name, value in tiny.motion.state_dict().items()}  # type: ignore[union-attr]
    for name, value in found.state_dict().items():
        before = stage[name] if name in stage else plain.state_dict()[name]
        assert torch.equal(value, before), name
    with pytest.raises(SystemExit, match="has no stage for motion blur"):
        weights.moving(tmp_path / "a.safetensors", "moeisr-light")
