"""The operation that repairs and enlarges: `Enhance`."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from pixperts.errors import UsageError
from pixperts.jobs.job import Job, Loaded
from pixperts.jobs.operation import Operation, Progress
from pixperts.jobs.operations import NO_MAP, check_experts, method_of, sketch_of
from pixperts.jobs.options import EnhanceOptions
from pixperts.jobs.reports import EnhanceReport, Report
from pixperts.ops.pixels import Pixels

if TYPE_CHECKING:
    from pixperts.inference.enhancer import Between
    from pixperts.inference.predictor import AnyPredictor
    from pixperts.jobs.medium import Medium


class Enhance(EnhanceOptions, Operation):
    """Repair every picture, then bring it to a size."""

    does: ClassVar[str] = "Enhancement"

    def load(self, model: str, **options: Any) -> "AnyPredictor":
        """Load a model that does both, or two: `model` enlarges, `self.restore_model` repairs.

        Args:
            model: name or file.
            options: of `inference.load`, for all models.

        Raises:
            ModelError, UsageError: as `inference.load`.
        """
        from pixperts.inference.enhancer import Enhancer

        return Enhancer.load(model, self.restore_model, **options)

    def check_model(self, predictor: "AnyPredictor", jobs: Sequence[Job]) -> None:
        """Raise UsageError for a single model, or settings that its models do not have."""
        from pixperts.inference.enhancer import Enhancer

        if not isinstance(predictor, Enhancer):
            raise UsageError(f"{predictor.name} is one model: give Enhancer(model), or a name.")
        restorer = predictor.restorer
        self.settings.check_model(restorer.model, restorer.name)
        if predictor.upscaler is not None:
            check_experts(predictor.upscaler, self.budget, jobs)

    @property
    def label(self) -> str:
        """The text that is added to the input's name if no output is named."""
        return f"enhanced_{self.size.label}"

    def new_size(self, width: int, height: int) -> tuple[int, int]:
        """(width, height) of the result for a picture of this size."""
        return self.size.resolve(width, height)

    def apply(
        self, loaded: Loaded, predictor: "AnyPredictor", medium: "Medium", progress: Progress
    ) -> tuple[Report, Pixels | None]:
        """Repair and enlarge one picture; see `Operation.apply`."""
        from pixperts.inference.analysis import Analysis
        from pixperts.inference.enhancer import Enhancer
        from pixperts.inference.expert_maps import draw

        assert isinstance(predictor, Enhancer)  # see `check_model`
        (width, height), size, job = loaded.source_size, loaded.size, loaded.job
        settings, statistics = loaded.judged(self.settings)
        sketch = sketch_of(loaded, medium, predictor.costs)
        with _between(loaded, medium) as between:
            done = predictor.enhance_rows(
                medium.source, medium.sink, size, between, settings,
                statistics=statistics, budget=self.budget, progress=progress,
                listener=None if sketch is None else sketch.add,
                member=None if loaded.scene is None else loaded.scene.member,
            )  # fmt: skip
        repair = done.repair
        found = Analysis.of(predictor.restorer, repair.routings, (height, width), repair.findings)
        method = method_of((width, height), size)
        grows = method in ("network", "both")
        routed = done.tally if predictor.takes_budget and any(done.tally.counts) else None
        report = EnhanceReport(
            input=str(job.source),
            output=str(job.target),
            width=width,
            height=height,
            new_width=size[0],
            new_height=size[1],
            seconds=0.0,
            model=predictor.name,
            strength=self.strength,
            experts=[list(block.experts) for block in found.blocks],
            gates=[[round(gate, 4) for gate in block.gates] for block in found.blocks],
            skipped=round(found.skipped, 4),
            task=found.task,
            confidence=None if found.confidence is None else round(found.confidence, 4),
            findings=None if found.findings is None else found.findings.to_dict(),
            found=found.found,
            motion=None if found.motion is None else [round(value, 2) for value in found.motion],
            mean_cost=None if routed is None else routed.mean_cost,
            shares=None if routed is None else list(routed.shares),
            method=method,
            network=done.network,
            multiply_adds=predictor.multiply_adds(width, height, *size, done),
            megapixels=size[0] * size[1] / 1e6,
            notes=[NO_MAP.format(job.source)] if job.expert_map and not grows else [],
        )
        routing = None if sketch is None else sketch.routing
        return report, None if routing is None else draw(routing)


@contextmanager
def _between(loaded: Loaded, medium: "Medium") -> "Iterator[Between]":
    """Where the repaired picture is kept: in memory, or in a hidden file beside the result."""
    from pixperts.inference.enhancer import Between, held_between
    from pixperts.inference.streams import DraftSource, FileSink, FloatFile

    source = medium.source
    if medium.held:
        yield held_between(source)
        return
    bands = source.channels
    size = (source.width, source.height)
    with FloatFile(loaded.job.target, *size, bands, beside=0) as draft:
        yield Between(FileSink(draft), DraftSource(draft))
