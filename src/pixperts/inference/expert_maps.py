"""Pictures of routing: which expert did which pixel, with a legend of shares."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pixperts.inference.tiles import Tile
from pixperts.routing import Routing

# Cheap to expensive, dark to bright; distinguishable in grayscale and to color-blind eyes
# (four stops of the viridis map, then extended by interpolation).
_STOPS = np.array([[68, 1, 84], [49, 104, 142], [53, 183, 121], [253, 231, 37]], np.float64)


def palette(experts: int) -> NDArray[np.uint8]:
    """One color an expert, cheapest first: (J, 3) uint8.

    Example:
        >>> palette(2).tolist()
        [[68, 1, 84], [253, 231, 37]]
    """
    places = np.linspace(0, len(_STOPS) - 1, experts) if experts > 1 else np.zeros(1)
    channels = [np.interp(places, range(len(_STOPS)), _STOPS[:, c]) for c in range(3)]
    return np.stack(channels, axis=1).round().astype(np.uint8)


class Sketch:
    """The map of experts of a picture that is too large to be held, reduced to every n-th pixel.

    Args:
        size: (width, height) of the picture.
        costs: of the experts.
        side: longest side of the map, at most.
    """

    def __init__(self, size: tuple[int, int], costs: tuple[float, ...], side: int = 4096) -> None:
        self._step = -(-max(size) // side)
        self._costs = costs
        width, height = (-(-length // self._step) for length in size)
        self._experts = torch.zeros(1, height, width, dtype=torch.uint8)

    def add(self, tile: Tile, experts: Tensor) -> None:
        """The experts (1, h, w) of a tile."""
        step, (top, bottom, left, right) = self._step, tile.out
        some = experts[:, -top % step :: step, -left % step :: step]
        rows, columns = (
            slice(-(-top // step), -(-bottom // step)),
            slice(-(-left // step), -(-right // step)),
        )
        self._experts[:, rows, columns] = some

    @property
    def routing(self) -> Routing | None:
        """The map, or None for a model with a single expert."""
        return Routing(self._experts, self._costs) if len(self._costs) > 1 else None


def draw(routing: Routing, *, legend: bool = True) -> NDArray[np.uint8]:
    """The expert of every pixel of the first picture in its color: (H, W, 3) uint8.

    Args:
        routing: with `experts` (B, H, W).
        legend: put a strip below the map with one swatch an expert, as wide as the expert's share
            of the pixels, and its number, cost and share in text where there is room.
    """
    experts = routing.experts[0].cpu().numpy()  # (H, W)
    colors = palette(len(routing.costs))
    picture: NDArray[np.uint8] = colors[experts]  # (H, W, 3)
    if not legend:
        return picture
    first = Routing(routing.experts[:1], routing.costs)
    return np.concatenate([picture, _legend(first, picture.shape[1], colors)])


def _legend(routing: Routing, width: int, colors: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A bar of shares, and below it one line of text an expert."""
    edges = np.round(np.concatenate([[0], np.cumsum(routing.shares)]) * width).astype(int)
    bar = np.zeros((max(4, min(24, width // 20)), width, 3), np.uint8)
    for number, (start, stop) in enumerate(pairwise(edges)):
        bar[:, start:stop] = colors[number]
    if width < 160:  # no room for letters
        return bar
    rows = [bar, np.full((6, width, 3), 24, np.uint8)]
    for number, (share, cost) in enumerate(zip(routing.shares, routing.costs, strict=True)):
        text = _text(f"expert {number}: {share:.1%} of pixels, cost {cost:.2f}")
        line = np.full((text.shape[0] + 6, width, 3), 24, np.uint8)
        side = text.shape[0]
        line[3 : 3 + side, 6 : 6 + side] = colors[number]
        room = min(text.shape[1], width - side - 14)
        line[3 : 3 + side, side + 12 : side + 12 + room] = text[:, :room, None]
        rows.append(line)
    return np.concatenate(rows)


def _text(text: str) -> NDArray[np.uint8]:
    """Rendered by libvips: (height, width) uint8, light on dark."""
    import pyvips

    image = pyvips.Image.text(text, font="sans 10", dpi=96)
    return np.maximum(np.asarray(image.numpy(), np.uint8), 24)


def label(picture: NDArray[np.uint8], text: str) -> NDArray[np.uint8]:
    """A picture (H, W, 3) uint8 with a caption above it and a thin margin: (H + 28, W + 4, 3)."""
    height, width = picture.shape[:2]
    framed = np.full((height + 28, width + 4, 3), 24, np.uint8)
    framed[24 : 24 + height, 2 : 2 + width] = picture
    letters = _text(text)[:20, : width - 8]
    framed[3 : 3 + letters.shape[0], 6 : 6 + letters.shape[1]] = letters[..., None]
    return framed


def draw_table(
    tasks: Sequence[str], shares: Sequence[Sequence[Sequence[float]]], *, cell: int = 44
) -> NDArray[np.uint8]:
    """Experts by task as a picture: a row a task, a group of cells a decoder block.

    Args:
        tasks: names of the rows.
        shares: for each task and decoder block, the share of pictures each expert was given.
        cell: side of a cell in pixels; the fuller the cell, the larger its share, in the expert's
            color, with the percentage in it.

    Returns:
        (H, W, 3) uint8.
    """
    blocks, experts = len(shares[0]), len(shares[0][0])
    colors = palette(experts)
    names = [_text(task) for task in tasks]
    left = max(name.shape[1] for name in names) + 16
    gap, top = 10, 26
    width = left + blocks * (experts * cell + gap)
    picture = np.full((top + len(tasks) * cell + 8, width, 3), 24, np.uint8)

    def put(letters: NDArray[np.uint8], row: int, column: int) -> None:
        room = picture[row : row + letters.shape[0], column : column + letters.shape[1]]
        np.maximum(room, letters[: room.shape[0], : room.shape[1], None], out=room)

    for block in range(blocks):
        put(_text(f"block {block}"), 5, left + block * (experts * cell + gap))
    for row, (name, mine) in enumerate(zip(names, shares, strict=True)):
        upper = top + row * cell
        put(name, upper + (cell - name.shape[0]) // 2, 6)
        for block, values in enumerate(mine):
            for expert, share in enumerate(values):
                column = left + block * (experts * cell + gap) + expert * cell
                side = cell - 4
                square = picture[upper : upper + side, column : column + side]
                square[...] = 48
                square[side - round(share * side) :] = colors[expert]
                if share >= 0.005:
                    letters = _text(f"{100 * share:.0f}")
                    dark = colors[expert].astype(int).sum() > 380 and share > 0.6
                    ink = letters[:, :, None]
                    y = (side - letters.shape[0]) // 2
                    x = max(0, (side - letters.shape[1]) // 2)
                    spot = square[y : y + letters.shape[0], x : x + letters.shape[1]]
                    ink = ink[: spot.shape[0], : spot.shape[1]]
                    weight = (ink.astype(np.float64) - 24) / 231
                    target = 0 if dark else 255
                    spot[...] = (spot * (1 - weight) + target * weight).astype(np.uint8)
    return picture
