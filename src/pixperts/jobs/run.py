"""Take many picture files through one model: `run_folder`.

The command line is a thin layer above it. An output appears as a whole when it is finished, so
that a run that was killed continues where it was when it is started again.
"""

import functools
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pixperts.errors import UsageError, named
from pixperts.io.atomic import remove_leftovers
from pixperts.io.urls import local_name, parse_url
from pixperts.jobs.cluster.options import ENGINE_OPTIONS, LOCAL, EngineOptions
from pixperts.jobs.cluster.tasks import order_of
from pixperts.jobs.job import Job
from pixperts.jobs.manifest import Manifest
from pixperts.jobs.operation import Operation
from pixperts.jobs.options import FolderOptions
from pixperts.jobs.outcomes import Listener, Outcome, Summary
from pixperts.jobs.phases import Phases
from pixperts.jobs.pipeline import Interrupts, run_overlapped
from pixperts.jobs.places import as_file, places_of
from pixperts.jobs.plan import Plan, plan
from pixperts.jobs.policy import Making, Policy, roots_of
from pixperts.jobs.results import Results

if TYPE_CHECKING:
    from pixperts.inference.predictor import AnyPredictor
    from pixperts.jobs.cluster.engine import RayEngine

PathLike = str | os.PathLike[str]


def run_folder(
    inputs: PathLike | Sequence[PathLike],
    output: PathLike | None,
    operation: Operation,
    model: "AnyPredictor | PathLike",
    *,
    options: FolderOptions | None = None,
    expert_map: PathLike | None = None,
    device: str = "auto",
    tile: int | None = None,
    max_memory: float | None = None,
    precision: str = "auto",
    runtime: str = "torch",
    offline: bool = False,
    listener: Listener | None = None,
    engine: EngineOptions = ENGINE_OPTIONS,
) -> Summary:
    """Enlarge or repair picture files, as the command line does.

    If a picture fails, the others are still done. No incomplete file is ever left among the
    outputs, also if the process is killed; hidden temporary files of runs that died are removed.
    Ctrl-C ends the run at the next step of the progress, once the files that are being written
    are complete.

    Args:
        inputs: pictures, folders and patterns; see `inputs.find`. Those that begin with s3://,
            gs:// or az:// are objects of a store, which require the extra `cloud`.
        output: a file for one picture, else a folder; a slash at the end makes it a folder. None:
            names beside the inputs, see `beside.beside`, or with `options.in_place` the inputs.
            May be in a store as well.
        operation: `Upscale(SizeRequest(scale=2))`, `Restore(strength=1.0)` or
            `Enhance(SizeRequest(scale=2))`.
        model: an `Upscaler`, a `Restorer` or an `Enhancer`, or the name or file of a model; for
            `Enhance` that of the one that enlarges.
        options: which pictures, which names, what happens to outputs that exist, how many pictures
            are read and written beside the computing, and the manifest. With a manifest, an output
            that exists is made again if its last entry names other settings, weights or input.
        expert_map: a .png file for one picture, or a folder, for maps that show which expert
            enlarged which part. None: no maps.
        device: see `inference.load`; this and the next five apply to a model that is given by name.
        tile: see `inference.load`.
        max_memory: see `inference.load`, in bytes.
        precision: see `inference.load`.
        runtime: see `inference.load`.
        offline: see `inference.load`.
        listener: is informed of progress and outcomes.
        engine: this process, or a cluster. On a cluster, outcomes come in any order and are
            numbered as they come, no progress within a picture is reported, and every worker loads
            the model, which must be a name or a file.

    Returns:
        How many pictures were done, skipped and failed.

    Raises:
        UsageError: before the first picture, for inputs or options that contradict each other.
        ImageError, ModelError: before the first picture, for a folder or model that cannot be read.
        MissingExtraError: for objects of a store if obstore is not installed, and for a cluster if
            Ray is not.
        PixpertsError: the cluster failed.
        KeyboardInterrupt: after Ctrl-C, once the files that are being written are complete.

    Example:
        >>> from pixperts.inference.size_request import SizeRequest
        >>> run_folder("photos", "large", Upscale(SizeRequest(scale=2)), "moeisr-tiny",
        ...            options=FolderOptions(recursive=True))  # doctest: +SKIP
        Summary(done=12, skipped=0, failed=0)
    """
    options = options or FolderOptions()
    listener = listener or Listener()
    several = [inputs] if isinstance(inputs, str | os.PathLike) else inputs
    given = [os.fspath(path) for path in several]
    goal = None if output is None else os.fspath(output)
    charts = None if expert_map is None else os.fspath(expert_map)
    if "" in (*given, goal, charts, model):
        raise UsageError(
            "An empty name was given: name files or folders ('.' is the current folder)."
        )
    names = (*given, goal or "", charts or "")
    for name in names:
        if "\0" in name:
            raise UsageError(f"{name!r} is not a file name: it holds a null byte.")
    given = list(map(local_name, given))
    goal, charts = goal and local_name(goal), charts and local_name(charts)
    if options.manifest is not None:
        options = replace(options, manifest=as_file(os.fspath(options.manifest), "manifest"))
    cluster = None if engine.engine == LOCAL else _cluster(engine, model, options)

    loading = {
        "device": device, "tile": tile, "max_memory": max_memory, "precision": precision,
        "runtime": runtime, "offline": offline,
    }  # fmt: skip

    @functools.cache
    def predictor() -> "AnyPredictor":
        if not isinstance(model, str | os.PathLike):
            return model
        return operation.load(os.fspath(model), **loading)

    with places_of([*given, *filter(None, (goal, charts))]) as places:
        planned = plan(
            given,
            goal,
            charts,
            options,
            new_size=operation.new_size,
            label=operation.label,
            page=operation.files.page,
            model=lambda: predictor().name,
            places=places,
        )
        # The jobs of all shards, so that each shard raises the same errors as a whole run.
        operation.check_jobs(planned.everything)
        record = None if options.manifest is None else Manifest(Path(options.manifest))
        operation.check_model(predictor(), planned.everything)
        remarks = [places.named(remark) for remark in planned.remarks]
        if predictor().slow_precision:
            remarks.append(
                f"{named('precision', 'bfloat16')} is many times slower than float32 for this "
                "model "
                "or on this processor: leave it out, or use a GPU."
            )
        planned = replace(planned, remarks=remarks, sized=not places.remote)
        if record is not None and options.part is not None:
            record.make()  # an empty manifest shows that this shard was run
        noted = record is not None or cluster is not None
        making = Making.of(operation, predictor(), weights=noted)
        policy = Policy(planned.if_exists, roots_of(planned.jobs), making, record, places)
        results = Results(policy, places, listener)
        remove_leftovers(_folders_of(planned))
        if cluster is not None:
            from pixperts.jobs.cluster.run import run_on_cluster

            order = order_of(
                operation, str(model), loading, predictor().precision, policy,
                places=places, example=next(filter(parse_url, names), None),
                records=record is not None, threads=engine.threads,
            )  # fmt: skip
            run_on_cluster(planned, order, policy, places, cluster, results, listener)
            remove_leftovers(_folders_of(planned))  # of workers that were killed
            return results.summary
        interrupts = Interrupts()
        phases = Phases(
            planned.jobs, operation, predictor(), policy, places, listener, interrupts.check
        )
        _run_here(planned, phases, results, listener, interrupts, options.workers)
        return results.summary


def _run_here(
    planned: Plan,
    phases: Phases,
    results: Results,
    listener: Listener,
    interrupts: Interrupts,
    workers: int,
) -> None:
    """Do the whole run in this process."""

    def weigh(job: Job) -> float:
        """Output pixels to be computed; whether the input has changed is found out later.

        With objects of a store every picture counts 1, so that none has to be fetched for this.
        """
        if not phases.policy.has_work(job, fresh=False):
            return 0.0
        return phases.operation.expected_pixels(job) if planned.sized else 1.0

    listener.begin(planned, weigh)
    with interrupts:
        run_overlapped(
            len(planned.jobs),
            phases.read,
            phases.compute,
            phases.save,
            results.finish,
            ended=Outcome,
            workers=workers,
            heed=interrupts.heed,
        )


def _cluster(
    engine: EngineOptions, model: "AnyPredictor | PathLike", options: FolderOptions
) -> "RayEngine":
    """The cluster, not connected yet."""
    from pixperts.jobs.cluster.engine import RayEngine

    if not isinstance(model, str | os.PathLike):
        raise UsageError(
            f"{named('engine', 'ray')} loads the model on every machine: give its name or file."
        )
    if options.workers != FolderOptions().workers:
        raise UsageError(
            f"{named('workers')} is for {named('engine', 'local')}: give {named('processes')}, or "
            "leave "
            "it out."
        )
    return RayEngine(engine)


def _folders_of(planned: Plan) -> Iterator[Path]:
    """The folders of all outputs."""
    for job in planned.jobs:
        yield job.target.parent
        if job.expert_map is not None:
            yield job.expert_map.parent
