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

from pixperts.app.form import folder_options_of, step_of
from pixperts.app.options import AppOptions
from pixperts.app.orders import Look, Order, Trial, carry_out
from pixperts.app.pace import Pace, amounts
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
from pixperts.defaults import DEFAULT_ENHANCE_MODEL, DEFAULT_MODEL, DEFAULT_REPAIR_MODEL
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
    count: int = 0  # of all pictures
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
        usual = DEFAULT_REPAIR_MODEL, DEFAULT_MODEL, DEFAULT_ENHANCE_MODEL
        first = Prepare(tuple(name for name in usual if name in self.models))
        self._runs: Worker[Order] = Worker(carry_out, first)
        self._trials: Worker[Order] = Worker(carry_out, first)
        self._stops: dict[str, threading.Event] = {}
        self._states: dict[str, State] = {}  # of the runs that are worked on

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
            given: see `form.step_of`.

        Raises:
            UsageError: before the first picture, for what makes no sense.
        """
        step, named = self._step(work, given), folder_options_of(given)
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
        order = Run(tuple(map(str, paths)), str(folder), step, named, self.options.max_result)
        yield from self._follow(self._runs, run, order)

    def attempt(
        self,
        run: str,
        upload: str | None,
        work: str,
        given: Mapping[str, Any],
        center: tuple[float, float],
    ) -> Iterator[State]:
        """Do the same to a part of one picture."""
        step = self._step(work, given)
        if upload is None:
            raise UsageError(_NO_FILES)
        self._check_upload(upload)
        folder, (path,) = self.workspace.begin(run, [upload])
        side = self.trial_side(step)
        limits = self.options.max_pixels, self.options.max_result
        order = Trial(str(path), str(folder), step, center, side, *limits)
        yield from self._follow(self._trials, run, order)

    def look(self, run: str, upload: str) -> Iterator[State]:
        """A small picture of an upload, or why it cannot be read."""
        self._check_upload(upload)
        self._runs.start()  # it will be needed soon
        folder, (path,) = self.workspace.begin(run, [upload])
        order = Look(str(path), str(folder), self.options.max_pixels)
        yield from self._follow(self._trials, run, order)

    def stop(self, visitor: str) -> tuple[Finished, ...]:
        """End what is worked on for a visitor; it ends within a second.

        Returns:
            The pictures that were finished before.
        """
        done: tuple[Finished, ...] = ()
        for run, stop in list(self._stops.items()):
            if run.startswith(f"{visitor}/"):
                stop.set()
                done += self._states.get(run, State()).finished
        return done

    def leave(self, visitor: str) -> None:
        """A visitor went away: his work ends, his files are removed."""
        self.stop(visitor)
        self.workspace.forget(visitor)

    def trial_side(self, step: Step) -> int:
        """Pixels of a part that is tried within two seconds, as far as the pace is known."""
        seconds = self.pace.seconds(amounts(step, (TRIAL_SIDE, TRIAL_SIDE)))
        return max(64, round(TRIAL_SIDE * math.sqrt(min(1.0, _TRIAL_SECONDS / max(seconds, 1e-9)))))

    def _step(self, work: str, given: Mapping[str, Any]) -> Step:
        step = step_of(work, given, self.options.max_pixels)
        for name in (step.model, getattr(step.operation, "restore_model", None)):
            if name is not None and name not in self.models:
                raise UsageError(
                    f"The model {name!r} is unknown here: use {', '.join(self.models)}."
                )
        return step

    def _check_upload(self, upload: str) -> None:
        path = Path(upload)
        if not path.is_file():
            raise UsageError(f"{path.name} is no longer here: add it again.")
        size = path.stat().st_size
        if size > self.options.max_upload:
            raise UsageError(
                f"{path.name} has {size / 1e6:.1f} MB, over this page's limit of "
                f"{self.options.max_upload / 1e6:g} MB: use the command line."
            )

    def _follow(self, worker: Worker[Order], run: str, order: Order) -> Iterator[State]:
        """The states of a run from what its process reports."""
        stop = self._stops[run] = threading.Event()
        count = len(order.inputs) if isinstance(order, Run) else 1
        state, expected, started = State(count=count), 0.0, time.monotonic()
        events = worker.work(order)
        try:
            for event in events:
                if stop.is_set():
                    events.close()  # type: ignore[attr-defined]
                    yield replace(state, share=None, left=None, stopped=True)
                    return
                if isinstance(event, Started) and event.megapixels:
                    started = time.monotonic()
                    expected = self.pace.seconds(event.megapixels)
                state = self._after(state, event)
                elapsed = time.monotonic() - started
                state = replace(state, elapsed=elapsed, left=_left(state, elapsed, expected))
                self._states[run] = state
                yield state
        finally:
            events.close()  # type: ignore[attr-defined]
            if self._stops.get(run) is stop:
                del self._stops[run]
                self._states.pop(run, None)

    def _after(self, state: State, event: Event | None) -> State:
        match event:
            case Started(remarks=remarks):
                return replace(state, remarks=(*state.remarks, *remarks))
            case Advanced(share=share, name=name):
                return replace(state, share=max(state.share or 0.0, share), name=name)
            case Finished():
                if event.report is not None:
                    self.pace.learn(event.report)
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
