"""Which of a model's networks a picture takes, see `PairedNetwork`."""

from itertools import groupby

import torch
from torch import Tensor

from pixperts.inference.device import DeviceRunner, colors_and_alpha
from pixperts.inference.streams import PixelSource
from pixperts.models.interfaces import PairedNetwork
from pixperts.ops.transparency import fill_transparent


def estimated_errors(
    model: PairedNetwork, runner: DeviceRunner, source: PixelSource, size: tuple[int, int]
) -> Tensor:
    """Estimated squared errors of each network for each picture, (B, J) float64.

    They do not depend on tiles: the same pieces are looked at, each by itself.

    Args:
        model: the networks and their judge, on the runner's device.
        runner: device; the judge works in float32.
        source: pictures of equal size; it is rewound.
        size: (H, W) of the result.

    Raises:
        ImageError: values that are not finite.
    """
    factors = size[0] / source.height, size[1] / source.width
    places = model.places(source.height, source.width)
    totals: list[Tensor] = []
    for (top, bottom), windows in groupby(places, key=lambda place: place[:2]):
        band = source.rows(top, bottom)  # (B, C, rows, W)
        pieces = torch.stack([band[..., place.left : place.right] for place in windows], dim=1)
        # Picture by picture, as rounding may depend on how many there are.
        each = [_errors(model, runner, picture, factors) for picture in pieces]
        totals.append(torch.stack(each))
    source.rewind()
    return torch.stack(totals).sum(dim=0)


def _errors(
    model: PairedNetwork, runner: DeviceRunner, pieces: Tensor, factors: tuple[float, float]
) -> Tensor:
    """(J,) of the pieces (N, C, h, w) of one picture."""
    rgb, alpha = colors_and_alpha(pieces)
    rgb = (rgb if alpha is None else fill_transparent(rgb, alpha)).to(runner.device)
    return runner.finite(lambda: model.errors(rgb, factors), lambda errors: [errors])
