"""The two operations: enlarge, repair."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar

from pixperts.errors import UsageError, named
from pixperts.jobs.job import Job, Loaded
from pixperts.jobs.operation import Operation, Progress
from pixperts.jobs.options import RestoreOptions, UpscaleOptions
from pixperts.jobs.reports import Report, RestoreReport, UpscaleReport
from pixperts.ops.pixels import Pixels
from pixperts.video.codecs import VIDEO_OPTIONS

if TYPE_CHECKING:
    from pixperts.inference.expert_maps import Sketch
    from pixperts.inference.predictor import AnyPredictor
    from pixperts.inference.upscaler import Upscaler
    from pixperts.jobs.medium import Medium

NO_MAP = "No expert worked on {}, which did not grow, so there is no map."
MAP_SIDE = 4096  # pixels; longest side of the map for a picture too large for the memory


class Upscale(UpscaleOptions, Operation):
    """Enlarge every picture."""

    does: ClassVar[str] = "Enlargement"

    def check_model(self, predictor: "AnyPredictor", jobs: Sequence[Job]) -> None:
        """Raise UsageError for a model that repairs, or has no experts to choose from."""
        from pixperts.inference.upscaler import Upscaler

        check_experts(Upscaler.of(predictor), self.budget, jobs)

    @property
    def label(self) -> str:
        """The text that is added to the input's name if no output is named."""
        return self.size.label

    def new_size(self, width: int, height: int) -> tuple[int, int]:
        """(width, height) of the result for a picture of this size."""
        return self.size.resolve(width, height)

    def keeps(self, loaded: Loaded) -> bool:
        """Whether the result would be the file itself."""
        files = self.files
        changed = files.strip_metadata or files.color != "keep" or files.quality or files.lossless
        if loaded.clip is not None:
            changed = changed or files.video != VIDEO_OPTIONS
        return loaded.size == loaded.source_size and not changed

    def apply(
        self, loaded: Loaded, predictor: "AnyPredictor", medium: "Medium", progress: Progress
    ) -> tuple[Report, Pixels | None]:
        """Enlarge one picture; see `Operation.apply`."""
        from pixperts.inference.expert_maps import draw
        from pixperts.inference.reduction import kept_size
        from pixperts.inference.upscaler import Upscaler

        upscaler = Upscaler.of(predictor)
        (width, height), size, job = loaded.source_size, loaded.size, loaded.job
        kept = kept_size((width, height), size)
        grows = kept != size
        advance = progress
        if grows:
            # The encoder reports no progress, so its share is added with the first band of rows.
            parts = upscaler.model.multiply_adds(kept[::-1], size[::-1])
            advance = _after(parts["encoder"] / parts["total"], progress)
        sketch = sketch_of(loaded, medium, upscaler.model.costs)
        member = None if loaded.scene is None else loaded.scene.member
        if member is None:
            member = upscaler.member_for(medium.source, size)
        tally = upscaler.upscale_rows(
            medium.source,
            medium.sink,
            size,
            budget=self.budget,
            progress=advance,
            listener=None if sketch is None else sketch.add,
            member=member,
        )
        routed = tally if upscaler.takes_budget and grows else None
        report = UpscaleReport(
            input=str(job.source),
            output=str(job.target),
            width=width,
            height=height,
            new_width=size[0],
            new_height=size[1],
            seconds=0.0,
            model=upscaler.name,
            mean_cost=None if routed is None else routed.mean_cost,
            shares=None if routed is None else list(routed.shares),
            multiply_adds=upscaler.multiply_adds(width, height, *size, routed),
            megapixels=size[0] * size[1] / 1e6,
            method=method_of((width, height), size),
            network=None if member is None else upscaler.member_name(member),
            notes=[] if grows or job.expert_map is None else [NO_MAP.format(job.source)],
        )
        routing = None if sketch is None else sketch.routing
        return report, None if routing is None else draw(routing)


class Restore(RestoreOptions, Operation):
    """Repair every picture."""

    does: ClassVar[str] = "Repair"
    label = "restored"

    def check_jobs(self, jobs: Sequence[Job]) -> None:
        """Raise UsageError for options that do not fit the jobs of a run."""
        super().check_jobs(jobs)
        if any(job.expert_map is not None for job in jobs):
            raise UsageError(f"{named('expert_map')} applies to enlarging: leave it out.")

    def check_model(self, predictor: "AnyPredictor", jobs: Sequence[Job]) -> None:
        """Raise UsageError for a model that enlarges, or has no such controls."""
        from pixperts.inference.restorer import Restorer

        restorer = Restorer.of(predictor)
        self.settings.check_model(restorer.model, restorer.name)

    def apply(
        self, loaded: Loaded, predictor: "AnyPredictor", medium: "Medium", progress: Progress
    ) -> tuple[Report, Pixels | None]:
        """Repair one picture; see `Operation.apply`."""
        from pixperts.inference.analysis import Analysis
        from pixperts.inference.restorer import Restorer

        restorer = Restorer.of(predictor)
        (width, height), job = loaded.source_size, loaded.job
        settings, statistics = loaded.judged(self.settings)
        repair = restorer.repair_rows(
            medium.source,
            medium.sink,
            settings,
            statistics=statistics,
            progress=progress,
        )
        found = Analysis.of(restorer, repair.routings, (height, width), repair.findings)
        report = RestoreReport(
            input=str(job.source),
            output=str(job.target),
            width=width,
            height=height,
            seconds=0.0,
            model=restorer.name,
            strength=self.strength,
            experts=[list(block.experts) for block in found.blocks],
            gates=[[round(gate, 4) for gate in block.gates] for block in found.blocks],
            skipped=round(found.skipped, 4),
            task=found.task,
            confidence=None if found.confidence is None else round(found.confidence, 4),
            findings=None if found.findings is None else found.findings.to_dict(),
            found=found.found,
            motion=None if found.motion is None else [round(value, 2) for value in found.motion],
            multiply_adds=found.multiply_adds,
            megapixels=width * height / 1e6,
        )
        return report, None


def check_experts(upscaler: "Upscaler", budget: float | None, jobs: Sequence[Job]) -> None:
    """Raise UsageError for a budget or maps with a model that has a single expert."""
    if upscaler.takes_budget:
        return
    charts = any(job.expert_map is not None for job in jobs)
    for argument, given in (("budget", budget is not None), ("expert_map", charts)):
        if given:
            raise UsageError(
                f"{upscaler.name} has a single expert: leave {named(argument)} out, or choose a "
                "model with several, such as moeisr-tiny."
            )


def sketch_of(loaded: Loaded, medium: "Medium", costs: tuple[float, ...]) -> "Sketch | None":
    """A map of experts to be filled; None if none is wanted or the picture does not grow."""
    from pixperts.inference.expert_maps import Sketch
    from pixperts.inference.reduction import kept_size

    size = loaded.size
    if loaded.job.expert_map is None or kept_size(loaded.source_size, size) == size:
        return None
    return Sketch(size, costs, max(size) if medium.held else MAP_SIDE)


def method_of(before: tuple[int, int], after: tuple[int, int]) -> str:
    """How a picture is resized, as in `UpscaleReport.method`.

    Args:
        before: (width, height) of the picture.
        after: (width, height) of the result.

    >>> [method_of((4, 4), size) for size in ((8, 8), (8, 2), (2, 2), (4, 4))]
    ['network', 'both', 'lanczos', 'copy']
    """
    from pixperts.inference.reduction import kept_size

    kept = kept_size(before, after)
    if kept == after:
        return "copy" if after == before else "lanczos"
    return "network" if kept == before else "both"


def _after(start: float, progress: Progress) -> Callable[[float], None]:
    """A function for the progress, 0 to 1, of the work that follows a first share `start`."""
    return lambda share: progress(start + (1 - start) * share)
