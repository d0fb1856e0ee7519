"""EDSR-baseline without its upsampler, as an encoder (Lim et al., CVPR Workshops 2017).

The feature extractor of LIIF (arXiv 2012.09161) and LTE (arXiv 2111.08918): a 3x3 convolution,
residual blocks of two convolutions without normalization, one more convolution, a long skip.
State-dict keys follow the published layout; its mean shifts are unused there and absent here.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from pixperts.models.bounds import check_integer


@dataclass(frozen=True)
class EDSRConfig:
    """Size of the encoder; the defaults are EDSR-baseline.

    Raises:
        ModelError: a size is out of range.
    """

    channels: int = 64  # features of every layer
    blocks: int = 16  # residual blocks

    def __post_init__(self) -> None:
        """Refuse what cannot be built, by name."""
        check_integer("EDSR", "channels", self.channels, 1, 4096)
        check_integer("EDSR", "blocks", self.blocks, 1, 256)


class ResidualBlock(nn.Module):
    """x + conv(relu(conv(x))), 3x3 each."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        residual: Tensor = self.body(x)
        return residual.add_(x)


class EDSR(nn.Module):
    """LR image to features: (B, 3, H, W) in [-1, 1] -> (B, channels, H, W), any size."""

    size_multiple = 1

    def __init__(self, config: EDSRConfig) -> None:
        super().__init__()
        self.out_channels = config.channels
        self.receptive_radius = 2 * config.blocks + 2
        self.head = nn.Sequential(nn.Conv2d(3, config.channels, 3, padding=1))
        blocks: list[nn.Module] = [ResidualBlock(config.channels) for _ in range(config.blocks)]
        self.body = nn.Sequential(
            *blocks, nn.Conv2d(config.channels, config.channels, 3, padding=1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] -> (B, C, H, W)."""
        x = self.head(x)
        features: Tensor = self.body(x)
        return features.add_(x)

    def multiply_adds_per_pixel(self) -> float:
        """Multiply-adds an LR pixel: the weights of every convolution, once."""
        return float(sum(m.weight.numel() for m in self.modules() if isinstance(m, nn.Conv2d)))
