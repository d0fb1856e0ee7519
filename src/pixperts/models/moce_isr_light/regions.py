"""Residual blocks that run in some regions of a picture only, as if they ran everywhere.

Where a block does not run the features stay as they are, and the regions beside it read them as
their context. So each region's result is what masking the block's result would give.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from pixperts.models.moeisr_light.parts import Block

_GROUP = 16  # regions that are computed at a time: one shape for all, so one plan of oneDNN
_MARGIN = 2  # pixels around a region that two 3x3 convolutions read
_DENSE = 0.75  # share of regions from which computing all of them is faster


def run_in_regions(block: Block, x: Tensor, active: Tensor, side: int) -> Tensor:
    """x + active * residual(x), computed where it is active.

    Args:
        block: two 3x3 convolutions and what they are added to.
        x: (B, C, h, w); not changed.
        active: (B, rows, columns) bool, of squares of `side` pixels from the top left.
        side: of a square.

    Returns:
        (B, C, h, w).
    """
    count = int(active.sum())
    if count == 0:
        return x
    if count >= _DENSE * active.numel():
        result: Tensor = block(x)
        return (
            result if count == active.numel() else torch.where(spread(active, side, x), result, x)
        )
    batch, channels, height, width = x.shape
    rows, columns = active.shape[1:]
    tall, wide = rows * side, columns * side
    padded = F.pad(x, (_MARGIN, _MARGIN + wide - width, _MARGIN, _MARGIN + tall - height))
    inside = F.pad(x.new_ones(1, 1, height, width), (1, 1 + wide - width, 1, 1 + tall - height))
    # (B, rows, columns, s, s, C): windows, whose rows are pixels
    windows = _windows(padded, side + 2 * _MARGIN, side)
    within = _windows(inside, side + 2, side)[0]  # (rows, columns, s, s, 1)
    result = x.new_zeros(batch, tall, wide, channels)
    result[:, :height, :width] = x.permute(0, 2, 3, 1)
    squares = result.view(batch, rows, side, columns, side, channels).transpose(2, 3)
    places = torch.nonzero(active)  # (M, 3)
    for group in places.split(_GROUP):
        short = _GROUP - len(group)
        # The last group is filled up, so that all have one shape.
        full = torch.cat([group, group[-1:].expand(short, 3)]) if short else group
        number, row, column = full.unbind(dim=1)
        taken = windows[number, row, column].permute(0, 3, 1, 2)  # (M, C, s, s), channels last
        hidden = F.relu_(F.conv2d(taken, block.first.weight, block.first.bias))
        # The whole picture is surrounded by zeros at every layer, and so are its regions.
        hidden = hidden * within[row, column].permute(0, 3, 1, 2)
        added = F.conv2d(hidden, block.second.weight, block.second.bias)
        added = added + taken[:, :, _MARGIN:-_MARGIN, _MARGIN:-_MARGIN]
        number, row, column = group.unbind(dim=1)
        squares[number, row, column] = added[: len(group)].permute(0, 2, 3, 1)
    return result[:, :height, :width].permute(0, 3, 1, 2)


def spread(values: Tensor, side: int, like: Tensor) -> Tensor:
    """(B, 1, h, w) for the pixels of `like` (B, C, h, w): the value of each one's square.

    Example:
        >>> spread(torch.tensor([[[1, 2]]]), 2, torch.zeros(1, 3, 1, 3)).flatten()
        tensor([1, 1, 2])
    """
    large = values.repeat_interleave(side, 1).repeat_interleave(side, 2)
    return large[:, None, : like.shape[2], : like.shape[3]]


def _windows(x: Tensor, size: int, step: int) -> Tensor:
    """(B, C, H, W) -> (B, rows, columns, size, size, C), without copying."""
    pixels = x.permute(0, 2, 3, 1)  # (B, H, W, C)
    found = pixels.unfold(1, size, step).unfold(2, size, step)  # (B, rows, columns, C, s, s)
    return found.permute(0, 1, 2, 4, 5, 3)
