"""The head that enlarges what moce-ir-light repaired, reading the features that the repair has.

The repaired picture alone does not say how far it can be trusted; the features do, and what the
repair took away can be given back where it was detail and no fault. So a few blocks
at LR resolution are enough, and a region takes as many of them as it needs: expert k of the pool is
the first k blocks. The color of each point is linear in what they give, by `LinearField`.
"""

import math
from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixperts.models.moce_ir_light.config import UNSHUFFLE
from pixperts.models.moce_ir_light.model import Seen
from pixperts.models.moce_ir_light.parts import kernel_weights
from pixperts.models.moce_isr_light.config import MoCEISRLightConfig
from pixperts.models.moce_isr_light.regions import run_in_regions, spread
from pixperts.models.moeisr_light.field import LinearField
from pixperts.models.moeisr_light.parts import Block

# What the trunk gives is small beside a picture. Muon changes all weights of a layer alike, so that
# small inputs would be learned slowly.
_FEATURE_SCALE = 16.0
_REMOVED_SCALE = 8.0


class DepthMapper(nn.Module):
    """Logits of each depth for each region, from the features in it and the factors.

    Args:
        channels: of the features.
        width: hidden channels.
        depths: how many there are to choose from.
        side: of a region in pixels.
    """

    def __init__(self, channels: int, width: int, depths: int, side: int) -> None:
        super().__init__()
        self.side = side
        self.first = nn.Conv2d(channels, width, 1)
        self.second = nn.Linear(3 * width + 2, 2 * width)
        self.third = nn.Linear(2 * width, depths)

    def forward(self, features: Tensor, factors: Tensor) -> Tensor:
        """(B, C, h, w) and log factors (2,) -> logits (B, J, rows, columns) in float32."""
        with torch.autocast(features.device.type, enabled=False):
            x = F.relu(self.first(features.to(self.first.weight.dtype)))
            height, width = x.shape[2:]
            # Regions that the picture fills in part count the pixels that they have.
            cut = F.pad(x, (0, -width % self.side, 0, -height % self.side)).float()
            full = F.pad(
                x.new_ones(1, 1, height, width), (0, -width % self.side, 0, -height % self.side)
            )
            area = F.avg_pool2d(full.float(), self.side)
            mean = F.avg_pool2d(cut, self.side) / area
            square = F.avg_pool2d(cut.square(), self.side) / area
            spreads = (square - mean.square()).clamp_min(0)
            most = F.max_pool2d(cut, self.side)
            seen = torch.cat([mean, (spreads + 1e-6).sqrt(), most], dim=1).permute(0, 2, 3, 1)
            both = torch.cat([seen, factors.float().expand(*seen.shape[:3], 2)], dim=3)
            weights = self.second.weight.dtype
            logits: Tensor = self.third(F.relu(self.second(both.to(weights))))
        return logits.permute(0, 3, 1, 2).float()


class Enlarger(nn.Module):
    """A repaired picture and the features of its repair in, the picture at any size out.

    Args:
        config: of the whole network.
    """

    def __init__(self, config: MoCEISRLightConfig) -> None:
        super().__init__()
        channels, self.side = config.large_channels, config.cell
        self.image = nn.Conv2d(6, channels, 3, padding=1)  # repaired, and what was removed
        self.seen = nn.Conv2d(config.channels[0], UNSHUFFLE**2 * channels, 1)
        self.blocks = nn.ModuleList([Block(channels) for _ in range(config.large_blocks)])
        self.mapper = DepthMapper(channels, config.depth_width, config.large_blocks + 1, self.side)
        self.field = LinearField(channels, config.basis)
        # Of each depth, relative to the deepest.
        self.costs = tuple(
            number / config.large_blocks for number in range(config.large_blocks + 1)
        )
        with torch.no_grad():
            self.seen.weight.mul_(0.1)
            for layer in (self.seen, self.image):
                assert layer.bias is not None
                layer.bias.zero_()

    def start(self, image: Tensor, seen: Seen) -> Tensor:
        """What the blocks work on.

        Args:
            image: (B, 3, h, w) repaired, around [0, 1].
            seen: what the repair was made from.

        Returns:
            (B, C', h, w), channels last.
        """
        height, width = image.shape[2:]
        removed = _REMOVED_SCALE * seen.removed.to(image.dtype)
        both = torch.cat([image - 0.5, removed], dim=1)
        shown = both.to(self.image.weight.dtype).contiguous(memory_format=torch.channels_last)
        known = F.pixel_shuffle(self.seen(_FEATURE_SCALE * seen.features), UNSHUFFLE)[
            :, :, :height, :width
        ]
        x: Tensor = self.image(shown) + known
        return x.contiguous(memory_format=torch.channels_last)

    def deepened(self, x: Tensor, depths: Tensor, *, masked: bool = False) -> Tensor:
        """The features of each region after as many blocks as were chosen for it.

        Args:
            x: (B, C, h, w) of `start`.
            depths: (B, rows, columns) integer.
            masked: run every block everywhere and mask.
        """
        for number, block in enumerate(self.blocks):
            active = depths > number
            if masked:
                x = torch.where(spread(active, self.side, x), block(x), x)
            else:
                x = run_in_regions(cast(Block, block), x, active, self.side)
        return x

    def all_depths(self, x: Tensor) -> list[Tensor]:
        """The features after none, one and up to all blocks, everywhere: J of (B, C, h, w)."""
        found = [x]
        for block in self.blocks:
            found.append(block(found[-1]))
        return found

    def logits(self, x: Tensor, lr_size: Sequence[int], size: Sequence[int]) -> Tensor:
        """(B, J, rows, columns): what the mapper says of each region's depth.

        Args:
            x: of `start`, for a picture or a tile of it.
            lr_size: of the whole picture.
            size: of the whole result.
        """
        factors = [math.log(a / b) for a, b in zip(size, lr_size, strict=True)]
        logits: Tensor = self.mapper(x, torch.tensor(factors, device=x.device))
        return logits

    @property
    def reach(self) -> int:
        """Pixels around an output's own on which it depends, given the depths."""
        return 2 + 2 * len(self.blocks)

    def multiply_adds(
        self, lr_size: tuple[int, int], size: tuple[int, int], shares: Sequence[float] | None
    ) -> float:
        """Of one picture; shares of the regions that take each depth, all of them the deepest."""
        pixels = float(lr_size[0] * lr_size[1])
        depth = 1.0
        if shares is not None:
            depth = sum(share * cost for share, cost in zip(shares, self.costs, strict=True))
        each = kernel_weights(self.image) + kernel_weights(self.seen) / UNSHUFFLE**2
        each += kernel_weights(self.mapper.first) + depth * kernel_weights(self.blocks)
        return each * pixels + self.field.multiply_adds(lr_size, size)
