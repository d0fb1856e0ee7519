"""Scouts that judge pictures in a known way."""

import torch
from torch import Tensor

from pixperts.models.moce_ir_light.config import GROUPS
from pixperts.models.moce_ir_light.model import MoCEIRLight


def find_in_half(model: MoCEIRLight, image: Tensor) -> None:
    """Let the scout find every fault in one half of the pictures, and none in the other.

    The embeddings of the first and the last picture (B, 3, H, W) say which pictures are alike.
    """
    with torch.no_grad():
        embedding = model.scout(model.count(image))
        direction = embedding[-1] - embedding[0]
        seen = (embedding @ direction).sort().values
        middle = seen[len(seen) // 2 - 1 : len(seen) // 2 + 1].mean()
        scale = 20 / (seen[-1] - seen[0])
        model.scout.groups.weight.copy_(scale * direction.expand(len(GROUPS), -1))
        model.scout.groups.bias.fill_(float(-scale * middle))
