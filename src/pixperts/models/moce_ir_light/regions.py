"""Keep the mean color of regions: a repair of detail must not change how light a region is.

Only the whole picture shows whether a scene is dark or hazy. Layers that see a small part of it
might mistake a pale wall for haze, and darken it. So the mean over each region is smoothly removed
from their changes, up to a limit: removing white flakes makes a region darker, in proportion to the
spread of the change.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def keep_means(residual: Tensor, cell: int, slack: float) -> Tensor:
    """A residual whose mean over each cell is at most `slack` times its spread there.

    Cells are squares of a fixed grid from the top left. Where a mean exceeds the bound, the excess
    is subtracted: as a surface that is continuous across cells and has exactly the excess as its
    mean over each, so that no border is seen. Cells that the picture fills in part count as if its
    last pixels continued. A value depends on its own cell and the eight around it.

    Args:
        residual: (B, C, H, W) floating point.
        cell: side of a cell in pixels.
        slack: largest mean, in standard deviations of the residual within the cell; 0 leaves none.

    Example:
        >>> flat = torch.full((1, 1, 8, 8), -0.1)
        >>> bool(keep_means(flat, 4, 0.5).abs().max() < 1e-7)
        True
    """
    values = residual.float()
    height, width = values.shape[2:]
    padded = values
    if height % cell or width % cell:
        padded = F.pad(values, (0, -width % cell, 0, -height % cell), mode="replicate")
    surface = excess_surface(padded, cell, slack)[:, :, :height, :width]
    return (values - surface).to(residual.dtype)


def excess_surface(padded: Tensor, cell: int, slack: float) -> Tensor:
    """The surface that `keep_means` subtracts; sides of the residual are multiples of `cell`."""
    mean = F.avg_pool2d(padded, cell)
    centered = padded - mean.repeat_interleave(cell, 2).repeat_interleave(cell, 3)
    # A root is infinitely steep at zero: its gradient is kept finite.
    spread = (F.avg_pool2d(centered.square(), cell) + 1e-12).sqrt() - 1e-6
    bound = slack * spread.clamp_min(0)
    excess = mean - torch.minimum(torch.maximum(mean, -bound), bound)
    return smooth_surface(excess, cell)


def smooth_surface(means: Tensor, cell: int) -> Tensor:
    """A continuous surface with given means over the cells of a grid.

    Along each axis a parabola in each cell, through the halfway values at its ends, with the
    cell's mean, as the piecewise parabolic method has it (Colella and Woodward, 1984).

    Args:
        means: (B, C, h, w).
        cell: pixels along a side.

    Returns:
        (B, C, h * cell, w * cell).

    Example:
        >>> row = smooth_surface(torch.tensor([[[[0.0, 1.0]]]]), 4)[0, 0, 0]
        >>> [round(float(part.mean()), 5) for part in row.split(4)]
        [0.0, 1.0]
    """
    return _along(_along(means, cell, 3), cell, 2)


def _along(means: Tensor, cell: int, axis: int) -> Tensor:
    count = means.shape[axis]
    index = torch.arange(count, device=means.device)
    before = means.index_select(axis, (index - 1).clamp_min(0))
    after = means.index_select(axis, (index + 1).clamp_max(count - 1))
    low, high = 0.5 * (before + means), 0.5 * (means + after)
    place = (torch.arange(cell, device=means.device, dtype=means.dtype) + 0.5) / cell
    bump = place * (1 - place)
    bump = bump / bump.mean()
    low, high, middle = (part.unsqueeze(axis + 1) for part in (low, high, means))
    shape = [1] * (means.dim() + 1)
    shape[axis + 1] = cell
    place, bump = place.view(shape), bump.view(shape)
    curve = low + (high - low) * place + (middle - 0.5 * (low + high)) * bump
    return curve.flatten(axis, axis + 1)
