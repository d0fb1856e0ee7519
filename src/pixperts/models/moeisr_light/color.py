"""Colors that an enlargement may have: those of the input nearby.

A network that was trained on photos takes thin black lines for something that it has seen there,
and tints the paper between them. Lightness is where detail lies; of color it has to invent nothing.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

RADIUS = 2  # LR pixels; JPEG stores color at half the resolution, so an edge is as wide as that
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


def bound_color(image: Tensor, lr: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Clamp what each channel is above luma to its range within 5x5 pixels of the input.

    Luma stays as it is.

    Args:
        image: (B, 3, H, W) enlarged.
        lr: (B, 3, h, w) in [0, 1].
        rows: (H,) of lr below each row of the image.
        columns: (W,) alike.

    Returns:
        (B, 3, H, W).

    Example:
        >>> gray, tinted = torch.full((1, 3, 1, 1), 0.5), torch.tensor([0.6, 0.5, 0.4])
        >>> place = torch.zeros(1, dtype=torch.long)
        >>> bound_color(tinted.view(1, 3, 1, 1), gray, place, place).flatten()  # its luma
        tensor([0.5185, 0.5185, 0.5185])
    """
    known = lr - _luma(lr)
    above = F.max_pool2d(known, 2 * RADIUS + 1, stride=1, padding=RADIUS)
    below = -F.max_pool2d(-known, 2 * RADIUS + 1, stride=1, padding=RADIUS)
    luma = _luma(image)
    low, high = (side.index_select(2, rows).index_select(3, columns) for side in (below, above))
    color = torch.minimum(torch.maximum(image - luma, low), high)
    return luma + color - _luma(color)


def _luma(image: Tensor) -> Tensor:
    """(B, 3, H, W) -> (B, 1, H, W)."""
    red, green, blue = image.split(1, dim=1)
    luma: Tensor = _LUMA[0] * red + _LUMA[1] * green + _LUMA[2] * blue
    return luma
