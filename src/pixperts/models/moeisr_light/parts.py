"""The encoder, the mapper and the experts of moeisr-light: plain layers, fast on CPUs."""

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixperts.models.moeisr_light.config import MoEISRLightConfig


class Block(nn.Module):
    """x + conv(relu(conv(x))), without normalization and gates, which are slow on CPUs."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        with torch.no_grad():
            self.second.weight.mul_(0.3)  # deep stacks of residuals begin close to the identity
            for convolution in (self.first, self.second):
                assert convolution.bias is not None
                convolution.bias.zero_()  # random ones would silence some units for good

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, h, w)."""
        residual: Tensor = self.second(F.relu_(self.first(x)))
        return residual.add_(x)


class PlainEncoder(nn.Module):
    """A 3x3 convolution and residual blocks, as in EDSR (arXiv 1707.02921) but much smaller.

    Attributes:
        out_channels: of the features.
        size_multiple: 1, so that tiles may begin anywhere.
    """

    size_multiple = 1

    def __init__(self, channels: int, blocks: int) -> None:
        super().__init__()
        self.out_channels = channels
        self.head = nn.Conv2d(3, channels, 3, padding=1)
        self.blocks = nn.ModuleList([Block(channels) for _ in range(blocks)])

    @property
    def receptive_radius(self) -> int:
        """How many LR pixels around it a feature depends on."""
        return 1 + 2 * len(self.blocks)

    def multiply_adds_per_pixel(self) -> float:
        """Multiply-adds of an LR pixel."""
        return float(sum(p.numel() for p in self.parameters() if p.dim() == 4))


class Mapper(nn.Module):
    """Logits of the experts for each LR pixel, from its features and the factors.

    Args:
        channels: of the features.
        width: hidden channels.
        experts: how many there are.
    """

    def __init__(self, channels: int, width: int, experts: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, width, 3, padding=1)
        self.factors = nn.Linear(2, width)  # of the logarithms of the vertical and horizontal one
        self.second = nn.Conv2d(width, experts, 1)

    def forward(self, features: Tensor, factors: Tensor) -> Tensor:
        """(B, C, h, w) and log factors (2,) -> logits (B, J, h, w)."""
        shift = self.factors(factors)  # (width,)
        logits: Tensor = self.second(F.relu(self.first(features) + shift[:, None, None]))
        return logits


class LatentExpert(nn.Module):
    """Layers on single LR pixels that refine their features: rows in, corrections out.

    Args:
        inputs: channels of the shared layer.
        width: of the hidden layers.
        depth: number of layers.
        channels: of the features.
    """

    def __init__(self, inputs: int, width: int, depth: int, channels: int) -> None:
        super().__init__()
        sizes = [inputs, *[width] * (depth - 1), channels]
        layers = [nn.Linear(a, b) for a, b in pairwise(sizes)]
        self.layers = nn.ModuleList(layers)
        with torch.no_grad():
            layers[-1].weight.mul_(0.1)
            layers[-1].bias.zero_()

    def forward(self, rows: Tensor) -> Tensor:
        """(N, inputs) -> (N, channels)."""
        for layer in self.layers[:-1]:
            rows = F.relu_(layer(rows))
        last: Tensor = self.layers[-1](rows)
        return last

    def multiply_adds(self) -> int:
        """Multiply-adds of an LR pixel."""
        return sum(p.numel() for p in self.parameters() if p.dim() == 2)


class LatentExperts(nn.Module):
    """The pool: expert 0 leaves the features as they are, the others add to them.

    Attributes:
        costs: multiply-adds of each expert, as shares of the most expensive one's.
    """

    def __init__(self, config: MoEISRLightConfig) -> None:
        super().__init__()
        self.shared = nn.Conv2d(config.channels, config.shared_width, 3, padding=1)
        self.pool = nn.ModuleList(
            [
                LatentExpert(config.shared_width, width, depth, config.channels)
                for width, depth in zip(config.widths[1:], config.depths[1:], strict=True)
            ]
        )
        self.adds = (0, *(expert.multiply_adds() for expert in self.experts))
        self.costs = tuple(adds / max(self.adds) for adds in self.adds)

    @property
    def experts(self) -> Sequence[LatentExpert]:
        """All experts that compute something, cheapest first."""
        return [expert for expert in self.pool if isinstance(expert, LatentExpert)]
