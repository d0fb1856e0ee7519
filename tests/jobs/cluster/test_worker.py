"""Workers of a cluster without a cluster: second tries, and machines that cannot do the work."""

import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pixperts.errors import PixpertsError
from pixperts.inference.upscaler import Upscaler
from pixperts.io.image import read_image
from pixperts.jobs.cluster.ledger import Ledger
from pixperts.jobs.cluster.tasks import Order, Reply, Task, order_of, pack, unpack
from pixperts.jobs.cluster.worker import TRIES, Worker
from pixperts.jobs.job import Job
from pixperts.jobs.options import FolderOptions
from pixperts.jobs.phases import Phases
from pixperts.jobs.places import LOCAL
from pixperts.jobs.plan import plan
from pixperts.jobs.policy import Making, Policy, roots_of
from pixperts.weights.checksums import file_sha256
from tests.helpers.folder_jobs import TWICE, picture


class Killed(BaseException):
    """Stands for SIGKILL: nothing in the product may catch it."""


@pytest.fixture
def order(files: dict[str, Path], model: Upscaler) -> Callable[..., Order]:
    def make(jobs: list[Job], *, if_exists: str = "skip", records: bool = True) -> Order:
        making = Making.of(TWICE, model, weights=True)
        policy = Policy(if_exists, roots_of(jobs), making, None, LOCAL)
        return order_of(
            TWICE, str(files["upscale"]), {"device": "cpu"}, "float32", policy,
            places=LOCAL, example=None, records=records, threads=1,
        )  # fmt: skip

    return make


def jobs_of(output: str | None = "large", **options: Any) -> list[Job]:
    return plan(["photos"], output, options=FolderOptions(**options)).jobs


def die(monkeypatch: pytest.MonkeyPatch, *, after_writing: bool) -> None:
    """The next worker that saves a picture is killed, before or after."""
    save = Phases.save

    def killed(self: Phases, number: int, item: Any) -> Any:
        if after_writing:
            save(self, number, item)
        monkeypatch.setattr(Phases, "save", save)
        raise Killed

    monkeypatch.setattr(Phases, "save", killed)


@pytest.mark.parametrize("after_writing", [False, True])
@pytest.mark.parametrize("in_place", [False, True])
def test_a_second_try_is_as_good_as_the_first(
    here: Path,
    order: Callable[..., Order],
    monkeypatch: pytest.MonkeyPatch,
    after_writing: bool,
    in_place: bool,
) -> None:
    source = picture("photos/a.png")
    given = file_sha256(source)
    (job,) = jobs = jobs_of(None, in_place=True) if in_place else jobs_of()
    common = order(jobs, if_exists="overwrite" if in_place else "skip")
    ledger, task = Ledger(), pack(job, None, LOCAL)
    die(monkeypatch, after_writing=after_writing)
    with pytest.raises(Killed):
        Worker(common, ledger, 1).work(0, task)
    reply = Worker(common, ledger, 1).work(0, task)
    assert (reply.error, reply.skipped, reply.times) == (None, False, 2)
    assert reply.report is not None
    assert reply.hashes == (given, file_sha256(job.target))
    assert read_image(job.target).pixels.shape == (12, 16, 3)  # enlarged once
    outcome = reply.outcome(job, LOCAL)
    assert outcome.report is not None
    assert (outcome.report.input, outcome.report.output) == (str(source), str(job.target))


def test_what_others_made_meanwhile_is_kept(here: Path, order: Callable[..., Order]) -> None:
    picture("photos/a.png")
    (job,) = jobs = jobs_of()
    task = pack(job, None, LOCAL)
    picture("large/a.png")
    before = job.target.read_bytes()
    reply = Worker(order(jobs, records=False), Ledger(), 1).work(0, task)
    assert reply == Reply(skipped=True)
    assert job.target.read_bytes() == before


def test_an_old_output_is_no_sign_of_a_first_try(
    here: Path, order: Callable[..., Order], monkeypatch: pytest.MonkeyPatch
) -> None:
    picture("photos/a.png")
    picture("large/a.png")
    (job,) = jobs = jobs_of(if_exists="overwrite")
    common, ledger = order(jobs, if_exists="overwrite"), Ledger()
    die(monkeypatch, after_writing=False)
    with pytest.raises(Killed):
        Worker(common, ledger, 1).work(0, pack(job, None, LOCAL))
    reply = Worker(common, ledger, 1).work(0, pack(job, None, LOCAL))
    assert reply.report is not None
    assert read_image(job.target).pixels.shape == (12, 16, 3)


def test_a_picture_that_kills_its_workers_fails(here: Path, order: Callable[..., Order]) -> None:
    picture("photos/a.png")
    (job,) = jobs = jobs_of()
    ledger = Ledger()
    for _ in range(TRIES):
        ledger.begin(0)
    reply = Worker(order(jobs), ledger, 1).work(0, pack(job, None, LOCAL))
    outcome = reply.outcome(job, LOCAL)
    assert outcome.error is not None
    assert outcome.error.startswith("photos/a.png: 4 worker processes died over it, perhaps")
    assert not job.target.exists()


def test_folders_that_a_machine_does_not_see(here: Path, order: Callable[..., Order]) -> None:
    source = picture("photos/a.png")
    (job,) = jobs = jobs_of()
    task = pack(job, None, LOCAL)
    source.unlink()
    outcome = Worker(order(jobs), Ledger(), 1).work(0, task).outcome(job, LOCAL)
    assert outcome.error is not None
    assert outcome.error.startswith("photos/a.png is not there on ")


def test_a_folder_that_vanished(here: Path, order: Callable[..., Order]) -> None:
    picture("photos/a.png")
    (here / "large").mkdir()
    (job,) = jobs = jobs_of()
    common = order(jobs)
    (here / "large").rmdir()
    outcome = Worker(common, Ledger(), 1).work(0, pack(job, None, LOCAL)).outcome(job, LOCAL)
    assert outcome.error is not None
    assert "because the folder" in outcome.error
    assert not (here / "large").exists()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"version": "0.0.1"}, "but the run 0.0.1"),
        ({"precision": "bfloat16"}, "would compute in float32, and the machine where the run was"),
    ],
)
def test_machines_whose_results_would_differ(
    here: Path, order: Callable[..., Order], change: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(PixpertsError, match=sentence):
        Worker(replace(order([]), **change), Ledger(), 1)


def test_other_weights(here: Path, order: Callable[..., Order]) -> None:
    common = order([])
    making = replace(common.making, weights="0" * 64)
    with pytest.raises(PixpertsError, match="has other weights than where the run was started"):
        Worker(replace(common, making=making), Ledger(), 1)


def test_tasks_carry_names_and_no_pixels(here: Path) -> None:
    picture("photos/a.png", 400, 500)
    (job,) = jobs_of()
    task: Task = pack(job, {"output": "x", "settings": {}, "seconds": 1.0}, LOCAL)
    assert task.source == str(here / "photos/a.png")
    assert unpack(task, LOCAL) == Job(
        here / "photos/a.png", here / "large/a.png", root=here / "large"
    )
    assert len(pickle.dumps(task)) < 600
    assert task.entry is not None
    assert "seconds" not in task.entry
    assert not task.existed
