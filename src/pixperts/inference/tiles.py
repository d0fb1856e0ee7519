"""Pictures in tiles: which pixels a tile is given, which it answers for, how tiles meet.

Everything is in whole pixels of the source and of the result, so that tiles cover the result once
at any scale, x2.7 included. Tiles come in strips from the top to the bottom, because files are
read and written in rows.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from pixperts.ops.windows import Window


class Tile(NamedTuple):
    """One tile: `out` of the result is made from `source`, which holds the context as well."""

    out: Window
    source: Window


class Strip(NamedTuple):
    """The tiles of one band of rows, left to right; `start` and `end` are its source rows."""

    tiles: tuple[Tile, ...]
    start: int
    end: int

    @property
    def source_rows(self) -> tuple[int, int]:
        """The source rows that the tiles need."""
        return self.tiles[0].source.top, self.tiles[0].source.bottom


def strips(
    whole: tuple[int, int],
    size: tuple[int, int],
    tile: int,
    context: int,
    *,
    multiple: int = 1,
    align: int = 1,
    least: int = 1,
    start: int = 0,
) -> Iterator[Strip]:
    """Cut a result into strips of tiles.

    Args:
        whole: (h, w) of the source.
        size: (H, W) of the result.
        tile: side of a tile in source pixels without its context, at most.
        context: source pixels around what a tile's results lie between.
        multiple: tiles meet at multiples of this, in source pixels.
        align: what a tile is given begins and ends at multiples of this, or at the border.
        least: a rest of fewer source pixels than this goes to the tile before it.
        start: the first source row, to continue with smaller tiles.

    Example:
        >>> [strip.tiles[0].out[:2] for strip in strips((10, 4), (27, 11), 5, 1)]
        [(0, 13), (13, 27)]
        >>> next(strips((10, 4), (27, 11), 5, 1)).tiles[0].source
        Window(top=0, bottom=7, left=0, right=4)
    """
    rules = (tile, context, multiple, align, least)
    columns = _spans(0, whole[1], size[1], *rules)
    for out, source, (first, last) in _spans(start, whole[0], size[0], *rules):
        tiles = tuple(
            Tile(Window(*out, *wide), Window(*source, *long)) for wide, long, _ in columns
        )
        yield Strip(tiles, first, last)


Span = tuple[int, int]


def _spans(
    start: int,
    length: int,
    result: int,
    tile: int,
    context: int,
    multiple: int,
    align: int,
    least: int,
) -> list[tuple[Span, Span, Span]]:
    """Along one axis: what is answered for, what is given for it, and the part of the source."""
    count = max(1, math.ceil((length - start) / tile))
    step = math.ceil((length - start) / count / multiple) * multiple
    spans = []
    last = start
    while last < length:
        first, last = last, last + step
        last = last if length - last >= least else length
        out = first * result // length, last * result // length
        if out[0] == out[1]:  # a reduction to fewer pixels than there are tiles
            continue
        # The two neighbors of the outermost results, as in `moeisr.queries`.
        low = ((2 * out[0] + 1) * length - result) // (2 * result)
        high = ((2 * out[1] - 1) * length - result) // (2 * result) + 2
        low = (min(low, first) - context) // align * align
        high = -(-(max(high, last) + context) // align) * align
        spans.append((out, (max(low, 0), min(high, length)), (first, last)))
    return spans


def best_tile(
    pixel_bytes: float, memory: float, context: int, multiple: int = 1, row_bytes: float = 0.0
) -> int:
    """The largest tile that works within so many bytes, its context included; at least 64.

    `pixel_bytes` are those of a pixel of the tile and `row_bytes` those of a row of the picture,
    of which as many are held as the tile is high.

    Example:
        >>> best_tile(pixel_bytes=1000, memory=1e9, context=20)  # 1000 x 1000 pixels with context
        960
        >>> best_tile(pixel_bytes=1000, memory=1e9, context=20, row_bytes=1.5e6)  # 500 x 500
        460
    """
    # pixel_bytes x^2 + row_bytes x = memory
    half = 0.5 * row_bytes / pixel_bytes
    side = int(math.sqrt(half * half + max(memory, 0) / pixel_bytes) - half) - 2 * context
    return max(side // multiple * multiple, math.ceil(64 / multiple) * multiple)


def spread(count: int, wanted: int) -> list[int]:
    """About `wanted` of the numbers below `count`, evenly spread without a period; or all.

    Example:
        >>> spread(10, 4)
        [0, 2, 5, 7]
        >>> spread(3, 4)
        [0, 1, 2]
    """
    if wanted >= count:
        return list(range(count))
    golden = (math.sqrt(5) - 1) / 2  # multiples of it, less their whole part, fill [0, 1] evenly
    return [number for number in range(count) if number * golden % 1 < wanted / count]


def fade_in(reach: int) -> Tensor:
    """Weights of a tile across its border, (2 reach): rising from 0 to 1 as a cosine.

    They and their mirror image sum to 1.

    Example:
        >>> [round(value, 3) for value in fade_in(2).tolist()]
        [0.038, 0.309, 0.691, 0.962]
    """
    positions = (torch.arange(2 * reach, dtype=torch.float64) + 0.5) / (2 * reach)
    return (0.5 - 0.5 * torch.cos(math.pi * positions)).float()


class Blend:
    """Joins the strips of tiles that overlap by `reach` pixels on each side of every border.

    Rows that no later tile changes come out of `finish`, top to bottom.
    """

    def __init__(self, height: int, width: int, reach: int) -> None:
        self._height, self._width, self._reach = height, width, reach
        self.top = 0  # the first row that is not finished
        self._rows: Tensor | None = None  # (B, C, rows, W) from row `top` on

    def widened(self, core: Window) -> Window:
        """What a tile with this core must give: more, where it has neighbors."""
        reach = self._reach
        return Window(
            max(core.top - reach, 0),
            min(core.bottom + reach, self._height),
            max(core.left - reach, 0),
            min(core.right + reach, self._width),
        )

    def add(self, image: Tensor, window: Window, core: Window) -> None:
        """A tile's result (B, C, h, w) for `window`, which is the widened core."""
        down = self._weights(window[:2], core[:2], self._height)
        across = self._weights(window[2:], core[2:], self._width)
        missing = window.bottom - self.top - (0 if self._rows is None else self._rows.shape[2])
        if missing > 0:
            more = image.new_zeros(*image.shape[:2], missing, self._width)
            self._rows = more if self._rows is None else torch.cat([self._rows, more], dim=2)
        assert self._rows is not None
        place = self._rows[:, :, window.top - self.top :, window.left : window.right]
        place[:, :, : image.shape[2]] += image * (down[:, None] * across)

    def kept(self) -> Tensor | None:
        """A copy of the unfinished rows, to `forget` a strip that failed."""
        return None if self._rows is None else self._rows.clone()

    def forget(self, kept: Tensor | None) -> None:
        """Back to when `kept` was made; nothing may have been finished since."""
        self._rows = kept

    def finish(self, bottom: int) -> Tensor:
        """The finished rows (B, C, rows, W) once every tile with a core above `bottom` is in."""
        assert self._rows is not None
        ready = (bottom if bottom == self._height else bottom - self._reach) - self.top
        done, self._rows = self._rows[:, :, :ready], self._rows[:, :, ready:].clone()
        self.top += ready
        return done

    def _weights(self, window: tuple[int, ...], core: tuple[int, ...], length: int) -> Tensor:
        first, last = window
        weights = torch.ones(last - first)
        if core[0] > 0:
            weights[: 2 * self._reach] *= fade_in(self._reach)
        if core[1] < length:
            weights[len(weights) - 2 * self._reach :] *= fade_in(self._reach).flip(0)
        return weights
