"""Enlarge photos with the encoder in torch, OpenVINO and ONNX Runtime: seconds, dB, start-up.

    python benchmarks/runtimes.py [PHOTOS] [--model NAME ...] [--scale 2] [--case clean]
        [--pictures 4] [--rounds 3] [--threads 1]

Photos are reduced as in benchmarks/peers.py; without a folder, they are those in examples/. Each
form runs in a process of its own, and in each round the forms take turns, so that other work on
the machine meets them all. Printed: processor seconds per megapixel of output (the fastest
round), luma dB without a border of `scale` pixels, and processor seconds from the start of the
process until the model is ready, its graph in the cache already.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch

from pixperts.evaluation import metrics
from pixperts.evaluation.photo_cases import photo_pair
from pixperts.inference.upscaler import Upscaler
from pixperts.io.image import list_images
from pixperts.memory import keep_freed_memory
from pixperts.ops.pixels import from_float

FORMS = (
    ("torch", "float32"),
    ("torch", "bfloat16"),
    ("openvino", "float32"),
    ("openvino", "bfloat16"),
    ("onnxruntime", "float32"),
)
EXAMPLES = Path(__file__).parents[1] / "examples"


def measure(args: argparse.Namespace, model: str, form: str) -> dict[str, float]:
    """One form of one model in this process."""
    torch.set_num_threads(args.threads)
    keep_freed_memory()  # as the command line does
    runtime, precision = form.split()
    upscaler = Upscaler.load(model, device="cpu", precision=precision, runtime=runtime)
    upscaler.upscale(torch.zeros(3, 8, 8), scale=args.scale)
    ready = time.process_time()
    seconds = area = total = 0.0
    paths = list_images(args.photos)[: args.pictures]
    for number, path in enumerate(paths):
        small, photo = photo_pair(path, args.scale, args.case)
        lr = from_float(small.permute(1, 2, 0).numpy(), np.uint8)
        if number == 0:
            upscaler.upscale(lr, scale=args.scale)  # warm up
        started = time.process_time()
        result = upscaler.upscale(lr, scale=args.scale)
        seconds += time.process_time() - started
        area += result.shape[0] * result.shape[1] / 1e6
        image = torch.from_numpy(result).permute(2, 0, 1).float() / 255
        total += metrics.psnr(image, photo, "y-shave", args.scale)
    return {"seconds": seconds / area, "db": total / len(paths), "ready": ready}


def main() -> None:
    """Run every form of every model and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("photos", type=Path, nargs="?", default=EXAMPLES)
    parser.add_argument(
        "--model", nargs="+", default=["moeisr-photo", "moeisr-light", "moeisr-tiny"]
    )
    parser.add_argument("--scale", type=float, default=2.0)
    parser.add_argument("--case", default="clean")
    parser.add_argument("--pictures", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--form", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.form:
        print(json.dumps(measure(args, args.model[0], args.form)))
        return
    print(f"x{args.scale:g}, {args.case}, {args.threads} threads, torch {torch.__version__}")
    print("| model | runtime | precision | core-s/MP | faster | dB | start-up, core-s |")
    print("|---|---|---|---|---|---|---|", flush=True)
    for model in args.model:
        found: dict[str, list[dict[str, float]]] = {}
        for _ in range(args.rounds):
            for runtime, precision in FORMS:
                form = f"{runtime} {precision}"
                command = [sys.executable, __file__, *sys.argv[1:], "--form", form]
                command += ["--model", model]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                found.setdefault(form, []).append(json.loads(done.stdout.splitlines()[-1]))
        usual = min(row["seconds"] for row in found["torch float32"])
        for form, rows in found.items():
            seconds = min(row["seconds"] for row in rows)
            ready = min(row["ready"] for row in rows)
            print(
                f"| {model} | {form.replace(' ', ' | ')} | {seconds:.3f} "
                f"| {usual / seconds:.2f}x | {rows[0]['db']:.2f} | {ready:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
