"""A small MoCE-IR and pictures for its tests."""

from dataclasses import replace
from typing import Any, cast
from unittest.mock import patch

import torch
from torch import Tensor

from pixperts.models.interfaces import Network
from pixperts.models.moce_ir.blocks import Pointwise
from pixperts.models.moce_ir.config import MoCEIRConfig
from pixperts.models.moce_ir.model import MoCEIR
from pixperts.models.output import Output

MINI = MoCEIRConfig(
    dim=8,
    encoder_blocks=(1, 0, 1),
    latent_blocks=1,
    decoder_blocks=(1, 2, 1),
    refinement_blocks=1,
    heads=(1, 2, 2, 4),
)


def mini(**options: Any) -> MoCEIR:
    """A small model with random weights, routers so lively that pictures disagree."""
    torch.manual_seed(0)
    with patch("pixperts.models.moce_ir.model.joining", _drawn):  # no plain sums
        model = MoCEIR(replace(MINI, **options)).eval()
    with torch.no_grad():
        for block in model.decoder_blocks:
            block.adapter.routing.gate.weight.normal_(0.0, 4.0)
    return model


def moce_ir(model: Network) -> MoCEIR:
    """The network, which is known to be a MoCE-IR."""
    assert isinstance(model, MoCEIR)
    return model


def _drawn(channels: int) -> Pointwise:
    return Pointwise(2 * channels, channels, bias=False)


def pictures(*shape: int, seed: int = 1) -> Tensor:
    """Random pictures, each with its own colours and contrast."""
    generator = torch.Generator().manual_seed(seed)
    base = torch.rand(shape[0], 3, 1, 1, generator=generator)
    depth = torch.rand(shape[0], 1, 1, 1, generator=generator)
    return base * (1 - depth) + depth * torch.rand(*shape, generator=generator)


def run(model: MoCEIR, image: Tensor, **options: Any) -> Output:
    with torch.inference_mode():
        return cast(Output, model(image, **options))


def experts(output: Output) -> list[list[list[int]]]:
    return [routing.experts.tolist() for routing in output.routings]


def gates(output: Output) -> Tensor:
    return torch.stack([cast(Tensor, routing.gates) for routing in output.routings])


def bare(x: Any) -> Tensor:
    return cast(Tensor, x)
