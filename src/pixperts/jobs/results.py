"""The outcomes of all pictures, recorded, counted and passed on by `Results`."""

from dataclasses import replace

from pixperts.errors import PixpertsError, explain
from pixperts.jobs.outcomes import Listener, Outcome, Summary
from pixperts.jobs.places import Places
from pixperts.jobs.policy import Policy


class Results:
    """Takes outcomes one at a time.

    Args:
        policy: records them in the manifest.
        places: gives the names of files for messages.
        listener: is informed of each.
    """

    def __init__(self, policy: Policy, places: Places, listener: Listener) -> None:
        self._policy, self._places, self._listener = policy, places, listener
        self._counts = {"done": 0, "skipped": 0, "failed": 0}

    @property
    def summary(self) -> Summary:
        """The counts so far."""
        return Summary(**self._counts)

    def finish(self, number: int, outcome: Outcome) -> None:
        """Take the outcome of a picture; if it cannot be recorded, the picture counts as failed."""
        job = outcome.job
        error = None if outcome.error is None else self._places.named(outcome.error)
        outcome = replace(outcome, error=error, names=self._places.names_of(job))
        try:
            self._policy.note(outcome)
        except PixpertsError as refused:
            text = self._places.named(explain(job.source, refused))
            outcome = Outcome(job, error=text, cause=refused, names=outcome.names)
        key = "failed" if outcome.error else "skipped" if outcome.skipped else "done"
        self._counts[key] += 1
        self._listener.result(number, outcome)
