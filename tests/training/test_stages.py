"""Recipes of several trainings: read, carried out, continued wherever they were."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from pixperts.errors import UsageError
from pixperts.training.config import LightConfig, TrainConfig
from pixperts.training.judge_config import JudgeConfig
from pixperts.training.stages import Recipe, steps_done, train_stages
from tests.helpers.training_runs import difference, make_cache, make_photos, values_of

pytest.importorskip("lightning", reason="needs the train extra: pip install 'pixperts[train]'")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_photos(tmp_path_factory.mktemp("photos"))


def recipe(path: Path, photos: Path, **changes: Any) -> Path:
    common = values_of("light", photos)
    del common["cache"]
    dense = {"channels": 8, "blocks": 1, "depths": [0], "widths": [0]}
    stages = [
        {"name": "dense", "model_options": dense, "max_steps": 4},
        {"name": "experts", "optimizer": "adam", "max_steps": 3},
    ]
    values = {"cache": {"photos": [str(photos)], "chunks": 8}, "all": common, "stages": stages}
    path.write_text(yaml.safe_dump(values | changes))
    return path


def test_a_recipe_is_read(photos: Path, tmp_path: Path) -> None:
    read = Recipe.from_yaml(recipe(tmp_path / "a.yaml", photos), tmp_path / "cache")
    assert [name for name, _ in read.stages] == ["dense", "experts"]
    assert [config.optimizer for _, config in read.stages] == ["muon", "adam"]
    assert all(config.cache == str(tmp_path / "cache") for _, config in read.stages)  # type: ignore[attr-defined]
    assert read.cache is not None
    assert (read.cache.photos, read.cache.chunks) == ((str(photos),), 8)


def test_a_stage_of_another_model_takes_the_fields_it_has(photos: Path, tmp_path: Path) -> None:
    judge = {"name": "judge", "model": "moeisr-photo", "init": "a", "photos": ["b"], "patch": 32}
    light = {"name": "light", "photos": ["b"]}
    path = recipe(tmp_path / "a.yaml", photos, stages=[light, judge])
    (_, first), (_, second) = Recipe.from_yaml(path, tmp_path / "cache").stages
    assert isinstance(first, LightConfig)
    assert isinstance(second, JudgeConfig)
    assert first.cache == str(tmp_path / "cache")
    assert (first.batch, second.batch, second.patch) == (4, 4, 32)
    assert first.model_options
    assert second.model_options == {}
    judge["teacher_weight"] = 1  # its own fields must be known
    path = recipe(tmp_path / "b.yaml", photos, stages=[light, judge])
    with pytest.raises(UsageError, match="judge: unknown field 'teacher_weight'"):
        Recipe.from_yaml(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stages": 3}, "a recipe needs a list of stages"),
        ({"stages": []}, "there must be stages"),
        ({"stages": [{"max_steps": 3}]}, "stage 1 needs a name"),
        ({"stages": [{"name": "a"}, {"name": "a"}]}, "each with a name of its own"),
        ({"stages": [{"name": "a", "steps": 3}]}, "a.yaml, a: unknown field 'steps'"),
        ({"more": 3}, "unknown field 'more': choose from all, cache, motion, price, stages"),
        ({"motion": 3}, "motion is 3, but must be a model's name or file"),
        ({"price": "low"}, "price is 'low', but must be a number of 0 or more"),
        ({"cache": {}}, "cache needs at least 'photos'"),
        ({"cache": {"photos": ["a"], "size": 3}}, "unknown field 'size' of cache"),
        ({"cache": {"photos": "a"}}, "photos of cache is 'a', but must be a list"),
    ],
)
def test_a_wrong_recipe_is_refused_by_name(
    changes: dict[str, Any], message: str, photos: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        Recipe.from_yaml(recipe(tmp_path / "a.yaml", photos, **changes), tmp_path / "cache")


def test_a_recipe_is_no_configuration(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"a\.yaml: this is a recipe of several stages: use"):
        TrainConfig.from_yaml(recipe(tmp_path / "a.yaml", photos))


@pytest.mark.slow
def test_stages_in_pieces_equal_stages_in_one_go(photos: Path, tmp_path: Path) -> None:
    """Stopped at once each time: whatever was reached is where the next call continues."""
    read = Recipe.from_yaml(recipe(tmp_path / "a.yaml", photos), make_cache(photos))
    whole = train_stages(read.stages, tmp_path / "whole")
    assert whole == tmp_path / "whole" / "experts" / "last.safetensors"
    calls = 0
    while (weights := train_stages(read.stages, tmp_path / "run", timedelta(seconds=0.01))) is None:
        calls += 1
        assert calls < 20
    assert calls > 2
    assert weights == tmp_path / "run" / "experts" / "last.safetensors"
    for name in ("dense", "experts"):
        assert difference(tmp_path / "whole" / name, tmp_path / "run" / name) == 0
    assert [steps_done(tmp_path / "run" / name) for name in ("dense", "experts", "x")] == [
        4,
        3,
        None,
    ]


def test_a_stage_that_died_before_its_first_checkpoint_begins_anew(
    photos: Path, tmp_path: Path
) -> None:
    read = Recipe.from_yaml(recipe(tmp_path / "a.yaml", photos), make_cache(photos))
    train_stages(read.stages[:1], tmp_path / "run")
    for path in (tmp_path / "run" / "dense").glob("*.ckpt"):
        path.unlink()
    assert train_stages(read.stages[:1], tmp_path / "run") is not None
    assert steps_done(tmp_path / "run" / "dense") == 4
