"""Residual dense network without its upsampler, as an encoder (Zhang et al., CVPR 2018).

The feature extractor of the RDN rows of LIIF (arXiv 2012.09161) and LTE (arXiv 2111.08918): two
shallow convolutions, residual dense blocks, global fusion of all their outputs, a long skip.
State-dict keys follow the published layout.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pixperts.models.bounds import check_integer


@dataclass(frozen=True)
class RDNConfig:
    """Size of the encoder; the defaults are configuration B of the paper (D = 16, C = 8, G = 64).

    Raises:
        ModelError: a size is out of range.
    """

    channels: int = 64  # G0: features between the dense blocks, and of the output
    blocks: int = 16  # D: residual dense blocks
    convolutions: int = 8  # C: 3x3 convolutions in each of them
    growth: int = 64  # G: features that each of these adds

    def __post_init__(self) -> None:
        """Refuse what cannot be built, by name."""
        highest = {"channels": 4096, "blocks": 256, "convolutions": 64, "growth": 4096}
        for name, high in highest.items():
            check_integer("RDN", name, getattr(self, name), 1, high)


class DenseLayer(nn.Module):
    """Appends relu(conv(x)) to the channels of x (paper, section 3.2)."""

    def __init__(self, in_channels: int, growth: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(in_channels, growth, 3, padding=1), nn.ReLU(inplace=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C + G, H, W)."""
        return torch.cat((x, self.conv(x)), 1)


class ResidualDenseBlock(nn.Module):
    """Dense layers, local fusion to G0 features by a 1x1 convolution, a skip (section 3.2)."""

    def __init__(self, config: RDNConfig) -> None:
        super().__init__()
        widths = [config.channels + i * config.growth for i in range(config.convolutions + 1)]
        self.convs = nn.Sequential(*(DenseLayer(width, config.growth) for width in widths[:-1]))
        self.LFF = nn.Conv2d(widths[-1], config.channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, G0, H, W) -> (B, G0, H, W)."""
        fused: Tensor = self.LFF(self.convs(x))
        return fused.add_(x)


class RDN(nn.Module):
    """LR image to features: (B, 3, H, W) in [-1, 1] -> (B, channels, H, W), any size.

    Example:
        >>> RDN(RDNConfig()).multiply_adds_per_pixel()  # configuration B: about 22 million
        21964480.0
    """

    size_multiple = 1

    def __init__(self, config: RDNConfig) -> None:
        super().__init__()
        channels, blocks = config.channels, config.blocks
        self.out_channels = channels
        # One pixel for each 3x3 convolution on the longest path: SFENet1, SFENet2, those of the
        # dense blocks, GFF.
        self.receptive_radius = blocks * config.convolutions + 3
        self.SFENet1 = nn.Conv2d(3, channels, 3, padding=1)
        self.SFENet2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.RDBs = nn.ModuleList(ResidualDenseBlock(config) for _ in range(blocks))
        self.GFF = nn.Sequential(
            nn.Conv2d(blocks * channels, channels, 1),
            nn.Conv2d(channels, channels, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] -> (B, C, H, W)."""
        shallow: Tensor = self.SFENet1(x)
        x = self.SFENet2(shallow)
        outputs = []
        for block in self.RDBs:
            x = block(x)
            outputs.append(x)
        features: Tensor = self.GFF(torch.cat(outputs, 1))  # (B, D * G0, H, W) -> (B, G0, H, W)
        return features.add_(shallow)

    def multiply_adds_per_pixel(self) -> float:
        """Multiply-adds an LR pixel: the weights of every convolution, once."""
        return float(sum(m.weight.numel() for m in self.modules() if isinstance(m, nn.Conv2d)))
