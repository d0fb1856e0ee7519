"""Measure everything that docs/results.md shows, draw its pictures and write it, in one go.

    python scripts/results.py --data BENCH_FOLDER [--out docs] [--sets Set5]
        [--auto-sets Set14,B100:25] [--only enlarging,photos,repairs,pinned,...] [--limit N]
        [--threads N] [--precision auto|float32|bfloat16]

BENCH_FOLDER holds the sets in the layout of `pixperts evaluate`, CBSD68 and CID22-val (photos), and
in real/ folders of photos with real damage. Measurements are kept in runs/results/ as they are
made: a run that was stopped continues where it was, and with --only the page is put together from
what is there. Other settings, weights or threads measure anew. Mixtures enlarge the pictures of
--sets at every budget, those of --auto-sets as their mapper decides; SET:N are its first N
pictures. `pip install '.[compare]'` brings BM3D and scikit-image; benchmarks/peer_methods.py and
peer_repairs.py tell how the others are installed, and what is not there is left out.
"""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

import torch

from pixperts.data.benchmarks import SuperResolutionSet
from pixperts.defaults import DEFAULT_MODEL, DEFAULT_REPAIR_MODEL
from pixperts.errors import PixpertsError, UsageError
from pixperts.inference.expert_maps import draw_table
from pixperts.io.atomic import replacing
from pixperts.io.image import write_image
from pixperts.memory import keep_freed_memory
from results_enhanced import MODELS as ENHANCING
from results_enhanced import enhancer_of, measure_enhanced
from results_measure import (
    Enlargements,
    FirstPictures,
    Part,
    Row,
    circumstances,
    measure_enlarging,
    measure_photos,
    models_that,
)
from results_page import PARTS, page
from results_page_repair import without_remark
from results_peers import measure_command, measure_peers
from results_pictures import MAP_SCALE, MAP_SIDE, REAL_SIDE, draw_enhanced, draw_maps, repair_real
from results_plots import panels_budgets, panels_enlarging, panels_repair
from results_repair import SEED, TASKS, measure_pinned, measure_repairs
from results_text import FIGURES, summaries
from scatter import scatter

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"
KEPT = ROOT / "runs" / "results"
MIXTURE = "moeisr-tiny"  # whose experts share a picture among them
OF_EXAMPLES = ("budgie", "osprey", "circuits", "colosseum")
OF_CID22 = ("792079",)  # a sharp insect before a blurred meadow
SPOILED = {"osprey": "phone", "colosseum": "rain", "budgie": "dark0.12_jpeg"}  # then enhanced
CASES = (
    "clean", "jpeg95", "jpeg85", "jpeg75", "jpeg60", "jpeg40", "soft", "soft85", "soft60",
)  # fmt: skip
PINNED = ("noise25", "jpeg", "grain_jpeg", "rain", "blur", "haze", "low_light", "clean")


def options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data" / "bench")
    parser.add_argument("--out", type=Path, default=ROOT / "docs")
    parser.add_argument("--kept", type=Path, default=KEPT, help="folder of the measurements")
    parser.add_argument("--only", default=",".join(PARTS), help="parts, with commas between")
    parser.add_argument("--sets", default="Set5", help="at all budgets; drawn is the first")
    parser.add_argument("--auto-sets", default="", help="without a budget only")
    parser.add_argument("--scales", default="1.5,2,2.5,3,3.5,4", help="of --sets")
    parser.add_argument("--models", default="", help="that enlarge clean pictures; all if unset")
    parser.add_argument("--auto-scales", default="2,3,4", help="of --auto-sets")
    parser.add_argument("--budgets", default="0,0.3,none,1", help="of the mixtures")
    parser.add_argument("--limit", type=int, help="only so many pictures of each set or folder")
    parser.add_argument("--photos", type=int, help="only so many of CID22-val")
    parser.add_argument("--pinned", type=int, default=20, help="photos where experts are pinned")
    parser.add_argument("--enhanced", type=int, default=6, help="photos of that part")
    parser.add_argument("--pictures", type=int, default=3, help="beside other programs")
    parser.add_argument("--rounds", type=int, default=2, help="beside other programs")
    parser.add_argument("--threads", type=int, help="of torch and the others")
    parser.add_argument("--precision", default="auto", help="where quality is measured")
    return parser.parse_args()


def measure(args: argparse.Namespace, name: str) -> None:
    """One part, saved as it goes."""

    def part(models: list[str], settings: Row) -> Part:
        fixed = circumstances(models, args.precision) | settings
        return Part(args.kept / f"{name}.json", fixed)

    def enlarging() -> None:
        budgets = [None if text == "none" else float(text) for text in args.budgets.split(",")]
        every = models_that("enlarge")
        models = args.models.split(",") if args.models else every
        wanted = [
            Enlargements(open_set(args.data, text, args.limit), scales, models, given)
            for names, scales, given in (
                (args.sets, numbers(args.scales), budgets),
                (args.auto_sets, numbers(args.auto_scales), [None]),
            )
            for text in filter(None, names.split(","))
        ]
        drawn = [one.data.name for one in wanted]
        measure_enlarging(part(every, {"sets": drawn[:1], "limit": args.limit}), wanted)

    def photos() -> None:
        models = ["moeisr-light", "moeisr-photo"]
        own = part(models, {"set": "CID22-val"})
        ways, count = ["Lanczos", *models], args.photos or args.limit
        measure_photos(own, args.data / "CID22-val", [2.0, 4.0], list(CASES), ways, count)

    def repairs() -> None:
        settings = {"model": DEFAULT_REPAIR_MODEL, "seed": SEED}
        own = part([DEFAULT_REPAIR_MODEL], settings)
        count = args.photos or args.limit
        counts = {"CBSD68": count, "CID22-val": count}
        measure_repairs(own, DEFAULT_REPAIR_MODEL, args.data, counts)

    def pinned() -> None:
        count = min(args.pinned, args.limit or args.pinned)
        settings = {"model": DEFAULT_REPAIR_MODEL, "seed": SEED, "set": "CID22-val"}
        own = part([DEFAULT_REPAIR_MODEL], settings)
        measure_pinned(own, DEFAULT_REPAIR_MODEL, args.data / "CID22-val", PINNED, count)

    def enhanced() -> None:
        own = part(list(dict.fromkeys(ENHANCING)), {"set": "CID22-val"})
        count = min(args.enhanced, args.limit or args.enhanced)
        examples = {EXAMPLES / f"{stem}.jpg": case for stem, case in SPOILED.items()}
        figures = args.out / FIGURES
        draw_enhanced(own, enhancer_of(own), examples, args.data / "real", figures)
        measure_enhanced(own, args.data / "CID22-val", count)

    def peers() -> None:
        models = models_that("enlarge") + models_that("repair")
        count = min(args.pictures, args.limit or args.pictures)
        own = part(models, {"pictures": count, "rounds": args.rounds})
        measure_peers(own, args.data, count, args.rounds)

    def command() -> None:
        own = part([DEFAULT_MODEL], {"photo": "colosseum.jpg", "size": [480, 360]})
        measure_command(own, EXAMPLES / "colosseum.jpg", (480, 360))

    def maps() -> None:
        settings = {"model": MIXTURE, "side": MAP_SIDE, "scale": MAP_SCALE}
        photos = [EXAMPLES / f"{stem}.jpg" for stem in OF_EXAMPLES]
        photos += [args.data / "CID22-val" / f"{stem}.webp" for stem in OF_CID22]
        own = part([MIXTURE], settings)
        draw_maps(own, MIXTURE, photos[: args.limit], args.out / FIGURES)

    def real() -> None:
        own = part([DEFAULT_REPAIR_MODEL], {"model": DEFAULT_REPAIR_MODEL, "side": REAL_SIDE})
        figures, private = args.out / FIGURES, args.kept / "real"
        repair_real(own, DEFAULT_REPAIR_MODEL, args.data / "real", args.limit, figures, private)

    measured: dict[str, Callable[[], None]] = {
        "enlarging": enlarging,
        "photos": photos,
        "repairs": repairs,
        "pinned": pinned,
        "enhanced": enhanced,
        "peers": peers,
        "command": command,
        "maps": maps,
        "real": real,
    }
    measured[name]()


def numbers(text: str) -> list[float]:
    """With commas between."""
    return [float(part) for part in text.split(",")]


def open_set(data: Path, text: str, limit: int | None) -> SuperResolutionSet:
    """NAME, or the first pictures of it by NAME:COUNT."""
    folder, _, count = text.partition(":")
    most = [number for number in (limit, int(count) if count else None) if number is not None]
    return FirstPictures.of(SuperResolutionSet.open(data / folder), min(most, default=None))


def assemble(out: Path, kept: Path) -> None:
    """Write the page and its drawings from the parts that are there."""
    parts: dict[str, Row] = {
        name: json.loads((kept / f"{name}.json").read_text())
        for name in PARTS
        if (kept / f"{name}.json").is_file()
    }
    figures = out / FIGURES
    figures.mkdir(parents=True, exist_ok=True)
    drawn = {
        "speed": panels_enlarging(parts["peers"]) if "peers" in parts else [],
        "repair": panels_repair(parts["peers"]) if "peers" in parts else [],
        "budgets": panels_budgets(parts["enlarging"]) if "enlarging" in parts else [],
    }
    for stem, panels in drawn.items():
        if panels:
            write_text(figures / f"{stem}.svg", scatter(panels, 3))
    if "repairs" in parts:
        rows = {r["task"]: r for r in summaries(parts["repairs"], set="CID22-val")}
        if tasks := [task for task in TASKS if task in rows]:
            table = draw_table(tasks, [rows[task]["experts"] for task in tasks])
            write_image(figures / "experts.png", table)
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
