"""The command line. Only what `--help` needs is imported here; the rest inside the commands."""

import json
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from pixperts import __version__, cli_research
from pixperts.cli_options import (
    MODEL,
    OUTPUT,
    SIZE,
    Budget,
    Device,
    Format,
    IfExists,
    Inputs,
    Json,
    ManifestFile,
    Name,
    Output,
    Quality,
    Quiet,
    Recursive,
    RepairModel,
    Workers,
    check_budget,
)
from pixperts.defaults import DEFAULT_MODEL, DEFAULT_REPAIR_MODEL
from pixperts.errors import PixpertsError, UsageError
from pixperts.sizes import SizeRequest

if TYPE_CHECKING:
    from pixperts.planning import FolderOptions
    from pixperts.work import Wishes


# Rounds before a thread sleeps: some microseconds, against 300,000 rounds that are usual.
SPIN_COUNT = "100"


class _InterruptedError(PixpertsError):
    exit_code = 130


class _Group(TyperGroup):
    """Turns Ctrl-C into an exit code of ours, before typer makes one of its own of it."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise _InterruptedError("Interrupted; what was finished is kept.") from None


app = typer.Typer(
    cls=_Group,
    name="pixperts",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line, `sys.argv` by default, and return the exit code.

    0: done; 1: something failed; 2: the command line was wrong; 130: interrupted. Every error is
    one sentence on stderr; PIXPERTS_TRACEBACK=1 lets unexpected ones through with their traceback.
    """
    _let_threads_sleep()
    # libvips repeats on stderr, in its own words, what our own sentence already says.
    logging.getLogger("pyvips").addHandler(logging.NullHandler())
    command = typer.main.get_command(app)
    args = None if arguments is None else list(arguments)
    try:
        code = command.main(args=args, prog_name="pixperts", standalone_mode=False)
    except PixpertsError as error:
        return _fail(str(error), error.exit_code)
    except Exception as error:
        # The base of typer's own errors is click's, which newer versions of typer carry inside.
        message = getattr(error, "format_message", None)
        if message is not None:
            return _fail(message(), int(getattr(error, "exit_code", 2)))
        if os.environ.get("PIXPERTS_TRACEBACK"):
            raise
        cause = f"{type(error).__name__}: {error}".rstrip(": ")
        return _fail(
            f"pixperts failed unexpectedly ({cause}); please report it, with what "
            "PIXPERTS_TRACEBACK=1 shows.",
            1,
        )
    return code if isinstance(code, int) else 0


def _let_threads_sleep() -> None:
    """Threads that wait shall not burn the cores that other programs need.

    Between two steps of a network, OpenMP's threads spin for milliseconds, and so two commands
    on the same cores hinder each other many times over. Only before torch is loaded does this
    have an effect; whoever has set OpenMP up otherwise is left alone.
    """
    told = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
    if "torch" in sys.modules or any(name in os.environ for name in told):
        return
    os.environ["GOMP_SPINCOUNT"] = SPIN_COUNT  # GNU's runtime, in torch's wheels for Linux
    os.environ["KMP_BLOCKTIME"] = "0"  # milliseconds; LLVM's and Intel's, elsewhere


def _fail(message: str, code: int) -> int:
    if message:
        print(" ".join(message.split()), file=sys.stderr, flush=True)
    return code


def _version(wanted: bool) -> None:
    if wanted:
        print(f"pixperts {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Enlarge and repair photographs with mixtures of experts that work where they are needed."""


@app.command()
def upscale(
    inputs: Inputs,
    output: Output,
    scale: Annotated[
        float | None,
        typer.Option(
            "--scale", "-s", help="Factor for both sides, such as 2.5.", rich_help_panel=SIZE
        ),
    ] = None,
    size: Annotated[
        str | None, typer.Option(help="Exact size, such as 1920x1080.", rich_help_panel=SIZE)
    ] = None,
    width: Annotated[
        int | None, typer.Option(help="New width in pixels.", rich_help_panel=SIZE)
    ] = None,
    height: Annotated[
        int | None, typer.Option(help="New height in pixels.", rich_help_panel=SIZE)
    ] = None,
    long_side: Annotated[
        int | None, typer.Option(help="New longer side in pixels.", rich_help_panel=SIZE)
    ] = None,
    short_side: Annotated[
        int | None, typer.Option(help="New shorter side in pixels.", rich_help_panel=SIZE)
    ] = None,
    megapixels: Annotated[
        float | None, typer.Option(help="New area in megapixels.", rich_help_panel=SIZE)
    ] = None,
    model: Annotated[
        str,
        typer.Option(
            "--model",
            "-m",
            help="Name from 'pixperts models', or weights file.",
            rich_help_panel=MODEL,
        ),
    ] = DEFAULT_MODEL,
    budget: Budget = None,
    device: Device = "auto",
    image_format: Format = None,
    quality: Quality = None,
    expert_map: Annotated[
        str | None,
        typer.Option(
            help="Also draw which expert did which pixel: a .png for one picture, a folder for "
            "several, which receives NAME_experts.png.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    recursive: Recursive = False,
    name: Name = None,
    if_exists: IfExists = None,
    workers: Workers = 1,
    manifest: ManifestFile = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Enlarge pictures to any size: give exactly one of the options that say how large."""
    from pixperts import batch

    request = SizeRequest.from_options(
        scale=scale,
        size=size,
        width=width,
        height=height,
        long_side=long_side,
        short_side=short_side,
        megapixels=megapixels,
    )
    check_budget(budget)
    _run(
        inputs,
        output,
        batch.Enlargement(request, budget, batch.FileOptions(quality)),
        model,
        batch.FolderOptions(recursive, name, image_format, if_exists, workers, manifest),
        device=device,
        expert_map=expert_map,
        as_json=as_json,
        quiet=quiet,
    )


@app.command()
def restore(
    inputs: Inputs,
    output: Output,
    model: RepairModel = DEFAULT_REPAIR_MODEL,
    strength: Annotated[
        float,
        typer.Option(
            help="1 = what the network says, 0 = the input, between: a blend.",
            rich_help_panel=MODEL,
        ),
    ] = 1.0,
    device: Device = "auto",
    image_format: Format = None,
    quality: Quality = None,
    recursive: Recursive = False,
    name: Name = None,
    if_exists: IfExists = None,
    workers: Workers = 1,
    manifest: ManifestFile = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Repair pictures: noise, rain, haze, motion blur, darkness, snow and their mixtures."""
    from pixperts import batch

    if not 0.0 <= strength <= 1.0:
        raise UsageError(f"--strength is {strength:g}, but must lie between 0 and 1.")
    _run(
        inputs,
        output,
        batch.Repair(strength, batch.FileOptions(quality)),
        model,
        batch.FolderOptions(recursive, name, image_format, if_exists, workers, manifest),
        device=device,
        as_json=as_json,
        quiet=quiet,
    )


def _run(
    inputs: list[str],
    output: str,
    wishes: "Wishes",
    model: str,
    options: "FolderOptions",
    *,
    device: str,
    as_json: bool,
    quiet: bool,
    expert_map: str | None = None,
) -> None:
    from pixperts.batch import run_folder
    from pixperts.telling import Teller

    with Teller(as_json=as_json, quiet=quiet) as teller:
        summary = run_folder(
            inputs,
            output,
            wishes,
            model,
            options=options,
            expert_map=expert_map,
            device=device,
            watcher=teller,
        )
    if summary.failed:
        raise typer.Exit(1)


@app.command()
def analyze(
    photo: Annotated[Path, typer.Argument(metavar="PHOTO", help="One picture.")],
    model: RepairModel = DEFAULT_REPAIR_MODEL,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Show what the routers see in a picture: experts, gates, the nearest task, cost skipped."""
    from pixperts.analysis import analyse
    from pixperts.image import read_image
    from pixperts.restorer import load

    restorer = load(model, device=device)
    _ = restorer.repairer
    found = analyse(restorer, read_image(photo).pixels)
    if as_json:
        print(json.dumps({"input": str(photo), **found.to_dict()}, allow_nan=False))
    else:
        print(found.to_text())


@app.command()
def models(as_json: Json = False) -> None:
    """List the models: first those with weights, then the untrained architectures."""
    from pixperts import catalogue

    listed = catalogue.entries()
    if as_json:
        for entry in listed:
            print(json.dumps(entry.to_dict(), allow_nan=False))
    else:
        catalogue.show(listed)


cli_research.register(app)
