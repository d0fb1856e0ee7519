"""A small moce-ir-light for tests of repairs."""

from typing import Any

import torch

from pixperts.inference.restorer import Restorer
from pixperts.models.moce_ir_light.config import MoCEIRLightConfig
from pixperts.models.moce_ir_light.model import MoCEIRLight
from pixperts.weights import store


def light_restorer(**options: Any) -> Restorer:
    """Random weights, with a change of detail that is seen."""
    torch.manual_seed(0)
    small = MoCEIRLightConfig(
        channels=(8, 8, 8),
        expert_widths=(8, 8),
        bottleneck=4,
        scout_channels=4,
        embedding=8,
        **options,
    )
    model = MoCEIRLight(small).eval()
    with torch.no_grad():
        model.output.weight.mul_(20)
    return Restorer(model, store.Card("small", {}), device="cpu", precision="float32")
