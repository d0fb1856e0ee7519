"""How well a repair and an enlargement do together, beside each alone.

    python benchmarks/enhance.py --bench FOLDER [--photos 8] [--scales 1,2,3,4] [--cases NAME ...]
        [--models moeisr-photo,moeisr-light] [--one FILE] [--budget 0.5]
        [--restore-model moce-ir-light] [--threads 2]

FOLDER holds CID22-val. Each photo is reduced by an antialiased bicubic kernel, rounded to 8 bit
and degraded; faults are synthetic, with the photo's number as seed. Printed are lines of Markdown
with the mean PSNR against the photo: of bicubic interpolation, of each model that enlarges alone,
of the repair with bicubic interpolation, of the repair with each model, and of the model that does
both in one pass, as `pixperts enhance` has them; RGB, whole pictures rounded to 8 bit, dB. In the
last column the worst difference of any photo between the first model with and without the repair.
A scale may be a fraction such as 1.5. Below the table, the processor seconds of each column.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from pixperts.evaluation.metrics import psnr
from pixperts.evaluation.repair_cases import small_pair
from pixperts.inference.enhancer import Enhancer
from pixperts.inference.restorer import Restorer
from pixperts.inference.upscaler import Upscaler
from pixperts.io.image import list_images, read_image
from pixperts.ops.pixels import to_float
from pixperts.ops.resize import bicubic, quantize

CASES = (
    "clean", "jpeg", "phone", "noise15", "noise25_jpeg90", "grain", "rain", "snow", "haze",
    "dark0.12_jpeg", "blur", "scratches", "low_haze_rain",
)  # fmt: skip

Method = Callable[[Tensor, tuple[int, int]], Tensor]  # picture, (width, height)


def methods(
    restorer: Restorer, upscalers: list[Upscaler], one: Enhancer | None, budget: float | None
) -> dict[str, Method]:
    """Ways to bring a picture to a size, by the heads of their columns."""

    def plain(image: Tensor, size: tuple[int, int]) -> Tensor:
        same = (image.shape[2], image.shape[1]) == size
        return image if same else bicubic(image, size[::-1]).clamp(0, 1)

    def repaired(image: Tensor, size: tuple[int, int]) -> Tensor:
        return plain(restorer.restore(image), size)

    alone = {upscaler.name: partial(_upscaled, upscaler) for upscaler in upscalers}
    both = {
        f"repair, {upscaler.name}": partial(_enhanced, Enhancer(restorer, upscaler))
        for upscaler in upscalers
    }
    ways: dict[str, Method] = {"bicubic": plain, **alone, "repair, bicubic": repaired, **both}
    if one is not None:
        ways[one.name] = partial(_enhanced, one, budget=budget)
    return ways


def _upscaled(upscaler: Upscaler, image: Tensor, size: tuple[int, int]) -> Tensor:
    result: Tensor = upscaler.upscale(image, size=size)
    return result


def _enhanced(
    enhancer: Enhancer, image: Tensor, size: tuple[int, int], budget: float | None = None
) -> Tensor:
    result: Tensor = enhancer.enhance(image, size=size, budget=budget)
    return result


def row(
    case: str,
    scale: float,
    photos: list[Tensor],
    ways: dict[str, Method],
    seconds: dict[str, float],
) -> str:
    """One line of the table; the processor seconds of each way are added up."""
    marks: dict[str, list[float]] = {name: [] for name in ways}
    for seed, photo in enumerate(photos):
        small, target = small_pair(photo, scale, case, seed)
        for name, way in ways.items():
            started = time.process_time()
            result = quantize(way(small, (target.shape[2], target.shape[1])))
            seconds[name] = seconds.get(name, 0.0) + time.process_time() - started
            marks[name].append(min(100.0, psnr(result, target, "rgb")))
    means = [f"{sum(values) / len(values):.2f}" for values in marks.values()]
    names = list(ways)
    alone, together = marks[names[1]], marks[f"repair, {names[1]}"]
    worst = min(b - a for a, b in zip(alone, together, strict=True))
    return f"| {case} | {scale:g} | {' | '.join(means)} | {worst:+.2f} |"


def main() -> None:
    """Read the command line, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--bench", type=Path, required=True)
    parser.add_argument("--photos", type=int, default=8, help="of CID22-val")
    parser.add_argument("--scales", default="1,2,3,4")
    parser.add_argument("--cases", nargs="+", default=list(CASES))
    parser.add_argument("--models", default="moeisr-photo,moeisr-light", help="that enlarge")
    parser.add_argument("--one", help="weights of a model that does both, if any")
    parser.add_argument("--budget", type=float, help="of the model that does both")
    parser.add_argument("--restore-model", default="moce-ir-light")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    restorer = Restorer.load(args.restore_model)
    one = Enhancer.load(args.one) if args.one else None
    upscalers = [Upscaler.load(name) for name in args.models.split(",")]
    ways, seconds = methods(restorer, upscalers, one, args.budget), dict[str, float]()
    paths = list_images(args.bench / "CID22-val")[: args.photos]
    photos = [
        torch.from_numpy(to_float(read_image(path).pixels)).permute(2, 0, 1)[:3] for path in paths
    ]
    print(
        f"{len(photos)} photos of CID22-val, repaired by {restorer.name} ({restorer.precision})\n"
    )
    print(f"| case | scale | {' | '.join(ways)} | worst of a photo |")
    print("|---|---|" + "---|" * (len(ways) + 1))
    for case in args.cases:
        for scale in map(float, args.scales.split(",")):
            print(row(case, scale, photos, ways, seconds), flush=True)
    print("\nprocessor seconds:", ", ".join(f"{k} {v:.1f}" for k, v in seconds.items()))


if __name__ == "__main__":
    main()
