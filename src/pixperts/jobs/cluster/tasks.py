"""What goes from the machine that starts a run to its workers, and what comes back."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

from pixperts import __version__
from pixperts.errors import printable
from pixperts.io.urls import parse_url
from pixperts.jobs.job import Job
from pixperts.jobs.operation import Operation
from pixperts.jobs.options import EnhanceOptions
from pixperts.jobs.outcomes import Outcome
from pixperts.jobs.places import Places
from pixperts.jobs.policy import Making, Policy
from pixperts.jobs.reports import Report


@dataclass(frozen=True)
class Order:
    """What all pictures of a run have in common.

    Attributes:
        version: of pixperts.
        operation: what is done to each picture.
        model: name or file.
        loading: options of `inference.load`, but for the threads.
        precision: what the precision came to where the run was started.
        making: how outputs are made; its `weights` are those that every worker must have.
        if_exists: what happens to outputs that exist.
        roots: folders of outputs that were there at the start.
        records: whether a manifest is kept.
        example: the URL of an object, where there are any.
        threads: of each worker.
    """

    version: str
    operation: Operation
    model: str
    loading: Mapping[str, Any]
    precision: str
    making: Making
    if_exists: str
    roots: tuple[str, ...]
    records: bool
    example: str | None
    threads: int


class Task(NamedTuple):
    """One picture: names and no pixels, the same on all machines.

    Attributes:
        source: as in `Job`, with whole paths, or URLs.
        target: likewise, and so the next three.
        page: as in `Job`.
        in_place: likewise.
        entry: what the manifest says of its output.
        existed: whether the output was there when the run began.
    """

    source: str
    target: str
    expert_map: str | None
    root: str | None
    map_root: str | None
    page: int | None
    in_place: bool
    entry: dict[str, Any] | None
    existed: bool


_COMPARED = ("output", "settings", "weights_sha256", "input_sha256", "output_sha256")


def pack(job: Job, entry: dict[str, Any] | None, places: Places) -> Task:
    """A picture for a worker."""
    chart, root, map_root = (
        None if path is None else places.anywhere(path)
        for path in (job.expert_map, job.root, job.map_root)
    )
    return Task(
        places.anywhere(job.source),
        places.anywhere(job.target),
        chart,
        root,
        map_root,
        job.page,
        job.in_place,
        None if entry is None else {name: entry.get(name) for name in _COMPARED},
        places.exists(job.target, fresh=False),
    )


def unpack(task: Task, places: Places) -> Job:
    """A picture, where a worker runs."""
    chart, root, map_root = (
        None if name is None else places.path(name)
        for name in (task.expert_map, task.root, task.map_root)
    )
    return Job(
        places.path(task.source),
        places.path(task.target),
        chart,
        root,
        map_root,
        page=task.page,
        in_place=task.in_place,
    )


@dataclass(frozen=True)
class Reply:
    """What became of a picture, as a worker says it; see `Outcome`.

    `times` is how often it was begun.
    """

    report: Report | None = None
    error: str | None = None
    skipped: bool = False
    hashes: tuple[str | None, str | None] = (None, None)
    times: int = 1

    @classmethod
    def of(cls, outcome: Outcome) -> Self:
        """Without the job, whose paths are those of the worker."""
        return cls(outcome.report, outcome.error, outcome.skipped, outcome.hashes)

    def outcome(self, job: Job, places: Places) -> Outcome:
        """Of this job, in the names that the run was started with."""
        given = {
            places.anywhere(path): str(path)
            for path in (job.source, job.target, job.expert_map)
            if path is not None and parse_url(places.anywhere(path)) is None
        }

        def named(text: str) -> str:
            for whole, name in given.items():
                text = text.replace(printable(whole), printable(name))
            return text

        report = self.report
        if report is not None:
            report = replace(
                report,
                input=given.get(report.input, report.input),
                output=given.get(report.output, report.output),
                notes=[named(note) for note in report.notes],
            )
        error = None if self.error is None else named(self.error)
        return Outcome(job, report, error, self.skipped, self.hashes)


def order_of(
    operation: Operation,
    model: str,
    loading: Mapping[str, Any],
    precision: str,
    policy: Policy,
    *,
    places: Places,
    example: str | None,
    records: bool,
    threads: int,
) -> Order:
    """What the workers of a run need to know; files of models go by whole paths."""
    if isinstance(operation, EnhanceOptions):
        operation = replace(operation, restore_model=_anywhere(operation.restore_model))
    return Order(
        version=__version__,
        operation=operation,
        model=_anywhere(model),
        loading=dict(loading),
        precision=precision,
        making=policy.making,
        if_exists=policy.if_exists,
        roots=tuple(map(places.anywhere, policy.roots)),
        records=records,
        example=example,
        threads=threads,
    )


def _anywhere(model: str) -> str:
    from pixperts.weights.packaged import packaged_models

    is_file = model not in packaged_models() and os.path.exists(model)
    return os.path.abspath(model) if is_file else model
