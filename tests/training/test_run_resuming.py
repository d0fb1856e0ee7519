"""A run that goes on after a stop or a kill is the run that never stopped, or is refused."""

import dataclasses
import os
import random
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from pixperts.errors import ModelError, UsageError
from pixperts.models.presets import create_model
from pixperts.training.checkpoints import fitting
from pixperts.weights import store
from tests.helpers.training_runs import (
    SWINIR,
    begun,
    config_of,
    difference,
    families,
    kinds,
    make_photos,
    step_of,
    train,
    values_of,
)

pytest.importorskip("lightning", reason="needs the train extra: pip install 'pixperts[train]'")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_photos(tmp_path_factory.mktemp("photos"))


# ---------------------------------------------------------------- the same weights


@families
@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.slow
def test_a_run_in_three_pieces_equals_a_whole_one(
    family: str, accumulate: int, photos: Path, tmp_path: Path
) -> None:
    settings = config_of(family, photos, max_steps=7, accumulate=accumulate)
    train(settings, tmp_path / "whole")
    train(settings, tmp_path / "pieces", max_steps=2)
    train(settings, tmp_path / "pieces", max_steps=5, resume=True)
    train(settings, tmp_path / "pieces", resume=True)
    assert difference(tmp_path / "whole", tmp_path / "pieces") == 0
    first, second = (
        torch.load(tmp_path / n / "last.ckpt", weights_only=True) for n in ("whole", "pieces")
    )
    for state in ("current_model_state", "state_dict"):  # the trained weights and their average
        assert all(torch.equal(first[state][k], second[state][k]) for k in first[state])


@pytest.mark.slow
def test_skipped_branches_are_drawn_alike_after_resuming(photos: Path, tmp_path: Path) -> None:
    """SwinIR leaves out branches at random: by torch's own state, which is set by the step."""
    settings = config_of("enlarging", photos, **SWINIR)
    train(settings, tmp_path / "whole")
    train(settings, tmp_path / "pieces", max_steps=4)
    train(settings, tmp_path / "pieces", resume=True)
    assert difference(tmp_path / "whole", tmp_path / "pieces") == 0


@kinds
@pytest.mark.slow
def test_a_killed_run_goes_on_as_if_it_had_not_been(
    family: str, photos: Path, tmp_path: Path
) -> None:
    settings = config_of(family, photos, max_steps=24, check_every=3)
    train(settings, tmp_path / "whole")
    child = begun(values_of(family, photos, max_steps=24, check_every=3), tmp_path / "killed")
    time.sleep(random.random())
    child.kill()
    child.communicate()
    train(settings, tmp_path / "killed", resume=True)
    assert difference(tmp_path / "whole", tmp_path / "killed") == 0


@pytest.mark.parametrize("moment", ["before", "between"])
@pytest.mark.slow
def test_a_kill_while_saving_loses_nothing(
    moment: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed when the third checkpoint is written but not renamed, or between the two renamings."""
    from pixperts.training import run as training
    from pixperts.training.checkpoints import CheckpointPair

    class KilledError(BaseException):
        pass

    calls = 0

    def replace(source: Path, target: Path) -> None:
        nonlocal calls
        calls += 1  # the first save renames once, the others twice
        if calls == (4 if moment == "before" else 5):
            raise KilledError
        os.replace(source, target)

    settings = config_of("repair", photos, check_every=1)
    train(settings, tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(
            training,
            "CheckpointPair",
            lambda folder, config: CheckpointPair(folder, config, replace),
        )
        with pytest.raises(KilledError):
            train(settings, tmp_path / "killed")
    names = {path.name for path in (tmp_path / "killed").glob("*.ckpt")}
    assert names == ({"last.ckpt", "previous.ckpt"} if moment == "before" else {"previous.ckpt"})
    train(settings, tmp_path / "killed", resume=True)
    assert difference(tmp_path / "whole", tmp_path / "killed") == 0


def test_the_last_two_checkpoints_are_kept(photos: Path, tmp_path: Path) -> None:
    train(config_of("enlarging", photos, check_every=2), tmp_path / "run")
    assert step_of(tmp_path / "run" / "last.ckpt") == 6
    assert step_of(tmp_path / "run" / "previous.ckpt") == 4
    assert not list((tmp_path / "run").glob(".*"))


@pytest.mark.slow
def test_a_broken_checkpoint_is_named_and_the_one_before_serves(
    photos: Path, tmp_path: Path
) -> None:
    settings = config_of("enlarging", photos)
    train(settings, tmp_path / "whole")
    train(settings, tmp_path / "run", max_steps=5)
    last = tmp_path / "run" / "last.ckpt"
    last.write_bytes(last.read_bytes()[:1000])
    with pytest.raises(ModelError, match=r"last\.ckpt: this checkpoint is broken: delete it"):
        train(settings, tmp_path / "run", resume=True)
    last.unlink()
    train(settings, tmp_path / "run", resume=True)
    assert difference(tmp_path / "whole", tmp_path / "run") == 0


# ---------------------------------------------------------------- changes of a run


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"learning_rate": 1e-2}, "was started with learning_rate = 0.001, not 0.01: set it back"),
        ({"accumulate": 2}, "was started with accumulate = 1, not 2"),
        ({"tasks": {"rain": 1}}, "was started with tasks = "),
        ({"frozen": ["output"]}, r"was started with frozen = \(\), not \('output',\)"),
        ({"max_steps": 9}, "was started with max_steps = 6, not 9"),
    ],
)
@pytest.mark.slow
def test_a_run_is_resumed_as_it_was_started(
    changes: dict[str, Any], reason: str, photos: Path, tmp_path: Path
) -> None:
    train(config_of("repair", photos), tmp_path / "run", max_steps=1)
    with pytest.raises(UsageError, match=reason):
        train(config_of("repair", photos, **changes), tmp_path / "run", resume=True)


@pytest.mark.slow
def test_a_field_that_is_newer_than_the_run_had_its_default(photos: Path, tmp_path: Path) -> None:
    train(config_of("repair", photos), tmp_path / "run", max_steps=1)
    kept = torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)
    del kept["pixperts_config"]["complexity_bias"]
    torch.save(kept, tmp_path / "run" / "last.ckpt")
    with pytest.raises(UsageError, match="was started with complexity_bias = True, not False"):
        train(config_of("repair", photos, complexity_bias=False), tmp_path / "run", resume=True)
    train(config_of("repair", photos), tmp_path / "run", max_steps=2, resume=True)


def test_so_had_a_newer_field_that_holds_a_table(photos: Path, tmp_path: Path) -> None:
    config, path = config_of("repair", photos), tmp_path / "last.ckpt"
    was = dataclasses.asdict(config)
    del was["layouts"]
    torch.save({"pixperts_config": was}, path)
    assert fitting(path, config) == str(path)
    del was["model_options"]
    torch.save({"pixperts_config": was}, path)
    with pytest.raises(UsageError, match=r"was started with model_options = \{\}, not"):
        fitting(path, config)


def test_fields_may_be_spelled_as_before(photos: Path, tmp_path: Path) -> None:
    config, path = config_of("repair", photos, equalise=0.5, licence="CC0"), tmp_path / "last.ckpt"
    assert config == config_of("repair", photos, equalize=0.5, license="CC0")
    was = dataclasses.asdict(config)
    was["equalise"] = was.pop("equalize")
    was["licence"] = was.pop("license")
    torch.save({"pixperts_config": was}, path)
    assert fitting(path, config) == str(path)


@pytest.mark.slow
def test_a_run_of_another_family_is_refused(photos: Path, tmp_path: Path) -> None:
    train(config_of("repair", photos), tmp_path / "run", max_steps=1)
    with pytest.raises(UsageError, match="was started with"):
        train(config_of("enlarging", photos), tmp_path / "run", resume=True)
    torch.save({"state_dict": {}}, tmp_path / "run" / "last.ckpt")
    with pytest.raises(ModelError, match="this is not a checkpoint"):
        train(config_of("repair", photos), tmp_path / "run", resume=True)


@pytest.mark.slow
def test_what_does_not_change_a_step_may_change(photos: Path, tmp_path: Path) -> None:
    halving = {"halve_at": [3]}
    train(config_of("repair", photos, **halving), tmp_path / "whole")
    train(config_of("repair", photos, max_steps=4, **halving), tmp_path / "run", max_steps=2)
    more = {"check_every": 2, "validation": str(photos), "workers": 1, "license": "other"}
    train(config_of("repair", photos, **halving, **more), tmp_path / "run", resume=True)
    assert difference(tmp_path / "whole", tmp_path / "run") == 0


def test_a_teacher_may_have_moved_but_not_appeared(photos: Path, tmp_path: Path) -> None:
    for place in (tmp_path / "here.safetensors", tmp_path / "there.safetensors"):
        torch.manual_seed(1)
        options = config_of("enlarging", photos).model_options
        model = create_model("moeisr-tiny", **options)
        store.save(place, model, store.Card(name="moeisr-tiny", config={}))
    here, there = (str(tmp_path / f"{name}.safetensors") for name in ("here", "there"))
    train(config_of("enlarging", photos, teacher=here), tmp_path / "run", max_steps=1)
    train(config_of("enlarging", photos, teacher=there), tmp_path / "run", max_steps=2, resume=True)
    with pytest.raises(UsageError, match="the run was started with teacher"):
        train(config_of("enlarging", photos), tmp_path / "run", resume=True)
