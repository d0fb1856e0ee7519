"""MoCE-IR as published, as a graph: for reach, not for speed.

It looks at all pixels in every block, so a graph takes whole pictures only. Windows are multiplied
in the Fourier domain by matrices, as other programs lack the transform, and every expert runs, as
a choice in the middle would need control flow; the routers' gates are 0 for those not chosen.
Motion blur stays, as its stage needs transforms of the picture.
"""

import copy
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from pixperts.export.form import Form, mirrored_to_multiple
from pixperts.models.moce_ir.blocks import channels_last
from pixperts.models.moce_ir.decoder import DecoderBlock, DecoderStage
from pixperts.models.moce_ir.experts import ComplexityExpert, FourierAttention
from pixperts.models.moce_ir.model import MoCEIR


class FaithfulForm(Form):
    """(B, 3, h, w) in [0, 1] -> the same, repaired."""

    outputs = ("repaired",)
    whole_maps = True
    label, summary = "", "repair"

    def __init__(self, model: MoCEIR) -> None:
        super().__init__()
        self.model = model
        self.matrices = copy.deepcopy(model)
        for part in self.matrices.modules():
            if isinstance(part, FourierAttention):
                part.form = "matrix"

    def forward(self, image: Tensor) -> Tensor:
        """Restore pictures."""
        model = self.matrices
        height, width = image.shape[2:]
        x = model.patch_embed(channels_last(mirrored_to_multiple(image, model.size_multiple)))
        skips = []
        for level in model.enc:
            stage, down = cast(nn.ModuleList, level)
            x = stage(x)
            skips.append(x)
            x = down(x)
        x = model.latent(x)
        embedding = model.freq_embed(x)
        for level in model.dec:
            up, merge, stage = cast(nn.ModuleList, level)
            x = merge(torch.cat([up(x), skips.pop()], dim=1))
            for block in cast(DecoderStage, stage).layers:
                x = _decoded(cast(DecoderBlock, block), x, embedding)
        residual = model.output(model.refinement(x))[:, :, :height, :width]
        result: Tensor = (image + residual).clamp(0, 1)
        return result

    def reference(self, image: Tensor) -> Sequence[Tensor]:
        """By the network."""
        return (self.model(image, motion=False).image.clamp(0, 1),)


def _decoded(block: DecoderBlock, x: Tensor, embedding: Tensor) -> Tensor:
    """`DecoderBlock.forward`, every expert of which runs."""
    norm, mixture = block.norms[0], block.adapter
    shared = block.shared(x, None, lambda part: block.proj[0](norm(part)))
    adapted = block.proj[1](norm(x))
    gates = mixture.routing(adapted, embedding)[0].softmax(dim=-1)
    least = gates.topk(mixture.top_k, dim=-1).values[:, -1:]
    gates = gates * (gates >= least).to(gates.dtype)
    mixed = torch.zeros_like(adapted)
    for number, layers in enumerate(mixture.experts):
        found = adapted
        for layer in cast(nn.ModuleList, layers):
            found = cast(ComplexityExpert, layer)(found, shared)
        mixed = mixed + found * gates[:, number, None, None, None]
    x = x + block.mixer(mixture.proj_out(mixed), shared)
    return cast(Tensor, x + block.ffn(block.norms[1](x)))
