"""What the page does for its visitors, whatever shows it: `Service`.

One run is worked on at a time, and beside it one trial on a part of a picture.
"""

import math
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pixperts.app.form import folder_options_of, steps_of
from pixperts.app.options import AppOptions
from pixperts.app.orders import Look, Order, Trial, carry_out
from pixperts.app.pace import Pace
from pixperts.background.events import (
    Advanced,
    Ended,
    Event,
    Failed,
    Finished,
    Previewed,
    Started,
)
from pixperts.background.orders import Prepare, Run, Step
from pixperts.background.worker import Worker
from pixperts.background.workspace import Workspace
from pixperts.defaults import DEFAULT_MODEL, DEFAULT_REPAIR_MODEL
from pixperts.errors import UsageError
from pixperts.weights.catalogue import Entry

TRIAL_SIDE = 256  # pixels of the largest part for a trial
_TRIAL_SECONDS = 1.2  # of computing, so that the answer is there within two
_NO_FILES = "There is no picture yet: drop one, or choose an example."


@dataclass(frozen=True)
class State:
    """How far a run is.

    `left` is in seconds, None where nobody knows; `share` is None once the run is over.
    """

    share: float | None = 0.0
    name: str = ""  # of the picture in work
    elapsed: float = 0.0
    left: float | None = None
    remarks: tuple[str, ...] = ()
    finished: tuple[Finished, ...] = ()
    archive: str | None = None
    error: str | None = None  # why the whole run failed
    stopped: bool = False
    preview: Previewed | None = None

    @property
    def results(self) -> list[Finished]:
        """The pictures that were done."""
        return [one for one in self.finished if one.output is not None]

    @property
    def errors(self) -> list[str]:
        """One sentence for each picture that failed, and for the run."""
        found = [one.error for one in self.finished if one.error is not None]
        return found if self.error is None else [*found, self.error]

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come."""
        return self.share is None


class Service:
    """Runs, trials and first looks; a context manager.

    Args:
        options: limits.
        workspace: for temporary files.
        models: those that may be chosen.
    """

    def __init__(self, options: AppOptions, workspace: Workspace, models: Sequence[Entry]) -> None:
        self.options, self.workspace = options, workspace
        self.models = {entry.name: entry for entry in models}
        self.pace = Pace({entry.name: entry.gmac_per_megapixel for entry in models})
        usual = tuple(name for name in (DEFAULT_REPAIR_MODEL, DEFAULT_MODEL) if name in self.models)
        first = Prepare(usual)
        self._runs: Worker[Order] = Worker(carry_out, first)
        self._trials: Worker[Order] = Worker(carry_out, first)
        self._stops: dict[str, threading.Event] = {}

    def __enter__(self) -> "Service":
        self._trials.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._runs.kill()
        self._trials.kill()

    def run(
        self, run: str, uploads: Sequence[str], work: str, given: Mapping[str, Any]
    ) -> Iterator[State]:
        """Take pictures through everything that was chosen.

        Args:
            run: the visitor, a slash and more; results of a run of the same name are removed.
            uploads: files.
            work: a key of `form.WORKS`.
            given: see `form.steps_of`.

        Raises:
            UsageError: before the first picture, for what makes no sense.
        """
        steps, named = self._steps(work, given), folder_options_of(given)
        if not uploads:
            raise UsageError(_NO_FILES)
        if len(uploads) > self.options.max_files:
            raise UsageError(
                f"{len(uploads)} pictures are too many for one run: give at most "
                f"{self.options.max_files}, or use the command line."
            )
        for upload in uploads:
            self._check_upload(upload)
        folder, paths = self.workspace.begin(run, uploads)
        order = Run(tuple(map(str, paths)), str(folder), steps, named, self.options.max_result)
        yield from self._follow(self._runs, run, order, steps)

    def attempt(
        self,
        run: str,
        upload: str | None,
        work: str,
        given: Mapping[str, Any],
        center: tuple[float, float],
    ) -> Iterator[State]:
        """Do the same to a part of one picture."""
        steps = self._steps(work, given)
        if upload is None:
            raise UsageError(_NO_FILES)
        self._check_upload(upload)
        folder, (path,) = self.workspace.begin(run, [upload])
        side = self.trial_side(steps)
        limits = self.options.max_pixels, self.options.max_result
        order = Trial(str(path), str(folder), steps, center, side, *limits)
        yield from self._follow(self._trials, run, order, steps)

    def look(self, run: str, upload: str) -> Iterator[State]:
        """A small picture of an upload, or why it cannot be read."""
        self._check_upload(upload)
        self._runs.start()  # it will be needed soon
        folder, (path,) = self.workspace.begin(run, [upload])
        order = Look(str(path), str(folder), self.options.max_pixels)
        yield from self._follow(self._trials, run, order, ())

    def stop(self, visitor: str) -> None:
        """End what is worked on for a visitor; it ends within a second."""
        for run, stop in list(self._stops.items()):
            if run.startswith(f"{visitor}/"):
                stop.set()

    def leave(self, visitor: str) -> None:
        """A visitor went away: his work ends, his files are removed."""
        self.stop(visitor)
        self.workspace.forget(visitor)

    def trial_side(self, steps: Sequence[Step]) -> int:
        """Pixels of a part that is tried within two seconds, as far as the pace is known."""
        size, seconds = (TRIAL_SIDE, TRIAL_SIDE), 0.0
        for step in steps:
            size = step.operation.new_size(*size)
            seconds += self.pace.seconds(step.model, size[0] * size[1] / 1e6)
        return max(64, round(TRIAL_SIDE * math.sqrt(min(1.0, _TRIAL_SECONDS / max(seconds, 1e-9)))))

    def _steps(self, work: str, given: Mapping[str, Any]) -> tuple[Step, ...]:
        steps = steps_of(work, given, self.options.max_pixels)
        for step in steps:
            if step.model not in self.models:
                raise UsageError(
                    f"The model {step.model!r} is unknown here: use {', '.join(self.models)}."
                )
        return steps

    def _check_upload(self, upload: str) -> None:
        path = Path(upload)
        if not path.is_file():
            raise UsageError(f"{path.name} is not here any more: drop it again.")
        size = path.stat().st_size
        if size > self.options.max_upload:
            raise UsageError(
                f"{path.name} has {size / 1e6:.1f} MB, over this page's limit of "
                f"{self.options.max_upload / 1e6:g} MB: use the command line."
            )

    def _follow(
        self, worker: Worker[Order], run: str, order: Order, steps: Sequence[Step]
    ) -> Iterator[State]:
        """The states of a run from what its process reports."""
        stop = self._stops[run] = threading.Event()
        state, expected, started = State(), 0.0, time.monotonic()
        events = worker.work(order)
        try:
            for event in events:
                if stop.is_set():
                    events.close()  # type: ignore[attr-defined]
                    yield replace(state, share=None, left=None, stopped=True)
                    return
                if isinstance(event, Started) and event.megapixels:
                    started = time.monotonic()
                    expected = sum(
                        self.pace.seconds(step.model, amount)
                        for step, amount in zip(steps, event.megapixels, strict=True)
                    )
                state = self._after(state, event)
                elapsed = time.monotonic() - started
                state = replace(state, elapsed=elapsed, left=_left(state, elapsed, expected))
                yield state
        finally:
            events.close()  # type: ignore[attr-defined]
            if self._stops.get(run) is stop:
                del self._stops[run]

    def _after(self, state: State, event: Event | None) -> State:
        match event:
            case Started(remarks=remarks):
                return replace(state, remarks=(*state.remarks, *remarks))
            case Advanced(share=share, name=name):
                return replace(state, share=max(state.share or 0.0, share), name=name)
            case Finished():
                for report in event.reports:
                    self.pace.learn(report)
                return replace(state, finished=(*state.finished, event))
            case Previewed():
                return replace(state, preview=event)
            case Failed(error=error):
                return replace(state, share=None, error=error)
            case Ended(archive=archive):
                return replace(state, share=None, archive=archive)
            case _:
                return state


def _left(state: State, elapsed: float, expected: float) -> float | None:
    """Seconds that are left, from the share that is done, or before that from the usual pace."""
    if state.share is None:
        return None
    if state.share >= 0.05:
        return elapsed * (1 - state.share) / state.share
    return expected - elapsed if expected > elapsed else None
