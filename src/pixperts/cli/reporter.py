"""What the command line shows of a run: a bar or lines on stderr, JSON lines on stdout."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from pixperts.cli.progress import ProgressBar
from pixperts.errors import printable
from pixperts.jobs.job import Job
from pixperts.jobs.outcomes import Listener, Outcome
from pixperts.jobs.plan import Plan


class ConsoleReporter(Listener):
    """Results to stdout as JSON lines or to stderr as text, failures always to stderr.

    With `as_json` or `quiet` there is neither a bar nor text beside the failures. `named` is put
    over every text, and JSON lines go to `results`, by default stdout.
    """

    def __init__(
        self,
        *,
        as_json: bool,
        quiet: bool,
        named: Callable[[str], str] = str,
        results: TextIO | None = None,
    ) -> None:
        self._named, self._results = named, results
        self._as_json = as_json
        self._quiet = quiet
        self._silent = as_json or quiet
        self._bar = ProgressBar([], visible=False)
        self._jobs: list[Job] = []
        self._kept = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.__exit__(kind, error, traceback)
        if self._kept and not self._quiet:
            verb = "was" if self._kept == 1 else "were"
            many = "" if self._kept == 1 else "s"
            self._bar = ProgressBar([], visible=False)
            if self._jobs and self._jobs[0].in_place:
                self._bar.say(
                    f"{self._kept} picture{many} {verb} done before, according to the manifest."
                )
                return
            self._bar.say(
                f"{self._kept} output{many} existed and {verb} kept; --if-exists overwrite makes "
                f"{'it' if self._kept == 1 else 'them'} again."
            )

    def begin(self, planned: Plan, weigh: Callable[[Job], float]) -> None:
        """Print what was left out, and start the bar."""
        self._jobs = planned.jobs
        if not self._quiet:
            for remark in planned.remarks:
                print(printable(self._named(remark)), file=sys.stderr)
        visible = sys.stderr.isatty() and not self._silent
        weights = [1.0 if self._silent else weigh(job) for job in planned.jobs]
        self._bar = ProgressBar(
            weights, visible=visible, lines=not self._silent, pixels=planned.sized
        )
        self._bar.__enter__()

    def progress(self, number: int, share: float) -> None:
        """Move the bar."""
        name = Path(self._named(str(self._jobs[number].source))).name
        self._bar.update(number, share, printable(name))

    def note(self, number: int, text: str) -> None:
        """Print it."""
        if not self._silent:
            self._bar.say(self._named(text))

    def result(self, number: int, outcome: Outcome) -> None:
        """Print what became of one picture."""
        if outcome.error is not None:
            self._bar.say(self._named(outcome.error))
        elif outcome.skipped:
            self._kept += 1
        elif outcome.report is not None and not self._silent:
            self._bar.say(self._named(outcome.report.to_line()))
        self._bar.update(number, 1.0)
        if self._as_json:
            line = json.dumps(self._renamed(outcome.to_dict()), allow_nan=False)
            print(line, file=self._results or sys.stdout, flush=True)

    def _renamed(self, value: Any) -> Any:
        """A value for JSON with `named` put over its texts."""
        if isinstance(value, dict):
            return {key: self._renamed(one) for key, one in value.items()}
        if isinstance(value, list):
            return [self._renamed(one) for one in value]
        return self._named(value) if isinstance(value, str) else value
