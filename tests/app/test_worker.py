"""A process that works, ends when it is stopped, and harms no other when it dies."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from pixperts.app.options import AppOptions
from pixperts.app.orders import Look, Order, carry_out
from pixperts.app.pace import Pace
from pixperts.app.service import Service, State
from pixperts.app.shown import status_of
from pixperts.background.events import Ended, Failed, Previewed
from pixperts.background.orders import Run, Step
from pixperts.background.worker import Worker
from pixperts.background.workspace import Workspace
from pixperts.defaults import DEFAULT_REPAIR_MODEL
from pixperts.errors import UsageError
from pixperts.jobs.operations import Restore
from pixperts.jobs.options import FolderOptions
from pixperts.weights.catalogue import list_trained_models
from tests.helpers.command_line import picture

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    models = list_trained_models()
    with Workspace("app", tmp_path_factory.mktemp("temporary")) as workspace:
        made = Service(AppOptions(max_upload=10_000_000, max_files=2), workspace, models)
        with made:
            yield made


def is_gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_a_run_is_stopped_within_a_second(service: Service, tmp_path: Path) -> None:
    large = picture(tmp_path / "large.png", 900, 1100, 1)
    states = service.run("visitor/page", [str(large)], "repair", {})
    for state in states:
        if state.name:
            break
    pid = service._runs.pid
    assert pid is not None
    started = time.monotonic()
    service.stop("visitor")
    (*_, last) = states
    assert time.monotonic() - started < 1
    assert last.stopped
    assert last.is_over
    assert is_gone(pid)
    assert not list(service.workspace.root.rglob("large_restored*"))
    # A new process stands ready.
    small = picture(tmp_path / "small.png")
    (*_, last) = service.run("visitor/page", [str(small)], "repair", {})
    assert [one.error for one in last.results] == [None]


def test_a_run_that_is_stopped_keeps_what_was_done(service: Service, tmp_path: Path) -> None:
    photos = [picture(tmp_path / "a.png"), picture(tmp_path / "large.png", 900, 1100, 1)]
    states = service.run("visitor/page", list(map(str, photos)), "repair", {})
    for state in states:
        if state.results:
            break
    assert state.count == 2
    kept = service.stop("visitor")
    (*_, last) = states
    assert last.stopped
    assert kept == last.finished
    assert [Path(one.output or "").name for one in kept] == ["a_restored.png"]
    assert all(Path(one.output or "").exists() for one in kept)
    assert "1 picture was done before and can be downloaded" in status_of(last)
    assert service.stop("visitor") == ()


def test_a_visitor_who_leaves_ends_his_work(service: Service, tmp_path: Path) -> None:
    large = picture(tmp_path / "large.png", 900, 1100, 1)
    states = service.run("visitor/page", [str(large)], "repair", {})
    next(states)
    service.leave("visitor")
    (*_, last) = states
    assert last.stopped
    assert list((service.workspace.root / "runs").iterdir()) == []


def test_a_closed_run_ends_its_work(service: Service, tmp_path: Path) -> None:
    large = picture(tmp_path / "large.png", 900, 1100, 1)
    states = service.run("visitor/page", [str(large)], "repair", {})
    next(states)
    pid = service._runs.pid
    assert pid is not None
    states.close()  # type: ignore[attr-defined]
    assert is_gone(pid)


def test_a_process_that_dies_is_a_sentence_and_the_next_one_works(tmp_path: Path) -> None:
    photo = picture(tmp_path / "a.png")
    look = Look(str(photo), str(tmp_path), 1000)
    step = Step(Restore(), "moce-ir-tiny")
    run = Run((str(picture(tmp_path / "b.png", 900, 1100)),), str(tmp_path), step,
              FolderOptions(), 10**9)  # fmt: skip
    worker: Worker[Order] = Worker(carry_out)
    with worker:
        events = worker.work(run)
        next(events)
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGKILL)
        *_, last = events
        assert isinstance(last, Failed)
        assert "perhaps because memory ran out" in last.error
        found = [event for event in worker.work(look) if event is not None]
        assert isinstance(found[0], Previewed)
        assert isinstance(found[1], Ended)
        pid = worker.pid
    assert pid is not None
    assert is_gone(pid)


def test_limits_are_said_before_the_work(service: Service, tmp_path: Path) -> None:
    small = str(picture(tmp_path / "small.png"))
    with (tmp_path / "heavy.png").open("wb") as file:
        file.truncate(10_000_001)
    for uploads, given, words in (
        ([], {}, "There is no picture yet"),
        ([small] * 3, {}, "3 pictures are too many for one run: give at most 2"),
        ([str(tmp_path / "heavy.png")], {}, "heavy.png has 10.0 MB, over this page's limit of 10"),
        ([str(tmp_path / "gone.png")], {}, "gone.png is no longer here"),
        ([small], {"repair_model": "mine.safetensors"}, "unknown here: use liif-edsr"),
    ):
        for work in ("repair", "both"):
            with pytest.raises(UsageError, match=words):
                next(service.run("visitor/page", uploads, work, given))


def test_a_trial_takes_a_part_that_is_done_in_time(service: Service, tmp_path: Path) -> None:
    step = service._step("repair", {})
    before = service.pace.seconds({DEFAULT_REPAIR_MODEL: 1.0})
    service.pace.learn({"model": DEFAULT_REPAIR_MODEL, "megapixels": 1.0, "seconds": 1.0})
    assert service.trial_side(step) == 256
    service.pace.learn({"model": DEFAULT_REPAIR_MODEL, "megapixels": 1.0, "seconds": 73.24})
    assert service.trial_side(step) == 128
    service.pace.learn({"model": DEFAULT_REPAIR_MODEL, "megapixels": 1.0, "seconds": before})
    photo = str(picture(tmp_path / "a.png", 40, 50))
    (*_, last) = service.attempt("visitor/trial", photo, "repair", {}, (0.5, 0.5))
    assert len(last.results) == 1


def test_what_two_models_took_counts_for_each() -> None:
    pace = Pace({"a": 8.0, "b": 24.0})
    report = {
        "model": "a+b", "width": 1000, "height": 1000, "megapixels": 4.0, "seconds": 26.0,
        "method": "network",
    }  # fmt: skip
    assert pace.seconds({"a": 1.0, "b": 4.0}) == 13.0
    pace.learn(report)
    assert pace.seconds({"a": 1.0}) == 2.0
    assert pace.seconds({"a": 1.0, "b": 4.0}) == 26.0
    pace.learn({**report, "method": "copy", "seconds": 1.0})
    assert pace.seconds({"a": 1.0, "b": 4.0}) == 26.0


def test_the_time_left_is_from_the_usual_pace_until_something_is_done() -> None:
    from pixperts.app.service import _left

    assert _left(State(share=0.0), 4.0, 10.0) == 6.0
    assert _left(State(share=0.0), 12.0, 10.0) is None
    assert _left(State(share=0.25), 3.0, 100.0) == 9.0
    assert _left(State(share=None), 3.0, 100.0) is None
