"""What every network returns."""

from typing import NamedTuple

from torch import Tensor

from pixperts.routing import Routing


class Output(NamedTuple):
    """What a model returns: the picture (B, 3, H, W), unclamped, and how it was routed."""

    image: Tensor
    routings: tuple[Routing, ...]
