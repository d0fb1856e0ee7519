"""The command line. Only what `--help` needs is imported here; the rest inside the commands."""

import json
import logging
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from pixperts import __version__
from pixperts.cli import data, pictures
from pixperts.cli.convert import convert
from pixperts.cli.evaluate import evaluate
from pixperts.cli.options import Device, Json, RepairModel
from pixperts.cli.train import train
from pixperts.defaults import DEFAULT_REPAIR_MODEL
from pixperts.errors import PixpertsError
from pixperts.memory import keep_freed_memory

# Rounds before a thread sleeps, against 300,000 that are usual; see LAB.md for what others cost.
SPIN_COUNT = "3000"


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
    keep_freed_memory()  # this process is ours; a program that imports pixperts decides for itself
    # libvips repeats on stderr, in its own words, what our own sentence already says.
    logging.getLogger("pyvips").addHandler(logging.NullHandler())
    command = typer.main.get_command(app)
    args = None if arguments is None else list(arguments)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
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


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    print(" ".join(str(message).split()), file=sys.stderr, flush=True)


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
def analyze(
    photo: Annotated[Path, typer.Argument(metavar="PHOTO", help="One picture.")],
    model: RepairModel = DEFAULT_REPAIR_MODEL,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Show what the routers see in a picture: experts, gates, the nearest task, cost skipped."""
    from pixperts.inference.analysis import analyse
    from pixperts.inference.restorer import Restorer
    from pixperts.io.image import read_image

    restorer = Restorer.load(model, device=device)
    found = analyse(restorer, read_image(photo).pixels)
    if as_json:
        print(json.dumps({"input": str(photo), **found.to_dict()}, allow_nan=False))
    else:
        print(found.to_text())


@app.command()
def models(as_json: Json = False) -> None:
    """List the models: first those with weights, then the untrained architectures."""
    from pixperts.cli.tables import show
    from pixperts.weights import catalogue

    listed = catalogue.entries()
    if as_json:
        for entry in listed:
            print(json.dumps(entry.to_dict(), allow_nan=False))
    else:
        show(listed)


pictures.register(app)
for command in (evaluate, convert, train):
    app.command()(command)
data.register(app)
