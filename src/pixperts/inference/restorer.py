"""The inference path: one image of any kind in, the same kind out.

The command line, Python callers and the evaluation all come through `Restorer`; it chooses the
device and the tiles, turns pixels into tensors and back, and runs the network without gradients.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pixperts.defaults import DEFAULT_MODEL
from pixperts.errors import UsageError
from pixperts.inference.device import DeviceRunner, choose_device
from pixperts.inference.size_request import SizeRequest
from pixperts.inference.streams import ArraySink, ArraySource, PixelSink, PixelSource
from pixperts.inference.tiled_restore import LEAST, TiledRestore
from pixperts.inference.tiled_upscale import TiledUpscale
from pixperts.inference.tiles import Tile
from pixperts.io.arrays import to_tensor
from pixperts.memory import available_memory, check_memory, resident_memory
from pixperts.models.moce_ir.model import MoCEIR
from pixperts.models.moeisr.model import MoEISR
from pixperts.models.presets import Network, as_repairer, as_upscaler
from pixperts.ops.color_match import ColorFix, match_picture
from pixperts.routing import Routing, Tally
from pixperts.weights import store
from pixperts.weights.packaged import weights_file

Progress = Callable[[float], None]


def load(
    name_or_path: str | Path = DEFAULT_MODEL,
    *,
    device: str = "auto",
    tile: int | None = None,
    max_memory: float | None = None,
    precision: str = "float32",
) -> "Restorer":
    """A restorer for a packaged model's name or a weights file.

    The allocator of the process stays as it is; `memory.keep_freed_memory` makes large pictures
    faster at the price of memory that is not returned to the system.

    Args:
        name_or_path: a name that `pixperts models` lists, or a .safetensors file of ours.
        device: auto (the GPU where there is one), cpu, cuda, cuda:1, mps.
        tile: side of the tiles that large pictures are worked on in, input pixels; None = as
            large as the memory allows, the whole picture where it does.
        max_memory: bytes that the process may take on a CPU, and the tiles on another device;
            None = half of what is free.
        precision: float32, bfloat16 or (on a GPU) float16.

    Raises:
        ModelError: for an unknown name or a file that is missing, damaged or foreign.
        UsageError: for a device that this machine lacks, or a tile, memory or precision that
            cannot be.
    """
    model, card = store.load(weights_file(name_or_path))
    return Restorer(
        model, card, device=device, tile=tile, max_memory=max_memory, precision=precision
    )


class Restorer:
    """A network, its card and a device; enlarges or repairs images of several kinds.

    Attributes:
        model: the network, in evaluation mode.
        card: name, licence, data and notes of the weights.
        device: where it runs.
        precision: float32, bfloat16 or float16.
        tile: side of the tiles, None = as the memory allows.
    """

    def __init__(
        self,
        model: Network,
        card: store.Card,
        *,
        device: str = "auto",
        tile: int | None = None,
        max_memory: float | None = None,
        precision: str = "float32",
    ) -> None:
        self.device = choose_device(device)
        least = LEAST if isinstance(model, MoCEIR) else 32
        if tile is not None and tile < least:
            raise UsageError(f"tile is {tile}, but must be at least {least} pixels.")
        if max_memory is not None and not max_memory > 0:
            raise UsageError(f"max_memory is {max_memory:g}, but must be above 0 bytes.")
        self.tile, self.precision, self._max_memory = tile, precision, max_memory
        self._runner = DeviceRunner(card.name, self.device, precision)
        self.model = model.eval().to(self.device)
        # A chunk that fits a CPU's cache starves an accelerator.
        if isinstance(model, MoEISR) and self.device.type != "cpu":
            model.max_pixels = max(model.max_pixels, 1 << 18)
        self.card = card

    @property
    def name(self) -> str:
        """Name of the architecture, as in `pixperts models`."""
        return self.card.name

    @property
    def upscaler(self) -> MoEISR:
        """The network, if it is one that enlarges.

        Raises:
            UsageError: if it repairs.
        """
        return as_upscaler(self.model, self.name)

    @property
    def repairer(self) -> MoCEIR:
        """The network, if it is one that repairs.

        Raises:
            UsageError: if it enlarges.
        """
        return as_repairer(self.model, self.name)

    @property
    def takes_budget(self) -> bool:
        """Whether there is a choice between experts that a budget could shift."""
        return isinstance(self.model, MoEISR) and len(self.model.experts) > 1

    def upscale(
        self,
        image: Any,
        *,
        scale: float | None = None,
        size: tuple[int, int] | None = None,
        budget: float | None = None,
        color_fix: ColorFix = "none",
        progress: Progress | None = None,
    ) -> Any:
        """Enlarge (or reduce) one image; see `upscale_with_routing`, which also tells how."""
        return self.upscale_with_routing(
            image, scale=scale, size=size, budget=budget, color_fix=color_fix, progress=progress
        )[0]

    def upscale_with_routing(
        self,
        image: Any,
        *,
        scale: float | None = None,
        size: tuple[int, int] | None = None,
        budget: float | None = None,
        color_fix: ColorFix = "none",
        progress: Progress | None = None,
    ) -> tuple[Any, Routing | None]:
        """Enlarge one image and say which expert did which pixel.

        Args:
            image: a PIL image; NumPy (H, W) or (H, W, C) uint8, uint16 or float in [0, 1]; torch
                (C, H, W) or (B, C, H, W) floating point in [0, 1]. C = 1 grey, 2 grey and alpha,
                3 RGB, 4 RGB and alpha. Alpha is enlarged by bicubic interpolation; colours under
                full transparency are made from their neighbours'.
            scale: factor for both sides, or
            size: exact (width, height).
            budget: 0 = always the cheapest expert, 1 = always the best, None = as the mapper says.
            color_fix: "mean" or "wavelet" give the result the input's mean colour or its low
                frequencies, see `color_match`; "none" leaves it.
            progress: called with the share that is done, rising to 1.

        Returns:
            The result, of the kind, depth and channels of the input, within [0, 1] where it is
            floating point; and the routing, None for a dense model.

        Raises:
            UsageError: for sizes, scales or budgets that make no sense, or too little memory.
            ImageError: for an image of an unknown kind, shape or type, or values not finite.
        """
        pixels, restore_kind = to_tensor(image)  # (B, C, H, W) float32 in [0, 1]
        batch, channels, height, width = pixels.shape
        request = SizeRequest(scale=scale, size=size)
        new_width, new_height = request.resolve(width, height)
        check_memory(new_width, new_height * batch)
        sink = ArraySink(batch, channels, new_height, new_width)
        experts = torch.empty(batch, new_height, new_width, dtype=torch.uint8)

        def note(tile: Tile, chosen: Tensor) -> None:
            top, bottom, left, right = tile.out
            experts[:, top:bottom, left:right] = chosen

        self.upscale_rows(
            ArraySource(pixels), sink, (new_width, new_height),
            budget=budget, progress=progress, listener=note,
        )  # fmt: skip
        result = match_picture(sink.image, pixels, color_fix)
        routed = len(self.upscaler.experts) > 1
        return restore_kind(result), Routing(experts, self.upscaler.costs) if routed else None

    def upscale_rows(
        self,
        source: PixelSource,
        sink: PixelSink,
        size: tuple[int, int],
        *,
        budget: float | None = None,
        progress: Progress | None = None,
        listener: Callable[[Tile, Tensor], None] | None = None,
    ) -> Tally:
        """Enlarge a picture that need not be in memory; what every enlargement comes down to.

        Args:
            source: the picture.
            sink: receives the result.
            size: (width, height) of the result.
            budget: as in `upscale_with_routing`.
            progress: called with the share that is done, rising to 1.
            listener: called with each tile and its experts (B, h, w).

        Returns:
            How many pixels each expert served.

        Raises:
            UsageError: a budget that makes no sense.
            ImageError: values that are not finite.
        """
        if budget is not None and not 0.0 <= budget <= 1.0:
            raise UsageError(f"budget is {budget:g}, but must lie between 0 and 1.")
        model = self.upscaler
        if budget is not None and not self.takes_budget:
            raise UsageError(f"{self.name} has a single expert: leave the budget out.")
        with torch.inference_mode():
            work = TiledUpscale(model, self._runner, source, size[::-1], budget, progress)
            return work.run(sink, self.tile, self._memory(), listener or _ignore)

    def restore(
        self,
        image: Any,
        *,
        strength: float = 1.0,
        color_fix: ColorFix = "none",
        progress: Progress | None = None,
    ) -> Any:
        """Repair one image; see `restore_with_routing`, which also tells how."""
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
            image: of any kind that `upscale_with_routing` takes. Grey is repaired as grey; alpha
                stays as it is.
            strength: 1 = what the network says, 0 = the input; between them a blend.
            color_fix: as in `upscale_with_routing`.
            progress: called with the share that is done, rising to 1.

        Returns:
            The result, of the kind, depth, size and channels of the input, and the routing of
            each decoder block in the order of execution.

        Raises:
            UsageError: for a strength outside 0..1, a model that enlarges, or too little memory.
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
            UsageError: a strength outside 0..1, or a model that enlarges.
            ImageError: values that are not finite.
        """
        model = self.repairer
        if not 0.0 <= strength <= 1.0:
            raise UsageError(f"strength is {strength:g}, but must lie between 0 and 1.")
        with torch.inference_mode():
            work = TiledRestore(model, self._runner, source, strength, progress)
            return work.run(sink, self.tile, self._memory())

    def _memory(self) -> float:
        """Bytes for the tiles."""
        if self._max_memory is not None:
            held = resident_memory() if self.device.type == "cpu" else 0
            return max(self._max_memory - held, 0.0)
        if self.device.type == "cuda":
            return 0.5 * float(torch.cuda.mem_get_info(self.device)[0])
        return 0.5 * available_memory()

    def multiply_adds(
        self,
        width: int,
        height: int,
        new_width: int,
        new_height: int,
        routing: Routing | Tally | None,
    ) -> float:
        """Analytic multiply-adds of one enlargement as it was routed."""
        shares = None if routing is None else routing.shares
        sizes = (height, width), (new_height, new_width)
        return self.upscaler.multiply_adds(*sizes, shares)["total"]


def _ignore(tile: Tile, experts: Tensor) -> None:
    """Nobody wants to know."""
