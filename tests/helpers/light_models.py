"""Small models of the light family, for several test files."""

from typing import Any

import torch
from torch import Tensor

from pixperts.models.moeisr_light.config import MoEISRLightConfig
from pixperts.models.moeisr_light.model import MoEISRLight
from pixperts.models.moeisr_photo.config import MoEISRPhotoConfig
from pixperts.models.moeisr_photo.model import MoEISRPhoto

LIGHT: dict[str, Any] = {
    "channels": 8,
    "blocks": 1,
    "shared_width": 8,
    "depths": (0, 1, 2),
    "widths": (0, 8, 8),
    "mapper_width": 4,
}


def light(**options: Any) -> MoEISRLight:
    """A small model whose weights, the mapper's zeros included, are drawn at random."""
    torch.manual_seed(0)
    model = MoEISRLight(MoEISRLightConfig(**(LIGHT | options))).eval()
    for parameter in model.parameters():
        scale = 0.5 if parameter.ndim == 1 else parameter[0].numel() ** -0.5
        with torch.no_grad():
            parameter.normal_(0.0, scale)
    return model


def paired(*pictures: Tensor, **options: Any) -> MoEISRPhoto:
    """A small model of two networks with random weights.

    Of two pictures (3, h, w), enlarged by 2, the first takes the network for photos and the second
    that for clean pictures.
    """
    torch.manual_seed(1)
    config = {"channels": 8, "blocks": 1, "judge_width": 4} | options
    model = MoEISRPhoto(MoEISRPhotoConfig(**config)).eval()
    for parameter in model.parameters():
        scale = 0.5 if parameter.ndim == 1 else parameter[0].numel() ** -0.5
        with torch.no_grad():
            parameter.normal_(0.0, scale)
    with torch.no_grad():
        model.judge.estimate.weight.mul_(0.01)  # features are not standardized here
        model.judge.estimate.bias.fill_(-6.0)
        if pictures:
            model.judge.estimate.weight[1] = 0
            found = []
            for one in pictures:
                size = (2 * one.shape[1], 2 * one.shape[2])
                errors = model.judged(one[None], size).log()
                found.append(float(errors[0] - errors[1]))
            first, second = found
            if first > second:
                model.judge.estimate.weight[0] *= -1
                first, second = -first, -second
            model.judge.estimate.bias[1] += (first + second) / 2
    return model
