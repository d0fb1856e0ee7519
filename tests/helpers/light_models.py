"""Small models of the light family, for several test files."""

from typing import Any

import torch

from pixperts.models.moeisr_light.config import MoEISRLightConfig
from pixperts.models.moeisr_light.model import MoEISRLight

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
