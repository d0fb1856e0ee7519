"""The command line. Only what `--help` needs is imported here; the rest inside the commands."""

import errno
import logging
import os
import select
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from cyclopts import App, CycloptsError

from pixperts import __version__
from pixperts.cli.commands import DASH, GROUPS, Command
from pixperts.errors import PixpertsError, naming_options
from pixperts.memory import keep_freed_memory

# Functions of the same names, by their modules in the order of the help. Only the module of the
# command that is called is imported.
COMMANDS = {
    "upscale": "pixperts.cli.pictures",
    "restore": "pixperts.cli.pictures",
    "enhance": "pixperts.cli.pictures",
    "app": "pixperts.cli.page",
    "serve": "pixperts.cli.service",
    "analyze": "pixperts.cli.models",
    "models": "pixperts.cli.models",
    "formats": "pixperts.cli.formats",
    "desktop": "pixperts.cli.desktop",
    "manifest": "pixperts.cli.manifest",
    "completion": "pixperts.cli.completion",
    "evaluate": "pixperts.cli.evaluate",
    "convert": "pixperts.cli.convert",
    "export": "pixperts.cli.convert",
    "train": "pixperts.cli.train",
    "pack": "pixperts.cli.data",
    "check-data": "pixperts.cli.data",
}

BROKEN_PIPE = 141  # the exit code of a program ended by SIGPIPE: 128 + 13

# Rounds before a thread sleeps, against 300,000 that are usual; see LAB.md for what others cost.
SPIN_COUNT = "3000"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line, `sys.argv` by default, and return the exit code.

    0: done; 1: something failed; 2: the command line was wrong; 130: interrupted; 141: the program
    that reads the output ended before all was written. Every error is one sentence on stderr;
    PIXPERTS_TRACEBACK=1 lets unexpected ones through with their traceback.
    """
    _let_threads_sleep()
    keep_freed_memory()  # this process is ours; a program that imports pixperts decides for itself
    # libvips repeats on stderr, in its own words, what our own sentence already says.
    logging.getLogger("pyvips").addHandler(logging.NullHandler())
    tokens = sys.argv[1:] if arguments is None else list(arguments)
    try:
        code = _run(tokens)
        if sys.stdout is not None:  # without one, nothing is printed
            sys.stdout.flush()
    except PixpertsError as error:
        return _fail(str(error), error.exit_code)
    except CycloptsError as error:
        from pixperts.cli.mistakes import sentence_of

        others = {name: command_of(name) for name in COMMANDS if name != tokens[0]}
        return _fail(sentence_of(error, tokens[0], others), 2)
    except KeyboardInterrupt:
        return _fail("Interrupted; finished files are kept.", 130)
    except Exception as error:
        if isinstance(error, BrokenPipeError) and _nobody_reads():
            return BROKEN_PIPE
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            return _fail("No space is left where the output goes: make room there.", 1)
        if os.environ.get("PIXPERTS_TRACEBACK"):
            raise
        cause = f"{type(error).__name__}: {error}".rstrip(": ")
        return _fail(
            f"pixperts failed unexpectedly ({cause}); please report it, with what "
            "PIXPERTS_TRACEBACK=1 shows.",
            1,
        )
    return code if isinstance(code, int) else 0


def _run(tokens: Sequence[str]) -> object:
    """What the command returns."""
    if list(tokens) == ["--version"]:  # without the commands and without rich
        print(f"pixperts {__version__}")
        return 0
    tokens = plain(tokens)
    program = make_app(tokens[0] if tokens else None)
    if not tokens:
        program.help_print([])
        return 2
    with warnings.catch_warnings(), naming_options():
        warnings.showwarning = _show_warning
        return program(tokens, exit_on_error=False, print_error=False)


def _nobody_reads() -> bool:
    """Whether the program that reads our output has ended; then the rest of it leads nowhere."""
    try:
        output = sys.stdout.fileno()
        if not hasattr(select, "poll"):  # on Windows, where pipes do not end like this
            return False
        poll = select.poll()
        poll.register(output, select.POLLOUT)
        if not any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0)):
            return False
    except (AttributeError, OSError, ValueError):
        return False
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, output)
    os.close(nowhere)
    return True


def plain(tokens: Sequence[str]) -> list[str]:
    """A command line as the parser wants it: inputs without -i, and a lone dash as a value.

    >>> plain(["upscale", "-i", "a.jpg", "--input=b.jpg"])
    ['upscale', 'a.jpg', 'b.jpg']
    """
    head, rest = list(tokens[:1]), list(tokens[1:])
    if head[:1] not in (["upscale"], ["restore"], ["enhance"], ["analyze"]):
        return [*head, *rest]
    result = []
    for token in rest:
        if token in ("-i", "--input"):
            continue
        for start in ("-i=", "--input="):
            token = token.removeprefix(start)
        result.append(DASH if token == "-" else token)
    return head + result


def command_of(name: str) -> Command:
    """A command, its module imported."""
    function = getattr(import_module(COMMANDS[name]), name.replace("-", "_"))
    return Command(name, function)


def make_app(called: str | None = None) -> App:
    """The program with the command that is called; with all of them where that is none."""
    app = App(
        name="pixperts",
        help="Enlarge and repair photographs with mixtures of experts that work where they are "
        "needed.",
        help_format="plaintext",
        version=f"pixperts {__version__}",
        result_action="return_value",
        suppress_keyboard_interrupt=False,
        group_arguments=GROUPS["Arguments"],
        group_parameters=GROUPS["Options"],
    )
    for flag, summary in (("--help", "Show this message."), ("--version", "Show the version.")):
        app[flag].group, app[flag].help = GROUPS["Options"], summary
    for place, name in enumerate([called] if called in COMMANDS else COMMANDS):
        command_of(name).add_to(app, place)
    return app


def _let_threads_sleep() -> None:
    """Threads that wait shall not burn the cores that other programs need.

    Between two steps of a network, OpenMP's threads spin for milliseconds, and so two commands
    on the same cores hinder each other many times over. Only before torch is loaded does this
    have an effect; whoever has set OpenMP up otherwise is left alone.
    """
    chosen = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
    if "torch" in sys.modules or any(name in os.environ for name in chosen):
        return
    os.environ["GOMP_SPINCOUNT"] = SPIN_COUNT  # GNU's runtime, in torch's wheels for Linux
    os.environ["KMP_BLOCKTIME"] = "0"  # milliseconds; LLVM's and Intel's, elsewhere


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    print(" ".join(str(message).split()), file=sys.stderr, flush=True)


def _fail(message: str, code: int) -> int:
    message = message.replace(DASH, "-")
    if message:
        print(" ".join(message.split()), file=sys.stderr, flush=True)
    return code
