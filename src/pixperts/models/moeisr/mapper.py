"""The mapper of MoEISR (arXiv 2311.12077), which chooses the expert of each output pixel."""

from itertools import pairwise

from torch import Tensor, nn


class Mapper(nn.Module):
    """Logits of the experts at low resolution (LR): logits = conv(features) + W cell.

    Output pixels get their logits by bilinear interpolation. So the map of experts has the detail
    of the input, not of the output. By the term W cell, the choice depends on the scale. The last
    layer starts at zero, so that all experts have the same probability before training.

    Args:
        in_channels: of the features, C.
        width: channels of the hidden layers.
        layers: number of 3x3 convolutions, 1 or more.
        experts: number of experts, J.
    """

    def __init__(self, in_channels: int, width: int, layers: int, experts: int) -> None:
        super().__init__()
        sizes = [in_channels, *[width] * (layers - 1)]
        hidden: list[nn.Module] = []
        for a, b in pairwise(sizes):
            hidden += [nn.Conv2d(a, b, 3, padding=1), nn.ReLU(inplace=True)]
        last = nn.Conv2d(sizes[-1], experts, 3, padding=1)
        self.layers = nn.Sequential(*hidden, last)
        self.cell = nn.Linear(2, experts, bias=False)
        for parameter in (last.weight, last.bias, self.cell.weight):
            if parameter is not None:
                nn.init.zeros_(parameter)

    def forward(self, features: Tensor, cell: Tensor) -> Tensor:
        """Logits (B, J, h, w).

        Args:
            features: (B, C, h, w).
            cell: (B, 2) height and width of an output pixel in half LR pixels.
        """
        logits: Tensor = self.layers(features)
        by_scale: Tensor = self.cell(cell)
        return logits + by_scale[:, :, None, None]  # (B, J, 1, 1) on (B, J, h, w)

    def multiply_adds_per_lr_pixel(self) -> float:
        """Of all convolutions."""
        return float(sum(m.weight.numel() for m in self.layers if isinstance(m, nn.Conv2d)))
