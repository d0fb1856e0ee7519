"""Repairing: one image of any kind in, the same kind out."""

from collections.abc import Callable
from typing import Any

import torch

from pixperts.errors import UsageError
from pixperts.inference.predictor import Predictor
from pixperts.inference.streams import ArraySink, ArraySource, PixelSink, PixelSource
from pixperts.inference.tiled_restore import LEAST, TiledRestore
from pixperts.io.arrays import to_tensor
from pixperts.memory import check_memory
from pixperts.models.interfaces import Network, RestoringNetwork
from pixperts.models.presets import as_repairer
from pixperts.ops.color_match import ColorFix, match_picture
from pixperts.routing import Routing
from pixperts.weights import store

Progress = Callable[[float], None]


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
        super().__init__(model, card, **options)

    def restore(
        self,
        image: Any,
        *,
        strength: float = 1.0,
        color_fix: ColorFix = "none",
        progress: Progress | None = None,
    ) -> Any:
        """Repair one image; see `restore_with_routing`, which also says how."""
        return self.restore_with_routing(
            image, strength=strength, color_fix=color_fix, progress=progress
        )[0]

    def restore_with_routing(
        self,
        image: Any,
        *,
        strength: float = 1.0,
        color_fix: ColorFix = "none",
        progress: Progress | None = None,
    ) -> tuple[Any, tuple[Routing, ...]]:
        """Repair one image and say which expert served in each decoder block.

        Args:
            image: of any kind that `Upscaler.upscale_with_routing` takes. Gray is repaired as
                gray; alpha stays as it is.
            strength: 1 = what the network says, 0 = the input; between them a blend.
            color_fix: as in `Upscaler.upscale_with_routing`.
            progress: called with the share that is done, rising to 1.

        Returns:
            The result, of the kind, depth, size and channels of the input, and the routing of
            each decoder block in the order of execution.

        Raises:
            UsageError: for a strength outside 0..1, or too little memory.
            ImageError: for an image of an unknown kind, shape or type, or values not finite.
        """
        pixels, restore_kind = to_tensor(image)  # (B, C, H, W) float32 in [0, 1]
        batch, channels, height, width = pixels.shape
        check_memory(width, height * batch)
        sink = ArraySink(batch, channels, height, width)
        routings = self.restore_rows(
            ArraySource(pixels), sink, strength=strength, progress=progress
        )
        return restore_kind(match_picture(sink.image, pixels, color_fix)), routings

    def restore_rows(
        self,
        source: PixelSource,
        sink: PixelSink,
        *,
        strength: float = 1.0,
        progress: Progress | None = None,
    ) -> tuple[Routing, ...]:
        """Repair a picture that need not be in memory; what every repair comes down to.

        Args:
            source: the picture.
            sink: receives the result.
            strength: as in `restore_with_routing`.
            progress: called with the share that is done, rising to 1.

        Returns:
            The routing of each decoder block.

        Raises:
            UsageError: a strength outside 0..1.
            ImageError: values that are not finite.
        """
        if not 0.0 <= strength <= 1.0:
            raise UsageError(f"strength is {strength:g}, but must lie between 0 and 1.")
        with torch.inference_mode():
            work = TiledRestore(self.model, self._runner, source, strength, progress)
            return work.run(sink, self.tile, self._memory())
