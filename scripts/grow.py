"""Give a trained MoCE-IR more blocks, so that at first it does what it did before.

    python scripts/grow.py moce-ir-tiny start.safetensors --latent-blocks 4 --refinement-blocks 2

New blocks come last in their stage and add nothing yet: the projections that end their attention
and their feed-forward are zero. Train on with `init:` and the same numbers in `model_options:`.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import cast

import torch
from torch import nn

from pixperts.errors import UsageError
from pixperts.models.moce_ir.blocks import EncoderBlock
from pixperts.models.moce_ir.model import MoCEIR
from pixperts.weights import store
from pixperts.weights.packaged import weights_file


def grow(weights: str, target: Path, *, latent_blocks: int, refinement_blocks: int) -> None:
    """Write the grown weights and their card; `weights` is a packaged model or a weights file."""
    small, card = store.load(weights_file(weights))
    if not isinstance(small, MoCEIR):
        raise UsageError(f"{weights} holds no MoCE-IR: name weights that repair.")
    before = small.config
    if latent_blocks < before.latent_blocks or refinement_blocks < before.refinement_blocks:
        raise UsageError(
            f"{weights} has {before.latent_blocks} latent and {before.refinement_blocks} "
            "refinement blocks already: give as many or more."
        )
    torch.manual_seed(0)
    large = MoCEIR(
        replace(before, latent_blocks=latent_blocks, refinement_blocks=refinement_blocks)
    )
    taken = small.state_dict()
    large.load_state_dict(large.state_dict() | taken)
    for name, module in large.named_modules():
        if isinstance(module, EncoderBlock) and f"{name}.ffn.project_out.weight" not in taken:
            for layer in (module.mixer.project_out, module.ffn.project_out):
                nn.init.zeros_(layer.weight)
                nn.init.zeros_(cast(nn.Parameter, layer.bias))
    image = torch.rand(1, 3, 40, 56)
    with torch.inference_mode():
        difference = (small.eval()(image).image - large.eval()(image).image).abs().max()
    print(f"{len(large.state_dict()) - len(taken)} new tensors; outputs differ by {difference:.1e}")
    store.save(target, large, card)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("weights", help="packaged model or weights file")
    parser.add_argument("target", type=Path, help="file to write")
    parser.add_argument("--latent-blocks", type=int, required=True)
    parser.add_argument("--refinement-blocks", type=int, required=True)
    grow(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
