"""What becomes of the pictures of a run, and how a caller hears of it."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from pixperts.jobs.job import Job
from pixperts.jobs.plan import Plan
from pixperts.jobs.reports import Report


@dataclass(frozen=True)
class Outcome:
    """What became of one picture: done (`report`), failed (`error`) or left as it was.

    Where input or output is an object of a store, the paths of the job stand for it within the run
    only, and `names` has what a person calls them.
    """

    job: Job
    report: Report | None = None
    error: str | None = None
    skipped: bool = False  # the output exists already
    hashes: tuple[str | None, str | None] = (None, None)  # of input and output, for the manifest
    cause: Exception | None = None  # of a failure, where it was an exception
    names: tuple[str, str] | None = None  # of input and output where one is an object

    def to_dict(self) -> dict[str, Any]:
        """As `--json` prints it."""
        if self.report is not None and self.error is None:
            return asdict(self.report)
        source, target = self.names or (str(self.job.source), str(self.job.target))
        names = {"input": source, "output": target}
        return names | ({"skipped": True} if self.error is None else {"error": self.error})


@dataclass(frozen=True)
class Summary:
    """How many pictures were done, left as they were, and failed."""

    done: int
    skipped: int
    failed: int


class Listener:
    """What a caller of `run_folder` may listen to; this one does nothing."""

    def begin(self, planned: Plan, weigh: Callable[[Job], float]) -> None:
        """All is settled; `weigh` reads a header for the output pixels, 0 for no work."""

    def progress(self, number: int, share: float) -> None:
        """`share` (0 to 1) of the picture `number` (from 0) is computed.

        Called by the computing thread; what it raises ends the run.
        """

    def note(self, number: int, text: str) -> None:
        """A sentence on the picture or video `number`, while it is worked on."""

    def result(self, number: int, outcome: Outcome) -> None:
        """A picture is over and done with; called in order, but from several threads."""
