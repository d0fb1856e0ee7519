"""The commands that work on pictures: `upscale` and `restore`."""

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated

from pixperts.cli.options import Inputs, Output, ReportOptions, RestoreModel, UpscaleModel
from pixperts.defaults import DEFAULT_MODEL, DEFAULT_REPAIR_MODEL
from pixperts.inference.options import ModelOptions
from pixperts.jobs.options import FolderOptions, RestoreOptions, UpscaleOptions
from pixperts.options import OUTPUT, Option

if TYPE_CHECKING:
    from pixperts.jobs.operation import Operation


def upscale(
    inputs: Inputs,
    *,
    output: Output,
    model: UpscaleModel = DEFAULT_MODEL,
    options: UpscaleOptions,
    loading: ModelOptions,
    folder: FolderOptions,
    report: ReportOptions,
    expert_map: Annotated[
        str | None,
        Option(
            "Also draw which expert computed which pixel: a .png for one picture, a folder for "
            "several, which receives NAME_experts.png.",
            panel=OUTPUT,
        ),
    ] = None,
) -> int:
    """Enlarge pictures to any size: give exactly one of the options that say how large."""
    from pixperts.jobs.operations import Upscale

    files = replace(options.files, max_memory=loading.max_memory)
    operation = Upscale(**{**vars(options), "files": files})
    return _run(inputs, output, operation, model, loading, folder, report, expert_map)


def restore(
    inputs: Inputs,
    *,
    output: Output,
    model: RestoreModel = DEFAULT_REPAIR_MODEL,
    options: RestoreOptions,
    loading: ModelOptions,
    folder: FolderOptions,
    report: ReportOptions,
) -> int:
    """Repair pictures: noise, rain, haze, motion blur, darkness, snow and their mixtures."""
    from pixperts.jobs.operations import Restore

    files = replace(options.files, max_memory=loading.max_memory)
    operation = Restore(**{**vars(options), "files": files})
    return _run(inputs, output, operation, model, loading, folder, report)


def _run(
    inputs: list[str],
    output: str,
    operation: "Operation",
    model: str,
    loading: ModelOptions,
    folder: FolderOptions,
    report: ReportOptions,
    expert_map: str | None = None,
) -> int:
    """Run a command over pictures; 1 where one of them failed."""
    from pixperts.cli.reporter import ConsoleReporter
    from pixperts.jobs.run import run_folder

    with ConsoleReporter(as_json=report.as_json, quiet=report.quiet) as reporter:
        summary = run_folder(
            inputs,
            output,
            operation,
            model,
            options=folder,
            expert_map=expert_map,
            listener=reporter,
            **asdict(loading),
        )
    return 1 if summary.failed else 0
