"""What is done to one picture file, in three phases: read, enlarge or repair, write and report."""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from pixperts.errors import UsageError
from pixperts.jobs.job import Done, Job, Loaded
from pixperts.jobs.options import RestoreOptions, UpscaleOptions
from pixperts.jobs.picture import Files, notes_of, reporting, software_tag
from pixperts.jobs.reports import Report, RestoreReport, UpscaleReport
from pixperts.ops.pixels import Pixels

if TYPE_CHECKING:
    from pixperts.inference.predictor import Predictor
    from pixperts.routing import Routing, Tally

Progress = Callable[[float], None]


class Operation(Protocol):
    """What is done to every picture of a run.

    A dataclass: its fields that are not at their defaults are the settings in the manifest.
    `read` and `save` may run in other threads, beside the `compute` of another picture.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]
    does: ClassVar[str]  # in the settings of a manifest; lines that exist hold it, so it stays

    def check_jobs(self, jobs: Sequence[Job]) -> None:
        """Raise UsageError for what no picture of the run could be done with."""

    def check_model(self, predictor: "Predictor", jobs: Sequence[Job]) -> None:
        """Raise UsageError for a model that cannot do it."""

    def new_size(self, width: int, height: int) -> tuple[int, int]:
        """(width, height) of the result for a picture of this size."""

    def expected_pixels(self, job: Job) -> float:
        """Output pixels by the file's header; 0 for a picture that will be refused."""

    def read(self, job: Job) -> Loaded:
        """Decode one picture; what cannot be written is refused here, before the work."""

    def compute(self, loaded: Loaded, predictor: "Predictor", progress: Progress) -> Done:
        """Enlarge or repair it; writes the result only where it is too large to be held."""

    def save(self, done: Done) -> Report:
        """Write it, whole or not at all, and report."""


class Upscale(UpscaleOptions, Files):
    """Enlarge every picture."""

    does: ClassVar[str] = "Enlargement"

    def check_jobs(self, jobs: Sequence[Job]) -> None:
        """Raise UsageError for what no picture of the run could be done with."""
        self.files.check(jobs)

    def check_model(self, predictor: "Predictor", jobs: Sequence[Job]) -> None:
        """Raise UsageError for a model that repairs, or has no experts to choose from."""
        from pixperts.inference.upscaler import Upscaler

        upscaler = Upscaler.of(predictor)
        if upscaler.takes_budget:
            return
        charts = any(job.expert_map is not None for job in jobs)
        for flag, given in (("--budget", self.budget is not None), ("--expert-map", charts)):
            if given:
                raise UsageError(f"{upscaler.name} has a single expert: leave {flag} out.")

    def new_size(self, width: int, height: int) -> tuple[int, int]:
        """(width, height) of the result for a picture of this size."""
        return self.size.resolve(width, height)

    def compute(self, loaded: Loaded, predictor: "Predictor", progress: Progress) -> Done:
        """Enlarge one picture; one that is too large to be held is also written.

        Raises:
            UsageError, ImageError: with one sentence.
        """
        from pixperts.inference.upscaler import Upscaler

        upscaler = Upscaler.of(predictor)
        (width, height), size, job = loaded.source_size, loaded.size, loaded.job
        # Nothing is heard of the encoder, so the first band of rows brings its share along.
        parts = upscaler.model.multiply_adds((height, width), (size[1], size[0]))
        advance = reporting(progress, parts["encoder"] / parts["total"])
        software = software_tag(upscaler.name, loaded.source_size, size)
        started = time.perf_counter()
        routing: Routing | None = None
        tally: Tally | Routing | None
        pixels: Pixels | None = None
        chart: Pixels | None = None
        if loaded.picture is not None:
            pixels, routing = upscaler.upscale_with_routing(
                loaded.picture.pixels,
                size=size,
                budget=self.budget,
                color_fix=self.color_fix,
                progress=advance,
            )
            tally, notes = routing, notes_of(loaded)
            chart = self._chart(job, routing, upscaler.name)
        else:
            from pixperts.inference.expert_maps import Sketch

            sketch = Sketch(size, upscaler.model.costs)
            with ExitStack() as stack:
                source, sink = loaded.stream(stack, software, self.color_fix)
                notes = notes_of(loaded, source)
                tally = upscaler.upscale_rows(
                    source, sink, size, budget=self.budget, progress=advance, listener=sketch.add
                )
                sink.complete(advance)
                # Before the stack ends and the picture appears, see `save`.
                self.save_chart(loaded, self._chart(job, sketch.routing, upscaler.name))
            tally = tally if upscaler.takes_budget else None
        seconds = time.perf_counter() - started
        report = UpscaleReport(
            input=str(job.source),
            output=str(job.target),
            width=width,
            height=height,
            new_width=size[0],
            new_height=size[1],
            seconds=round(seconds, 3),
            model=upscaler.name,
            mean_cost=None if tally is None else tally.mean_cost,
            shares=None if tally is None else list(tally.shares),
            multiply_adds=upscaler.multiply_adds(width, height, *size, tally),
            megapixels=size[0] * size[1] / 1e6,
            notes=notes,
        )
        return Done(loaded, pixels, software, report, chart)

    def _chart(self, job: Job, routing: "Routing | None", model: str) -> Pixels | None:
        if job.expert_map is None:
            return None
        from pixperts.inference.expert_maps import draw

        if routing is None:
            raise UsageError(f"{model} has a single expert: leave the map of experts out.")
        return draw(routing)


class Restore(RestoreOptions, Files):
    """Repair every picture."""

    does: ClassVar[str] = "Repair"

    def check_jobs(self, jobs: Sequence[Job]) -> None:
        """Raise UsageError for what no picture of the run could be done with."""
        self.files.check(jobs)
        if any(job.expert_map is not None for job in jobs):
            raise UsageError("--expert-map applies to enlarging: leave it out.")

    def check_model(self, predictor: "Predictor", jobs: Sequence[Job]) -> None:
        """Raise UsageError for a model that enlarges."""
        from pixperts.inference.restorer import Restorer

        Restorer.of(predictor)

    def compute(self, loaded: Loaded, predictor: "Predictor", progress: Progress) -> Done:
        """Repair one picture; one that is too large to be held is also written.

        Raises:
            UsageError, ImageError: with one sentence.
        """
        from pixperts.inference.analysis import Analysis
        from pixperts.inference.restorer import Restorer

        restorer = Restorer.of(predictor)
        (width, height), job = loaded.source_size, loaded.job
        software = software_tag(restorer.name, loaded.source_size, loaded.size)
        started = time.perf_counter()
        pixels: Pixels | None = None
        if loaded.picture is not None:
            pixels, routings = restorer.restore_with_routing(
                loaded.picture.pixels,
                strength=self.strength,
                color_fix=self.color_fix,
                progress=progress,
            )
            notes = notes_of(loaded)
        else:
            with ExitStack() as stack:
                source, sink = loaded.stream(stack, software, self.color_fix)
                notes = notes_of(loaded, source)
                routings = restorer.restore_rows(
                    source, sink, strength=self.strength, progress=progress
                )
                sink.complete(progress)
        seconds = time.perf_counter() - started
        found = Analysis.of(restorer, routings, (height, width))
        report = RestoreReport(
            input=str(job.source),
            output=str(job.target),
            width=width,
            height=height,
            seconds=round(seconds, 3),
            model=restorer.name,
            strength=self.strength,
            experts=[list(block.experts) for block in found.blocks],
            gates=[[round(gate, 4) for gate in block.gates] for block in found.blocks],
            skipped=round(found.skipped, 4),
            task=found.task,
            confidence=None if found.confidence is None else round(found.confidence, 4),
            motion=None if found.motion is None else [round(value, 2) for value in found.motion],
            multiply_adds=found.multiply_adds,
            megapixels=width * height / 1e6,
            notes=notes,
        )
        return Done(loaded, pixels, software, report)
