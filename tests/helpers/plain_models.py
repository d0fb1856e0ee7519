"""LIIF and LTE as their papers define them, without any shortcut: oracles of the tests.

State-dict keys and order of operations are the published ones, so that stand-in weights load
unchanged. `published_neighbours` is the float rule by which both find the neighbors of a query.
"""

import importlib.util
import itertools
import json
import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.helpers.places import REFERENCE

CORNERS = list(itertools.product((-1, 1), (-1, 1)))


def axis_centres(count: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Pixel centers with the borders at -1 and 1, rounded as the published code rounds them."""
    return -1 + 1 / count + (2 / count) * torch.arange(count).to(dtype)


def centres(height: int, width: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """(H, W, 2) pixel centers (y, x)."""
    axes = [axis_centres(n, dtype) for n in (height, width)]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), -1)


def nearest(maps: Tensor, at: Tensor) -> Tensor:
    """(B, C, h, w) maps at (B, Q, 2) places (y, x) -> (B, Q, C)."""
    grid = at.to(maps.dtype).flip(-1)[:, None]
    found = F.grid_sample(maps, grid, mode="nearest", align_corners=False)
    return found[:, :, 0].transpose(1, 2)


def shifted(queries: Tensor, corner: tuple[int, int], h: int, w: int) -> Tensor:
    """Queries moved by half an LR pixel towards a corner, plus the published 1e-6, clamped."""
    by = torch.tensor([corner[0] / h, corner[1] / w], dtype=queries.dtype)
    return (queries + by + 1e-6).clamp(-1 + 1e-6, 1 - 1e-6)


class PlainMLP(nn.Module):
    def __init__(self, sizes: list[int]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for a, b in itertools.pairwise(sizes):
            layers += [nn.Linear(a, b), nn.ReLU()]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x)
        return out


class PlainINR(nn.Module):
    """What LIIF and LTE share: features, four shifted neighbors, the local ensemble."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def maps(self, features: Tensor) -> Tensor:
        raise NotImplementedError

    def decode(self, found: Tensor, relative: Tensor, cell: Tensor) -> Tensor:
        raise NotImplementedError

    def base(self, image: Tensor, queries: Tensor) -> Tensor:
        raise NotImplementedError

    def forward(
        self, image: Tensor, size: tuple[int, int], coordinates: torch.dtype | None = None
    ) -> Tensor:
        """(B, 3, h, w) in [0, 1] -> (B, 3, H, W), not clamped; `coordinates` rounds the grids."""
        B, _, h, w = image.shape
        kind = coordinates or image.dtype
        image = (image - 0.5) / 0.5
        maps = self.maps(self.encoder(image))
        places = centres(h, w, kind).permute(2, 0, 1).expand(B, 2, h, w)
        queries = centres(*size, kind).reshape(1, -1, 2).expand(B, -1, 2)  # (B, Q, 2)
        lr = torch.tensor([h, w], dtype=kind)
        cell = (torch.tensor([2 / n for n in size], dtype=kind) * lr).expand(B, queries.shape[1], 2)
        colours, areas = [], []
        for corner in CORNERS:
            at = shifted(queries, corner, h, w)
            relative = ((queries - nearest(places, at)) * lr).to(image.dtype)
            colours.append(self.decode(nearest(maps, at), relative, cell.to(image.dtype)))
            areas.append(relative.prod(-1, keepdim=True).abs() + 1e-9)
        total = torch.stack(areas).sum(0)
        parts = [c * (a / total) for c, a in zip(colours, areas[::-1], strict=True)]
        out = torch.stack(parts).sum(0) + self.base(image, queries)
        return out.transpose(1, 2).reshape(B, 3, *size) * 0.5 + 0.5


class PlainLIIF(PlainINR):
    """Chen et al., CVPR 2021, section 3: MLP([unfolded features, relative coordinate, cell])."""

    def __init__(self, encoder: nn.Module, channels: int = 64) -> None:
        super().__init__(encoder)
        self.imnet = PlainMLP([channels * 9 + 4, 256, 256, 256, 256, 3])

    def maps(self, features: Tensor) -> Tensor:
        B, _, h, w = features.shape
        return F.unfold(features, 3, padding=1).view(B, -1, h, w)

    def decode(self, found: Tensor, relative: Tensor, cell: Tensor) -> Tensor:
        out: Tensor = self.imnet(torch.cat((found, relative, cell), -1))
        return out

    def base(self, image: Tensor, queries: Tensor) -> Tensor:
        return image.new_zeros(())


class PlainLTE(PlainINR):
    """Lee and Jin, CVPR 2022, section 3: MLP(amplitude * [cos, sin](pi (<F, offset> + phase)))."""

    def __init__(self, encoder: nn.Module, channels: int = 64) -> None:
        super().__init__(encoder)
        self.coef = nn.Conv2d(channels, 256, 3, padding=1)
        self.freq = nn.Conv2d(channels, 256, 3, padding=1)
        self.phase = nn.Linear(2, 128, bias=False)
        self.imnet = PlainMLP([256, 256, 256, 256, 3])

    def maps(self, features: Tensor) -> Tensor:
        return torch.cat((self.coef(features), self.freq(features)), 1)

    def decode(self, found: Tensor, relative: Tensor, cell: Tensor) -> Tensor:
        amplitude, frequency = found.split(256, dim=-1)
        vertical, horizontal = frequency[..., ::2], frequency[..., 1::2]
        angle = vertical * relative[..., :1] + horizontal * relative[..., 1:] + self.phase(cell)
        wave = torch.cat((torch.cos(math.pi * angle), torch.sin(math.pi * angle)), -1)
        out: Tensor = self.imnet(amplitude * wave)
        return out

    def base(self, image: Tensor, queries: Tensor) -> Tensor:
        grid = queries.to(image.dtype).flip(-1)[:, None]
        found = F.grid_sample(image, grid, padding_mode="border", align_corners=False)
        return found[:, :, 0].transpose(1, 2)


def stand_in() -> Any:
    """The module that makes the reference's weights and pictures."""
    if not REFERENCE.is_dir():
        pytest.skip("needs ../shared/reference, the outputs of the published implementation")
    spec = importlib.util.spec_from_file_location("weights", REFERENCE / "weights.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def published_case(name: str) -> tuple[dict[str, Tensor], Tensor, tuple[int, int], Tensor]:
    """State dict, picture, output size and expected output of a preset's published counterpart."""
    weights = stand_in()
    title = name.replace("edsr", "edsr-baseline")
    case = json.loads((REFERENCE / "arbitrary_scale.json").read_text())[title]
    state = {
        key: torch.from_numpy(weights.tensor(key, tuple(shape), case["weights_seed"]))
        for key, shape in dict(case["state_dict"]).items()
    }
    image = torch.from_numpy(weights.image(**case["image"]))
    with np.load(REFERENCE / f"{title}.npz") as outputs:
        return state, image, tuple(case["output_size"]), torch.from_numpy(outputs["output"])
