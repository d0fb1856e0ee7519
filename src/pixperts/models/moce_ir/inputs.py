"""Layers of MoCE-IR (arXiv 2411.18466) before its experts: padding and two embeddings."""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixperts.models.moce_ir.statistics import Census, mean_over_pixels


def pad_to_multiple(image: Tensor, multiple: int) -> Tensor:
    """Mirror an image at its right and bottom edge, so that both sides are multiples of a number.

    If a side is too short to be mirrored, its last pixel is repeated.

    Args:
        image: (B, C, H, W).
        multiple: 1 or more.

    Returns:
        (B, C, H', W'), the image in the top left corner.

    Example:
        >>> pad_to_multiple(torch.tensor([[[[1.0, 2.0, 3.0]]]]), 4)[0, 0, 3]
        tensor([1., 2., 3., 2.])
    """
    height, width = image.shape[-2:]
    for padding, side in (
        ((0, -width % multiple, 0, 0), width),
        ((0, 0, 0, -height % multiple), height),
    ):
        missing = max(padding)
        if missing:
            image = F.pad(image, padding, mode="reflect" if missing < side else "replicate")
    return image


class PatchEmbedding(nn.Module):
    """A 3x3 convolution that makes features of C channels from the picture."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, channels, 3, padding=1, bias=False)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> (B, C, H, W)."""
        return cast(Tensor, self.proj(image))


class HighFrequencyEmbedding(nn.Module):
    """e = MLP(mean(gelu(highpass(latent)))), by which routers know the degradation (equation 5)."""

    high_pass: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        kernel = torch.full((3, 3), -1.0)
        kernel[1, 1] = 8.0
        # A buffer, so that neither the optimizer nor weight decay changes it. In the published
        # weights it is a filter that was trained as well.
        self.register_buffer("high_pass", kernel.expand(channels, 1, 3, 3).clone())
        self.mlp = nn.Sequential(
            nn.Linear(channels, 2 * channels), nn.GELU(), nn.Linear(2 * channels, channels)
        )

    def forward(self, latent: Tensor, census: Census | None = None) -> Tensor:
        """The latent (B, C, h, w) -> (B, C); `census` as in `blocks.attend`."""
        filtered = F.conv2d(latent, self.high_pass, padding=1, groups=latent.shape[1])
        pooled = mean_over_pixels(F.gelu(filtered), census).to(latent.dtype)
        embedding: Tensor = self.mlp(pooled)
        return embedding
