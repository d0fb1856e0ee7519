"""Implicit decoders: how LIIF and LTE get from LR features to the color of one output pixel.

LR means low resolution. A query is an output pixel; its neighbors are the four LR pixels around
it, or the nearest one. The cell is the size of an output pixel, in half LR pixels.

LIIF (Chen et al., CVPR 2021, arXiv 2012.09161) joins the features of 3x3 LR pixels, the offset from
the neighbor and the cell, and runs an MLP. The first layer is linear. So its part for the features
is a 3x3 convolution at LR resolution: it is computed once per LR pixel and looked up, not computed
for each of the four neighbors of each query.

LTE (Lee and Jin, CVPR 2022, arXiv 2111.08918) estimates amplitudes and frequencies with 3x3
convolutions, makes waves of the offset with them, and runs an MLP on the result.

Both are split here into an *embedding* (tables with a row per LR pixel, then one hidden vector for
each neighbor of each query) and an *expert* (the layers after it). Experts of growing depth may
share one embedding.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixperts.models.moeisr.queries import Queries

Tables = tuple[Tensor, ...]


def rows_of(features: Tensor) -> Tensor:
    """(B, C, H, W) -> (B * H * W, C); no copy for features in channels_last memory."""
    return features.permute(0, 2, 3, 1).reshape(-1, features.shape[1])


class LIIFEmbedding(nn.Module):
    """LIIF's first layer: relu(W [3x3 features, offset, cell] + b).

    Args:
        in_channels: of the features, C.
        width: length of the hidden vectors.
    """

    def __init__(self, in_channels: int, width: int) -> None:
        super().__init__()
        self.width = width
        self.feature = nn.Conv2d(in_channels, width, 3)
        self.offset = nn.Linear(2, width, bias=False)
        self.cell = nn.Linear(2, width, bias=False)

    def tables(self, padded: Tensor, cell: Tensor) -> Tables:
        """The part of the layer that depends on the LR pixel only, not on the query.

        Args:
            padded: (B, C, H + 2, W + 2) features with one pixel of context on each side.
            cell: (B, 2) height and width of an output pixel in half LR pixels.

        Returns:
            One table (B * H * W, width).
        """
        local = self.feature(padded)  # (B, width, H, W)
        return (rows_of(local + self.cell(cell)[:, :, None, None]),)

    def forward(self, tables: Tables, queries: Queries) -> Tensor:
        """One hidden vector for each neighbor of each query: (K * N, width), K = 4 or 1."""
        hidden = F.embedding(queries.index.flatten(), tables[0])
        offset = queries.offset.reshape(-1, 2).to(hidden.dtype)
        return hidden.addmm_(offset, self.offset.weight.t().to(hidden.dtype)).relu_()

    def multiply_adds_per_lr_pixel(self) -> float:
        """Of the convolution."""
        return float(self.feature.weight.numel())

    def multiply_adds_per_query(self) -> float:
        """Of the product with the offset, for one neighbor of a query."""
        return 2.0 * self.width


class LTEEmbedding(nn.Module):
    """LTE's local texture estimator: amplitude * [cos, sin](pi (<frequency, offset> + phase)).

    Args:
        in_channels: of the features, C.
        width: length of the hidden vectors, even.
    """

    def __init__(self, in_channels: int, width: int) -> None:
        super().__init__()
        self.width = width
        self.amplitude = nn.Conv2d(in_channels, width, 3)
        self.frequency = nn.Conv2d(in_channels, width, 3)
        self.phase = nn.Linear(2, width // 2, bias=False)

    def tables(self, padded: Tensor, cell: Tensor) -> Tables:
        """Amplitudes, frequencies and phases; the arguments are those of `LIIFEmbedding.tables`.

        Returns:
            Amplitudes and frequencies (B * H * W, width) each, and phases (B, width / 2).
        """
        amplitude = rows_of(self.amplitude(padded))
        frequency = rows_of(self.frequency(padded))
        return amplitude, frequency, self.phase(cell)

    def forward(self, tables: Tables, queries: Queries) -> Tensor:
        """One hidden vector for each neighbor of each query: (K * N, width), K = 4 or 1."""
        amplitude, frequency, phase = tables
        index = queries.index.flatten()  # (KN,)
        # As in published weights: channels 2k and 2k + 1 are the k-th vertical and horizontal
        # frequency.
        pairs = F.embedding(index, frequency).view(len(index), -1, 2)  # (KN, width / 2, 2)
        offset = queries.offset.reshape(-1, 1, 2).to(pairs.dtype)
        angle = (pairs * offset).sum(dim=2)  # (KN, width / 2)
        picture = index // (len(amplitude) // len(phase))
        angle = math.pi * (angle + F.embedding(picture, phase))
        wave = torch.cat([angle.cos(), angle.sin()], dim=1)  # (KN, width)
        return wave.mul_(F.embedding(index, amplitude))

    def multiply_adds_per_lr_pixel(self) -> float:
        """Of both convolutions."""
        return float(self.amplitude.weight.numel() + self.frequency.weight.numel())

    def multiply_adds_per_query(self) -> float:
        """Of the products with frequencies and amplitudes, for one neighbor of a query."""
        return 2.0 * self.width


class Expert(nn.Module):
    """The layers after the embedding: hidden layers, then the color.

    The color of a query is the weighted mean of those of its neighbors (LIIF's local ensemble).

    Args:
        in_width: length of the hidden vectors of the embedding.
        width: channels of the hidden layers.
        depth: number of hidden layers, 0 or more.
    """

    def __init__(self, in_width: int, width: int, depth: int) -> None:
        super().__init__()
        sizes = [in_width, *[width] * depth]
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.colour = nn.Linear(sizes[-1], 3)  # spelled as in the keys of weights files

    def forward(self, hidden: Tensor, weight: Tensor) -> Tensor:
        """Hidden vectors (K * N, in_width) and weights (K, N) of K neighbors -> colors (N, 3)."""
        for layer in self.hidden:
            hidden = layer(hidden).relu_()
        corners = self.colour(hidden).view(len(weight), -1, 3)  # (K, N, 3)
        color: Tensor = (corners * weight.to(corners.dtype)[:, :, None]).sum(dim=0)
        return color

    def multiply_adds_per_query(self) -> float:
        """Of all layers and of the weighting, for one neighbor of a query."""
        hidden = sum(layer.weight.numel() for layer in _linears(self.hidden))
        return float(hidden + self.colour.weight.numel() + 3)


def _linears(layers: Sequence[nn.Module] | nn.ModuleList) -> list[nn.Linear]:
    return [layer for layer in layers if isinstance(layer, nn.Linear)]


Embedding = LIIFEmbedding | LTEEmbedding
EMBEDDINGS: dict[str, type[LIIFEmbedding] | type[LTEEmbedding]] = {
    "liif": LIIFEmbedding,
    "lte": LTEEmbedding,
}
