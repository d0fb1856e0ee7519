"""The position of output pixels between LR pixels, in exact integer arithmetic.

Output pixel i of n_out has its center at (i + 1/2) n_in / n_out - 1/2 LR pixels. LIIF finds the
four neighbors of a query by nearest-neighbor sampling at coordinates shifted by half an LR pixel
(arXiv 2012.09161, section 3); whole numbers give the same neighbors in any precision.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pixperts.ops.windows import Part


@dataclass(frozen=True)
class Axis:
    """The two LR neighbors of output positions along one axis; leading 2 = lower, upper."""

    index: Tensor  # (2, ...) int64, clamped to the picture
    offset: Tensor  # (2, ...) query minus neighbor, in half LR pixels (the papers' unit)
    weight: Tensor  # (2, ...) linear interpolation, sums to 1

    def at(self, items: Tensor | slice) -> "Axis":
        """The positions with these numbers, by the first axis after the leading 2."""
        return Axis(self.index[:, items], self.offset[:, items], self.weight[:, items])

    def flatten(self) -> "Axis":
        """All positions in one row: (2, N)."""
        return Axis(self.index.flatten(1), self.offset.flatten(1), self.weight.flatten(1))

    def counted_from(self, first: int) -> "Axis":
        """The same neighbors, their numbers counted from LR position `first`."""
        return replace(self, index=self.index - first)


def axis_neighbors(positions: Tensor, size_out: Tensor | int, size_in: int) -> Axis:
    """Neighbors, offsets and weights of integer output positions along one axis.

    Args:
        positions: (...) int64, 0 <= positions < size_out.
        size_out: output length, a number or a tensor that broadcasts against `positions`.
        size_in: LR length.

    Returns:
        `Axis` with float32 offsets and weights.

    Example:
        >>> axis = axis_neighbors(torch.tensor([0, 1]), 4, 2)  # x2: centers -0.25 and 0.25
        >>> axis.index.tolist()
        [[0, 0], [0, 1]]
        >>> axis.offset.tolist()
        [[-0.5, 0.5], [-0.5, -1.5]]
        >>> axis.weight.tolist()
        [[0.25, 0.75], [0.75, 0.25]]
    """
    numerator = (2 * positions + 1) * size_in - size_out
    denominator = 2 * size_out
    lower = torch.div(numerator, denominator, rounding_mode="floor")
    index = torch.stack([lower, lower + 1]).clamp(0, size_in - 1)  # (2, ...)
    past_lower = numerator - lower * denominator  # in 1 / denominator LR pixels
    # Whole numbers below 2^24 until here, so one float32 division rounds once; double precision,
    # which some accelerators lack, would give the same.
    offset = 2.0 * ((numerator - index * denominator).float() / denominator)  # (2, ...)
    weight = torch.stack([denominator - past_lower, past_lower]).float() / denominator
    return Axis(index, offset, weight)


def output_axes(lr: Tensor, size: tuple[int, int], part: Part | None) -> tuple[Axis, Axis]:
    """Vertical and horizontal neighbors of the wanted output pixels, counted within lr."""
    whole = tuple(lr.shape[2:]) if part is None else part.whole
    out = (0, size[0], 0, size[1]) if part is None else part.out
    axes = []
    for axis in (0, 1):
        positions = torch.arange(out[2 * axis], out[2 * axis + 1], device=lr.device)
        found = axis_neighbors(positions, size[axis], whole[axis])
        axes.append(found.counted_from(0 if part is None else part.source[2 * axis]))
    return axes[0], axes[1]


def cells_of(
    lr: Tensor, sizes: Tensor | tuple[int, int], whole: tuple[int, int] | None = None
) -> Tensor:
    """Size of an output pixel in half LR pixels, (B, 2): the published cell 2 / H, times h.

    Args:
        lr: (B, C, h, w), all of the picture or a tile of it.
        sizes: output (H, W), or (B, 2) one for each sample.
        whole: (h, w) of the whole LR picture where lr is a tile.
    """
    if not isinstance(sizes, Tensor):
        sizes = torch.tensor([sizes]).expand(len(lr), 2)
    dtype = torch.promote_types(lr.dtype, torch.float32)
    lengths = torch.tensor(whole or lr.shape[2:], device=lr.device, dtype=dtype)
    return (2.0 * lengths / sizes.to(lr.device, dtype)).to(lr.dtype)


@dataclass(frozen=True)
class Queries:
    """N output pixels and their K neighbors, four or one, in a flat table of LR pixels.

    Attributes:
        index: (K, N) int64 rows of the table; order (low, low), (low, high), (high, low), ...
        offset: (K, N, 2) float32, vertical then horizontal.
        weight: (K, N) float32, bilinear, sums to 1. LIIF's local ensemble weighs each neighbor
            by the area of the diagonally opposite rectangle, which is the same number.
    """

    index: Tensor
    offset: Tensor
    weight: Tensor

    def __len__(self) -> int:
        return self.index.shape[1]

    def take(self, items: Tensor) -> "Queries":
        """The queries with these numbers, (M,) int64."""
        return Queries(self.index[:, items], self.offset[:, items], self.weight[:, items])

    def nearest(self) -> "Queries":
        """The same pixels with their nearest neighbor only; of equally near ones the first."""
        corner = self.weight.argmax(dim=0, keepdim=True)  # (1, N)
        index = self.index.gather(0, corner)
        offset = self.offset.gather(0, corner[..., None].expand(-1, -1, 2))
        return Queries(index, offset, torch.ones_like(self.weight[:1]))

    def interpolate(self, table: Tensor) -> Tensor:
        """Bilinear samples (N, C) of a table (rows, C), clamped at the border."""
        total = table[self.index[0]] * self.weight[0, :, None].to(table.dtype)
        for corner in range(1, 4):
            total += table[self.index[corner]] * self.weight[corner, :, None].to(table.dtype)
        return total


def make_queries(rows: Axis, columns: Axis, base: Tensor | int, width: int) -> Queries:
    """Combine the axes of N pixels, each (2, N), into `Queries`.

    Args:
        rows: vertical neighbors.
        columns: horizontal neighbors.
        base: first row of each pixel's picture in the table, (N,) or a number.
        width: LR width, the distance between vertical neighbors in the table.
    """
    count = rows.index.shape[1]
    index = rows.index[:, None] * width + columns.index[None, :] + base  # (2, 2, N)
    weight = rows.weight[:, None] * columns.weight[None, :]  # (2, 2, N)
    offset = torch.stack(
        [
            rows.offset[:, None].expand(2, 2, count),
            columns.offset[None, :].expand(2, 2, count),
        ],
        dim=-1,
    )  # (2, 2, N, 2)
    return Queries(index.flatten(0, 1), offset.flatten(0, 1), weight.flatten(0, 1))


def resample(image: Tensor, rows: Axis, columns: Axis) -> Tensor:
    """Bilinear samples on a whole output grid, rows then columns: (B, C, H, W)."""
    tall = image[:, :, rows.index[0]] * rows.weight[0, :, None]
    tall += image[:, :, rows.index[1]] * rows.weight[1, :, None]
    wide = tall[:, :, :, columns.index[0]] * columns.weight[0]
    wide += tall[:, :, :, columns.index[1]] * columns.weight[1]
    return wide
