"""The commands that work on pictures: `upscale`, `restore` and `enhance`."""

import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pixperts.cli.options import (
    ExpertMap,
    Inputs,
    Output,
    ReportOptions,
    RestoreModel,
    UpscaleModel,
)
from pixperts.defaults import DEFAULT_ENHANCE_MODEL, DEFAULT_MODEL, DEFAULT_REPAIR_MODEL
from pixperts.errors import UsageError
from pixperts.inference.options import ModelOptions, UpscaleModelOptions
from pixperts.jobs.cluster.options import ENGINE_OPTIONS, LOCAL, EngineOptions
from pixperts.jobs.options import (
    EnhanceOptions,
    FolderOptions,
    RestoreOptions,
    UpscaleOptions,
)
from pixperts.jobs.scale_out.shard import VARIABLE, parse_shard

if TYPE_CHECKING:
    from pixperts.jobs.operation import Operation


def upscale(
    inputs: Inputs,
    *,
    output: Output = None,
    model: UpscaleModel = DEFAULT_MODEL,
    options: UpscaleOptions,
    loading: UpscaleModelOptions,
    folder: FolderOptions,
    report: ReportOptions,
    engine: EngineOptions,
    expert_map: ExpertMap = None,
) -> int:
    """Enlarge pictures to any size; twice as large if no size is given."""
    from pixperts.jobs.operations import Upscale

    files = replace(options.files, max_memory=loading.max_memory)
    operation = Upscale(**{**vars(options), "files": files})
    return _run(inputs, output, operation, model, loading, folder, report, engine, expert_map)


def restore(
    inputs: Inputs,
    *,
    output: Output = None,
    model: RestoreModel = DEFAULT_REPAIR_MODEL,
    options: RestoreOptions,
    loading: ModelOptions,
    folder: FolderOptions,
    report: ReportOptions,
    engine: EngineOptions,
) -> int:
    """Repair pictures: noise, rain, haze, motion blur, darkness, snow and their mixtures."""
    from pixperts.jobs.operations import Restore

    files = replace(options.files, max_memory=loading.max_memory)
    operation = Restore(**{**vars(options), "files": files})
    return _run(inputs, output, operation, model, loading, folder, report, engine)


def enhance(
    inputs: Inputs,
    *,
    output: Output = None,
    model: UpscaleModel = DEFAULT_ENHANCE_MODEL,
    options: EnhanceOptions,
    loading: UpscaleModelOptions,
    folder: FolderOptions,
    report: ReportOptions,
    engine: EngineOptions,
    expert_map: ExpertMap = None,
) -> int:
    """Repair pictures and enlarge them; twice as large if no size is given."""
    from pixperts.jobs.enhance import Enhance

    files = replace(options.files, max_memory=loading.max_memory)
    operation = Enhance(**{**vars(options), "files": files})
    return _run(inputs, output, operation, model, loading, folder, report, engine, expert_map)


def _run(
    inputs: list[str],
    output: str | None,
    operation: "Operation",
    model: str,
    loading: ModelOptions,
    folder: FolderOptions,
    report: ReportOptions,
    engine: EngineOptions,
    expert_map: str | None = None,
) -> int:
    """Run a command over pictures; 1 where one of them failed."""
    from pixperts.cli.pipes import Pipes
    from pixperts.cli.reporter import ConsoleReporter
    from pixperts.jobs.run import run_folder

    folder = _with_shard(folder)
    with Pipes(
        inputs, output, folder.format, limit=loading.max_memory, beside=not folder.in_place
    ) as pipes:
        if operation.files.page == "all" and pipes.writes:
            raise UsageError("--page all makes several files: name a folder instead of '-'.")
        if folder.manifest is not None and (pipes.writes or pipes.inputs != inputs):
            raise UsageError("--manifest records files: leave it out if '-' is one of them.")
        if folder.shard is not None and (pipes.writes or pipes.inputs != inputs):
            raise UsageError(
                "--shard or PIXPERTS_SHARD divides files: leave it out if '-' is one of them."
            )
        if engine != ENGINE_OPTIONS and (pipes.writes or pipes.inputs != inputs):
            raise UsageError("--engine ray works on files: leave it out where '-' is one of them.")
        listener = ConsoleReporter(
            as_json=report.as_json,
            quiet=report.quiet,
            named=pipes.named,
            results=sys.stderr if pipes.writes else sys.stdout,
        )
        with listener as reporter, _stdout_for_results(engine):
            summary = run_folder(
                pipes.inputs,
                pipes.output,
                operation,
                model,
                options=folder,
                expert_map=expert_map,
                listener=reporter,
                engine=engine,
                **asdict(loading),
            )
        pipes.deliver()
    return 1 if summary.failed else 0


def _with_shard(folder: FolderOptions) -> FolderOptions:
    """With the shard of the environment, where the command line names none."""
    given = os.environ.get(VARIABLE)
    if folder.shard is not None or not given:
        return folder
    return replace(folder, shard=parse_shard(given, VARIABLE))


@contextlib.contextmanager
def _stdout_for_results(engine: EngineOptions) -> Iterator[None]:
    """Ray prints to `sys.stdout` that workers died, which the reporter says in its own way."""
    if engine.engine == LOCAL:
        yield
        return
    with Path(os.devnull).open("w") as nothing, contextlib.redirect_stdout(nothing):
        yield
