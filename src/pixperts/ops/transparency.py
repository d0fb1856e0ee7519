"""Colors for fully transparent pixels, so that what nobody sees does not leak into what is seen.

Files hold anything there, mostly black. A network or a resizing kernel that looks across the edge
of a cut-out would draw it into the visible side as a dark rim.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from pixperts.errors import UsageError

_FAR = 0.5
# The weight of a neighbor falls by e every eighth of the reach, along either axis.
_DECAYS = 8.0


REACH = 16  # pixels


def fill_transparent(rgb: Tensor, alpha: Tensor, reach: int = REACH) -> Tensor:
    """Replace colors under alpha 0 by a smooth continuation of the visible ones around.

    Each is the mean of the visible colors of a square of `reach` pixels to every side, weighted
    by their alpha and by exp(-8 (|dx| + |dy|) / reach), so that the nearest ones decide (the
    normalized convolution of Knutsson and Westin, CVPR 1993). Where the square shows nothing, 0.5.
    No pixel depends on more than its square: tiles that overlap by `reach` agree.

    Args:
        rgb: `(B, C, H, W)` floating point, straight (not premultiplied).
        alpha: `(B, 1, H, W)`, 0 for what is fully transparent.
        reach: pixels, 1 or more.

    Returns:
        A tensor like `rgb`; where alpha is above 0 its values are those of `rgb` to the bit.

    Raises:
        UsageError: shapes that do not fit together, integer tensors, or a reach below 1.

    >>> rgb = torch.tensor([[[[0.25, 9.0, 9.0, 9.0]]]])
    >>> fill_transparent(rgb, torch.tensor([[[[1.0, 0.0, 0.0, 0.0]]]]), reach=2)
    tensor([[[[0.2500, 0.2500, 0.2500, 0.5000]]]])
    """
    if rgb.ndim != 4 or alpha.shape != (rgb.shape[0], 1, *rgb.shape[2:]):
        raise UsageError(
            f"rgb of shape {tuple(rgb.shape)} and alpha of shape {tuple(alpha.shape)} do not "
            "belong together: give (B, C, H, W) and (B, 1, H, W)."
        )
    if not (rgb.is_floating_point() and alpha.is_floating_point()):
        raise UsageError(f"rgb is {rgb.dtype} and alpha {alpha.dtype}: give floats.")
    if reach < 1:
        raise UsageError(f"reach must be 1 pixel or more, not {reach}.")
    visible = alpha > 0  # (B, 1, H, W)
    if bool(visible.all()):
        return rgb
    weight = torch.where(visible, alpha, 0.0).to(rgb.dtype)
    # Not by multiplication alone: NaN hidden under alpha 0 would come through.
    colors = torch.where(visible, rgb, 0.0) * weight
    sums = _spread(torch.cat([colors, weight], dim=1), reach)  # (B, C + 1, H, W)
    total = sums[:, -1:]
    filled = torch.where(total > 0, sums[:, :-1] / total.clamp_min(1e-30), _FAR)
    return torch.where(visible, rgb, filled)


def _spread(image: Tensor, reach: int) -> Tensor:
    """Every channel blurred by exp(-8 |d| / reach) along both axes, nothing from outside."""
    channels = image.shape[1]
    offsets = torch.arange(-reach, reach + 1, dtype=image.dtype, device=image.device)
    kernel = torch.exp(offsets.abs() * (-_DECAYS / reach)).expand(channels, 1, 1, -1)
    image = F.conv2d(image, kernel, padding=(0, reach), groups=channels)
    return F.conv2d(image, kernel.transpose(2, 3), padding=(reach, 0), groups=channels)
