"""Measure everything that docs/results.md shows, draw its pictures and write it, in one go.

    python scripts/results.py --data BENCH_FOLDER [--out docs] [--sets Set5]
        [--auto-sets Set14,B100] [--only enlarging,denoising,experts,maps,real] [--limit N]
        [--threads N]

BENCH_FOLDER holds the sets in the layout of `pixperts evaluate`, CBSD68 and CID22-val (photos), and
in real/ folders of photos with real damage. Measurements are kept in runs/results/ as they are
made: a run that was stopped continues where it was, and with --only the page is put together from
what is there. Other settings, weights or threads measure anew. Mixtures enlarge the pictures of
--sets at every budget, those of --auto-sets as their mapper decides. `pip install '.[compare]'`
brings the methods that denoising is compared with.
"""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

import torch

from pixperts.data.benchmarks import SuperResolutionSet
from pixperts.defaults import DEFAULT_MODEL
from pixperts.errors import PixpertsError, UsageError
from pixperts.inference.expert_maps import draw_table
from pixperts.io.atomic import replacing
from pixperts.io.image import write_image
from pixperts.memory import keep_freed_memory
from results_measure import (
    DISTANCE,
    PATCH,
    SEED,
    STRENGTH,
    TASKS,
    TIMED,
    FirstPictures,
    Part,
    Row,
    circumstances,
    measure_denoising,
    measure_enlarging,
    measure_experts,
    models_that,
)
from results_page import (
    FIGURES,
    PARTS,
    page,
    panels_denoising,
    panels_enlarging,
    without_remark,
)
from results_pictures import MAP_SCALE, MAP_SIDE, REAL_SIDE, draw_maps, repair_real
from scatter import scatter

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"
KEPT = ROOT / "runs" / "results"
REPAIRER = "moce-ir-tiny"
OF_EXAMPLES = ("budgie", "osprey", "circuits", "colosseum")
OF_CID22 = ("792079",)  # a sharp insect before a blurred meadow


def options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data" / "bench")
    parser.add_argument("--out", type=Path, default=ROOT / "docs")
    parser.add_argument("--kept", type=Path, default=KEPT, help="folder of the measurements")
    parser.add_argument("--only", default=",".join(PARTS), help="parts, with commas between")
    parser.add_argument("--sets", default="Set5", help="at all budgets; drawn is the first")
    parser.add_argument("--auto-sets", default="", help="without a budget only")
    parser.add_argument("--scales", default="2,3,4")
    parser.add_argument("--budgets", default="0,0.1,0.3,none,0.5,1", help="of the mixtures")
    parser.add_argument("--limit", type=int, help="only so many pictures of each set or folder")
    parser.add_argument("--photos", type=int, default=10, help="a task, for the table of experts")
    parser.add_argument("--timed", type=Path, default=EXAMPLES / "colosseum.jpg")
    parser.add_argument("--repeats", type=int, default=3, help="of the timed enlargement")
    parser.add_argument("--threads", type=int, help="of torch and BM3D")
    return parser.parse_args()


def measure(args: argparse.Namespace, name: str) -> None:
    """One part, saved as it goes."""

    def part(models: list[str], settings: Row) -> Part:
        return Part(
            args.kept / f"{name}.json", circumstances(models) | settings | {"limit": args.limit}
        )

    def enlarging() -> None:
        scales = [int(scale) for scale in args.scales.split(",")]
        budgets = [None if text == "none" else float(text) for text in args.budgets.split(",")]
        sets, auto_sets = (
            [
                FirstPictures.of(SuperResolutionSet.open(args.data / folder), args.limit)
                for folder in filter(None, text.split(","))
            ]
            for text in (args.sets, args.auto_sets)
        )
        settings = {
            "sets": [data.name for data in sets],
            "scales": scales,
            "timed": args.timed.name,
            "timed_size": TIMED,
            "repeats": args.repeats,
        }
        own = part(models_that("enlarge"), settings)
        measure_enlarging(own, sets, auto_sets, scales, budgets, args.timed, args.repeats)

    def denoising() -> None:
        means = f"patch_size={PATCH}, patch_distance={DISTANCE}, h={STRENGTH} sigma"
        settings = {"set": "CBSD68", "seed": SEED, "non_local_means": means}
        own = part(models_that("repair"), settings)
        measure_denoising(own, args.data / "CBSD68", args.limit)

    def experts() -> None:
        photos = min(args.photos, args.limit or args.photos)
        settings = {"model": REPAIRER, "set": "CID22-val", "seed": SEED, "photos": photos}
        measure_experts(part([REPAIRER], settings), REPAIRER, args.data / "CID22-val", photos)

    def maps() -> None:
        settings = {"model": DEFAULT_MODEL, "side": MAP_SIDE, "scale": MAP_SCALE}
        photos = [EXAMPLES / f"{stem}.jpg" for stem in OF_EXAMPLES]
        photos += [args.data / "CID22-val" / f"{stem}.webp" for stem in OF_CID22]
        own = part([DEFAULT_MODEL], settings)
        draw_maps(own, DEFAULT_MODEL, photos[: args.limit], args.out / FIGURES)

    def real() -> None:
        own = part([REPAIRER], {"model": REPAIRER, "side": REAL_SIDE})
        figures, private = args.out / FIGURES, args.kept / "real"
        repair_real(own, REPAIRER, args.data / "real", args.limit, figures, private)

    measured: dict[str, Callable[[], None]] = {
        "enlarging": enlarging,
        "denoising": denoising,
        "experts": experts,
        "maps": maps,
        "real": real,
    }
    measured[name]()


def assemble(out: Path, kept: Path) -> None:
    """Write the page and its drawings from the parts that are there."""
    parts: dict[str, Row] = {
        name: json.loads((kept / f"{name}.json").read_text())
        for name in PARTS
        if (kept / f"{name}.json").is_file()
    }
    figures = out / FIGURES
    figures.mkdir(parents=True, exist_ok=True)
    if "enlarging" in parts:
        panels = panels_enlarging(parts["enlarging"])
        columns = len(parts["enlarging"]["settings"]["scales"])
        if panels:
            write_text(figures / "upscaling.svg", scatter(panels, columns))
    if "denoising" in parts and (panels := panels_denoising(parts["denoising"])):
        write_text(figures / "denoising.svg", scatter(panels, len(panels)))
    if "experts" in parts and (rows := parts["experts"]["rows"]):
        tasks = [task for task in TASKS if task in rows]
        write_image(figures / "experts.png", draw_table(tasks, [rows[t]["experts"] for t in tasks]))
    write_text(out / "results.md", page(parts))
    if "real" in parts and (names := without_remark(parts["real"])):
        print("without a remark (scripts/remarks.py):", ", ".join(names))
    total = sum(file.stat().st_size for file in figures.iterdir())
    print(f"{out / 'results.md'}; pictures {total / 1e6:.2f} MB")


def write_text(path: Path, text: str) -> None:
    """Whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text)


def main() -> None:
    """Measure the chosen parts, then put the page together."""
    args = options()
    chosen = args.only.split(",")
    if unknown := sorted(set(chosen) - PARTS.keys()):
        raise UsageError(f"--only names {unknown[0]!r}: the parts are {', '.join(PARTS)}.")
    if args.threads:
        torch.set_num_threads(args.threads)
    keep_freed_memory()  # as the command line does; the seconds are its own
    for name in PARTS:
        if name in chosen:
            measure(args, name)
    assemble(args.out, args.kept)


if __name__ == "__main__":
    try:
        main()
    except PixpertsError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
