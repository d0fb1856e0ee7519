"""A small moce-isr-light for tests of enhancing."""

from typing import Any

import torch

from pixperts.models.moce_isr_light.config import MoCEISRLightConfig
from pixperts.models.moce_isr_light.model import MoCEISRLight

SMALL: dict[str, Any] = {
    "channels": (8, 8, 16), "expert_widths": (8, 8), "bottleneck": 4, "scout_channels": 4,
    "embedding": 8, "tone_width": 4, "large_channels": 16, "large_blocks": 3, "depth_width": 4,
}  # fmt: skip


def one_network(seed: int = 0, **changes: Any) -> MoCEISRLight:
    """Random weights under which pictures differ in their experts and regions in their depth."""
    torch.manual_seed(seed)
    model = MoCEISRLight(MoCEISRLightConfig(**(SMALL | changes))).eval()
    for block in model.mixtures:
        torch.nn.init.normal_(block.router.weight, std=4.0)
        if block.modulation is not None:
            torch.nn.init.normal_(block.modulation.weight, std=0.5)
    mapper = model.enlarger.mapper
    with torch.no_grad():
        model.output.weight.mul_(30)
        model.enlarger.field.coefficients.weight.mul_(5)
        model.enlarger.seen.weight.mul_(10)
        mapper.third.weight.normal_(std=20.0)
        mapper.third.weight.copy_(torch.arange(4.0)[:, None] * 8)
        mapper.third.bias.zero_()
        # The more there is to be seen in a region, the deeper: a quarter of a picture each.
        ramp = torch.linspace(0.0, 0.5, 256)
        picture = (0.5 + ramp * torch.randn(1, 3, 64, 256)).clamp(0, 1)
        output, seen = model.look(picture)
        start = model.enlarger.start(output.image, seen)
        sums = model.enlarger.logits(start, (64, 256), (128, 512))[:, 1].flatten()
        steps = torch.quantile(sums, torch.tensor([0.25, 0.5, 0.75]))
        mapper.third.bias[1:] = -steps.cumsum(0)
    return model
