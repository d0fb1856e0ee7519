"""Ours and what else can be installed, on the same photos: dB, SSIM, seconds, memory.

    python benchmarks/peers.py PHOTOS [--scale 2 4] [--case clean jpeg75 soft75] [--pictures 8]
        [--method NAME ...] [--peer NAME] [--rounds 3] [--threads 1]
        [--markdown FILE] [--json FILE] [--kept FILE]
    python benchmarks/peers.py PHOTOS --repair [--case noise25 clean] ...

To enlarge, each photo of the folder is reduced by the factor with an antialiased bicubic kernel,
rounded to 8 bit, and spoiled as the case says: "clean" not at all, "jpegQ" by JPEG of quality Q
with 4:2:0 chroma, "softQ" the same for a photo that was first reduced by 1.6 and enlarged again, so
that it is soft at pixel level. Compared are the luma channels without a border of `scale` pixels
(protocol y-shave). With --repair the cases are tasks of `pixperts evaluate`, and all channels of
the whole picture count (protocol rgb). Results are rounded to 8 bit. Every method runs in a process
of its own; in each round the methods take turns on the same pictures. Printed: dB, its gain over
the first method and the lowest gain of any picture, SSIM, processor seconds (the fastest round) and
their ratio to those of the peer in the same round (median), and peak memory above that of the
loaded process, all per megapixel of output. Degradations are synthetic.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent))

from peer_methods import METHODS, SLOW, Method, Pixels
from peer_repairs import REPAIRS
from pixperts.data.restoration import degraded_or_clean
from pixperts.evaluation import metrics
from pixperts.evaluation.photo_cases import photo_pair
from pixperts.io.image import list_images, read_image
from pixperts.ops.pixels import from_float, to_float

Row = dict[str, Any]


def sigma_of(case: str) -> float:
    """Of the white noise of a task, on the scale of 8 bit; 0 for all other tasks.

    >>> sigma_of("noise25"), sigma_of("rain")
    (25.0, 0.0)
    """
    level = case.removeprefix("noise")
    return float(level) if level.isdecimal() else 0.0


def methods_of(args: argparse.Namespace) -> dict[str, Callable[[], Method]]:
    """By name; the first is what the others are compared with in quality."""
    return REPAIRS if args.repair else METHODS


def levels(image: Tensor) -> Pixels:
    """(3, H, W) in [0, 1] -> (H, W, 3) uint8."""
    return np.asarray(from_float(image.permute(1, 2, 0).numpy(), np.uint8), np.uint8)


def pair_of(
    args: argparse.Namespace, path: Path, number: int, scale: float, case: str
) -> tuple[Pixels, Tensor]:
    """What a method is given, (h, w, 3), and the photo that belongs to it, (3, H, W)."""
    if args.repair:
        photo = torch.from_numpy(to_float(read_image(path).pixels)).permute(2, 0, 1)[:3]
        return levels(degraded_or_clean(photo.contiguous(), case, number)), photo
    small, photo = photo_pair(path, scale, case)
    return levels(small), photo


def run_method(args: argparse.Namespace) -> Row:
    """One method in this process: scores and seconds by case."""
    torch.set_num_threads(args.threads)
    method = methods_of(args)[args.method[0]]()
    found: Row = {}
    memory = 0.0
    for scale in args.scale:
        for case in args.case:
            option = sigma_of(case) if args.repair else scale
            rows, seconds, area = [], 0.0, 0.0
            for number, path in enumerate(list_images(args.photos)[: args.pictures]):
                given, photo = pair_of(args, path, number, scale, case)
                if number == 0:
                    method(given[:64, :64].copy(), option)  # imports and the like
                    # Before anything is compared, which takes more memory than most methods.
                    base = reset_peak()
                    shape = method(given, option).shape  # also warms up
                    memory = max(memory, (peak() - base) / (shape[0] * shape[1] / 1e6))
                started = time.process_time()
                result = method(given, option)
                seconds += time.process_time() - started
                area += result.shape[0] * result.shape[1] / 1e6
                image = torch.from_numpy(result.copy()).permute(2, 0, 1).float() / 255
                pair = (image, photo, "rgb" if args.repair else "y-shave", scale)
                rows.append((min(100.0, metrics.psnr(*pair)), metrics.ssim(*pair)))
            name = case if args.repair else f"x{scale:g} {case}"
            found[name] = {"scores": rows, "seconds": seconds / area}
    return {"cases": found, "peak_mb": memory}


def reset_peak() -> float:
    """MB that this process holds; on Linux the peak is counted anew from here."""
    if (file := Path("/proc/self/clear_refs")).exists():
        file.write_text("5")
    return peak()


def peak() -> float:
    """Most MB that this process held: on Linux since `reset_peak`, elsewhere ever."""
    if (status := Path("/proc/self/status")).exists():
        line = next(x for x in status.read_text().splitlines() if x.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def available(methods: dict[str, Callable[[], Method]], name: str) -> bool:
    """Whether a method can be loaded here; why not goes to stderr."""
    try:
        methods[name]()
    except Exception as error:  # a wheel that is not installed, weights that are not packaged
        print(f"{name}: left out ({error})", file=sys.stderr)
        return False
    return True


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("photos", type=Path)
    parser.add_argument("--repair", action="store_true", help="repair, do not enlarge")
    parser.add_argument("--scale", type=float, nargs="+", default=[2.0])
    parser.add_argument("--case", nargs="+", help="default: clean jpeg75, or noise25")
    parser.add_argument("--pictures", type=int, default=8)
    parser.add_argument("--method", nargs="+")
    parser.add_argument("--peer", help="whose time the others' is divided by; the first by default")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--markdown", type=Path, help="also write the tables here")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--kept", type=Path, help="continue a run that was stopped from this file")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.scale = [1.0] if args.repair else args.scale
    args.case = args.case or (["noise25"] if args.repair else ["clean", "jpeg75"])
    slow = () if args.repair else SLOW
    args.method = args.method or [m for m in methods_of(args) if m not in slow]
    if unknown := set(args.method) - methods_of(args).keys():
        parser.error(
            f"no such method: {', '.join(unknown)}; there are {', '.join(methods_of(args))}"
        )
    return args


def arguments(args: argparse.Namespace, method: str) -> list[str]:
    """The command of one method in a process of its own."""
    words = [sys.executable, __file__, str(args.photos), "--one", "--method", method, "--case"]
    words += [*args.case, "--scale", *map(str, args.scale), "--pictures", str(args.pictures)]
    words += ["--rounds", str(args.rounds), "--threads", str(args.threads)]
    return words + ["--repair"] * args.repair


def main() -> None:
    """Run every method and print a table for each case."""
    args = parse()
    if args.one:
        print(json.dumps(run_method(args)))
        return
    known = methods_of(args)
    first = next(iter(known))
    methods = [first, *[m for m in args.method if m != first]]
    methods = [name for name in methods if available(known, name)]
    runs, loads = take_turns(args, methods)
    found = rows(runs, args.peer or methods[0])
    settings = {
        "photos": args.photos.name,
        "repair": args.repair,
        "pictures": len(list_images(args.photos)[: args.pictures]),
        "threads": args.threads,
        "rounds": args.rounds,
        "peer": args.peer or methods[0],
        "load": [min(loads), max(loads)],
    }
    text = "\n\n".join(tables(found, settings))
    print(text)
    if args.markdown:
        args.markdown.write_text(text + "\n", encoding="utf-8")
    if args.json:
        content = {"settings": settings, "rows": found}
        args.json.write_text(json.dumps(content, indent=1), encoding="utf-8")


def take_turns(
    args: argparse.Namespace, methods: Sequence[str]
) -> tuple[dict[str, list[Row]], list[float]]:
    """What each method gave in each round, and the loads; runs that are in `--kept` are taken."""
    options = [str(args.photos), args.repair, args.case, args.scale, args.pictures, args.threads]
    kept: Row = {"options": options, "runs": {}, "loads": []}
    if args.kept and args.kept.is_file():
        found = json.loads(args.kept.read_text())
        kept = found if found["options"] == options else kept
    for number in range(args.rounds):
        for name in methods:
            mine = kept["runs"].setdefault(name, [])
            if len(mine) <= number:
                kept["loads"].append(os.getloadavg()[0])
                command = arguments(args, name)
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                mine.append(json.loads(done.stdout.splitlines()[-1]))
                if args.kept:
                    args.kept.write_text(json.dumps(kept))
    return {name: kept["runs"][name][: args.rounds] for name in methods}, kept["loads"]


def rows(runs: dict[str, list[Row]], peer: str) -> list[Row]:
    """One row for each case and method; `runs` are the rounds of each method, the first of them
    that which the others are compared with.
    """
    found = []
    baseline = next(iter(runs.values()))[0]["cases"]
    for case, plain in baseline.items():
        for name, rounds in runs.items():
            scores = np.array(rounds[0]["cases"][case]["scores"])  # (pictures, 2)
            gain = scores[:, 0] - np.array(plain["scores"])[:, 0]
            seconds = [one["cases"][case]["seconds"] for one in rounds]
            beside = [one["cases"][case]["seconds"] for one in runs.get(peer, [])]
            ratios = [a / max(b, 1e-9) for a, b in zip(seconds, beside, strict=False)]
            row = {
                "case": case,
                "method": name,
                "psnr": scores[:, 0].mean(),
                "gain": gain.mean(),
                "lowest_gain": gain.min(),
                "ssim": scores[:, 1].mean(),
                "seconds": min(seconds),
                "ratio": statistics.median(ratios) if ratios else None,
                "memory": max(one["peak_mb"] for one in rounds),
            }
            found.append(row)
    return found


def tables(found: list[Row], settings: Row) -> list[str]:
    """A Markdown table for each case."""
    texts = []
    for case in dict.fromkeys(row["case"] for row in found):
        lines = [
            f"{case}, {settings['pictures']} pictures of {settings['photos']}, "
            f"{'rgb' if settings['repair'] else 'luma'}, {settings['threads']} thread(s), torch "
            f"{torch.__version__}, float32 unless named, {settings['rounds']} round(s), load "
            "of the machine {:.1f} to {:.1f}".format(*settings["load"]),
            "",
            f"| method | dB | gain | lowest gain | SSIM | core-s/MP | times {settings['peer']} "
            "| MB/MP |",
            "|---|---|---|---|---|---|---|---|",
        ]
        for row in found:
            if row["case"] == case:
                ratio = "-" if row["ratio"] is None else f"{row['ratio']:.2f}"
                lines.append(
                    f"| {row['method']} | {row['psnr']:.2f} | {row['gain']:+.2f} "
                    f"| {row['lowest_gain']:+.2f} | {row['ssim']:.4f} | {row['seconds']:.2f} "
                    f"| {ratio} | {row['memory']:.0f} |"
                )
        texts.append("\n".join(lines))
    return texts


if __name__ == "__main__":
    main()
