"""What every network returns."""

from typing import NamedTuple

from torch import Tensor

from pixperts.routing import Routing


class Output(NamedTuple):
    """What a model returns: the picture (B, 3, H, W), unclamped, and how it was routed."""

    image: Tensor
    routings: tuple[Routing, ...]
    changes: Tensor | None = None  # (B, P) mean squares of the parts of a repair, where it has some
    light: Tensor | None = None  # (B, F, 2) probability and amount of each fault of light
