"""What the machine that starts a run sends to its workers, and what comes back."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

from pixperts import __version__
from pixperts.errors import names_options, printable
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
        version: of pixperts, which every worker must have.
        operation: what is done to each picture.
        model: name or file.
        loading: options of `inference.load`.
        precision: in which the machine that started the run computes.
        making: how outputs are made; every worker must have its `weights`.
        if_exists: what happens to outputs that exist.
        roots: output folders that existed at the start.
        records: whether a manifest is kept.
        example: the URL of an object, if there is one.
        threads: number of threads of each worker.
        names_options: whether its messages name options of the command line.
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
    names_options: bool


class Task(NamedTuple):
    """One picture, by names that are valid on all machines, without pixels.

    Attributes:
        source: as in `Job`, as an absolute path or a URL; so are the next four.
        target: the output.
        expert_map: of the output.
        root: of the output.
        map_root: of the map.
        page: as in `Job`.
        in_place: as in `Job`.
        entry: of the output in the manifest, if there is one.
        existed: whether the output existed when the run began.
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
    """A job as a task for a worker."""
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
    """The job of a task, on the machine of a worker."""
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
    """The outcome of a picture, as a worker sends it; see `Outcome`.

    `times` is how often the picture was begun.
    """

    report: Report | None = None
    error: str | None = None
    skipped: bool = False
    hashes: tuple[str | None, str | None] = (None, None)
    times: int = 1

    @classmethod
    def of(cls, outcome: Outcome) -> Self:
        """The reply for an outcome, without its job, whose paths are those of the worker."""
        return cls(outcome.report, outcome.error, outcome.skipped, outcome.hashes)

    def outcome(self, job: Job, places: Places) -> Outcome:
        """The outcome for a job, with the names that the user gave."""
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
    """The order for the workers of a run; files of models get absolute paths.

    For the arguments see `Order`; `roots` of `policy`, and `places` gives names.
    """
    if isinstance(operation, EnhanceOptions) and operation.restore_model is not None:
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
        names_options=names_options(),
    )


def _anywhere(model: str) -> str:
    from pixperts.weights.packaged import packaged_models

    is_file = model not in packaged_models() and os.path.exists(model)
    return os.path.abspath(model) if is_file else model
