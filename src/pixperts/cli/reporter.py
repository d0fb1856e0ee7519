"""What the command line shows of a run: a bar or lines on stderr, JSON lines on stdout."""

import json
import sys
from collections.abc import Callable
from types import TracebackType
from typing import Self

from pixperts.cli.progress import ProgressBar
from pixperts.errors import printable
from pixperts.jobs.job import Job
from pixperts.jobs.outcomes import Listener, Outcome
from pixperts.jobs.plan import Plan


class ConsoleReporter(Listener):
    """Results to stdout as JSON lines or to stderr as text, failures always to stderr.

    With `as_json` or `quiet` there is neither a bar nor text beside the failures.
    """

    def __init__(self, *, as_json: bool, quiet: bool) -> None:
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
            one = self._kept == 1
            self._bar = ProgressBar([], visible=False)
            self._bar.say(
                f"{self._kept} output{'' if one else 's'} existed and {'was' if one else 'were'} "
                "kept; --if-exists overwrite makes them again."
            )

    def begin(self, planned: Plan, weigh: Callable[[Job], float]) -> None:
        """Print what was left out, and start the bar."""
        self._jobs = planned.jobs
        if not self._quiet:
            for remark in planned.remarks:
                print(printable(remark), file=sys.stderr)
        visible = sys.stderr.isatty() and not self._silent
        weights = [1.0 if self._silent else weigh(job) for job in planned.jobs]
        self._bar = ProgressBar(weights, visible=visible, lines=not self._silent, pixels=True)
        self._bar.__enter__()

    def progress(self, number: int, share: float) -> None:
        """Move the bar."""
        self._bar.update(number, share, printable(self._jobs[number].source.name))

    def result(self, number: int, outcome: Outcome) -> None:
        """Print what became of one picture."""
        if outcome.error is not None:
            self._bar.say(outcome.error)
        elif outcome.skipped:
            self._kept += 1
        elif outcome.report is not None and not self._silent:
            self._bar.say(outcome.report.to_line())
        self._bar.update(number, 1.0)
        if self._as_json:
            print(json.dumps(outcome.to_dict(), allow_nan=False), flush=True)
