"""Give an enlarged or repaired picture the colors of its source: low frequencies are replaced.

At once, or band by band for a picture that is never whole in memory; the same to the bit.
"""

import math
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from pixperts.defaults import ColorFix as ColorFix
from pixperts.errors import UsageError
from pixperts.ops.resize import bicubic_rows, rows_needed

KINDS = ("none", "mean", "wavelet")
_LEVELS = 5
_HALO = (1 << _LEVELS) - 1  # 1 + 2 + 4 + 8 + 16 rows to both sides

Rows = Callable[[int, int], Tensor]  # from and before -> (B, C, rows, W)


def match_low_frequencies(result: Tensor, source: Tensor, kind: ColorFix) -> Tensor:
    """Replace the low frequencies of `result` by those of `source`, resized to its size.

    "mean" shifts every channel to the mean of the source. "wavelet" swaps what is left of both
    after five levels of the à trous transform, whose kernel is [1 2 1] / 4 along both axes with
    gaps that double from level to level (Holschneider et al., 1989); colors are then right
    within some dozens of pixels while details stay. A result that equals the resized source comes
    back unchanged to the bit.

    Args:
        result: `(B, C, H', W')` floating point, any value range.
        source: `(B, C, H, W)` like it; resized by `resize.bicubic_rows` where its size differs.
        kind: "none" returns `result`.

    Returns:
        A tensor like `result`. Nothing is clamped.

    Raises:
        UsageError: another kind, or tensors that do not belong together.
    """
    if kind not in KINDS:
        raise UsageError(f"The color fix {kind!r} is unknown: use one of {', '.join(KINDS)}.")
    if result.ndim != 4 or source.ndim != 4 or result.shape[:2] != source.shape[:2]:
        raise UsageError(
            f"result of shape {tuple(result.shape)} and source of shape {tuple(source.shape)} do "
            "not belong together: give (B, C, H, W) with equal B and C."
        )
    if kind == "none":
        return result
    height, width = result.shape[2:]
    if source.shape[2:] != result.shape[2:]:
        source = bicubic_rows(source, (height, width))
    # Both low-passes are linear, so the difference is taken first: zero stays zero to the bit.
    difference = source.to(result) - result  # (B, C, H', W')
    if kind == "mean":
        return result + _mean([_row_sums(difference)], width).to(result)
    return result + low_pass(difference)


def match_picture(result: Tensor, source: Tensor, kind: ColorFix) -> Tensor:
    """`match_low_frequencies` of a picture of any channels, alpha left alone.

    Args:
        result: `(B, C, H', W')` in [0, 1]; C = 1 gray, 2 gray and alpha, 3 RGB, 4 RGB and alpha.
        source: `(B, C, H, W)` like it.
        kind: "none" returns `result`.

    Returns:
        A tensor like `result`, its colors clamped to [0, 1].

    Raises:
        UsageError: another kind.
    """
    if kind == "none":
        return result
    colors = 1 if source.shape[1] < 3 else 3
    fixed = match_low_frequencies(
        result[:, :colors].expand(-1, 3, -1, -1), source[:, :colors].expand(-1, 3, -1, -1), kind
    )
    return torch.cat([fixed[:, :colors].clamp(0, 1), result[:, colors:]], dim=1)


def matched_bands(
    result: Rows,
    source: Rows,
    rewind: Callable[[], None],
    kind: ColorFix,
    size: tuple[int, int],
    height: int,
    band: int,
) -> Iterator[tuple[int, int, Tensor]]:
    """`match_low_frequencies` of one picture, of which only some rows are held at a time.

    Args:
        result: reads rows of the result, in any order.
        source: reads rows of the source, from the top downwards.
        rewind: lets the source begin again.
        kind: mean or wavelet.
        size: (H', W') of the result.
        height: H, rows of the source.
        band: rows of the result that are worked on at a time.

    Yields:
        The band's first row, the one after its last, and its colors (B, C, rows, W').
    """
    halo = _HALO if kind == "wavelet" else 0

    def bands() -> Iterator[tuple[int, int, int, Tensor, Tensor]]:
        for top in range(0, size[0], band):
            bottom = min(top + band, size[0])
            first, last = max(0, top - halo), min(size[0], bottom + halo)
            above, below = rows_needed(height, size[0], first, last)
            colors, given = result(first, last), source(above, below)
            given = bicubic_rows(given, size, out=(first, last), above=above, height=height)
            yield top, bottom, first, colors, given.to(colors) - colors

    shift: Tensor | None = None
    if kind == "mean":
        shift = _mean([_row_sums(difference) for *_, difference in bands()], size[1])
        rewind()
    for top, bottom, first, colors, difference in bands():
        part = slice(top - first, bottom - first)
        change = low_pass(difference)[:, :, part] if shift is None else shift.to(colors)
        yield top, bottom, colors[:, :, part] + change


def _row_sums(image: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, C, H) in float64."""
    return image.sum(dim=3, dtype=torch.float64)


def _mean(rows: list[Tensor], width: int) -> Tensor:
    """Means (B, C, 1, 1) from the sums of all rows, (B, C, h) a band, however they are cut."""
    sums = torch.cat(rows, dim=2)
    exact = [[math.fsum(channel.tolist()) for channel in picture] for picture in sums]
    means = torch.tensor(exact, dtype=torch.float64) / (sums.shape[2] * width)
    return means[:, :, None, None]


def low_pass(image: Tensor) -> Tensor:
    """What five levels of the à trous transform leave of `(B, C, H, W)`; edges are repeated.

    >>> import torch
    >>> low_pass(torch.full((1, 1, 2, 3), 0.5)).unique().tolist()
    [0.5]
    """
    for level in range(_LEVELS):
        gap = 2**level
        for axis in (3, 2):
            edges = (gap, gap, 0, 0) if axis == 3 else (0, 0, gap, gap)
            padded = F.pad(image, edges, mode="replicate")
            size = image.shape[axis]
            left, middle, right = (padded.narrow(axis, k * gap, size) for k in range(3))
            image = left * 0.25 + middle * 0.5 + right * 0.25
    return image
