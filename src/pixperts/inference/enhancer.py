"""Repair and enlarge one image; the result has the same type as the input."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, Self

from torch import Tensor

from pixperts.defaults import DEFAULT_ENHANCE_MODEL, DEFAULT_MODEL, DEFAULT_REPAIR_MODEL
from pixperts.errors import UsageError, named
from pixperts.inference.findings import RepairSettings
from pixperts.inference.predictor import AnyPredictor
from pixperts.inference.reduction import ReducedSource, kept_size, reduce_rows
from pixperts.inference.restorer import Repair, Restorer
from pixperts.inference.size_request import SizeRequest
from pixperts.inference.streams import ArraySink, ArraySource, PixelSink, PixelSource
from pixperts.inference.tiles import Tile
from pixperts.inference.upscaler import Upscaler
from pixperts.io.arrays import to_tensor
from pixperts.memory import check_memory
from pixperts.models.interfaces import EnhancingNetwork
from pixperts.models.moce_ir.statistics import Statistics
from pixperts.models.presets import FAMILIES
from pixperts.ops.color_match import ColorFix, match_picture
from pixperts.routing import Tally
from pixperts.weights import store
from pixperts.weights.packaged import weights_file

Progress = Callable[[float], None]


class Between(NamedTuple):
    """Storage for the repaired picture until it is enlarged: first written, then read."""

    sink: PixelSink
    source: PixelSource


class Enhanced(NamedTuple):
    """What both models did to a picture."""

    repair: Repair
    tally: Tally  # of the enlargement; empty if no side grew
    network: str | None = None  # of several that enlarge, by name, if there is one picture


class Enhancer:
    """Repairs with one model and then enlarges with another, or does both with one model.

    Nothing is rounded or written to a file in between.

    Args:
        restorer: repairs the picture at its own size.
        upscaler: enlarges the repaired picture; None if the restorer enlarges too.

    Raises:
        UsageError: there is no upscaler, and the restorer only repairs.
    """

    def __init__(self, restorer: Restorer, upscaler: Upscaler | None = None) -> None:
        if upscaler is None and not isinstance(restorer.model, EnhancingNetwork):
            raise UsageError(f"{restorer.name} only repairs: name a model that enlarges, too.")
        self.restorer, self.upscaler = restorer, upscaler

    @classmethod
    def load(
        cls,
        model: str | Path = DEFAULT_ENHANCE_MODEL,
        restore_model: str | Path | None = None,
        *,
        runtime: str = "torch",
        **options: Any,
    ) -> Self:
        """Load one model that does both, or two, by name or file.

        Args:
            model: a model that repairs and enlarges, or one that only enlarges.
            restore_model: the model that repairs first, if `model` only enlarges; moce-ir-light if
                None.
            runtime: what computes the encoder of the model that enlarges.
            options: the other arguments of `inference.load`, for both models.

        Raises:
            ModelError: as for `inference.load`.
            UsageError: as for `inference.load`, or a model is of the wrong kind, or `model` does
                both and another one is to repair.
        """
        card = store.read_card(weights_file(model, offline=bool(options.get("offline"))))
        if FAMILIES[card.family].enhances:
            if restore_model is not None:
                raise _does_both(card.name)
            return cls(Restorer.load(model, runtime=runtime, **options))
        upscaler = Upscaler.load(model, runtime=runtime, **options)
        return cls(Restorer.load(restore_model or DEFAULT_REPAIR_MODEL, **options), upscaler)

    @classmethod
    def of(
        cls,
        model: AnyPredictor,
        restore_model: str | None,
        load: Callable[[str], AnyPredictor],
    ) -> Self:
        """Make an enhancer from a model that is already loaded.

        Args:
            model: a model that repairs and enlarges, or one that only enlarges.
            restore_model: as of `load`.
            load: returns a model by its name or file.

        Raises:
            UsageError: as of `load`.
        """
        if isinstance(model, Restorer) and isinstance(model.model, EnhancingNetwork):
            if restore_model is not None:
                raise _does_both(model.name)
            return cls(model)
        upscaler = Upscaler.of(model)
        return cls(Restorer.of(load(restore_model or DEFAULT_REPAIR_MODEL)), upscaler)

    @property
    def _predictors(self) -> list[Restorer | Upscaler]:
        return [self.restorer, *([] if self.upscaler is None else [self.upscaler])]

    @property
    def name(self) -> str:
        """Names of the models, joined by a plus sign."""
        return "+".join(one.name for one in self._predictors)

    @property
    def precision(self) -> str:
        """Precision of the models; if they differ, both, joined by a plus sign."""
        return "+".join(dict.fromkeys(one.precision for one in self._predictors))

    @property
    def runtime(self) -> str:
        """What computes the encoder of the model that enlarges."""
        return self._predictors[-1].runtime

    @property
    def tile(self) -> int | None:
        """Side of the tiles, if it was given."""
        return self.restorer.tile

    @property
    def slow_precision(self) -> bool:
        """Whether one of the models would be many times faster in float32."""
        return any(one.slow_precision for one in self._predictors)

    @property
    def takes_budget(self) -> bool:
        """Whether the enlargement has several experts, so that a budget has an effect."""
        return self.upscaler is None or self.upscaler.takes_budget

    @property
    def costs(self) -> tuple[float, ...]:
        """Costs of the experts that enlarge, as shares of the most expensive one's."""
        if self.upscaler is not None:
            return self.upscaler.model.costs
        assert isinstance(self.restorer.model, EnhancingNetwork)
        return self.restorer.model.depth_costs

    @property
    def weights_sha256(self) -> str:
        """One SHA-256 for all networks."""
        if self.upscaler is None:
            return self.restorer.weights_sha256
        both = self.restorer.weights_sha256 + self.upscaler.weights_sha256
        return hashlib.sha256(both.encode()).hexdigest()

    def enhance(
        self,
        image: Any,
        *,
        scale: float | None = None,
        size: tuple[int, int] | None = None,
        settings: RepairSettings | None = None,
        budget: float | None = None,
        color_fix: ColorFix = "none",
        progress: Progress | None = None,
    ) -> Any:
        """Repair one image, then enlarge or reduce it.

        Args:
            image: PIL, NumPy or torch, as for `Upscaler.upscale_with_routing`.
            scale: factor for both sides; 2 if neither it nor a size is given.
            size: exact (width, height) in pixels, instead of a scale.
            settings: how much of each fault is undone; everything if None.
            budget: compute for the enlargement, as in `Upscaler.upscale_with_routing`; for repair
                and enlargement if one network does both.
            color_fix: as in `Upscaler.upscale_with_routing`.
            progress: called with the share that is done, rising to 1.

        Returns:
            The result, with the type, depth and channels of the input.

        Raises:
            UsageError: a size, amount or budget is not possible, or there is too little memory.
            ImageError: the image has an unknown type or shape, or values that are not finite.
        """
        pixels, restore_kind = to_tensor(image)  # (B, C, H, W) float32 in [0, 1]
        batch, channels, height, width = pixels.shape
        new_width, new_height = SizeRequest(scale=scale, size=size).resolve(width, height)
        check_memory(width, height * batch)
        check_memory(new_width, new_height * batch)
        sink = ArraySink(batch, channels, new_height, new_width)
        source = ArraySource(pixels)
        self.enhance_rows(
            source, sink, (new_width, new_height), held_between(source), settings,
            budget=budget, progress=progress,
        )  # fmt: skip
        return restore_kind(match_picture(sink.image, pixels, color_fix))

    def enhance_rows(
        self,
        source: PixelSource,
        sink: PixelSink,
        size: tuple[int, int],
        between: Between,
        settings: RepairSettings | None = None,
        *,
        statistics: Statistics | None = None,
        budget: float | None = None,
        progress: Progress | None = None,
        listener: Callable[[Tile, Tensor], None] | None = None,
        member: int | None = None,
    ) -> Enhanced:
        """Repair and enlarge a picture that may be larger than the memory.

        Args:
            source: the picture.
            sink: receives the result.
            size: (width, height) of the result.
            between: stores the repaired picture, which has the size of the source.
            settings: how much of each fault is undone; everything if None.
            statistics: as in `Restorer.repair_rows`.
            budget: compute of the enlargement.
            progress: called with the share that is done, rising to 1.
            listener: as in `Upscaler.upscale_rows`.
            member: as in `Upscaler.upscale_rows`.

        Raises:
            UsageError: the network does not have the controls in the settings, or the budget is
                not possible.
            ImageError: the picture has values that are not finite.
        """
        if self.upscaler is None:
            settings = settings or RepairSettings()
            if budget is not None and not 0.0 <= budget <= 1.0:
                raise UsageError(f"budget is {budget:g}, but must be between 0 and 1.")
            whole, goal = (source.height, source.width), size[::-1]
            kept = kept_size(whole, goal)
            if kept != goal:
                source = source if kept == whole else ReducedSource(source, kept)
                done = self.restorer.enhance_rows(
                    source, sink, size, settings,
                    statistics=statistics, budget=budget, progress=progress, listener=listener,
                )  # fmt: skip
                return Enhanced(*done)
        elif size[0] > source.width or size[1] > source.height:
            settings = replace(settings or RepairSettings(), enlarged=True)
        share = self._repair_share(source, size)
        first, second = _parts(progress, share)
        repair = self.restorer.repair_rows(
            source, between.sink, settings, statistics=statistics, progress=first
        )
        if self.upscaler is None:
            repaired = between.source
            reduce_rows(repaired if kept == whole else ReducedSource(repaired, kept), sink, second)
            return Enhanced(repair, Tally((), ()))
        if member is None and source.batch == 1:
            member = self.upscaler.member_for(between.source, size)
        tally = self.upscaler.upscale_rows(
            between.source, sink, size,
            budget=budget, progress=second, listener=listener, member=member,
        )  # fmt: skip
        network = None if member is None else self.upscaler.member_name(member)
        return Enhanced(repair, tally, network)

    def multiply_adds(
        self, width: int, height: int, new_width: int, new_height: int, done: Enhanced
    ) -> float:
        """Calculated multiply-adds of all models with these routings."""
        model, routings = self.restorer.model, done.repair.routings
        if self.upscaler is not None:
            repair = model.multiply_adds((height, width), routings)["total"]
            tally = done.tally if self.upscaler.takes_budget and any(done.tally.counts) else None
            return repair + self.upscaler.multiply_adds(width, height, new_width, new_height, tally)
        assert isinstance(model, EnhancingNetwork)
        if not done.tally.counts:
            return model.multiply_adds((height, width), routings)["total"]
        kept = kept_size((height, width), (new_height, new_width))
        large = new_height, new_width
        return model.enlarging_multiply_adds(kept, large, routings, done.tally.shares)["total"]

    def _repair_share(self, source: PixelSource, size: tuple[int, int]) -> float:
        """Share of the repair in all multiply-adds, for the progress."""
        if self.upscaler is None:
            return 1.0
        repair = self.restorer.model.multiply_adds((source.height, source.width))["total"]
        rest = self.upscaler.multiply_adds(source.width, source.height, *size, None)
        return repair / (repair + rest)


def _does_both(name: str) -> UsageError:
    return UsageError(
        f"{name} repairs and enlarges: leave {named('restore_model')} out, or choose a model that "
        f"only enlarges with {named('model', DEFAULT_MODEL)}."
    )


def held_between(source: PixelSource) -> Between:
    """Storage in memory."""
    held = ArraySink(source.batch, source.channels, source.height, source.width)
    return Between(held, ArraySource(held.image))


def _parts(progress: Progress | None, share: float) -> tuple[Progress | None, Progress | None]:
    """Progress of two steps; the first takes this share of the whole."""
    if progress is None:
        return None, None
    report = progress
    return (
        lambda done: report(share * done),
        lambda done: report(share + (1 - share) * done),
    )
