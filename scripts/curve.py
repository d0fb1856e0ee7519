"""dB against cost: one mixture at many budgets, as Markdown.

    python scripts/curve.py MODEL --data BENCH_FOLDER [--sets Set5,Set14,B100] [--scales 2,3,4]
        [--limit N] [--budgets none,0,0.1,0.25,0.5,0.75,1,price0.2]

Every expert decodes every pixel once (`MoEISR.query`, equal to the routed forward pass, see
tests/models/moeisr/test_model.py); each budget then only chooses among the results. Budget 1 is the
deepest expert everywhere: where that is a published decoder, its row is the published model.
"price0.2" is no budget but a fixed price of a unit of cost in logits, as `scripts/package.py
--price` builds in.

Protocol: Y channel, border of `scale` pixels cut, published LR, no rounding to 8 bit. Cost:
analytic multiply-adds of everything after the encoder (mapper, embedding, experts) as routed, over
those of the factorised dense decoder (embedding and deepest expert, no mapper); PSNR and cost are
means over the pictures of a set.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from pixperts.data.benchmarks import SuperResolutionSet
from pixperts.evaluation.metrics import psnr
from pixperts.inference.upscaler import Upscaler
from pixperts.models.moeisr.model import MoEISR
from pixperts.routing import Routing, at_price, choose
from results_measure import FirstPictures

CHUNK = 32768


def every_expert(model: MoEISR, lr: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Colors (H * W, J, 3) by every expert, and logits (H * W, J)."""
    number = torch.arange(size[0] * size[1])
    positions = torch.stack([number // size[1], number % size[1]], dim=1)[None]  # (1, H * W, 2)
    lr = lr[None].contiguous(memory_format=torch.channels_last)
    features = model.encode(lr)
    colors, logits = [], []
    for part in positions.split(CHUNK, dim=1):
        color, logit = model.query(lr, part, torch.tensor([size]), features)
        assert logit is not None
        colors.append(color[0])
        logits.append(logit[0].float())
    return torch.cat(colors), torch.cat(logits)


def chosen(logits: Tensor, costs: Sequence[float], budget: str) -> Tensor:
    """The experts (N,) by a budget or a price as the command line has them."""
    if budget.startswith("price"):
        return at_price(logits, costs, float(budget.removeprefix("price")))
    return choose(logits, costs, None if budget == "none" else float(budget))


def relative_cost(
    model: MoEISR, lr_size: tuple[int, int], size: tuple[int, int], choice: Tensor
) -> float:
    """Multiply-adds after the encoder over the dense decoder's."""
    parts = model.multiply_adds(lr_size, size, Routing(choice, model.costs).shares)
    dense = model.multiply_adds(lr_size, size)
    return (parts["total"] - parts["encoder"]) / (dense["embedding"] + dense["experts"])


def main() -> None:
    """Print one row a budget, one column a set and scale."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", default="Set5,Set14,B100")
    parser.add_argument("--scales", default="2,3,4")
    parser.add_argument("--limit", type=int, help="only so many pictures of each set")
    parser.add_argument("--budgets", default="none,0,0.1,0.25,0.35,0.5,0.75,1")
    args = parser.parse_args()
    model, budgets = Upscaler.load(args.model, device="cpu").model, args.budgets.split(",")
    assert isinstance(model, MoEISR)
    table: dict[str, list[tuple[float, float]]] = {budget: [] for budget in budgets}
    titles = []
    sets = [SuperResolutionSet.open(args.data / name) for name in args.sets.split(",")]
    for data in [FirstPictures.of(one, args.limit) for one in sets]:
        for scale in [int(scale) for scale in args.scales.split(",")]:
            sums = {budget: [0.0, 0.0] for budget in budgets}
            for index in range(len(data)):
                lr, hr = data.pair(index, scale)
                size, lr_size = (hr.shape[1], hr.shape[2]), (lr.shape[1], lr.shape[2])
                with torch.inference_mode():
                    colors, logits = every_expert(model, lr, size)
                for budget in budgets:
                    choice = chosen(logits, model.costs, budget)
                    flat = colors[torch.arange(len(choice)), choice]  # (H * W, 3)
                    image = flat.t().reshape(3, *size).clamp(0, 1)
                    sums[budget][0] += psnr(image, hr, "y-shave", scale)
                    sums[budget][1] += relative_cost(model, lr_size, size, choice)
            titles.append(f"{data.name} x{scale}")
            for budget, (decibel, cost) in sums.items():
                table[budget].append((decibel / len(data), cost / len(data)))
                print(f"{titles[-1]} budget {budget}: {table[budget][-1]}", flush=True)
    print(f"\ny-shave, dB (decoder cost over the dense decoder's), {args.model}")
    print("| budget | " + " | ".join([*titles, "mean"]) + " |")
    print("|---" * (len(titles) + 2) + "|")
    for budget, cells in table.items():
        mean = [sum(column) / len(cells) for column in zip(*cells, strict=True)]
        text = [f"{value:.3f} ({cost:.3f})" for value, cost in [*cells, (mean[0], mean[1])]]
        print(f"| {budget} | " + " | ".join(text) + " |", flush=True)


if __name__ == "__main__":
    main()
