"""Enlarge a picture tile by tile: every tile gives what the whole picture would, to the bit.

MoEISR (arXiv 2311.12077) decides about each pixel by itself, and convolutions have a finite reach:
with as much context, a tile's pixels do not depend on where it was cut.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import torch
from torch import Tensor

from pixperts.errors import is_out_of_memory
from pixperts.inference.device import DeviceRunner, colors_and_alpha, joined
from pixperts.inference.streams import PixelSink, PixelSource
from pixperts.inference.tiles import Strip, Tile, best_tile, strips
from pixperts.models.interfaces import Encoder
from pixperts.models.output import Output
from pixperts.ops.resize import resized_part
from pixperts.ops.transparency import REACH, fill_transparent
from pixperts.ops.windows import Part
from pixperts.routing import Tally, price_of

_SAMPLES = 1 << 20  # output pixels on which a budget is spent, for more than one tile
_TABLES = 150e6  # bytes of the tables of a band, roughly
_LEAST = 32  # smallest tile that is tried when memory runs out

Progress = Callable[[float], None]
TileListener = Callable[[Tile, Tensor], None]


class Enlarging(Protocol):
    """What enlarges tiles: an `UpscalingNetwork`, or a network that does that as well."""

    costs: tuple[float, ...]

    @property
    def encoder(self) -> Encoder:
        """What tiles need to know of the part that works at LR resolution."""

    @property
    def context(self) -> int:
        """LR pixels beyond an output's own neighbors on which it depends, at most."""

    def __call__(self, lr: Tensor, size: tuple[int, int], **choices: Any) -> Output:
        """As `UpscalingNetwork.forward`."""

    def sample_logits(self, lr: Tensor, size: tuple[int, int], part: Part, step: int) -> Tensor:
        """As of `UpscalingNetwork`."""


class TiledUpscale:
    """One picture, or a batch of equal size, to one size.

    Args:
        model: the network, on the runner's device.
        runner: device and precision.
        source: the pictures.
        size: (H, W) of the result.
        budget: of each picture, see `MoEISR.forward`.
        progress: called with the share that is done, rising to 1.
    """

    def __init__(
        self,
        model: Enlarging,
        runner: DeviceRunner,
        source: PixelSource,
        size: tuple[int, int],
        budget: float | None,
        progress: Progress | None,
    ) -> None:
        self.model, self.runner, self.source, self.size = model, runner, source, size
        self.budget, self.progress = budget, progress
        self.whole = source.height, source.width
        shrink = max(1.0, *(a / b for a, b in zip(self.whole, size, strict=True)))
        fill = REACH if source.channels in (2, 4) else 0
        # Bicubic interpolation of alpha reaches two pixels, of the result where it shrinks.
        self.context = max(model.context + fill, math.ceil(2 * shrink) + 1)
        self.multiple = model.encoder.size_multiple
        self.price: list[float] | None = None  # of each picture
        self._done = 0.0

    def pixel_bytes(self) -> float:
        """Memory that a source pixel of a tile takes, roughly, in all pictures of the batch."""
        features = 4 * 4 * self.model.encoder.out_channels
        enlarged = self.size[0] * self.size[1] / (self.whole[0] * self.whole[1])
        # Logits and what makes them, the choice, colors and their conversions.
        each = features + enlarged * (4 * 4 * len(self.model.costs) + 40)
        return self.source.batch * each

    def run(
        self, sink: PixelSink, tile: int | None, memory: float, listener: TileListener
    ) -> Tally:
        """Fill the sink.

        Args:
            sink: receives the result.
            tile: side in source pixels; None = as large as the memory allows.
            memory: bytes to work with.
            listener: called with every tile and which expert did which of its pixels (B, h, w).

        Raises:
            ImageError: values that are not finite.
            MemoryError, RuntimeError: there is not enough memory for the smallest tile.
        """
        beside = self.source.row_bytes + sink.row_bytes * self.size[0] / self.whole[0]
        side = tile or best_tile(
            self.pixel_bytes(), memory - _TABLES, self.context, self.multiple, beside
        )
        tally = Tally((0,) * len(self.model.costs), self.model.costs)
        start = 0
        while start < self.whole[0]:
            try:
                if self.price is None and self.budget not in (None, 0.0, 1.0):
                    self._find_price(side)
                for strip in self._strips(side, start):
                    counted = tally
                    rows = self.source.rows(*strip.source_rows)
                    for one in strip.tiles:
                        counted = counted + self._tile(one, rows, sink, listener)
                        self._tell(one)
                    sink.finish(strip.tiles[0].out.bottom)
                    start, tally = strip.end, counted
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error) or side <= _LEAST:
                    raise
                side = max(min(side, max(self.whole)) // 2, _LEAST)
                continue
            break
        return tally

    def _strips(self, side: int, start: int = 0) -> Iterator[Strip]:
        # An encoder with windows counts them from the first pixel that it is given.
        grid = self.multiple
        return strips(
            self.whole, self.size, side, self.context, multiple=grid, align=grid, start=start
        )

    def _tile(self, tile: Tile, rows: Tensor, sink: PixelSink, listener: TileListener) -> Tally:
        part = Part(tile.out, tile.source, self.whole)
        pixels = rows[:, :, :, tile.source.left : tile.source.right]
        rgb, alpha = colors_and_alpha(pixels)
        if alpha is not None:
            rgb = fill_transparent(rgb, alpha)
            alpha = resized_part(alpha, self.size, part).clamp(0, 1)
        lr = self.runner.expect(rgb)
        budget = None if self.price is not None else self.budget
        # Bands of rows report from inside of a tile that is the whole picture.
        alone = self._advance if tile.out.size == self.size else None
        output = self.runner.output(
            lambda: self.model(
                lr, self.size, part=part, budget=budget, price=self.price, progress=alone
            )
        )
        sink.put(joined(output.image, alpha, self.source.channels), tile.out)
        if not output.routings:
            return Tally((0,) * len(self.model.costs), self.model.costs)
        listener(tile, output.routings[0].experts)
        return output.routings[0].tally

    def _find_price(self, side: int) -> None:
        """What a unit of cost is worth for the budget, on evenly spread pixels of each result.

        A picture in one tile needs none: the budget is spent on its pixels exactly.
        """
        if max(self.whole) <= side:
            return
        step = max(1, math.ceil(math.sqrt(self.size[0] * self.size[1] / _SAMPLES)))
        samples: list[Tensor] = []
        try:
            for strip in self._strips(side):
                rows = self.source.rows(*strip.source_rows)
                samples.extend(self._logits(tile, rows, step) for tile in strip.tiles)
        finally:
            self.source.rewind()
        assert self.budget is not None
        self.price = [
            price_of(logits, self.model.costs, self.budget) for logits in torch.cat(samples, dim=1)
        ]

    def _logits(self, tile: Tile, rows: Tensor, step: int) -> Tensor:
        part = Part(tile.out, tile.source, self.whole)
        rgb, alpha = colors_and_alpha(rows[:, :, :, tile.source.left : tile.source.right])
        lr = self.runner.expect(rgb if alpha is None else fill_transparent(rgb, alpha))
        return self.runner.finite(
            lambda: self.model.sample_logits(lr, self.size, part, step).cpu(),
            lambda logits: [logits],
        )

    def _tell(self, tile: Tile) -> None:
        above, beside = tile.out.top * self.size[1], tile.out.right
        height = tile.out.bottom - tile.out.top
        self._advance((above + height * beside) / (self.size[0] * self.size[1]))

    def _advance(self, share: float) -> None:
        if self.progress is not None:
            self._done = max(self._done, share)  # smaller tiles begin a strip again
            self.progress(self._done)
