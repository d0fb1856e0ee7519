"""The outcomes of a run, and how a caller is informed of them."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from pixperts.jobs.job import Job
from pixperts.jobs.plan import Plan
from pixperts.jobs.reports import Report


@dataclass(frozen=True)
class Outcome:
    """The outcome of one picture: done (`report`), failed (`error`) or left as it was.

    If input or output is an object of a store, the paths of the job are valid within the run only,
    and `names` holds the URLs.
    """

    job: Job
    report: Report | None = None
    error: str | None = None
    skipped: bool = False  # the output exists already
    hashes: tuple[str | None, str | None] = (None, None)  # SHA-256 of input and output
    cause: Exception | None = None  # the exception behind `error`, if there was one
    names: tuple[str, str] | None = None  # of input and output where one is an object

    def to_dict(self) -> dict[str, Any]:
        """The values that `--json` prints."""
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
    """Is informed of the progress of `run_folder`; a subclass overrides what it needs."""

    def begin(self, planned: Plan, weigh: Callable[[Job], float]) -> None:
        """The run begins.

        Args:
            planned: the jobs.
            weigh: gives the number of output pixels of a job, by the header of its file; 0 if
                there is nothing to do.
        """

    def progress(self, number: int, share: float) -> None:
        """`share` (0 to 1) of the picture `number` (from 0) is computed.

        Called by the computing thread; what it raises ends the run.
        """

    def note(self, number: int, text: str) -> None:
        """A sentence on the picture or video `number`, while it is worked on."""

    def result(self, number: int, outcome: Outcome) -> None:
        """A picture is finished, whatever the outcome; called in order, from several threads."""
