"""The command line. Only what `--help` needs is imported here; the rest inside the commands."""

import json
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from pixperts import __version__, cli_research
from pixperts.cli_options import (
    Budget,
    Device,
    Inputs,
    Json,
    Output,
    Quality,
    Quiet,
    RepairModel,
    check_budget,
)
from pixperts.defaults import DEFAULT_MODEL, DEFAULT_REPAIR_MODEL
from pixperts.errors import PixpertsError, UsageError
from pixperts.sizes import SizeRequest


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
        float | None, typer.Option("--scale", "-s", help="Factor for both sides, such as 2.5.")
    ] = None,
    size: Annotated[str | None, typer.Option(help="Exact size, such as 1920x1080.")] = None,
    width: Annotated[int | None, typer.Option(help="New width in pixels.")] = None,
    height: Annotated[int | None, typer.Option(help="New height in pixels.")] = None,
    long_side: Annotated[int | None, typer.Option(help="New longer side in pixels.")] = None,
    short_side: Annotated[int | None, typer.Option(help="New shorter side in pixels.")] = None,
    megapixels: Annotated[float | None, typer.Option(help="New area in megapixels.")] = None,
    model: Annotated[
        str, typer.Option("--model", "-m", help="Name from 'pixperts models', or weights file.")
    ] = DEFAULT_MODEL,
    budget: Budget = None,
    expert_map: Annotated[
        str | None,
        typer.Option(
            help="Also draw which expert did which pixel: a .png for one picture, a folder for "
            "several, which receives NAME_experts.png."
        ),
    ] = None,
    device: Device = "auto",
    quality: Quality = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Enlarge pictures to any size: give exactly one of the options that say how large."""
    from pixperts import jobs

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
    if "" in (*inputs, output, expert_map, model):  # Path("") would be the current folder
        raise UsageError("An empty name was given: name files or folders, the current one as '.'.")
    planned, remarks = jobs.plan([Path(name) for name in inputs], output, expert_map)
    jobs.check_quality(planned, quality)
    if not quiet:
        for remark in remarks:
            print(remark, file=sys.stderr)
    from pixperts.restorer import load

    restorer = load(model, device=device)
    _ = restorer.upscaler  # says so at once where the model is of the other kind
    if not restorer.takes_budget:
        for flag, value in (("--budget", budget), ("--expert-map", expert_map)):
            if value is not None:
                raise UsageError(f"{model} has a single expert: leave {flag} out.")
    wishes = jobs.Enlargement(request, budget, quality)
    if jobs.run(planned, restorer, wishes, as_json=as_json, quiet=quiet):
        raise typer.Exit(1)


@app.command()
def restore(
    inputs: Inputs,
    output: Output,
    model: RepairModel = DEFAULT_REPAIR_MODEL,
    strength: Annotated[
        float, typer.Option(help="1 = what the network says, 0 = the input, between: a blend.")
    ] = 1.0,
    device: Device = "auto",
    quality: Quality = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Repair pictures: noise, rain, haze, motion blur, darkness, snow and their mixtures."""
    from pixperts import jobs

    if not 0.0 <= strength <= 1.0:
        raise UsageError(f"--strength is {strength:g}, but must lie between 0 and 1.")
    if "" in (*inputs, output, model):
        raise UsageError("An empty name was given: name files or folders, the current one as '.'.")
    planned, remarks = jobs.plan([Path(name) for name in inputs], output)
    jobs.check_quality(planned, quality)
    if not quiet:
        for remark in remarks:
            print(remark, file=sys.stderr)
    from pixperts.restorer import load

    restorer = load(model, device=device)
    _ = restorer.repairer  # says so at once where the model is of the other kind
    wishes = jobs.Repair(strength, quality)
    if jobs.run(planned, restorer, wishes, as_json=as_json, quiet=quiet):
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
