"""Views that look dark, pale or flat and must stay so: what the tone head meets beside photos.

Drawings, pages and screens, light on dark or dark on light, scans of gray paper, pencil sketches,
pale maps, flat colors, bright things on black, and pictures in frames. All are made from a photo.
"""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pixperts.degradations.drawings import draw_over
from pixperts.ops.resize import quantize

Random = np.random.Generator

_FINEST = 4  # factor by which drawings may be larger than a view


def unusual(view: Tensor, random: Random) -> Tensor:
    """One of them.

    Args:
        view: (3, s, s) in [0, 1], of a photo.
        random: draws the kind and all else.

    Returns:
        (3, s, s) in [0, 1], multiples of 1 / 255.
    """
    make = _KINDS[int(random.choice(len(_KINDS), p=_SHARES))]
    return quantize(make(view, random).clamp(0, 1).float())


def _framed(view: Tensor, random: Random) -> Tensor:
    """The view in a frame of one gray, on all sides or on two."""
    side = view.shape[1]
    width = round(side * random.uniform(0.05, 0.4))
    top, left = ((width, width), (width, 0), (0, width))[int(random.integers(3))]
    framed = torch.full_like(view, float(random.choice([0, 0, 1, random.random()])))
    inside = slice(top, side - top), slice(left, side - left)
    framed[:, inside[0], inside[1]] = view[:, inside[0], inside[1]]
    return framed


def _drawn(view: Tensor, random: Random, kind: str | None = None) -> Tensor:
    """A drawing that is larger than the view, of which every so many pixels are taken.

    Real pages and screens have more and finer text than a small view could show. What counts is how
    often each level occurs, and where.
    """
    finer = int(random.integers(1, _FINEST + 1))
    large = F.interpolate(view[None], scale_factor=finer, mode="bilinear")[0].clamp(0, 1)
    return draw_over(large, int(random.integers(2**31)), kind)[:, ::finer, ::finer]


def _drawing(view: Tensor, random: Random) -> Tensor:
    """A drawing, a page or a screen, half of them inverted and with less contrast."""
    drawn = _drawn(view, random)
    if random.random() < 0.5:
        dark, light = random.uniform(0, 0.25), random.uniform(0.5, 1)
        drawn = dark + (1 - drawn) * (light - dark)
    return drawn


def _scan(view: Tensor, random: Random) -> Tensor:
    """A page or a line drawing on gray paper in uneven light; also a photo in gray and pale."""
    if random.random() < 0.25:
        page = view.mean(dim=0, keepdim=True)
    else:
        drawn = _drawn(view, random, str(random.choice(["page", "lines", "hatching"])))
        page = drawn.mean(dim=0, keepdim=True)  # (1, s, s)
        page = page if float(page.mean()) > 0.5 else 1 - page
    ink = random.uniform(0.02, 0.5)
    paper = random.uniform(max(0.5, ink + 0.2), 1)
    shade = 1 - random.uniform(0, 0.35) * _ramp(view.shape[1], random)
    return (ink + (paper - ink) * page) * shade * _tint(random, 0.15)


def _sketch(view: Tensor, random: Random) -> Tensor:
    """The edges of the photo in pencil: pale, without black."""
    # (1, s, s)
    gray = F.avg_pool2d(view.mean(dim=0, keepdim=True)[None], 3, 1, 1, count_include_pad=False)[0]
    across = F.pad(gray[:, :, 1:] - gray[:, :, :-1], (0, 1))
    down = F.pad(gray[:, 1:] - gray[:, :-1], (0, 0, 0, 1))
    edges = (across.square() + down.square()).sqrt()
    deepest = random.uniform(0.2, 0.9)
    lines = (edges * random.uniform(1, 8)).clamp(max=deepest)
    return (random.uniform(0.8, 1) - lines).clamp_min(0) * _tint(random, 0.1)


def _flat(view: Tensor, random: Random) -> Tensor:
    """One color, a gradient between two, or areas of a few pale or dark colors as on a map."""
    first, second = (torch.from_numpy(random.random((3, 1, 1))) for _ in range(2))
    kind = random.random()
    if kind < 0.5:
        first, second = (c * random.uniform(0, 1) if kind < 0.25 else c for c in (first, second))
        ramp = _ramp(view.shape[1], random) * float(random.choice([0, random.random(), 1]))
        return first + (second - first) * ramp
    smooth = F.avg_pool2d(view.mean(dim=0, keepdim=True)[None], 9, 1, 4, count_include_pad=False)[0]
    steps = int(random.integers(3, 9))
    areas = (smooth * steps).floor() / steps
    span = random.uniform(0.1, 0.4)
    least = random.uniform(0, 0.15) if random.random() < 0.3 else random.uniform(0.4, 1 - span)
    result = (least + span * areas) * _tint(random, 0.2)
    if random.random() < 0.5:  # borders between the areas
        border = F.pad((areas[:, 1:, 1:] != areas[:, :-1, :-1]).float(), (0, 1, 0, 1))
        result = result * (1 - random.uniform(0.2, 0.9) * border)
    return result


def _on_black(view: Tensor, random: Random) -> Tensor:
    """A part of the view before black, as in medical pictures and in those of things at night."""
    side = view.shape[1]
    places = torch.linspace(-1, 1, side)
    row, column = random.uniform(-0.3, 0.3, 2)
    tall, wide = random.uniform(0.2, 0.8, 2)
    distance = ((places[:, None] - row) / tall) ** 2 + ((places[None, :] - column) / wide) ** 2
    mask = ((1 - distance) * random.uniform(2, 20)).clamp(0, 1)
    shown = view.mean(dim=0, keepdim=True).expand(3, -1, -1) if random.random() < 0.6 else view
    before = random.uniform(0, 0.06)
    lit: Tensor = shown * mask * random.uniform(0.4, 1)
    return before + lit


def _ramp(side: int, random: Random) -> Tensor:
    """(1, side, side) from 0 to 1 in a random direction."""
    turn = random.uniform(0, 2 * np.pi)
    places = torch.linspace(-0.5, 0.5, side)
    ramp: Tensor = places[:, None] * np.sin(turn) + places[None, :] * np.cos(turn)
    scaled: Tensor = (ramp - ramp.min()) / (ramp.max() - ramp.min())
    return scaled[None]


def _tint(random: Random, most: float) -> Tensor:
    """(3, 1, 1) factors that make a gray slightly colored."""
    factors: Tensor = torch.from_numpy(1 - random.uniform(0, most, (3, 1, 1)))
    return factors


_KINDS: tuple[Callable[[Tensor, Random], Tensor], ...] = (
    _framed, _drawing, _scan, _sketch, _flat, _on_black,
)  # fmt: skip
_SHARES = (0.1, 0.3, 0.2, 0.15, 0.15, 0.1)
