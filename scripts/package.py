"""Put trained weights into the package, in float16, with their card.

    python scripts/package.py runs/tiny/last.safetensors moeisr-tiny \\
        --quality '{"Set5 x2": 37.3}' --shares '[0.5, 0.2, 0.2, 0.1]'

Licence and data come from the run's own card. `scripts/curve.py` and `pixperts evaluate` measure
the packaged file, so the figures of a card are those of what users get.
"""

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path

from pixperts import checkpoint
from pixperts.restorer import WEIGHTS


def main() -> None:
    """Read, describe, write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("weights", type=Path)
    parser.add_argument("name")
    parser.add_argument("--quality", type=json.loads, default={}, help="JSON: set and scale to dB")
    parser.add_argument("--shares", type=json.loads, help="JSON list: typical share an expert")
    args = parser.parse_args()
    model, card = checkpoint.load(args.weights)
    notes = {"quality": args.quality, "protocol": "Y channel, border of `scale` pixels cut, dB"}
    if args.shares:
        notes["shares"] = args.shares
    card = replace(card, name=args.name, config=asdict(model.config), notes=notes)
    target = WEIGHTS / f"{args.name}.safetensors"
    checkpoint.save(target, model, card, half=True)
    print(f"{target}: {target.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
