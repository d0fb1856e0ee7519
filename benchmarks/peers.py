"""Enlarge photos with ours and with what else can be installed: dB, SSIM, seconds, memory.

    python benchmarks/peers.py PHOTOS [--scale 2 4] [--case clean jpeg75 soft75] [--pictures 8]
        [--method NAME ...] [--rounds 3] [--threads 1] [--markdown FILE]

Each photo of the folder is reduced by the factor with an antialiased bicubic kernel, rounded to
8 bit, and spoiled as the case says: "clean" not at all, "jpegQ" by JPEG of quality Q with 4:2:0
chroma, "softQ" the same for a photo that was first reduced by 1.6 and enlarged again, so that it
is soft at pixel level. Compared are the luma channels without a border of `scale` pixels
(protocol y-shave). Every method runs in a process of its own; in each round the methods take
turns on the same pictures. Printed: dB over bicubic, the lowest of any picture, SSIM, processor
seconds (the fastest round) and peak memory per megapixel of output. Degradations are synthetic.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent))

from peer_methods import METHODS, SLOW
from pixperts.evaluation import metrics
from pixperts.evaluation.photo_cases import photo_pair
from pixperts.io.image import list_images
from pixperts.ops.pixels import from_float


def run_method(args: argparse.Namespace) -> dict[str, Any]:
    """One method in this process: scores and seconds by case."""
    torch.set_num_threads(args.threads)
    method = METHODS[args.method[0]]()
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found: dict[str, Any] = {}
    largest = 0.0
    for scale in args.scale:
        for case in args.case:
            rows, seconds, area = [], 0.0, 0.0
            for number, path in enumerate(list_images(args.photos)[: args.pictures]):
                small, photo = photo_pair(path, scale, case)
                lr = from_float(small.permute(1, 2, 0).numpy(), np.uint8)
                if number == 0:
                    method(lr, scale)  # warm up
                started = time.process_time()
                result = method(lr, scale)
                seconds += time.process_time() - started
                area += result.shape[0] * result.shape[1] / 1e6
                largest = max(largest, result.shape[0] * result.shape[1] / 1e6)
                image = torch.from_numpy(result).permute(2, 0, 1).float() / 255
                pair = (image, photo, "y-shave", scale)
                rows.append((metrics.psnr(*pair), metrics.ssim(*pair)))
            found[f"x{scale:g} {case}"] = {"scores": rows, "seconds": seconds / area}
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - base) / 1024
    return {"cases": found, "peak_mb": peak / largest}


def available(name: str) -> bool:
    """Whether a method can be loaded here; why not goes to stderr."""
    try:
        METHODS[name]()
    except Exception as error:  # a wheel that is not installed, weights that are not packaged
        print(f"{name}: left out ({error})", file=sys.stderr)
        return False
    return True


def main() -> None:
    """Run every method and print a table for each case."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("photos", type=Path)
    parser.add_argument("--scale", type=float, nargs="+", default=[2.0])
    parser.add_argument("--case", nargs="+", default=["clean", "jpeg75"])
    parser.add_argument("--pictures", type=int, default=8)
    parser.add_argument("--method", nargs="+", default=[m for m in METHODS if m not in SLOW])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--markdown", type=Path, help="also write the tables here")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(run_method(args)))
        return
    rest = [a for a in sys.argv[1:] if a not in args.method and a != "--method"]
    methods = ["bicubic", *[m for m in args.method if m != "bicubic"]]
    methods = [name for name in methods if available(name)]
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in methods}
    for _ in range(args.rounds):
        for name in methods:
            command = [sys.executable, __file__, *rest, "--method", name, "--one"]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            runs[name].append(json.loads(done.stdout.splitlines()[-1]))
    text = "\n\n".join(tables(runs, args))
    print(text)
    if args.markdown:
        args.markdown.write_text(text + "\n", encoding="utf-8")


def tables(runs: dict[str, list[dict[str, Any]]], args: argparse.Namespace) -> list[str]:
    """A Markdown table for each factor and case."""
    found = []
    baseline = runs["bicubic"][0]["cases"]
    for case, plain in baseline.items():
        title = (
            f"{case}, {len(plain['scores'])} pictures of {args.photos.name}, luma, {args.threads} "
            f"thread(s), torch {torch.__version__}, {args.rounds} round(s)"
        )
        lines = [
            title,
            "",
            "| method | dB | over bicubic | lowest gain | SSIM | core-s/MP | MB/MP |",
        ]
        lines.append("|---|---|---|---|---|---|---|")
        for name, rounds in runs.items():
            scores = np.array(rounds[0]["cases"][case]["scores"])  # (pictures, 2)
            gain = scores[:, 0] - np.array(plain["scores"])[:, 0]
            seconds = min(one["cases"][case]["seconds"] for one in rounds)
            memory = max(one["peak_mb"] for one in rounds)
            lines.append(
                f"| {name} | {scores[:, 0].mean():.2f} | {gain.mean():+.2f} | {gain.min():+.2f} "
                f"| {scores[:, 1].mean():.4f} | {seconds:.2f} | {memory:.0f} |"
            )
        found.append("\n".join(lines))
    return found


if __name__ == "__main__":
    main()
