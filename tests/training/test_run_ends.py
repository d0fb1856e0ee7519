"""Runs that end early: by signals and time limits after a whole step, by faults in a sentence."""

import os
import signal
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch

from pixperts.errors import ModelError, PixpertsError, UsageError
from tests.helpers.training_runs import (
    begun,
    config_of,
    difference,
    make_photos,
    step_of,
    train,
    values_of,
)

pytest.importorskip("lightning", reason="needs the train extra: pip install 'pixperts[train]'")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_photos(tmp_path_factory.mktemp("photos"))


# ---------------------------------------------------------------- signals and time


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.slow
def test_a_signal_ends_the_run_after_its_step(
    number: signal.Signals, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pixperts.data.restoration import SyntheticPairs

    settings = config_of("repair", photos, check_every=6)
    train(settings, tmp_path / "whole")
    original = SyntheticPairs.__getitem__

    def item(self: SyntheticPairs, place: int) -> Any:
        if place == 4 * 2:  # the first sample of the third step; one batch is fetched ahead
            os.kill(os.getpid(), number)
        return original(self, place)

    # A shell has background jobs ignore interrupts, and so would this run.
    own = signal.signal(number, signal.default_int_handler)
    before = signal.getsignal(number)
    with monkeypatch.context() as patch:
        patch.setattr(SyntheticPairs, "__getitem__", item)
        train(settings, tmp_path / "run")
    assert signal.signal(number, own) == before
    assert step_of(tmp_path / "run" / "last.ckpt") in (2, 3)
    train(settings, tmp_path / "run", resume=True)
    assert difference(tmp_path / "whole", tmp_path / "run") == 0


@pytest.mark.slow
def test_a_signal_to_the_whole_group_is_survived_by_the_workers(
    photos: Path, tmp_path: Path
) -> None:
    values = values_of("repair", photos, max_steps=5000, check_every=1, workers=1)
    child = begun(values, tmp_path / "run")
    os.killpg(child.pid, signal.SIGTERM)
    _, said = child.communicate(timeout=300)
    assert child.returncode == 0, said
    assert step_of(tmp_path / "run" / "last.ckpt") >= 1


def test_a_second_interrupt_ends_the_run_at_once(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pixperts.data.restoration import SyntheticPairs

    def item(self: SyntheticPairs, place: int) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)

    monkeypatch.setattr(SyntheticPairs, "__getitem__", item)
    own = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            train(config_of("repair", photos), tmp_path / "run")
    finally:
        signal.signal(signal.SIGINT, own)


@pytest.mark.slow
def test_a_time_limit_ends_after_a_whole_step(photos: Path, tmp_path: Path) -> None:
    settings = config_of("repair", photos, accumulate=4, max_steps=10000, check_every=5000)
    train(settings, tmp_path / "run", max_time=timedelta(milliseconds=1))
    assert step_of(tmp_path / "run" / "last.ckpt") == 1


# ---------------------------------------------------------------- faults


def test_a_folder_that_cannot_be_is_named(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(UsageError, match=r"this folder cannot be made .*name another"):
            train(config_of("repair", photos), folder)


@pytest.mark.slow
def test_a_full_disk_is_told_and_leaves_no_half_checkpoint(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import lightning

    def save(self: Any, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(lightning.Trainer, "save_checkpoint", save)
    with pytest.raises(ModelError, match=r"cannot be written \(No space left.*\): make room"):
        train(config_of("repair", photos), tmp_path / "run")
    assert not list((tmp_path / "run").glob(".*"))


@pytest.mark.slow
def test_a_broken_photo_is_named_by_a_worker_too(tmp_path: Path) -> None:
    make_photos(tmp_path / "photos")
    for path in (tmp_path / "photos").iterdir():
        path.write_bytes(path.read_bytes()[:400])
    for workers in (0, 1):
        with pytest.raises(PixpertsError) as caught:
            train(config_of("repair", tmp_path / "photos", workers=workers), tmp_path / "run")
        assert str(caught.value).count("\n") == 0
        assert "Traceback" not in str(caught.value)
        assert ".png" in str(caught.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_device_that_is_not_there(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="accelerator or devices are not available here"):
        train(config_of("repair", photos), tmp_path / "run", accelerator="gpu")
