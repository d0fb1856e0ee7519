"""The scout: a cheap part of moce-ir-light that describes the whole picture.

Mean and variance of the features of three small convolutions show which faults there are, together
with an overview of the picture of at most 64 pixels a side. Both are sums over pixels, so those of
a picture are the sums of its tiles. No other part of the network depends on all pixels.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixperts.errors import UsageError
from pixperts.models.moce_ir.inputs import pad_to_multiple
from pixperts.models.moce_ir.statistics import Statistics
from pixperts.models.moce_ir_light.config import GROUPS, UNSHUFFLE, MoCEIRLightConfig
from pixperts.models.moce_ir_light.parts import kernel_weights
from pixperts.ops.windows import Window

OVERVIEW = 64  # longest side of the overview
STEP = 4  # pixels from one averaged feature to the next
CONTEXT = 8  # pixels around a tile on which its features depend, at most


class Scout(nn.Module):
    """Computes sums over a picture, and from them an embedding that describes it."""

    def __init__(self, config: MoCEIRLightConfig) -> None:
        super().__init__()
        width = config.scout_channels
        self.first = nn.Conv2d(3 * UNSHUFFLE**2, width, 3, padding=1)
        self.second = nn.Conv2d(width, 2 * width, 2, stride=2)
        self.third = nn.Conv2d(2 * width, 2 * width, 3, padding=1)
        self.colors = nn.ModuleList(
            [nn.Conv2d(3, 16, 3, stride=2, padding=1), nn.Conv2d(16, 32, 3, stride=2, padding=1)]
        )
        self.mix = nn.Linear(4 * width + 32, config.embedding)
        self.embed = nn.Linear(config.embedding, config.embedding)
        self.groups = nn.Linear(config.embedding, len(GROUPS))

    def count(
        self,
        image: Tensor,
        inner: Window | None = None,
        place: tuple[int, int] = (0, 0),
        whole: tuple[int, int] | None = None,
    ) -> Statistics:
        """The sums over a picture, or over a tile of it.

        Args:
            image: (B, 3, H, W) in [0, 1], with `CONTEXT` pixels around `inner` or up to the border.
            inner: the part that is counted; it begins at multiples of 8. None = all of the image.
            place: (top, left) of the image in the whole picture, multiples of 8.
            whole: (height, width) of the whole picture; None = the image is all of it.
        """
        height, width = image.shape[2:]
        inner = inner or Window(0, height, 0, width)
        whole = whole or (height, width)
        with torch.autocast(image.device.type, enabled=False):
            pixels = image.float()
            features = self._features(pixels)
            top, bottom, left, right = (-(-side // STEP) for side in inner)
            counted = features[:, :, top:bottom, left:right]
            number = counted.new_full((len(image), 1), counted.shape[2] * counted.shape[3])
            sums = (counted.sum(dim=(2, 3)), counted.square().sum(dim=(2, 3)), number)
            top, bottom, left, right = inner
            shown = pixels[:, :, top:bottom, left:right]
            overview = count_overview(shown, (place[0] + top, place[1] + left), whole)
        return Statistics((sums, overview))

    def _features(self, pixels: Tensor) -> Tensor:
        return self.features(pad_to_multiple(pixels, 2 * STEP))

    def features(self, padded: Tensor) -> Tensor:
        """(B, 3, H, W), sides multiples of 8 -> (B, C, H / 4, W / 4), before they are averaged."""
        x = F.pixel_unshuffle(padded, UNSHUFFLE).contiguous(memory_format=torch.channels_last)
        x = F.relu_(self.first(x - 0.5))
        x = F.relu_(self.second(x))
        return F.relu_(self.third(x))

    def forward(self, statistics: Statistics) -> Tensor:
        """(B, E) float32: the embedding of each picture, for blocks and routers."""
        total, squares, number = statistics.places[0]
        with torch.autocast(total.device.type, enabled=False):
            mean = total / number
            spread = (squares / number - mean.square()).clamp_min(0)
            x = self.overview(statistics) - 0.5
            for convolution in self.colors:
                x = F.relu(convolution(x))
            return self.described(mean, spread, x.mean(dim=(2, 3)))

    def described(self, mean: Tensor, spread: Tensor, colors: Tensor) -> Tensor:
        """(B, E) of the features' mean and variance (B, C) each, and of the overview (B, D)."""
        # Degradations differ by factors, not by amounts.
        seen = [((value + 1e-4).log() + 4) / 3 for value in (mean, spread)]
        mixed = F.relu(self.mix(torch.cat([*seen, colors], dim=1)))
        embedding: Tensor = F.relu(self.embed(mixed)) - 0.5
        return embedding

    @staticmethod
    def overview(statistics: Statistics) -> Tensor:
        """(B, 3, h, w) in [0, 1]: the overview of the picture."""
        total, area = statistics.places[1]
        return total / area

    def multiply_adds(self, size: tuple[int, int]) -> float:
        """Of one picture (H, W)."""
        fine = kernel_weights(self.first) / UNSHUFFLE**2
        coarse = kernel_weights(self.second) + kernel_weights(self.third)
        pixels = float(-(-size[0] // 8) * -(-size[1] // 8)) * 64
        height, width = overview_size(size)
        once = sum(layer.weight.numel() for layer in (self.mix, self.embed, self.groups))
        for convolution in self.colors:
            height, width = -(-height // 2), -(-width // 2)
            once += kernel_weights(convolution) * height * width
        return (fine + coarse / STEP**2) * pixels + once


def overview_size(size: tuple[int, int]) -> tuple[int, int]:
    """(h, w) of the overview of a picture (H, W): at most 64 a side, at least 1.

    Example:
        >>> overview_size((480, 640)), overview_size((10, 3)), overview_size((1, 9000))
        ((48, 64), (10, 3), (1, 64))
    """
    factor = min(1.0, OVERVIEW / max(size))
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def count_overview(
    image: Tensor, place: tuple[int, int], whole: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Sums of colors (B, 3, h, w) and numbers of pixels (B, 1, h, w) in each cell of the overview.

    Args:
        image: (B, 3, H, W).
        place: (top, left) in the whole picture.
        whole: (height, width) of that.
    """
    size = overview_size(whole)
    rows = _membership(place[0], place[0] + image.shape[2], whole[0], size[0], image)
    columns = _membership(place[1], place[1] + image.shape[3], whole[1], size[1], image)
    area = (rows.sum(1)[:, None] * columns.sum(1)).expand(len(image), 1, *size)
    return rows @ image @ columns.t(), area.contiguous()


def _membership(first: int, last: int, length: int, cells: int, like: Tensor) -> Tensor:
    """(cells, last - first): 1 where a pixel's middle lies in a cell of the overview."""
    if not 0 <= first < last <= length:
        raise UsageError(f"pixels {first} to {last} are not within a side of {length}.")
    pixels = torch.arange(first, last, device=like.device)
    own = (2 * pixels + 1) * cells // (2 * length)
    return (own == torch.arange(cells, device=like.device)[:, None]).to(like.dtype)
