"""Limit the colors of an enlargement to those of the input nearby.

A network that was trained on photos may tint the paper between thin black lines. Detail is mostly a
matter of lightness, so that new colors are not needed.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

RADIUS = 2  # LR pixels; JPEG stores color at half the resolution, so an edge is as wide as that
_SHIFTS = (1, 2, 1)  # between maxima of which 2, 4 and then all 5 pixels come
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


def bound_color(image: Tensor, lr: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Clamp the difference of each channel from luma to its range in 5x5 pixels of the input.

    Luma does not change.

    Args:
        image: (B, 3, H, W) enlarged.
        lr: (B, 3, h, w) in [0, 1].
        rows: (H,) row of lr below each row of the image.
        columns: (W,) column of lr below each column of the image.

    Returns:
        (B, 3, H, W).

    Example:
        >>> gray, tinted = torch.full((1, 3, 1, 1), 0.5), torch.tensor([0.6, 0.5, 0.4])
        >>> place = torch.zeros(1, dtype=torch.long)
        >>> bound_color(tinted.view(1, 3, 1, 1), gray, place, place).flatten()  # its luma
        tensor([0.5185, 0.5185, 0.5185])
    """
    known = lr - _luma(lr)
    above, below = _highest(known), -_highest(-known)
    luma = _luma(image)
    # Columns first: they are picked pixel by pixel, of few rows then, and rows are copied whole.
    low, high = (side.index_select(3, columns).index_select(2, rows) for side in (below, above))
    color = torch.minimum(torch.maximum(image - luma, low), high)
    return luma + color - _luma(color)


def _highest(image: Tensor) -> Tensor:
    """The highest value within RADIUS pixels along both axes; max_pool2d takes 7 times as long.

    >>> _highest(torch.tensor([[[[1.0, 0.0, 0.0, 0.0]]]])).flatten()
    tensor([1., 1., 1., 0.])
    """
    image = F.pad(image, (RADIUS, RADIUS, RADIUS, RADIUS), value=-math.inf)
    for axis in (3, 2):
        for shift in _SHIFTS:
            length = image.shape[axis] - shift
            image = torch.maximum(image.narrow(axis, 0, length), image.narrow(axis, shift, length))
    return image


def _luma(image: Tensor) -> Tensor:
    """(B, 3, H, W) -> (B, 1, H, W)."""
    red, green, blue = image.split(1, dim=1)
    luma: Tensor = _LUMA[0] * red + _LUMA[1] * green + _LUMA[2] * blue
    return luma
