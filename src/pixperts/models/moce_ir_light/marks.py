"""A stage for dust and scratches before all others: find marks, and fill them.

Marks cover a few pixels and leave all others as they are, unlike the faults that the other layers
undo. So a small U-shaped network judges each pixel: it estimates the probability that a mark covers
it, and the change to the color below. Where it is not sure, nothing changes, to the bit. It only
runs where it is wanted, because stars and white dots look like dust.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixperts.models.moce_ir.inputs import pad_to_multiple
from pixperts.models.moce_ir_light.config import UNSHUFFLE
from pixperts.models.moce_ir_light.parts import kernel_weights, shuffled
from pixperts.models.moeisr_light.parts import Block

_CHANNELS = (16, 32, 64)  # at 1/2, 1/4 and 1/8 of the picture's sides
# Probability from which a pixel is changed in part, and wholly.
_SURE = (0.4, 0.7)


class MarksStage(nn.Module):
    """Estimate where dust and scratches are, and what they cover.

    Attributes:
        multiple: sides of what is computed are multiples of this.
        reach: distance in pixels up to which a result depends on the picture.
    """

    multiple = 8
    # Six 3x3 convolutions at 1/2, four at 1/4 and four at 1/8, and the place within a multiple.
    reach = 2 * 6 + 4 * 4 + 8 * 4 + multiple

    def __init__(self) -> None:
        super().__init__()
        half, quarter, eighth = _CHANNELS
        self.head = nn.Conv2d(3 * UNSHUFFLE**2, half, 3, padding=1)
        self.fine = nn.ModuleList([Block(half), Block(half)])  # before and after the others
        self.middle = nn.ModuleList([Block(quarter), Block(quarter)])
        self.coarse = nn.Sequential(Block(eighth), Block(eighth))
        self.down = nn.ModuleList(
            [nn.Conv2d(half, quarter, 2, stride=2), nn.Conv2d(quarter, eighth, 2, stride=2)]
        )
        self.up = nn.ModuleList(
            [nn.Conv2d(eighth, 4 * quarter, 1), nn.Conv2d(quarter, 4 * half, 1)]
        )
        self.output = nn.Conv2d(half, 4 * UNSHUFFLE**2, 3, padding=1)
        with torch.no_grad():  # untrained, it changes nothing
            self.output.weight.mul_(0.1)
            assert self.output.bias is not None
            self.output.bias.zero_()
            self.output.bias[: UNSHUFFLE**2] = -5.0

    def estimate(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, H, W) in [0, 1] -> logits (B, 1, H, W) and changes (B, 3, H, W)."""
        height, width = image.shape[2:]
        padded = pad_to_multiple(image.to(self.head.weight.dtype), self.multiple)
        cells = F.pixel_unshuffle(padded, UNSHUFFLE) - 0.5
        fine = self.fine[0](self.head(cells.contiguous(memory_format=torch.channels_last)))
        middle = self.middle[0](self.down[0](fine))
        x = self.coarse(self.down[1](middle))
        x = self.middle[1](shuffled(self.up[0](x)) + middle)
        x = self.fine[1](shuffled(self.up[1](x)) + fine)
        found = F.pixel_shuffle(self.output(x).float(), UNSHUFFLE)  # (B, 4, H', W')
        found = found[:, :, :height, :width]
        return found[:, :1], found[:, 1:]

    def forward(self, image: Tensor, amount: float = 1.0) -> Tensor:
        """The picture without the marks of which the stage is sure.

        Args:
            image: (B, 3, H, W) in [0, 1].
            amount: of the change, 0 to 1.
        """
        logits, changes = self.estimate(image)
        low, high = _SURE
        share = ((logits.sigmoid() - low) / (high - low)).clamp(0, 1)
        return (image + (share * changes * amount).to(image.dtype)).clamp(0, 1)

    def multiply_adds(self, size: tuple[int, int]) -> float:
        """Of one picture (H, W)."""
        sides = [-(-side // self.multiple) * self.multiple for side in size]
        half, quarter, eighth = (float(sides[0] * sides[1]) / 4**level for level in (1, 2, 3))
        fine = kernel_weights(self.head) + kernel_weights(self.fine) + kernel_weights(self.output)
        middle = kernel_weights(self.middle) + kernel_weights(self.down[0])
        middle += kernel_weights(self.up[1])
        coarse = kernel_weights(self.coarse) + kernel_weights(self.down[1])
        coarse += kernel_weights(self.up[0])
        return fine * half + middle * quarter + coarse * eighth
