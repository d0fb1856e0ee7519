"""Repair a picture tile by tile, as if it were done at once.

MoCE-IR (arXiv 2411.18466) looks at all pixels: routers and channel attention take sums over the
picture. A survey of tiles counts them first; another, which works with the sums of the one before,
comes closer to the sums of the whole, until they stand still; docs/tiling.md tells how close.
Tiles lie on the grid of the experts' windows and fade into one another. moce-ir-light looks at all
pixels once, before its first layer: its sums are counted in one go, and its tiles equal the whole.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from pixperts.errors import is_out_of_memory
from pixperts.inference.device import DeviceRunner, colors_and_alpha, joined
from pixperts.inference.findings import Findings, FindingsOfTiles, RepairSettings
from pixperts.inference.streams import PixelSink, PixelSource
from pixperts.inference.tiles import Blend, Strip, Tile, best_tile, spread, strips
from pixperts.models.interfaces import RestoringNetwork, ScoutedNetwork, SurveyedNetwork
from pixperts.models.moce_ir.statistics import Statistics
from pixperts.ops.transparency import fill_transparent
from pixperts.ops.windows import Window
from pixperts.routing import Routing

CONTEXT = 64  # pixels around a tile of a network that looks at all pixels anyway
FADE = 16  # pixels to each side of a border in which two tiles are mixed
SETTLED = 0.1  # relative change of sums from which they are taken; what is off is less than half
USUAL_SURVEYS = 3  # for the progress
MOST_SURVEYS = 6
SURVEYED_PIXELS = 1 << 24  # beyond this, evenly spread tiles stand for the rest
LEAST = 128  # smallest tile
_COUNTED = 512  # side of the tiles of which a scout takes its sums
_ROWS = 32  # that are converted at a time

Progress = Callable[[float], None]


class TiledRestore:
    """One picture, or a batch of equal size.

    Args:
        model: the network, on the runner's device.
        runner: device and precision.
        source: the pictures.
        settings: how much of each fault is undone.
        progress: called with the share that is done, rising to 1.
    """

    def __init__(
        self,
        model: RestoringNetwork,
        runner: DeviceRunner,
        source: PixelSource,
        settings: RepairSettings,
        progress: Progress | None,
    ) -> None:
        self.model, self.runner, self.source = model, runner, source
        self.settings, self.progress = settings, progress
        self.size = source.height, source.width
        self.context = CONTEXT
        if isinstance(model, ScoutedNetwork):
            self.context = model.context + FADE + (model.dust_context if settings.dust else 0)
        self._done = 0.0
        self._noted = FindingsOfTiles(model)

    @property
    def findings(self) -> Findings | None:
        """What was found so far; None for a network that does not tell faults apart."""
        return self._noted.found

    def pixel_bytes(self) -> float:
        """Memory that a pixel of a tile takes, roughly, in all pictures of the batch."""
        return self.model.bytes_per_pixel * self.source.batch

    def run(
        self,
        sink: PixelSink,
        tile: int | None,
        memory: float,
        statistics: Statistics | None = None,
    ) -> tuple[Routing, ...]:
        """Fill the sink; returns the routing of each decoder block.

        Args:
            sink: receives the result.
            tile: side in pixels, at least 128; None = as large as the memory allows.
            memory: bytes to work with.
            statistics: by which the picture is judged; its own when None.

        Raises:
            ImageError: values that are not finite.
            MemoryError, RuntimeError: there is not enough memory for the smallest tile.
        """
        # The blend holds three colors as floats, twice while strips are joined, and fades them.
        rows = self.source.row_bytes + sink.row_bytes + 9 * 4 * self.size[1] * self.source.batch
        # A survey copies what it counts.
        tiled = 1.3 * self.pixel_bytes()
        side = tile or best_tile(tiled, memory, self.context + FADE, row_bytes=rows)
        side = max(side // 8 * 8, LEAST)
        needed = self.size[0] * self.size[1] * self.pixel_bytes()
        if max(self.size) <= (tile or side) or (tile is None and needed <= memory):
            try:
                return self._at_once(sink, statistics)
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error) or max(self.size) <= LEAST:
                    raise
            self.source.rewind()
            side = max(max(self.size) // 16 * 8, LEAST)
        if statistics is None:
            statistics, side = self._settled(side)
        return self._in_tiles(sink, side, statistics)

    def _settled(self, side: int) -> tuple[Statistics, int]:
        """The sums over the picture, and the side of a tile that fits the memory."""
        if isinstance(self.model, ScoutedNetwork):
            return self.counted_once(self.model), side
        # Survey until the sums stand still.
        statistics: Statistics | None = None
        moving = torch.ones(self.source.batch, dtype=torch.bool, device=self.runner.device)
        for number in range(MOST_SURVEYS):
            while True:
                try:
                    found = self._survey(side, statistics, number)
                    break
                except (MemoryError, RuntimeError) as error:
                    side = _halved(side, error)
                finally:
                    self.source.rewind()
            if statistics is not None:
                # A picture of a batch stops when it would stop alone.
                found = found.where(moving, statistics)
                moving = moving & (found.distance(statistics) > SETTLED)
            statistics = found
            if not moving.any():
                break
        assert statistics is not None
        return statistics, side

    def _at_once(self, sink: PixelSink, statistics: Statistics | None) -> tuple[Routing, ...]:
        window = Window(0, self.size[0], 0, self.size[1])
        rows = self.source.rows(0, self.size[0])
        image, routings = self._repaired(rows, statistics, window)
        sink.put(self._mixed(image, rows), window)
        sink.finish(self.size[0])
        self._tell(1.0)
        return routings

    def _strips(self, side: int, grid: int, start: int = 0) -> Iterator[Strip]:
        return strips(
            self.size, self.size, side, self.context,
            multiple=8, align=grid, least=2 * FADE, start=start,
        )  # fmt: skip

    def counted_once(self, model: ScoutedNetwork) -> Statistics:
        """What a scout takes of the picture, added up over tiles in double precision."""
        found: Statistics | None = None
        plan = strips(self.size, self.size, _COUNTED, model.scout_context, multiple=32, align=32)
        for strip in plan:
            rows = self.source.rows(*strip.source_rows)
            for out, source in strip.tiles:
                rgb, alpha = colors_and_alpha(rows[:, :, :, source.left : source.right])
                image, place = self._filled(rgb, alpha), (source.top, source.left)
                inner = Window(
                    *(side - source.top for side in out[:2]),
                    *(side - source.left for side in out[2:]),
                )
                counted = model.count(image, inner, place, self.size).to("cpu", torch.float64)
                found = counted if found is None else found + counted
        self.source.rewind()
        assert found is not None
        return found.to(self.runner.device, torch.float32)

    def _survey(self, side: int, given: Statistics | None, number: int) -> Statistics:
        """The sums of all tiles, or of evenly spread ones, each counted within its own pixels."""
        plan = list(self._strips(side, self._grid(given)))
        count = sum(len(strip.tiles) for strip in plan)
        chosen = set(spread(count, max(1, SURVEYED_PIXELS // side**2)))
        found: Statistics | None = None
        weight = len(chosen) / count  # of a survey's work in that of the repair
        place = seen = 0
        for strip in plan:
            wanted = [tile for i, tile in enumerate(strip.tiles, place) if i in chosen]
            place += len(strip.tiles)
            if not wanted:
                continue
            rows = self.source.rows(*strip.source_rows)
            for tile in wanted:
                counted = self._counted(rows, tile, given)
                found = counted if found is None else found + counted
                seen += 1
                passes = min(number + seen / len(chosen), USUAL_SURVEYS)
                self._tell(passes * weight / (USUAL_SURVEYS * weight + 1))
        assert found is not None
        return found.to(self.runner.device, torch.float32)

    def _counted(self, rows: Tensor, tile: Tile, given: Statistics | None) -> Statistics:
        assert isinstance(self.model, SurveyedNetwork)
        model, (out, source) = self.model, tile
        rgb, alpha = colors_and_alpha(rows[:, :, :, source.left : source.right])
        filled = self._filled(rgb, alpha)
        inner = Window(
            out.top - source.top,
            out.bottom - source.top,
            out.left - source.left,
            out.right - source.left,
        )
        return self.runner.finite(
            lambda: model.survey(filled, given, inner, **self._choices)[1].to("cpu", torch.float64),
            lambda counted: [sums for place in counted.places for sums in place],
        )

    def _grid(self, statistics: Statistics | None) -> int:
        """The grid of windows of the experts that these statistics choose."""
        if statistics is None:
            return 32  # nothing is chosen yet; most windows fit
        batch = len(statistics.places[0][0])
        some = torch.zeros(batch, 3, 8, 8, device=self.runner.device)
        routings = self.runner.call(
            lambda: self.model(some, statistics=statistics, **self._choices)
        ).routings
        return self.model.window_grid(routings)

    def _in_tiles(self, sink: PixelSink, side: int, statistics: Statistics) -> tuple[Routing, ...]:
        height, width = self.size
        grid = self._grid(statistics)
        blend = Blend(height, width, FADE)
        routings: tuple[Routing, ...] = ()
        plan, start, before = self._strips(side, grid), 0, self._done
        while start < height:
            strip, kept = next(plan), blend.kept()
            top, bottom = strip.source_rows
            try:
                rows = self.source.rows(top, bottom)
                for tile in strip.tiles:
                    routings = self._add(blend, tile, rows, statistics)
                    area = tile.out.top * width + (strip.end - strip.start) * tile.out.right
                    self._tell(before + (1 - before) * area / (height * width))
            except (MemoryError, RuntimeError) as error:
                side = _halved(side, error)
                blend.forget(kept)
                plan = self._strips(side, grid, start)
                continue
            first, start = blend.top, strip.end
            image = blend.finish(strip.end)
            done = first + image.shape[2]
            for row in range(first, done, _ROWS):
                last = min(row + _ROWS, done)
                piece = image[:, :, row - first : last - first]
                piece = self._mixed(piece, rows[:, :, row - top : last - top])
                sink.put(piece, Window(row, last, 0, width))
            sink.finish(done)
        return routings

    def _add(
        self, blend: Blend, tile: Tile, rows: Tensor, statistics: Statistics
    ) -> tuple[Routing, ...]:
        source, window = tile.source, blend.widened(tile.out)
        pixels = rows[:, :, :, source.left : source.right]
        image, routings = self._repaired(pixels, statistics, source)
        image = image[
            :,
            :,
            window.top - source.top : window.bottom - source.top,
            window.left - source.left : window.right - source.left,
        ]
        blend.add(image, window, tile.out)
        return routings

    def _repaired(
        self, pixels: Tensor, statistics: Statistics | None, window: Window
    ) -> tuple[Tensor, tuple[Routing, ...]]:
        """Three colors (B, 3, H, W) of a window, on the CPU as the network says."""
        filled = self._filled(*colors_and_alpha(pixels))
        options: dict[str, Any] = {"statistics": statistics, **self._choices}
        if isinstance(self.model, ScoutedNetwork):
            options |= {
                "amounts": self.settings.amounts(self.model.parts),
                "enlarged": self.settings.enlarged,
                "dust": self.settings.dust,
                "tone": self.settings.tone,
                "place": (window.top, window.left),
                "whole": self.size,
            }
        output = self.runner.output(lambda: self.model(filled, **options))
        self._noted.add(output, filled.shape[2] * filled.shape[3])
        return output.image, output.routings

    @property
    def _choices(self) -> dict[str, Any]:
        """What every pass of the network is given."""
        return {} if self.settings.motion else {"motion": False}

    def _mixed(self, image: Tensor, pixels: Tensor) -> Tensor:
        """Repaired colors (B, 3, H, W) as much as is wanted, with what the source has beside."""
        image = joined(image, None, self.source.channels)  # first, so that gray stays to the bit
        if self.settings.strength < 1:
            image = torch.lerp(pixels[:, : image.shape[1]], image, self.settings.strength)
        return torch.cat([image, pixels[:, image.shape[1] :]], dim=1)

    def _filled(self, rgb: Tensor, alpha: Tensor | None) -> Tensor:
        return self.runner.expect(rgb if alpha is None else fill_transparent(rgb, alpha))

    def _tell(self, share: float) -> None:
        if self.progress is not None:
            self._done = max(self._done, share)  # smaller tiles begin again
            self.progress(self._done)


def _halved(side: int, error: Exception) -> int:
    """A smaller tile where it was the memory that failed and there is one; else the error."""
    if not is_out_of_memory(error) or side <= LEAST:
        raise error
    return max(side // 16 * 8, LEAST)
