"""Draw which expert did which pixel, at several budgets, with matplotlib.

python examples/expert_maps.py examples/osprey.jpg --budgets 0 0.1 0.3 1 --out maps.png
"""

import argparse
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.colors import BoundaryNorm

mpl.use("Agg")  # files, no windows
import matplotlib.pyplot as plt

import pixperts

HERE = Path(__file__).parent


def main() -> None:
    """Enlarge once per budget; a map for each, with the shares of the experts in its title."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("photo", nargs="?", type=Path, default=HERE / "osprey.jpg")
    parser.add_argument("--budgets", nargs="+", type=float, default=[0.05, 0.2, 0.5])
    parser.add_argument("--scale", type=float, default=2.0)
    parser.add_argument("-m", "--model", default="moeisr-tiny")
    parser.add_argument("--out", type=Path, default=Path("out/maps.png"))
    args = parser.parse_args()
    photo = pixperts.read_image(args.photo).pixels
    upscaler = pixperts.Upscaler.load(args.model)
    figure, axes = plt.subplots(
        2, len(args.budgets), figsize=(4 * len(args.budgets), 7), squeeze=False, layout="tight"
    )
    for column, budget in enumerate(args.budgets):
        large, routing = upscaler.upscale_with_routing(photo, scale=args.scale, budget=budget)
        if routing is None:
            raise SystemExit(f"{args.model} has a single expert, so there is nothing to draw.")
        experts = routing.experts[0].numpy()  # (H, W), 0 is the cheapest
        count = len(routing.costs)
        axes[0, column].imshow(large)
        axes[0, column].set_title(f"budget {budget:g}, mean cost {routing.mean_cost:.2f}")
        norm = BoundaryNorm(np.arange(count + 1) - 0.5, 256)
        shown = axes[1, column].imshow(experts, cmap="viridis", norm=norm)
        shares = " / ".join(f"{100 * share:.0f}" for share in routing.shares)
        axes[1, column].set_title(f"experts: {shares} % of pixels")
        bar = figure.colorbar(shown, ax=axes[1, column], ticks=range(count), shrink=0.7)
        bar.ax.set_yticklabels([f"cost {cost:.2f}" for cost in routing.costs])
        print(f"budget {budget:g}: mean cost {routing.mean_cost:.3f}, shares {shares} %")
    for axis in axes.flat:
        axis.set_axis_off()
    args.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(args.out, dpi=110)
    plt.close(figure)
    print(args.out)


if __name__ == "__main__":
    main()
