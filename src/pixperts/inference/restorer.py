"""Repair one image; the result has the same type as the input."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pixperts.defaults import ToneMode
from pixperts.errors import UsageError
from pixperts.inference.findings import Findings, RepairSettings
from pixperts.inference.one_pass import OnePass
from pixperts.inference.predictor import Predictor
from pixperts.inference.streams import ArraySink, ArraySource, PixelSink, PixelSource
from pixperts.inference.tiled_restore import LEAST, TiledRestore
from pixperts.inference.tiled_upscale import TiledUpscale
from pixperts.inference.tiles import Tile
from pixperts.io.arrays import to_tensor
from pixperts.memory import check_memory
from pixperts.models.interfaces import (
    EnhancingNetwork,
    Network,
    RestoringNetwork,
    ScoutedNetwork,
)
from pixperts.models.moce_ir.statistics import Statistics
from pixperts.models.presets import as_repairer
from pixperts.ops.color_match import ColorFix, match_picture
from pixperts.routing import Routing, Tally
from pixperts.weights import store

Progress = Callable[[float], None]


class Repair(NamedTuple):
    """How a picture was repaired: the routing of each block, and the faults that were found."""

    routings: tuple[Routing, ...]
    findings: Findings | None  # None if the network cannot distinguish faults


class Restorer(Predictor):
    """A model that repairs; see `Predictor` for the arguments.

    Attributes:
        model: the network, in evaluation mode.
        card: name, license, data and notes of the weights.
        device: where it runs.
    """

    smallest_tile = LEAST
    refusal = "repairs and does not enlarge: use 'restore'."
    foreign = "upscale"
    model: RestoringNetwork

    def __init__(self, model: Network, card: store.Card, **options: Any) -> None:
        self.model = as_repairer(model, card.name)
        if isinstance(model, EnhancingNetwork):
            self.refusal = "repairs and enlarges: use 'enhance'."
        super().__init__(model, card, **options)

    def restore(
        self,
        image: Any,
        *,
        strength: float = 1.0,
        denoise: float = 1.0,
        jpeg: float = 1.0,
        tone: ToneMode = "auto",
        dust: float = 0.0,
        color_fix: ColorFix = "none",
        progress: Progress | None = None,
    ) -> Any:
        """Repair one image.

        Args:
            image: PIL, NumPy or torch, as for `Upscaler.upscale_with_routing`. A gray image stays
                gray. Alpha is not changed.
            strength: 1 = the result of the network, 0 = the input, in between: a blend.
            denoise: 1 = remove all noise, 0 = leave it. Only moce-ir-light has this control.
            jpeg: 1 = remove all traces of compression, 0 = leave them. Only moce-ir-light.
            tone: "auto" undoes darkness and haze if the network is sure of them, "off" never
                does, "on" always does. Only moce-ir-light.
            dust: 1 = remove dust and scratches, as scans of prints have them, and what looks like
                them, such as stars; 0 = leave all of it. Only moce-ir-light.
            color_fix: as in `Upscaler.upscale_with_routing`.
            progress: called with the share that is done, rising to 1.

        Returns:
            The result, with the type, depth, size and channels of the input.

        Raises:
            UsageError: an amount is not between 0 and 1, the network does not have this control,
                or there is too little memory.
            ImageError: the image has an unknown type or shape, or values that are not finite.
        """
        settings = RepairSettings(strength, denoise, jpeg, tone, dust=dust)
        return self.repair(image, settings, color_fix=color_fix, progress=progress)[0]

    def enhance(self, image: Any, **options: Any) -> Any:
        """Repair and enlarge one image in one pass, for a network that does both.

        Args:
            image: PIL, NumPy or torch, as for `restore`.
            options: scale, size, settings (a `RepairSettings`) and the others of
                `Enhancer.enhance`.

        Returns:
            The result, with the type, depth and channels of the input.

        Raises:
            UsageError: the network only repairs, or as `Enhancer.enhance`.
            ImageError: as `Enhancer.enhance`.

        Example:
            >>> import pixperts
            >>> image = torch.rand(3, 12, 16)
            >>> pixperts.load("moce-isr-light").enhance(image, scale=2).shape
            torch.Size([3, 24, 32])
        """
        from pixperts.inference.enhancer import Enhancer  # which imports this module

        return Enhancer(self).enhance(image, **options)

    def restore_with_routing(
        self,
        image: Any,
        *,
        strength: float = 1.0,
        color_fix: ColorFix = "none",
        progress: Progress | None = None,
    ) -> tuple[Any, tuple[Routing, ...]]:
        """As `restore`, and return the routing of each decoder block in the order of execution."""
        settings = RepairSettings(strength)
        result, repair = self.repair(image, settings, color_fix=color_fix, progress=progress)
        return result, repair.routings

    def repair(
        self,
        image: Any,
        settings: RepairSettings | None = None,
        *,
        color_fix: ColorFix = "none",
        progress: Progress | None = None,
    ) -> tuple[Any, Repair]:
        """As `restore`, with all settings in one object, and return what was found and done."""
        pixels, restore_kind = to_tensor(image)  # (B, C, H, W) float32 in [0, 1]
        batch, channels, height, width = pixels.shape
        check_memory(width, height * batch)
        sink = ArraySink(batch, channels, height, width)
        repair = self.repair_rows(ArraySource(pixels), sink, settings, progress=progress)
        return restore_kind(match_picture(sink.image, pixels, color_fix)), repair

    def repair_rows(
        self,
        source: PixelSource,
        sink: PixelSink,
        settings: RepairSettings | None = None,
        *,
        statistics: Statistics | None = None,
        progress: Progress | None = None,
    ) -> Repair:
        """Repair a picture that may be larger than the memory; the other methods call this one.

        Args:
            source: the picture.
            sink: receives the result.
            settings: how much of each fault is undone; everything if None.
            statistics: result of `count`, used instead of the statistics of this picture.
            progress: called with the share that is done, rising to 1.

        Raises:
            UsageError: the network does not have the controls in the settings.
            ImageError: the picture has values that are not finite.
        """
        settings = settings or RepairSettings()
        settings.check_model(self.model, self.name)
        with torch.inference_mode():
            work = TiledRestore(self.model, self._runner, source, settings, progress)
            routings = work.run(sink, self.tile, self._memory(), statistics)
            return Repair(routings, work.findings)

    def enhance_rows(
        self,
        source: PixelSource,
        sink: PixelSink,
        size: tuple[int, int],
        settings: RepairSettings,
        *,
        statistics: Statistics | None = None,
        budget: float | None = None,
        progress: Progress | None = None,
        listener: Callable[[Tile, Tensor], None] | None = None,
    ) -> tuple[Repair, Tally]:
        """Repair and enlarge in one pass, for a network that does both; see `Enhancer`.

        Args:
            source: the picture.
            sink: receives the result.
            size: (width, height) of the result; no side may be shorter than in the source.
            settings: how much of each fault is undone.
            statistics: as in `repair_rows`.
            budget: compute for repair and enlargement together, 0 to 1; None = the model decides.
            progress: called with the share that is done, rising to 1.
            listener: called with each tile and the depths (B, h, w) that its pixels took.

        Raises:
            UsageError: the network does not enlarge, or lacks the controls in the settings.
            ImageError: the picture has values that are not finite.
        """
        if not isinstance(self.model, EnhancingNetwork):
            raise UsageError(
                f"{self.name} repairs and does not enlarge: use an Enhancer of two models."
            )
        settings.check_model(self.model, self.name)
        statistics = statistics or self.count(source)
        with torch.inference_mode():
            one = OnePass(self.model, settings, statistics, budget)
            work = TiledUpscale(one, self._runner, source, size[::-1], one.budget, progress)
            tally = work.run(sink, self.tile, self._memory(), listener or _ignore)
        return Repair(one.routings, one.findings.found), tally

    def count(self, source: PixelSource) -> Statistics:
        """Count what a network with a scout needs to know about the whole picture.

        The statistics of several pictures, such as the frames of a scene, can be added.

        Raises:
            UsageError: the network has no scout.
            ImageError: the picture has values that are not finite.
        """
        if not isinstance(self.model, ScoutedNetwork):
            raise UsageError(f"{self.name} has no scout: use moce-ir-light.")
        with torch.inference_mode():
            work = TiledRestore(self.model, self._runner, source, RepairSettings(), None)
            return work.counted_once(self.model)


def _ignore(tile: Tile, experts: Tensor) -> None:
    """Do nothing."""
