"""Work on a map in bands of rows, so that intermediate results are never held for all rows.

Inside a block of a transformer, a map has two to eight times its channels. If no gradient is
needed, local parts are computed band by band: the peak of memory falls to little more than input
and output, and a band stays in the cache of the processor.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

BAND = 1 << 14  # approximate number of pixels of a band


class Band(NamedTuple):
    """Rows `top` to `bottom`; with the rows around them that are needed, `low` to `high`."""

    top: int
    bottom: int
    low: int
    high: int

    def cut(self, x: Tensor) -> Tensor:
        """Rows `low` to `high` of a whole map (B, C, H, W)."""
        return x[:, :, self.low : self.high]

    def core(self, x: Tensor) -> Tensor:
        """Rows `top` to `bottom` of a map that was `cut`."""
        return x[:, :, self.top - self.low : self.bottom - self.low]


def bands(x: Tensor, halo: int, unit: int = 1) -> Iterator[Band]:
    """The bands of a map (B, C, H, W); a single one if gradients are recorded.

    Args:
        x: the map.
        halo: rows needed above and below.
        unit: bands begin at multiples of this.

    Example:
        >>> with torch.no_grad():
        ...     found = list(bands(torch.zeros(1, 1, 70, 512), halo=1, unit=32))
        >>> found[1]
        Band(top=32, bottom=64, low=31, high=65)
    """
    batch, _, height, width = x.shape
    if torch.is_grad_enabled():
        yield Band(0, height, 0, height)
        return
    rows = max(16, BAND // (batch * width))
    rows = -(-rows // unit) * unit
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        yield Band(top, bottom, max(top - halo, 0), min(bottom + halo, height))


def in_bands(function: Callable[..., Tensor], *maps: Tensor, halo: int) -> Tensor:
    """Apply a function to maps (B, C, H, W), band by band.

    A row of its result (B, D, H, W) may depend on `halo` rows above and below.

    Example:
        >>> with torch.no_grad():
        ...     in_bands(lambda x: 2 * x, torch.ones(1, 1, 2, 1), halo=0).flatten().tolist()
        [2.0, 2.0]
    """
    result: Tensor | None = None
    for band in bands(maps[0], halo):
        part = band.core(function(*map(band.cut, maps)))
        if part.shape[2] == maps[0].shape[2]:
            return part
        if result is None:
            result = empty_like_map(part, maps[0].shape[2])
        result[:, :, band.top : band.bottom] = part
    assert result is not None
    return result


def empty_like_map(part: Tensor, height: int) -> Tensor:
    """An empty map of this height, for bands like `part`, in channels_last memory."""
    batch, channels, _, width = part.shape
    return part.new_empty(batch, height, width, channels).permute(0, 3, 1, 2)
