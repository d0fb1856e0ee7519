"""What Ray costs beside the local engine, and how long many machines take.

    python benchmarks/scale_out.py [PHOTOS] [--photos 200] [--side 64] [--workers 1,2]
        [--simulate-only SECONDS START]

Measured: square parts of photos (those in examples/ without a folder), enlarged twice by
moeisr-photo, by as many processes as there are workers, each with one thread. With the local
engine, two workers are two shards. Processor seconds are those of all processes together, Ray's own
included; they count where other programs use the machine as well. The first line of each engine has
a single photo, which shows what starting costs. Results of both engines are compared byte by byte.

Simulated (fleet.py): a million photos of 12 megapixels, from the processor seconds of the largest
whole photo, which are taken to grow with the pixels. `--simulate-only` takes the seconds of a
megapixel and those of a worker's start instead of measuring them.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from fleet import Assumptions, blocks, shards, simulate
from pixperts.io.decode import header_size
from pixperts.io.image import list_images, read_image, write_image

EXAMPLES = Path(__file__).parents[1] / "examples"
PICTURES, MEGAPIXELS = 1_000_000, 12.0
ROWS = 32  # pictures of a block, as the engine has it for a million
SHARDS = 4  # a worker
FLEETS = (1, 10, 100, 1000)


@dataclass(frozen=True)
class Measured:
    """A run of one engine.

    Attributes:
        processor: seconds of all processes.
        wall: seconds.
        store: bytes of Ray's object store at most; None without Ray.
        peak: bytes that all processes held at most, shared pages counted more than once.
    """

    processor: float
    wall: float
    store: int | None
    peak: int


def make_photos(source: Path, folder: Path, many: int, side: int) -> None:
    """Parts from the middle of photos, moved a little each time."""
    photos = list_images(source)
    for number in range(many):
        pixels = read_image(photos[number % len(photos)]).pixels
        top, left = (max(0, (length - side) // 2 - number // 4) for length in pixels.shape[:2])
        part = np.ascontiguousarray(pixels[top : top + side, left : left + side, :3])
        write_image(folder / f"{number:04}.jpg", part, quality=90)


def copy_largest(source: Path, folder: Path) -> float:
    """The largest photo in a folder of its own; its megapixels."""
    sizes = {path: header_size(path) for path in list_images(source)}
    largest = max(sizes, key=lambda path: sizes[path][0] * sizes[path][1])
    folder.mkdir()
    shutil.copy(largest, folder)
    return sizes[largest][0] * sizes[largest][1] / 1e6


def watch(commands: list[list[str]], store: Path | None = None) -> Measured:
    """Run programs side by side, and add up what they and all that they start use."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "VIPS_CONCURRENCY": "1"}
    began = time.perf_counter()
    running = [subprocess.Popen(command, env=environment) for command in commands]
    seconds: dict[tuple[int, float], float] = {}
    peak = 0
    while any(one.poll() is None for one in running):
        held = 0
        for one in running:
            for process in _with_children(one.pid):
                try:
                    times = process.cpu_times()
                    key = (process.pid, process.create_time())
                    seconds[key] = times.user + times.system
                    held += process.memory_info().rss
                except psutil.Error:
                    continue
        peak = max(peak, held)
        time.sleep(0.05)
    for one in running:
        if one.returncode:
            raise SystemExit(f"{one.args!r} ended with exit code {one.returncode}")
    most = None if store is None else int(store.read_text())
    return Measured(sum(seconds.values()), time.perf_counter() - began, most, peak)


def _with_children(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.Error:
        return []


def local(photos: Path, out: Path, workers: int) -> Measured:
    """The local engine; several workers are shards."""
    command = [
        sys.executable, "-m", "pixperts", "upscale", str(photos), "-o", f"{out}/", "--scale", "2",
        "--device", "cpu", "--quiet",
    ]  # fmt: skip
    if workers == 1:
        return watch([command])
    return watch([[*command, "--shard", f"{one + 1}/{workers}"] for one in range(workers)])


def on_ray(photos: Path, out: Path, workers: int) -> Measured:
    """Ray on this machine."""
    store = out.with_suffix(".store")
    order = json.dumps([str(photos), str(out), workers, str(store)])
    return watch([[sys.executable, __file__, "--inside", order]], store)


def inside(photos: str, out: str, workers: int, store: str) -> None:
    """A run on Ray in this process, with an eye on its object store."""
    import ray
    from ray._private.internal_api import node_stats  # there is no public way to the figure

    from pixperts.inference.size_request import SizeRequest
    from pixperts.jobs.cluster.engine import RayEngine
    from pixperts.jobs.cluster.options import EngineOptions
    from pixperts.jobs.operations import Upscale
    from pixperts.jobs.run import run_folder

    options = EngineOptions(engine="ray", processes=workers)
    over = threading.Event()

    def most_held() -> int:
        node = ray.nodes()[0]
        address = (node["NodeManagerAddress"], node["NodeManagerPort"])
        most = 0
        while not over.wait(0.5):
            held = node_stats(*address, include_memory_info=False).store_stats
            most = max(most, int(held.object_store_bytes_used))
        return most

    with RayEngine(options), ThreadPoolExecutor(1) as eye:
        most = eye.submit(most_held)
        operation = Upscale(SizeRequest(scale=2))
        try:
            done = run_folder(
                photos, f"{out}/", operation, "moeisr-photo", device="cpu", engine=options
            )
        finally:
            over.set()
        Path(store).write_text(str(most.result()))
    if done.failed:
        raise SystemExit("a picture failed")


def measure(source: Path, many: int, side: int, workers: list[int]) -> tuple[float, float]:
    """Print the table; (processor seconds per megapixel of input, of a worker's start)."""
    print(
        f"{many} photos of {side} x {side} pixels, x2, moeisr-photo, a thread a worker, "
        f"Python {platform.python_version()}, {platform.machine()}, {_processors()} processors to "
        f"use, load before {os.getloadavg()[0]:.1f}\n"
    )
    print(
        "| engine | workers | photos | processor s | wall s | object store, KB "
        "| all processes, MB |\n|---|---|---|---|---|---|---|",
        flush=True,
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_photos(source, folder / "photos", many, side)
        make_photos(source, folder / "one", 1, side)
        found: dict[tuple[str, int, int], Measured] = {}
        megapixels = copy_largest(source, folder / "large")
        whole = local(folder / "large", folder / "large-out", 1).processor
        for engine, run in (("local", local), ("ray", on_ray)):
            for count, photos in ((1, "one"), *((count, "photos") for count in workers)):
                number = 1 if photos == "one" else many
                out = folder / f"{engine}-{photos}-{count}"
                run_ = found[engine, count, number] = run(folder / photos, out, count)
                store = "" if run_.store is None else f"{run_.store / 1e3:.0f}"
                print(
                    f"| {engine} | {count} | {number} | {run_.processor:.1f} | {run_.wall:.1f} | "
                    f"{store} | {run_.peak / 1e6:.0f} |",
                    flush=True,
                )
                if number > 1 and _tree(out) != _tree(folder / f"local-photos-{workers[0]}"):
                    raise SystemExit(f"{engine} with {count} workers made other results")
    start = found["local", 1, 1].processor
    each = (found["local", workers[0], many].processor - start) / (many - 1)
    over = {count: found["ray", count, many].processor - found["local", count, many].processor
            for count in workers}  # fmt: skip
    print(
        f"\nA photo takes {each:.3f} processor seconds, starting {start:.1f}. All results are "
        "equal. Beside the local engine Ray takes "
        + ", ".join(
            f"{more:.1f} s more with {count} worker{'s' * (count > 1)}"
            for count, more in over.items()
        )
        + f"; of that {found['ray', 1, 1].processor - start:.1f} s for the start."
    )
    per_megapixel = (whole - start) / megapixels
    print(
        f"A whole photo of {megapixels:.2f} megapixels takes {whole - start:.2f} s: "
        f"{per_megapixel:.2f} s a megapixel."
    )
    return per_megapixel, start


def _tree(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def _processors() -> int:
    return len(psutil.Process().cpu_affinity() or [])


def print_simulation(seconds: float, start: float) -> None:
    """The table of a million photos, with its assumptions."""
    given = Assumptions(seconds=seconds, start=start)
    print(
        f"\nSimulated, seed 1: {PICTURES:,} photos of {MEGAPIXELS:g} megapixels, {seconds:.1f} s "
        f"each with one thread, a standard deviation of {given.spread:.0%}; {start:.1f} s until a "
        f"worker has started; {given.slow:.0%} of the workers {given.slowdown:g} times as slow all "
        f"the time; {given.failing:.0%} die once, at any time, lose the picture in work and come "
        f"back after {given.replaced:g} s; {given.price:g} dollars an hour for a worker of one "
        "processor, paid until the last picture is done. Reading, writing and the scheduler cost "
        f"nothing and are no bottleneck. Ray: blocks of {ROWS} pictures from one queue. Shards: "
        f"{SHARDS} a worker, taken one after the other, with a start each.\n"
    )
    print(
        "| workers | without trouble, h | Ray, h | dollars | busy | repeated | shards, h "
        "| dollars |\n|---|---|---|---|---|---|---|---|"
    )
    parted = Assumptions(seconds=seconds, start=0.0, unit_start=start)
    for workers in FLEETS:
        ray = simulate(blocks(PICTURES, ROWS), workers, given, seed=1)
        apart = simulate(shards(PICTURES, SHARDS * workers, seed=1), workers, parted, seed=1)
        print(
            f"| {workers} | {ray.ideal:,.1f} | {ray.hours:,.1f} | {ray.cost:,.0f} "
            f"| {ray.busy:.0%} | {ray.repeated} | {apart.hours:,.1f} | {apart.cost:,.0f} |"
        )


def main() -> None:
    """Measure, then simulate."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("source", type=Path, nargs="?", default=EXAMPLES)
    parser.add_argument("--photos", type=int, default=200)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--workers", default="1,2")
    parser.add_argument("--simulate-only", type=float, nargs=2, metavar=("SECONDS", "START"))
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.inside:
        order: list[Any] = json.loads(args.inside)
        inside(*order)
        return
    if args.simulate_only:
        print_simulation(args.simulate_only[0] * MEGAPIXELS, args.simulate_only[1])
        return
    workers = [int(one) for one in args.workers.split(",")]
    each, start = measure(args.source, args.photos, args.side, workers)
    print_simulation(each * MEGAPIXELS, start)


if __name__ == "__main__":
    main()
