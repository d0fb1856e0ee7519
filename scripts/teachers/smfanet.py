"""SMFANet+, a network to learn from while training; written from its paper's formulas.

"SMFANet: A Lightweight Self-Modulation Feature Aggregation Network for Efficient Image
Super-Resolution", ECCV 2024. Its published weights (github.com/Zheng-MJ/SMFANet, Apache-2.0) fit by
name; they are not part of this repository.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

SCALES = (2, 3, 4)


class DetailEstimation(nn.Module):
    """The local part: a depthwise convolution between two pointwise ones."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        wide = 2 * channels
        self.conv_0 = nn.Sequential(
            nn.Conv2d(channels, wide, 3, padding=1, groups=channels), nn.Conv2d(wide, wide, 1)
        )
        self.conv_1 = nn.Conv2d(wide, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, h, w)."""
        result: Tensor = self.conv_1(F.gelu(self.conv_0(x)))
        return result


class SelfModulation(nn.Module):
    """SMFA: a map of an eighth of the resolution, and the variance, modulate the features."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.linear_0 = nn.Conv2d(channels, 2 * channels, 1)
        self.linear_1 = nn.Conv2d(channels, channels, 1)
        self.linear_2 = nn.Conv2d(channels, channels, 1)
        self.lde = DetailEstimation(channels)
        self.dw_conv = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.alpha = nn.Parameter(torch.ones(1, channels, 1, 1))
        self.belt = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, h, w), sides from 8 -> (B, C, h, w)."""
        height, width = features.shape[2:]
        y, x = self.linear_0(features).chunk(2, dim=1)
        coarse = self.dw_conv(F.adaptive_max_pool2d(x, (height // 8, width // 8)))
        variance = x.float().var(dim=(2, 3), keepdim=True).to(x.dtype)
        mask = F.gelu(self.linear_1(coarse * self.alpha + variance * self.belt))
        mask = F.interpolate(mask, size=(height, width), mode="nearest")
        result: Tensor = self.linear_2(x * mask + self.lde(y))
        return result


class PartialFeedForward(nn.Module):
    """PCFN: a quarter of the hidden channels sees a 3x3 neighborhood."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.part = channels // 2
        self.conv_0 = nn.Conv2d(channels, 2 * channels, 1)
        self.conv_1 = nn.Conv2d(self.part, self.part, 3, padding=1)
        self.conv_2 = nn.Conv2d(2 * channels, channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, h, w)."""
        hidden = F.gelu(self.conv_0(features))
        first, rest = hidden[:, : self.part], hidden[:, self.part :]
        result: Tensor = self.conv_2(torch.cat([F.gelu(self.conv_1(first)), rest], dim=1))
        return result


class Block(nn.Module):
    """Both, each on features whose vectors are scaled to length one."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.smfa = SelfModulation(channels)
        self.pcfn = PartialFeedForward(channels)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, h, w)."""
        features = features + self.smfa(F.normalize(features))
        result: Tensor = features + self.pcfn(F.normalize(features))
        return result


class SMFANet(nn.Module):
    """Enlarges by a whole factor.

    Args:
        scale: the factor.
        channels: of the features, a multiple of 4.
        blocks: how many.
    """

    def __init__(self, scale: int, channels: int = 48, blocks: int = 12) -> None:
        super().__init__()
        self.to_feat = nn.Conv2d(3, channels, 3, padding=1)
        self.feats = nn.Sequential(*[Block(channels) for _ in range(blocks)])
        self.to_img = nn.Sequential(
            nn.Conv2d(channels, 3 * scale * scale, 3, padding=1), nn.PixelShuffle(scale)
        )

    def forward(self, lr: Tensor) -> Tensor:
        """(B, 3, h, w) in [0, 1], sides from 8 -> (B, 3, s h, s w), unclamped."""
        features = self.to_feat(lr)
        image: Tensor = self.to_img(self.feats(features) + features)
        return image


def load(folder: Path, scale: int) -> SMFANet:
    """The published network of a scale, ready to answer.

    Args:
        folder: holds smfanet-plus-x2.safetensors and its siblings.
        scale: 2, 3 or 4.

    Raises:
        FileNotFoundError: where the weights are missing.
        RuntimeError: where they do not fit.
    """
    network = SMFANet(scale)
    network.load_state_dict(load_file(folder / f"smfanet-plus-x{scale}.safetensors"))
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network.eval().requires_grad_(False)
