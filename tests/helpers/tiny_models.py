"""Small models, their restorers and pictures that several test files share."""

from typing import Any

import pytest
import torch
from torch import Tensor

from pixperts.inference.restorer import Restorer
from pixperts.inference.upscaler import Upscaler
from pixperts.models.interfaces import Network
from pixperts.models.moeisr.config import MoEISRConfig
from pixperts.models.moeisr.model import MoEISR
from pixperts.weights import store

TINY: dict[str, Any] = {
    "encoder_options": {"channels": 8, "blocks": 1},
    "width": 12,
    "mapper_width": 6,
    "mapper_layers": 2,
}
POOL: dict[str, Any] = {"depths": (0, 1, 2), "widths": (6, 8, 12)}

decoders = pytest.mark.parametrize("decoder", ["liif", "lte"])


def tiny(decoder: str = "liif", **options: Any) -> MoEISR:
    """A small model whose weights, the mapper's zeros included, are drawn at random."""
    torch.manual_seed(0)
    config = TINY | POOL | {"decoder": decoder, "residual": decoder == "lte"} | options
    model = MoEISR(MoEISRConfig(**config)).eval()
    for parameter in model.parameters():
        scale = 0.5 if parameter.ndim == 1 else parameter[0].numel() ** -0.5
        with torch.no_grad():
            parameter.normal_(0.0, scale)
    if model.mapper is not None:
        with torch.inference_mode():  # equal mean logits, so that every expert is used somewhere
            features = model.encode(picture(1, 3, 12, 12))
            logits = model.mapper(features, torch.full((1, 2), 0.5)).mean((0, 2, 3))
        last = model.mapper.layers[-1]
        assert isinstance(last.bias, Tensor)
        last.bias.data -= logits
    return model


def picture(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1))


def run(model: MoEISR, lr: Tensor, size: tuple[int, int], **options: Any) -> Tensor:
    with torch.inference_mode():
        image: Tensor = model(lr, size, **options).image
    return image


def experts_of(model: MoEISR, lr: Tensor, size: tuple[int, int], **options: Any) -> Tensor:
    with torch.inference_mode():
        experts: Tensor = model(lr, size, **options).routings[0].experts
    return experts


def moeisr(model: Network) -> MoEISR:
    """The network, which is known to be a MoEISR."""
    assert isinstance(model, MoEISR)
    return model


def upscaler(model: Network, **options: Any) -> Upscaler:
    return Upscaler(model, store.Card("mine", {}), device="cpu", **options)


def restorer(model: Network, **options: Any) -> Restorer:
    return Restorer(model, store.Card("mine", {}), device="cpu", **options)


def same(a: Tensor, b: Tensor, tolerance: float = 1e-5) -> None:
    """Outputs of about 1 that differ in the order of float32 sums only.

    A layer adds up to some thousand products and so may be off by about 50 roundings of 6e-8, of
    which a few layers keep a part; other kernels for other shapes and processors are within that.
    A wrong pixel, expert or weight shows by 1e-3 and more.
    """
    torch.testing.assert_close(a, b, atol=tolerance, rtol=0)
