"""A neck gives all experts but the deepest features of their own."""

from typing import Any

import pytest
import torch
from torch import nn

from pixperts.errors import ModelError
from pixperts.models.moeisr.config import MoEISRConfig
from pixperts.models.moeisr.model import MoEISR
from tests.helpers.tiny_models import decoders, picture, run, tiny

NECK: dict[str, Any] = {"neck": 2, "light_width": 10, "neighbors": (1, 4, 4)}


@decoders
def test_deepest_expert_does_not_see_the_neck(decoder: str) -> None:
    model, lr = tiny(decoder, **NECK), picture(1, 3, 8, 8)
    deep, light = run(model, lr, (20, 20), budget=1.0), run(model, lr, (20, 20), budget=0.0)
    assert model.neck is not None
    with torch.no_grad():
        for parameter in model.neck.parameters():
            parameter.add_(0.1)
    assert torch.equal(run(model, lr, (20, 20), budget=1.0), deep)
    assert (run(model, lr, (20, 20), budget=0.0) - light).abs().max() > 1e-3


def test_neck_learns_through_light_experts_only() -> None:
    model, lr = tiny(**NECK), picture(1, 3, 6, 5)
    positions, sizes = torch.zeros(1, 4, 2, dtype=torch.int64), torch.tensor([[12, 10]])
    assert model.neck is not None
    colours, _ = model.query(lr, positions, sizes)
    colours[:, :, -1].sum().backward(retain_graph=True)
    assert all(p.grad is None or not p.grad.any() for p in model.neck.parameters())
    colours[:, :, 0].sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in model.neck.parameters())


def test_costs_count_the_neck_at_lr_resolution() -> None:
    config = MoEISRConfig(depths=(0, 3), widths=(256, 256), neck=2, light_width=64)
    with torch.device("meta"):
        model = MoEISR(config)
    parts = model.multiply_adds((10, 10), (20, 20), (1.0, 0.0))
    convolutions = 4 * 64 * 64 * 9 + 64 * 64 * 9  # two residual blocks, the light embedding
    assert parts["light"] == convolutions * 100
    assert parts["embedding"] == 64 * 256 * 9 * 100
    # Four neighbors: offset 2 x 64, color 64 x 3, three numbers weighed; 400 output pixels.
    assert parts["experts"] == pytest.approx(4 * (2 * 64 + 64 * 3 + 3) * 400)
    assert isinstance(model.neck, nn.Sequential)


def test_neck_without_experts_is_refused() -> None:
    with pytest.raises(ModelError, match="neck"):
        MoEISRConfig(neck=1)
