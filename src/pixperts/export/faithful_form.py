"""MoCE-IR as published, as a graph, which is slow but runs in many programs.

Every block depends on all pixels, so that the graph takes whole pictures only. Fourier transforms
are products with matrices, because other programs lack the transform. All experts run, because a
choice within a graph needs control flow; the gates of those that are not chosen are 0. Motion blur
stays, because its stage needs transforms of the whole picture.
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
    """Pictures (B, 3, h, w) in [0, 1] to repaired ones of the same shape in [0, 1]."""

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
        """(B, 3, h, w) in [0, 1] -> repaired, the same shape and range."""
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
        """The result of the network itself."""
        return (self.model(image, motion=False).image.clamp(0, 1),)


def _decoded(block: DecoderBlock, x: Tensor, embedding: Tensor) -> Tensor:
    """`DecoderBlock.forward` with all experts running."""
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
