"""Pass the progress of a run on as events: `Relay`."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from pixperts.background.events import Advanced, Event, Fault, Finished, Started
from pixperts.errors import (
    ImageError,
    MissingExtraError,
    TooLargeError,
    UsageError,
    WriteError,
    is_out_of_memory,
    printable,
)
from pixperts.jobs.job import Job
from pixperts.jobs.outcomes import Listener, Outcome
from pixperts.jobs.plan import Plan

Tell = Callable[[Event], None]


class Relay(Listener):
    """Passes the progress of a run on as events.

    Args:
        tell: takes events.
        keep: takes each finished picture.
    """

    def __init__(self, tell: Tell, keep: Callable[[Finished], None]) -> None:
        self._tell, self._keep = tell, keep
        self._names: list[str] = []
        self._before = [0.0]

    def begin(self, planned: Plan, weigh: Callable[[Job], float]) -> None:
        """Weigh the pictures by their pixels, and pass the remarks on."""
        for job in planned.jobs:
            self._before.append(self._before[-1] + weigh(job))
            self._names.append(job.source.name)
        folders = {job.source.parent for job in planned.jobs}
        for folder in folders:
            self._tell(Started(tuple(without_folders(one, folder) for one in planned.remarks)))

    def progress(self, number: int, share: float) -> None:
        """Pass on which share of the whole run is done."""
        before, after = self._before[number : number + 2]
        whole = self._before[-1] or 1.0
        reached = min(1.0, (before + (after - before) * share) / whole)
        self._tell(Advanced(reached, self._names[number]))

    def result(self, number: int, outcome: Outcome) -> None:
        """Pass a finished picture to `keep`."""
        job = outcome.job
        name, folder = job.source.name, job.source.parent
        if outcome.report is None or outcome.error is not None:
            error = outcome.error or f"{name}: a file with the name of its result already exists."
            error = without_folders(error, folder)
            self._keep(Finished(name, error=error, fault=fault_of(outcome.cause)))
            return
        line = without_folders(outcome.report.to_line(), job.target.parent)
        chart = job.expert_map if job.expert_map is not None and job.expert_map.exists() else None
        self._keep(
            Finished(
                name,
                source=str(job.source),
                output=str(job.target),
                chart=None if chart is None else str(chart),
                lines=tuple(without_folders(line, folder).splitlines()),
                report=asdict(outcome.report),
                page=job.page,
            )
        )


def without_folders(text: str, folder: Path) -> str:
    """A sentence with the names of files in place of their paths in `folder`."""
    return text.replace(f"{printable(str(folder))}/", "")


def fault_of(error: BaseException | None) -> Fault:
    """The cause of an error.

    Example:
        >>> fault_of(ImageError("cut short")), fault_of(MemoryError()), fault_of(OSError())
        ('picture', 'size', 'server')
    """
    if error is not None and (isinstance(error, TooLargeError) or is_out_of_memory(error)):
        return "size"
    if isinstance(error, WriteError):
        return "server"
    if isinstance(error, ImageError):
        return "format" if isinstance(error, MissingExtraError) else "picture"
    return "request" if isinstance(error, UsageError) else "server"
