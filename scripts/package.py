"""Put trained weights into the package, in float16, with their card.

    python scripts/package.py runs/tiny/last.safetensors moeisr-tiny \\
        --quality '{"Set5 x2": 37.3}' --shares '[0.5, 0.2, 0.2, 0.1]'
    python scripts/package.py runs/moce_tiny/last.safetensors moce-ir-tiny \\
        --quality '{"CBSD68 sigma 25": 29.5}' --protocol "RGB, whole picture, dB" \\
        --signatures CID22-VAL

License and data come from the run's own card. `scripts/curve.py` and `pixperts evaluate` measure
the packaged file, so the figures of a card are those of what users get. With `--signatures`, a
model that repairs learns from a folder of clean photos what each task looks like to its routers
(`pixperts analyze`). With `--price`, a mixture whose mapper was trained by
`losses.predicted_error_loss` pays this price for a unit of cost where no budget is given: the
logits of such a mapper are predicted errors, whose plain argmax would always be the best expert.
With `--base`, tensors that the packaged weights of this name hold too are not stored again, and
what tasks look like to the routers is taken from there.
"""

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from pixperts.data.photos import load_photos
from pixperts.evaluation.signatures import measure_signatures
from pixperts.inference.restorer import Restorer
from pixperts.models.interfaces import Network
from pixperts.models.moce_isr_light.model import MoCEISRLight
from pixperts.models.moeisr.model import MoEISR
from pixperts.models.moeisr_light.model import MoEISRLight
from pixperts.weights import store
from pixperts.weights.packaged import WEIGHTS

SIGNED = ("clean", "noise25", "noise50", "rain", "haze", "snow", "blur", "low_light", "grain")


def ask_price(model: Network, price: float) -> None:
    """Shift the mapper's bias, so that its argmax is the choice at this price."""
    mapper: torch.nn.Module | None
    if isinstance(model, MoCEISRLight):
        mapper, costs = model.enlarger.mapper, model.depth_costs
    else:
        assert isinstance(model, MoEISR | MoEISRLight)
        mapper, costs = model.mapper, model.costs
    assert mapper is not None
    bias = list(mapper.parameters())[-1]  # of the last layer, (J,)
    with torch.no_grad():
        bias.sub_(price * torch.tensor(costs))


def main() -> None:
    """Read, describe, write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("weights", type=Path)
    parser.add_argument("name")
    parser.add_argument("--quality", type=json.loads, default={}, help="JSON: set to dB")
    parser.add_argument("--protocol", default="Y channel, border of `scale` pixels cut, dB")
    parser.add_argument("--shares", type=json.loads, help="JSON list: typical share an expert")
    parser.add_argument("--price", type=float, help="of a unit of cost, see above")
    parser.add_argument("--base", help="packaged weights that hold a part of the tensors")
    parser.add_argument("--signatures", type=Path, help="folder of clean validation photos")
    args = parser.parse_args()
    model, card = store.load(args.weights)
    notes: dict[str, Any] = {"quality": args.quality, "protocol": args.protocol}
    if args.shares:
        notes["shares"] = args.shares
    if args.price:
        ask_price(model, args.price)
    card = replace(card, name=args.name, config=asdict(model.config), notes=notes)
    if args.signatures:
        photos = load_photos([args.signatures])
        restorer = Restorer(model, card, device="cpu")
        signatures, right = measure_signatures(restorer, photos, SIGNED)
        notes["signatures"] = signatures.to_notes()
        print(f"recognized by signature, of {len(photos)} photos a task, fitted on the other half:")
        for task, share in right.items():
            print(f"  {task}: {share:.0%}")
    elif args.base:
        known = store.read_card(WEIGHTS / f"{args.base}.safetensors").notes
        notes |= {key: known[key] for key in ("signatures",) if key in known}
    target = WEIGHTS / f"{args.name}.safetensors"
    store.save(target, model, card, half=True, base=args.base)
    print(f"{target}: {target.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
