"""The three phases of every picture of a run; failures become outcomes: `Phases`."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pixperts.errors import is_out_of_memory
from pixperts.jobs.job import Done, Job, Loaded
from pixperts.jobs.operation import Operation
from pixperts.jobs.outcomes import Listener, Outcome
from pixperts.jobs.places import Opened, Places
from pixperts.jobs.policy import Policy

if TYPE_CHECKING:
    from pixperts.inference.predictor import AnyPredictor

Read = tuple[Loaded, str | None]  # with the SHA-256 of the input, where it is noted
Computed = tuple[Done, str | None]


class Phases:
    """Read, compute and save pictures, which are named by their numbers.

    Args:
        jobs: the pictures.
        operation: what is done to them.
        predictor: the model.
        policy: decides which outputs stay as they are.
        places: where the files lie.
        listener: hears of the progress of `compute`.
        check: called at each step of the progress; what it raises ends the run.
    """

    def __init__(
        self,
        jobs: Sequence[Job] | Mapping[int, Job],
        operation: Operation,
        predictor: "AnyPredictor",
        policy: Policy,
        places: Places,
        listener: Listener,
        check: Callable[[], None],
    ) -> None:
        self.jobs = jobs
        self.operation, self.predictor = operation, predictor
        self.policy, self.places = policy, places
        self._listener, self._check = listener, check
        self._opened: dict[int, Opened] = {}  # pictures in work, by number

    def read(self, number: int) -> Read | Outcome:
        """The picture, or its outcome if nothing is to be computed."""
        job = self.jobs[number]
        if job.problem is not None:
            return Outcome(job, error=job.problem)
        opened = self._opened[number] = self.places.open(job)
        digest = None
        try:
            digest = self.policy.input_hash(opened)
            left = self.policy.left(job, digest)
            if left is not None:
                self._close(number)
                return left
            self.policy.check_places(job)
            check = functools.partial(self.policy.check_places, job)
            return replace(self.operation.read(opened.fetch()), check=check), digest
        except Exception as error:  # one bad picture must not cost the others
            return self._failed(number, error, digest)

    def compute(
        self, number: int, item: Read, settle: Callable[[], bool] = lambda: False
    ) -> Computed | Outcome:
        """The result, or the outcome if there is none.

        Args:
            number: of the picture.
            item: the result of `read`.
            settle: waits until all writes are finished, which frees their memory; returns whether
                there were any.
        """
        loaded, digest = item

        def advance(share: float) -> None:
            self._check()
            self._listener.progress(number, share)

        say = functools.partial(self._listener.note, number)
        advance(0.0)
        try:
            try:
                return self.operation.compute(loaded, self.predictor, advance, say), digest
            except Exception as error:
                # Once the results that are being written are finished, there may be enough memory.
                if not (is_out_of_memory(error) and settle()):
                    raise
            return self.operation.compute(loaded, self.predictor, advance, say), digest
        except Exception as error:
            return self._failed(number, error, digest)

    def save(self, number: int, item: Computed) -> Outcome:
        """Write the picture; its outcome."""
        done, digest = item
        job, opened = self.jobs[number], self._opened[number]
        try:
            if done.pixels is not None:  # else it was checked before it was written, in `compute`
                self.policy.check_places(job)
            report = opened.report(self.operation.save(done))
            made = self.policy.written(done.loaded.job)
            opened.deliver(done)
        except Exception as error:
            return self._failed(number, error, digest)
        self._close(number)
        return Outcome(job, report, hashes=(digest, made))

    def _failed(self, number: int, error: Exception, digest: str | None) -> Outcome:
        text = self._opened[number].explain(error)
        self._close(number)
        return Outcome(self.jobs[number], error=text, hashes=(digest, None), cause=error)

    def _close(self, number: int) -> None:
        self._opened.pop(number).close()
