"""Peak memory of pictures that are larger than it, for docs/large_images.md.

    python scripts/large_images.py restore 4000 8000 20000 --folder /somewhere/large
    python scripts/large_images.py upscale 2000 8000 --scale 3 --folder /somewhere/large

Makes square RGB TIFFs of that many pixels a side (synthetic: gradients and noise), takes each
through the command line with --max-memory 2G in a process of its own, and prints a table of peak
resident memory and time. With --mini the model is a miniature with random weights: the result is
nonsense, but rows are read, surveyed, tiled and written as with any other, in a fraction of the
time. Inputs and outputs are removed afterwards.
"""

import argparse
import os
import re
import sys
import time
from pathlib import Path

import numpy as np
import torch

from pixperts.io.rows import RowWriter
from pixperts.models.presets import create_model
from pixperts.weights import store

MINI = {
    "restore": (
        "moce-ir-tiny",
        {"dim": 2, "min_rank": 1, "heads": (1, 1, 1, 1), "latent_blocks": 0,
         "encoder_blocks": (0, 0, 0)},
    ),
    "upscale": (
        "moeisr-tiny",
        {"encoder_options": {"channels": 8, "blocks": 1}, "width": 8, "widths": (8, 8),
         "depths": (0, 1), "neighbors": (1, 1), "mapper_width": 4, "neck": 0},
    ),
}  # fmt: skip


def make_picture(path: Path, side: int) -> None:
    """A synthetic RGB TIFF."""
    random = np.random.default_rng(side)
    noise = random.integers(0, 40, (256, side, 3), np.uint8)
    ramp = np.linspace(30, 180, side, dtype=np.float32)[None, :, None]
    with RowWriter(path, side, side, 3, np.uint8) as writer:
        for top in range(0, side, 256):
            count = min(256, side - top)
            base = (ramp + 30 * np.sin(top / 700)).astype(np.uint8)
            writer.write(np.roll(noise[:count], top, axis=1) + base)


def run(arguments: list[str]) -> tuple[int, float, int]:
    """Exit code, seconds and peak resident bytes of one command."""
    started = time.perf_counter()
    child = os.fork()
    if child == 0:
        os.execv(sys.executable, [sys.executable, "-m", "pixperts", *arguments])
    peak = 0
    while True:
        # Not `ru_maxrss`, which a child inherits from its parent.
        try:
            text = Path(f"/proc/{child}/status").read_text()
        except OSError:
            text = ""
        found = re.search(r"VmHWM:\s+(\d+) kB", text)
        if found and "pixperts" in Path(f"/proc/{child}/cmdline").read_text():
            peak = max(peak, int(found[1]) * 1024)
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status), time.perf_counter() - started, peak
        time.sleep(0.05)


def main() -> None:
    """Make, run, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=("upscale", "restore"))
    parser.add_argument("sides", nargs="+", type=int)
    parser.add_argument("--folder", type=Path, required=True, help="with room for the pictures")
    parser.add_argument("--scale", default="3")
    parser.add_argument("--model")
    parser.add_argument("--mini", action="store_true")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    model = args.model
    if args.mini:
        name, options = MINI[args.command]
        torch.manual_seed(0)
        model = str(args.folder / f"mini-{args.command}.safetensors")
        network = create_model(name, **options)
        store.save(Path(model), network, store.Card(name, {}))
    print("| side | megapixels in | out | peak memory MB | seconds |\n|---|---|---|---|---|")
    for side in args.sides:
        source, target = args.folder / f"in{side}.tif", args.folder / f"out{side}.tif"
        make_picture(source, side)
        line = [args.command, str(source), "-o", str(target), "--max-memory", "2G", "-q"]
        line += ["-m", model] if model else []
        line += ["-s", args.scale] if args.command == "upscale" else []
        code, seconds, peak = run(line)
        if code:
            sys.exit(f"the command ended with exit code {code}")
        out = side * (float(args.scale) if args.command == "upscale" else 1)
        print(
            f"| {side} | {side**2 / 1e6:.0f} | {out**2 / 1e6:.0f} | {peak / 1e6:.0f} | "
            f"{seconds:.0f} |",
            flush=True,
        )
        source.unlink()
        target.unlink()


if __name__ == "__main__":
    main()
