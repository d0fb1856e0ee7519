"""Measure a network of your own by the protocols of the papers (needs pixperts[evaluate]).

python examples/evaluate_your_network.py Set5 --scales 2 3 4

Put your network into `YourUpscaler` and `your_restorer`. What stands there now is simple on
purpose: sharpened bicubic, and the mean of 3x3 pixels.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

import pixperts
from pixperts.data import SuperResolutionSet
from pixperts.evaluation import RestorationSet, bicubic_upscaler, evaluate_upscaling, psnr, ssim
from pixperts.ops import bicubic

HERE = Path(__file__).parent


class YourUpscaler:
    """Anything with this method can be measured."""

    def upscale(
        self, image: Tensor, *, size: tuple[int, int], budget: float | None = None
    ) -> Tensor:
        """Enlarge (C, H, W) in [0, 1] to `size`, which is (width, height)."""
        large = bicubic(image, size[::-1])
        blurred = F.avg_pool2d(F.pad(large[None], (1, 1, 1, 1), mode="replicate"), 3, 1)[0]
        return (large + 0.5 * (large - blurred)).clamp(0, 1)


def your_restorer(image: Tensor) -> Tensor:
    """Repair (3, H, W) in [0, 1]."""
    return F.avg_pool2d(F.pad(image[None], (1, 1, 1, 1), mode="replicate"), 3, 1)[0]


def repaired(restore: Callable[[Tensor], Tensor], pictures: RestorationSet) -> tuple[float, float]:
    """Mean PSNR in dB and SSIM of a set, protocol rgb: all channels, whole pictures."""
    marks = []
    for pair in pictures.pairs:
        degraded, clean = pair()
        result = restore(degraded)
        marks.append((psnr(result, clean, "rgb"), ssim(result, clean, "rgb")))
    first, second = (sum(values) / len(marks) for values in zip(*marks, strict=True))
    return first, second


def main() -> None:
    """Enlarge and repair the pictures of a folder; a line for each network."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "data", nargs="?", type=Path, default=HERE, help="pictures, or HR/ and LR_x2/"
    )
    parser.add_argument("--scales", nargs="+", type=float, default=[2.0])
    parser.add_argument("--task", default="noise25", help="a synthetic degradation")
    parser.add_argument("--limit", type=int, help="only so many pictures to repair")
    args = parser.parse_args()
    dataset = SuperResolutionSet.open(args.data)
    networks = {
        "bicubic": bicubic_upscaler(),
        "yours": YourUpscaler(),
        "moeisr-light": pixperts.Upscaler.load("moeisr-light"),
    }
    for name, network in networks.items():
        for score in evaluate_upscaling(network, dataset, args.scales, "y-shave"):
            line = f"x{score.scale:g}, LR {score.lr_source}: {score.psnr:.2f} dB, {score.ssim:.4f}"
            print(f"{name:13} {line}")
    hr = args.data / "HR"
    pictures = RestorationSet.synthetic(
        hr if hr.is_dir() else args.data, args.task, limit=args.limit
    )
    restorers: dict[str, Callable[[Tensor], Tensor]] = {
        "input": lambda image: image,
        "yours": your_restorer,
        "moce-ir-light": pixperts.Restorer.load("moce-ir-light").restore,
    }
    with torch.inference_mode():
        for name, restore in restorers.items():
            first, second = repaired(restore, pictures)
            print(f"{name:13} {args.task}, {pictures.origin}: {first:.2f} dB, {second:.4f}")


if __name__ == "__main__":
    main()
