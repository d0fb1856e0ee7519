"""Pictures with fewer rows or columns, by Lanczos' filter and not by a network.

A network that was trained to enlarge has no low-pass in front of it: what it reduces, it aliases.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from pixperts.inference.streams import PixelSink, PixelSource
from pixperts.ops.resize import LANCZOS, lanczos_rows, rows_needed
from pixperts.ops.windows import Window

_BAND_PIXELS = 1 << 18  # of the source, that are reduced at a time, as caches are large
# A row depends on six of the source, times the factor: rows that are done together share them.
_SHARING_ROWS = 8
_MOST_PIXELS = 1 << 23
_CLEAR = 1e-6  # alpha below which a color means nothing


class ReducedSource:
    """A picture of which each side is at most as long as before.

    The same values come out however the rows are cut. Colors weigh by their alpha, so that what
    is hidden does not bleed into what is seen.

    Args:
        source: the picture.
        size: (H, W), neither larger than the source's.
    """

    def __init__(self, source: PixelSource, size: tuple[int, int]) -> None:
        self._source = source
        self.batch, self.channels = source.batch, source.channels
        self.height, self.width = size
        self.source_width, self.shrink = source.width, source.height / self.height
        floats = 4.0 * source.batch * source.channels
        # The rows that one row stands for, premultiplied and reduced to the new width.
        self.row_bytes = self.shrink * (source.row_bytes + floats * (source.width + self.width))

    def rows(self, top: int, bottom: int) -> Tensor:
        """(B, C, bottom - top, W)."""
        source = self._source
        first, last = rows_needed(source.height, self.height, top, bottom, LANCZOS)
        pixels = source.rows(first, last)
        alpha = pixels[:, -1:] if self.channels in (2, 4) else None
        if alpha is not None:
            pixels = torch.cat([pixels[:, :-1] * alpha, alpha], dim=1)
        size = self.height, self.width
        reduced = lanczos_rows(pixels, size, (top, bottom), first, source.height)
        if alpha is not None:
            seen = reduced[:, -1:]
            colors = torch.where(seen > _CLEAR, reduced[:, :-1] / seen.clamp_min(_CLEAR), 0.0)
            reduced = torch.cat([colors, seen], dim=1)
        return reduced.clamp(0, 1)

    def rewind(self) -> None:
        """From the top again."""
        self._source.rewind()


def kept_size(source: tuple[int, int], result: tuple[int, int]) -> tuple[int, int]:
    """The size to which a picture is reduced before a network enlarges it; sides in any order.

    A side that grows stays as it is, and one that shrinks has its final length.

    >>> kept_size((400, 100), (200, 300)), kept_size((400, 100), (200, 50))
    ((200, 100), (200, 50))
    """
    return min(source[0], result[0]), min(source[1], result[1])


def reduce_rows(
    source: PixelSource, sink: PixelSink, progress: Callable[[float], None] | None
) -> None:
    """Fill a sink with a picture as it is, band by band."""
    row = float(source.width)  # pixels of the source for a row of the result
    if isinstance(source, ReducedSource):
        row = source.source_width * source.shrink
    band = max(1, int(_BAND_PIXELS / row), min(_SHARING_ROWS, int(_MOST_PIXELS / row)))
    for top in range(0, source.height, band):
        bottom = min(top + band, source.height)
        sink.put(source.rows(top, bottom), Window(top, bottom, 0, source.width))
        sink.finish(bottom)
        if progress is not None:
            progress(bottom / source.height)
