"""dB against cost: a routed model at several budgets next to its dense peer, as Markdown.

    python scripts/curve.py MODEL --dense PUBLISHED.safetensors --data BENCH_FOLDER \\
        [--sets Set5,Set14,B100] [--scales 2,3,4] [--budgets none,0,0.25,0.5,0.75,1]

Protocol: Y channel, border of `scale` pixels cut, published LR, no rounding to 8 bit. Cost:
analytic multiply-adds of everything after the encoder (mapper, embedding, experts) as routed, over
those of the dense model's factorised decoder, mean over pictures weighted by output pixels.
"""

import argparse
from pathlib import Path

import torch

from pixperts.evaluate import SuperResolutionSet
from pixperts.metrics import psnr
from pixperts.restorer import Restorer, load


def measure(
    restorer: Restorer, dense: Restorer | None, data: SuperResolutionSet, scale: int, budget: str
) -> tuple[float, float]:
    """Mean PSNR, and decoder cost relative to the dense model's."""
    values, spent, reference = [], 0.0, 0.0
    for index in range(len(data)):
        lr, hr = data.pair(index, scale)
        size = (hr.shape[2], hr.shape[1])
        image, routing = restorer.upscale_with_routing(
            lr, size=size, budget=None if budget == "none" else float(budget)
        )
        values.append(psnr(image, hr, "y-shave", scale))
        sizes = (lr.shape[1], lr.shape[2]), (hr.shape[1], hr.shape[2])
        parts = restorer.model.multiply_adds(*sizes, routing.shares if routing else None)
        spent += parts["total"] - parts["encoder"]
        peer = (dense or restorer).model.multiply_adds(*sizes)
        reference += peer["total"] - peer["encoder"]
    return sum(values) / len(values), spent / reference


def main() -> None:
    """Print one row a budget, one column a set and scale."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--dense", help="the dense peer; measured as well")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", default="Set5,Set14,B100")
    parser.add_argument("--scales", default="2,3,4")
    parser.add_argument("--budgets", default="none,0,0.25,0.5,0.75,1")
    args = parser.parse_args()
    routed, dense = load(args.model), load(args.dense) if args.dense else None
    scales = [int(scale) for scale in args.scales.split(",")]
    sets = [SuperResolutionSet.open(args.data / name) for name in args.sets.split(",")]
    columns = [(data, scale) for data in sets for scale in scales]
    titles = [f"{data.name} x{scale}" for data, scale in columns]
    print(f"y-shave, dB (decoder cost); {torch.get_num_threads()} threads")
    print("| budget | " + " | ".join([*titles, "mean"]) + " |")
    print("|---" * (len(columns) + 2) + "|")
    rows = [(f"{args.model} {budget}", routed, budget) for budget in args.budgets.split(",")]
    if dense is not None:
        rows.insert(0, (f"dense {dense.name}", dense, "none"))
    for title, restorer, budget in rows:
        cells = [measure(restorer, dense, data, scale, budget) for data, scale in columns]
        mean = [sum(column) / len(cells) for column in zip(*cells, strict=True)]
        text = [f"{value:.3f} ({cost:.3f})" for value, cost in [*cells, (mean[0], mean[1])]]
        print(f"| {title} | " + " | ".join(text) + " |", flush=True)


if __name__ == "__main__":
    main()
