"""Take many picture files through one model and lose no work: `run_folder`.

The command line is a thin layer above it. Outputs appear whole or not at all, so that a run that
was killed goes on where it was when it is started again.
"""

import functools
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixperts.errors import ImageError, PixpertsError, UsageError, explain, is_out_of_memory
from pixperts.io.atomic import remove_leftovers
from pixperts.jobs.job import Done, Job, Loaded
from pixperts.jobs.manifest import Manifest, file_sha256, new_entry, settings_of, weights_sha256
from pixperts.jobs.operations import Operation
from pixperts.jobs.options import FolderOptions
from pixperts.jobs.pipeline import Interrupts, run_overlapped
from pixperts.jobs.plan import Plan, check_inside, plan
from pixperts.jobs.reports import Report

if TYPE_CHECKING:
    from pixperts.inference.predictor import Predictor

PathLike = str | os.PathLike[str]
_SLOW = (
    "--precision bfloat16 is many times slower than float32 for this model or on this processor: "
    "leave it out, or use a GPU."
)


@dataclass(frozen=True)
class Outcome:
    """What became of one picture: done (`report`), failed (`error`) or left as it was."""

    job: Job
    report: Report | None = None
    error: str | None = None
    skipped: bool = False  # the output exists already
    hashes: tuple[str | None, str | None] = (None, None)  # of input and output, for the manifest

    def to_dict(self) -> dict[str, Any]:
        """As `--json` prints it."""
        if self.report is not None and self.error is None:
            return asdict(self.report)
        names = {"input": str(self.job.source), "output": str(self.job.target)}
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

    def result(self, number: int, outcome: Outcome) -> None:
        """A picture is over and done with; called in order, but from several threads."""


def run_folder(
    inputs: PathLike | Sequence[PathLike],
    output: PathLike,
    operation: Operation,
    model: "Predictor | PathLike",
    *,
    options: FolderOptions | None = None,
    expert_map: PathLike | None = None,
    device: str = "auto",
    tile: int | None = None,
    max_memory: float | None = None,
    precision: str = "auto",
    listener: Listener | None = None,
) -> Summary:
    """Enlarge or repair files, folders, trees and patterns of pictures, as the command line does.

    A picture that fails costs itself only. Nothing partial is ever left among the outputs, also
    by a kill; hidden temporaries of dead runs are removed. Ctrl-C ends the run at the next step
    of the progress, after the writes in flight.

    Args:
        inputs: pictures, folders and patterns; see `inputs.find`.
        output: a file for one picture, else a folder; a slash at the end makes it a folder.
        operation: `Upscale(SizeRequest(scale=2))` or `Restore(strength=1.0)`.
        model: an `Upscaler` or a `Restorer`, or the name or file of one.
        options: which pictures, which names, what happens to outputs that exist, how many are
            read and written meanwhile, and the manifest. With a manifest, an output that exists
            is made again where its last entry names other settings, weights or input.
        expert_map: a .png for one picture, or a folder, for maps of experts (enlarging only).
        device: where a model that is given by name runs.
        tile: see `inference.load`, for such a model.
        max_memory: likewise, bytes.
        precision: likewise.
        listener: hears of progress and outcomes.

    Raises:
        UsageError: before the first picture, for what makes no sense as a whole.
        ImageError, ModelError: before the first picture, for a folder or model that cannot be read.
        KeyboardInterrupt: after the writes in flight.

    Example:
        >>> from pixperts.inference.size_request import SizeRequest
        >>> run_folder("photos", "large", Upscale(SizeRequest(scale=2)), "moeisr-tiny",
        ...            options=FolderOptions(recursive=True))  # doctest: +SKIP
        Summary(done=12, skipped=0, failed=0)
    """
    options = options or FolderOptions()
    listener = listener or Listener()
    several = [inputs] if isinstance(inputs, str | os.PathLike) else inputs
    given = [os.fspath(path) for path in several]
    goal, charts = os.fspath(output), None if expert_map is None else os.fspath(expert_map)
    if "" in (*given, goal, charts, model):
        raise UsageError("An empty name was given: name files or folders, the current one as '.'.")
    for name in (*given, goal, charts or ""):
        if "\0" in name:
            raise UsageError(f"{name!r} is not a file name: it holds a null byte.")

    @functools.cache
    def predictor() -> "Predictor":
        if not isinstance(model, str | os.PathLike):
            return model
        from pixperts.inference.loading import load

        return load(
            os.fspath(model), device=device, tile=tile, max_memory=max_memory, precision=precision
        )

    planned = plan(
        given,
        goal,
        charts,
        options,
        new_size=operation.new_size,
        model=lambda: predictor().name,
    )
    operation.check_jobs(planned.jobs)
    record = None if options.manifest is None else Manifest(Path(options.manifest))
    operation.check_model(predictor(), planned.jobs)
    if predictor().slow_precision:
        planned = replace(planned, remarks=[*planned.remarks, _SLOW])
    run = _Run(planned, operation, predictor(), record, listener)
    run.work(options.workers)
    return Summary(run.counts["done"], run.counts["skipped"], run.counts["failed"])


class _Run:
    """The phases of every picture, with their failures turned into outcomes."""

    def __init__(
        self,
        planned: Plan,
        operation: Operation,
        predictor: "Predictor",
        record: Manifest | None,
        listener: Listener,
    ) -> None:
        self.planned = planned
        self.jobs = planned.jobs
        self.operation = operation
        self.predictor = predictor
        self.record = record
        self.listener = listener
        self.counts = {"done": 0, "skipped": 0, "failed": 0}
        self.interrupts = Interrupts()
        self.settings = settings_of(operation, predictor)
        self.weights = None if record is None else weights_sha256(predictor)
        roots = {root for job in self.jobs for root in (job.root, job.map_root) if root is not None}
        self._roots = set(filter(os.path.isdir, roots))  # those that are there
        self._lock = threading.Lock()

    def work(self, workers: int) -> None:
        remove_leftovers(
            path.parent for job in self.jobs for path in (job.target, job.expert_map) if path
        )
        self.listener.begin(self.planned, self.weigh)
        with self.interrupts:
            run_overlapped(
                len(self.jobs),
                self.read,
                self.compute,
                self.save,
                self.finish,
                ended=Outcome,
                workers=workers,
                heed=self.interrupts.heed,
            )

    def weigh(self, job: Job) -> float:
        """Output pixels that are to be computed; a changed input is found out later."""
        if job.problem is not None or (self.kept(job) and not self.differs(job)):
            return 0.0
        return self.operation.expected_pixels(job)

    def kept(self, job: Job) -> bool:
        """Whether the output is there and shall not be replaced lightly."""
        return self.planned.if_exists == "skip" and os.path.isfile(job.target)

    def differs(self, job: Job) -> bool:
        """Whether the manifest knows that the output was made otherwise than is asked for now."""
        entry = None if self.record is None else self.record.made(job.target)
        if entry is None or entry.get("settings") is None:
            return False
        made = (entry.get("settings"), entry.get("weights_sha256"))
        return made != (self.settings, self.weights)

    def read(self, number: int) -> "tuple[Loaded, str | None] | Outcome":
        job = self.jobs[number]
        if job.problem is not None:
            return Outcome(job, error=job.problem)
        digest = None
        try:
            if self.record is not None and os.path.isfile(job.source):
                digest = file_sha256(job.source)
            if self.kept(job) and not self.differs(job):
                entry = None if self.record is None else self.record.made(job.target)
                foreign = entry is None or entry.get("settings") is None
                if entry is None or foreign or entry.get("input_sha256") == digest:
                    return self.left(job, digest, known=entry is not None)
            self.check_places(job)
            loaded = self.operation.read(job)
            return replace(loaded, check=functools.partial(self.check_places, job)), digest
        except Exception as error:  # one bad picture must not cost the others
            return Outcome(job, error=explain(job.source, error), hashes=(digest, None))

    def check_places(self, job: Job) -> None:
        """Raise where links or folders have changed so that its outputs may not be written."""
        for target, root in ((job.target, job.root), (job.expert_map, job.map_root)):
            if target is None or root is None:
                continue
            check_inside(target, root)
            if root in self._roots and not os.path.isdir(root):
                raise ImageError(
                    f"{target} cannot be written, because the folder {root} has vanished: bring "
                    "it back and start again."
                )

    def left(self, job: Job, digest: str | None, *, known: bool) -> Outcome:
        """An output that stays as it is; the manifest learns of it if it did not know."""
        made = None if self.record is None or known else file_sha256(job.target)
        return Outcome(job, skipped=True, hashes=(digest, made))

    def compute(
        self, number: int, item: "tuple[Loaded, str | None]", settle: Callable[[], bool]
    ) -> "tuple[Done, str | None] | Outcome":
        loaded, digest = item
        job = loaded.job

        def advance(share: float) -> None:
            self.interrupts.check()
            self.listener.progress(number, share)

        advance(0.0)
        try:
            try:
                return self.operation.compute(loaded, self.predictor, advance), digest
            except Exception as error:
                # Results that are being written may hold what is missing.
                if not (is_out_of_memory(error) and settle()):
                    raise
            return self.operation.compute(loaded, self.predictor, advance), digest
        except Exception as error:
            return Outcome(job, error=explain(job.source, error), hashes=(digest, None))

    def save(self, number: int, item: "tuple[Done, str | None]") -> Outcome:
        done, digest = item
        job = self.jobs[number]
        try:
            if done.pixels is not None:  # else it is there already, and was checked before
                self.check_places(job)
            report = self.operation.save(done)
            with self._lock:
                self._roots |= {root for root in (job.root, job.map_root) if root is not None}
            made = None if self.record is None else file_sha256(job.target)
            return Outcome(job, report, hashes=(digest, made))
        except Exception as error:
            return Outcome(job, error=explain(job.source, error), hashes=(digest, None))

    def finish(self, number: int, outcome: Outcome) -> None:
        if self.record is not None and not (outcome.skipped and outcome.hashes[1] is None):
            try:
                self.record.append(self.entry(outcome))
            except PixpertsError as error:
                outcome = Outcome(outcome.job, error=explain(outcome.job.source, error))
        key = "failed" if outcome.error else "skipped" if outcome.skipped else "done"
        self.counts[key] += 1
        self.listener.result(number, outcome)

    def entry(self, outcome: Outcome) -> dict[str, Any]:
        """The line of the manifest."""
        if outcome.skipped:
            return new_entry(outcome.job, hashes=outcome.hashes, more={"skipped": True})
        more: Mapping[str, Any] = {} if outcome.report is None else asdict(outcome.report)
        return new_entry(
            outcome.job,
            model=self.predictor.name,
            weights=self.weights,
            settings=self.settings,
            hashes=outcome.hashes,
            error=outcome.error,
            more=more,
        )
