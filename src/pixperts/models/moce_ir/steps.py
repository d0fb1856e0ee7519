"""Whether a picture may have been blurred along a line, judged by its sharp steps.

A path of length L averages along itself, so two points of the result that lie |v| apart on it
differ by at most |v| R / L in linear light, where R is the range of the picture. Hatching, text and
screens have stripes in their spectrum as blurred photos have, but also steps far above that bound.
"""

import math

import torch
from torch import Tensor

from pixperts.ops.windows import Window

# Offsets of pairs of pixels whose difference is counted, (right, up), every 18 to 27 degrees.
OFFSETS = ((1, 0), (2, 1), (1, 1), (1, 2), (0, 1), (-1, 2), (-1, 1), (-2, 1))
_REACH = 2  # of an offset
BINS = 48  # of steps, by the logarithm, from 2^-8 to 1
LEVELS = 64  # of the picture's values, by their square root
_OCTAVES = 8
_RARE = 0.001  # share of the pixels that may exceed a bound: noise, JPEG, specks
# Steps of more than twice the bound rule out a motion. On 41 blurred photos, 20 of them JPEGs, the
# bound was exceeded by at most 1.7, on hatching by 2.5 or more.
_EXCESS = 2.0


def step_sums(light: Tensor, inner: Window) -> tuple[Tensor, Tensor]:
    """Histograms of steps by direction, and of values.

    Args:
        light: (B, H, W) in [0, 1], linear.
        inner: the part that is counted, without pixels at the border of `light`.

    Returns:
        (B, 8, 48) of the steps over their distance, (B, 64) of the values; float32 counts.
    """
    batch, height, width = light.shape
    top, bottom = max(inner[0], _REACH), min(inner[1], height - _REACH)
    left, right = max(inner[2], _REACH), min(inner[3], width - _REACH)
    if top >= bottom or left >= right:
        return light.new_zeros(batch, len(OFFSETS), BINS), light.new_zeros(batch, LEVELS)
    here = light[:, top:bottom, left:right]
    steps = []
    for across, up in OFFSETS:
        there = light[:, top - up : bottom - up, left + across : right + across]
        step = (here - there).abs() / math.hypot(across, up)
        place = (step.clamp_min(2.0**-_OCTAVES).log2() / _OCTAVES + 1) * BINS
        steps.append(_histogram(place, BINS))
    return torch.stack(steps, dim=1), _histogram(here.sqrt() * LEVELS, LEVELS)


def _histogram(place: Tensor, bins: int) -> Tensor:
    """(B, H, W) around [0, bins] -> (B, bins) counts."""
    index = place.flatten(1).long().clamp_(0, bins - 1)
    return torch.stack([torch.bincount(one, minlength=bins) for one in index]).float()


def can_be_motion(steps: Tensor, values: Tensor, length: Tensor, angle: Tensor) -> Tensor:
    """Whether the steps along each motion are as small as the motion would have left them.

    Args:
        steps: (B, 8, 48) of `step_sums`.
        values: (B, 64).
        length: (B,) of the path, in pixels.
        angle: (B,) in degrees, anticlockwise from the horizontal.

    Returns:
        (B,) bool.
    """
    low = _quantile(values, _RARE) / LEVELS
    high = (_quantile(values, 1 - _RARE) + 1) / LEVELS
    contrast = high.square() - low.square()
    ways = torch.tensor([math.degrees(math.atan2(up, across)) for across, up in OFFSETS])
    apart = ((ways.to(angle) - angle[:, None] + 90) % 180 - 90).abs()  # (B, 8)
    along = steps[torch.arange(len(steps)), apart.argmin(dim=1)]  # (B, 48)
    largest = torch.exp2((_quantile(along, 1 - _RARE) / BINS - 1) * _OCTAVES)
    return largest * length.clamp_min(1.0) <= _EXCESS * contrast


def _quantile(counts: Tensor, share: float) -> Tensor:
    """(B, bins) -> (B,) the first bin up to which this share of all is counted."""
    total = counts.sum(dim=1, keepdim=True)
    below: Tensor = counts.cumsum(dim=1) < share * total
    return below.sum(dim=1).to(counts.dtype)
