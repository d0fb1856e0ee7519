"""LIIF written the way its paper states it: the peer of `upscale.py`, and an oracle of the tests.

arXiv 2012.09161, section 3: features are unfolded 3x3; each query takes the nearest feature at
four positions shifted by half an LR pixel (local ensemble), appends relative coordinate and cell,
and runs the whole MLP on the 580 numbers. All queries of a picture, in chunks.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixperts.models.moeisr.decoders import LIIFEmbedding
from pixperts.models.moeisr.model import MoEISR


def centers(count: int) -> Tensor:
    """Pixel centers of `count` pixels on [-1, 1]."""
    return -1 + (2 * torch.arange(count, dtype=torch.float32) + 1) / count


class PlainLIIF(nn.Module):
    """Weights are taken over from a dense model of ours, its first layer joined again."""

    def __init__(self, model: MoEISR, chunk: int = 30000) -> None:
        super().__init__()
        if model.config.decoder != "liif" or len(model.experts) != 1:
            raise ValueError("the plain form is made from a dense LIIF model")
        self.encoder, self.chunk = model.encoder, chunk
        embedding, expert = model.embedding, model.pool[0]
        assert isinstance(embedding, LIIFEmbedding)
        kernel, bias = embedding.feature.weight, embedding.feature.bias
        first = nn.Linear(kernel[0].numel() + 4, len(kernel))
        weight = torch.cat(
            [kernel.flatten(1), embedding.offset.weight, embedding.cell.weight], dim=1
        )
        first.load_state_dict({"weight": weight, "bias": bias})
        layers: list[nn.Module] = [first, nn.ReLU()]
        for hidden in expert.hidden:
            layers += [hidden, nn.ReLU()]
        self.mlp = nn.Sequential(*layers, expert.colour)

    def forward(self, lr: Tensor, size: tuple[int, int]) -> Tensor:
        """(1, 3, h, w) in [0, 1] -> (1, 3, H, W), unclamped."""
        features = self.encoder(lr * 2 - 1)
        batch, channels, height, width = features.shape
        unfolded = F.unfold(features, 3, padding=1).view(batch, channels * 9, height, width)
        grid = torch.stack(torch.meshgrid(centers(height), centers(width), indexing="ij")).expand(
            batch, 2, height, width
        )
        queries = torch.stack(
            torch.meshgrid(centers(size[0]), centers(size[1]), indexing="ij"), dim=-1
        ).view(1, -1, 2)
        cell = torch.tensor([2 / size[0], 2 / size[1]])
        parts = [
            self.decode(unfolded, grid, part, cell) for part in queries.split(self.chunk, dim=1)
        ]
        return torch.cat(parts, dim=1).mT.reshape(batch, 3, *size) * 0.5 + 0.5

    def decode(self, unfolded: Tensor, grid: Tensor, coords: Tensor, cell: Tensor) -> Tensor:
        """Colors (1, Q, 3) of queries at `coords` (1, Q, 2)."""
        lengths = torch.tensor(unfolded.shape[-2:])
        colors, areas = [], []
        for vertical in (-1, 1):
            for horizontal in (-1, 1):
                shift = torch.tensor([vertical, horizontal]) / lengths + 1e-6
                place = (coords + shift).clamp(-1 + 1e-6, 1 - 1e-6).flip(-1)[:, None]
                nearest = F.grid_sample(unfolded, place, mode="nearest", align_corners=False)
                center = F.grid_sample(grid, place, mode="nearest", align_corners=False)
                relative = (coords - center[:, :, 0].mT) * lengths
                inputs = [nearest[:, :, 0].mT, relative, (cell * lengths).expand_as(relative)]
                colors.append(self.mlp(torch.cat(inputs, dim=-1)))
                areas.append(relative.prod(dim=-1).abs() + 1e-9)
        total = torch.stack(areas).sum(dim=0)
        # Each neighbor weighs as much as the rectangle diagonally opposite is large.
        weighted = [
            color * (area / total)[..., None]
            for color, area in zip(colors, reversed(areas), strict=True)
        ]
        return torch.stack(weighted).sum(dim=0)
