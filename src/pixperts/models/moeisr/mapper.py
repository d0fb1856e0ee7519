"""The mapper of MoEISR (arXiv 2311.12077): which expert an output pixel should go to."""

from itertools import pairwise

from torch import Tensor, nn


class Mapper(nn.Module):
    """Logits of the experts at LR resolution, plus a learned term in the cell.

    The decision is made at LR resolution: output pixels get theirs from the bilinearly interpolated
    logits, so the map of experts has the detail of the input, not of the output.

    The term in the cell lets the choice depend on the scale: logits = conv(features) + W cell.
    The last layer starts at zero, so that training starts from equal shares.
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
        """(B, C, h, w) features, (B, 2) cell -> (B, J, h, w) logits."""
        logits: Tensor = self.layers(features)
        by_scale: Tensor = self.cell(cell)
        return logits + by_scale[:, :, None, None]  # (B, J, 1, 1) on (B, J, h, w)

    def multiply_adds_per_lr_pixel(self) -> float:
        """Every convolution once an LR pixel."""
        return float(sum(m.weight.numel() for m in self.layers if isinstance(m, nn.Conv2d)))
