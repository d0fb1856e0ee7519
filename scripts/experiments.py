"""Settle open choices of both mixtures by small trainings of equal length; for LAB.md.

    python scripts/experiments.py moeisr --photos FOLDER [FOLDER ...] --data BENCH_FOLDER
    python scripts/experiments.py moce --photos FOLDER [FOLDER ...] --data BENCH_FOLDER
    python scripts/experiments.py light --photos FOLDER [FOLDER ...] --data BENCH_FOLDER
        [--seeds 3] [--only NAME ...] [--threads 1]

Every variant of experiments_list.py is trained by the package's own engine with each seed (of
weights, data and noise alike) and measured through the package's own evaluation: moeisr on Set5
at x2 and x4, as the mapper decides and at a budget of 0.5; moce, and light, a small moce-ir-light,
on the first 12 photos of CID22-val, reduced to half, with synthetic degradations. Measurements are
kept in runs/experiments/: a run that was stopped continues, seed by seed, and the table holds what
is there.

The table gives each variant's difference from the base of the same seed, mean over seeds. The
noise is the standard deviation of such differences between seeds, pooled over all variants; a
difference is marked where it is more than twice that of its mean; after one seed none is. Small
networks and few steps: it says what helps early, not what helps in the end.
"""

import argparse
import math
import multiprocessing
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from experiments_list import (
    LIGHT,
    LIGHT_TASKS,
    LIGHT_VARIANTS,
    MOCE,
    MOCE_VARIANTS,
    MOEISR,
    MOEISR_VARIANTS,
    SAMPLES,
    Fields,
    Variant,
)
from pixperts.data.benchmarks import SuperResolutionSet
from pixperts.evaluation.restoration import RestorationSet, evaluate_restoration
from pixperts.evaluation.upscaling import evaluate_upscaling
from pixperts.inference.restorer import Restorer
from pixperts.inference.upscaler import Upscaler
from pixperts.io.image import list_images, read_image, write_image
from pixperts.models.presets import create_model
from pixperts.ops.pixels import to_float
from pixperts.ops.resize import bicubic, quantize
from pixperts.training.config import TrainConfig
from pixperts.training.run import train
from pixperts.weights import store
from results_measure import Part, Row

KEPT = Path(__file__).resolve().parents[1] / "runs" / "experiments"
SCALES = (2, 4)
BUDGET = 0.5
PHOTOS = 12


def fields_of(base: Fields, changes: Fields, **more: Any) -> Fields:
    """The base with changes; those of the model's options are merged one by one."""
    options = {**base["model_options"], **changes.get("model_options", {})}
    return {**base, **changes, **more, "model_options": options}


def trained(base: Fields, variant: Variant, seed: int, folder: Path, common: Fields) -> Path:
    """Train a variant's stages one after the other; the weights that come out."""
    shutil.rmtree(folder, ignore_errors=True)
    init: Path | None = None
    for number, changes in enumerate(variant.stages):
        fields = fields_of(base, changes, **common, seed=seed)
        fields["check_every"] = fields["max_steps"]
        torch.manual_seed(seed)
        network = create_model(fields["model"], **fields["model_options"])
        if number == 0 and variant.prepare is not None:
            variant.prepare(network)
        if init is None:  # so that the weights, too, are of this seed
            init = folder / "start.safetensors"
            folder.mkdir(parents=True)
            store.save(init, network, store.Card(fields["model"], {}))
        config = TrainConfig.from_dict({**fields, "init": str(init)}, "experiment")
        init = train(config, folder / str(number))
    assert init is not None
    return init


def measure_upscaling(weights: Path, data: Path) -> Row:
    """PSNR and cost as the mapper decides, and PSNR at a budget; means over scales."""
    upscaler = Upscaler.load(str(weights), device="cpu")
    pictures = SuperResolutionSet.open(data / "Set5")
    row: Row = {}
    for name, budget in (("auto", None), ("budget", BUDGET)):
        if budget is not None and not upscaler.takes_budget:  # a single expert has no choice
            continue
        scores = evaluate_upscaling(upscaler, pictures, SCALES, budget=budget)
        row[name] = sum(score.psnr for score in scores) / len(scores)
        costs = [1.0 if score.mean_cost is None else score.mean_cost for score in scores]
        row[f"{name}_cost"] = sum(costs) / len(costs)
        row[f"{name}_shares"] = [score.shares for score in scores]
    return row


def information(table: Sequence[Sequence[float]]) -> float:
    """Bits that the expert tells of the task: their mutual information, tasks equally likely.

    Args:
        table: (T, J) share of each task's pictures that chose each expert.

    Example:
        >>> information([[1.0, 0.0], [0.0, 1.0]]), information([[0.5, 0.5], [0.5, 0.5]])
        (1.0, 0.0)
    """
    mean = [sum(column) / len(table) for column in zip(*table, strict=True)]
    bits = 0.0
    for shares in table:
        for share, overall in zip(shares, mean, strict=True):
            bits += share * math.log2(share / overall) / len(table) if share else 0.0
    return bits


def measure_restoration(weights: Path, photos: Path, tasks: Sequence[str]) -> Row:
    """PSNR by task, the table of experts by task, and the bits by which they tell."""
    restorer = Restorer.load(str(weights), device="cpu")
    sets = [RestorationSet.synthetic(photos, task) for task in tasks]
    scores = evaluate_restoration(restorer, sets)
    blocks = [[score.experts[place] for score in scores] for place in range(len(scores[0].experts))]
    psnr = {score.task: score.psnr for score in scores}
    return {
        "psnr": psnr,
        "mean": sum(psnr.values()) / len(psnr),
        "experts": blocks,  # block, task, expert
        "bits": [information(table) for table in blocks],
        "skipped": sum(score.skipped for score in scores) / len(scores),
    }


def reduced(source: Path, folder: Path) -> Path:
    """The first photos of a folder at half their size."""
    for path in list_images(source)[:PHOTOS]:
        target = folder / f"{path.stem}.png"
        if not target.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            pixels = torch.from_numpy(to_float(read_image(path).pixels)).permute(2, 0, 1)
            half = quantize(bicubic(pixels, (pixels.shape[1] // 2, pixels.shape[2] // 2)))
            write_image(target, (half * 255).round().byte().permute(1, 2, 0).numpy())
    return folder


def table(part: Part, names: Sequence[str], seeds: int, columns: Mapping[str, Any]) -> str:
    """Differences from the base of the same seed, in Markdown.

    `columns` take a row apart; a KeyError says that the row has no such figure: its cell stays
    empty.
    """
    base = names[0]
    differences: dict[str, dict[str, list[float]]] = {}
    pooled = dict.fromkeys(columns, 0.0)
    degrees = dict.fromkeys(columns, 0)
    for name in names[1:]:
        both = [
            (part.rows[f"{name}, seed {seed}"], part.rows[f"{base}, seed {seed}"])
            for seed in range(seeds)
            if f"{name}, seed {seed}" in part.rows and f"{base}, seed {seed}" in part.rows
        ]
        differences[name] = {}
        for column, get in columns.items():
            try:
                values = [get(a) - get(b) for a, b in both]
            except KeyError:
                values = []
            differences[name][column] = values
            mean = sum(values) / max(1, len(values))
            pooled[column] += sum((value - mean) ** 2 for value in values)
            degrees[column] += max(0, len(values) - 1)
    noise = {column: math.sqrt(pooled[column] / max(1, degrees[column])) for column in columns}
    lines = [f"| variant | seeds | {' | '.join(columns)} |", "|---" * (len(columns) + 2) + "|"]
    rows = [part.rows[key] for s in range(seeds) if (key := f"{base}, seed {s}") in part.rows]
    cells = [f"{sum(map(get, rows)) / len(rows):.3f}" for get in columns.values()]
    lines.append(f"| {base} | {len(rows)} | {' | '.join(cells)} |")
    for name, by_column in differences.items():
        count = max(map(len, by_column.values()))
        if not count:
            continue
        cells = []
        for column, values in by_column.items():
            if not values:
                cells.append("")
                continue
            mean = sum(values) / count
            sure = degrees[column] > 0 and abs(mean) > 2 * noise[column] / math.sqrt(count)
            cells.append(f"**{mean:+.3f}**" if sure else f"{mean:+.3f}")
        lines.append(f"| {name} | {count} | {' | '.join(cells)} |")
    spread = [f"{noise[column]:.3f}" if degrees[column] else "unknown" for column in columns]
    lines.append(f"| noise of one difference | | {' | '.join(spread)} |")
    return "\n".join(lines)


def family_of(name: str) -> tuple[Fields, Mapping[str, Variant]]:
    """The base and the variants of moeisr, moce or light."""
    if name == "moeisr":
        return MOEISR, MOEISR_VARIANTS
    return (LIGHT, LIGHT_VARIANTS) if name == "light" else (MOCE, MOCE_VARIANTS)


def tasks_of(name: str) -> list[str]:
    """On which a family of repairs is measured."""
    return list(LIGHT_TASKS if name == "light" else MOCE["tasks"])


@dataclass(frozen=True)
class Job:
    """One training and its measurement."""

    family: str  # moeisr, moce or light
    variant: str
    seed: int
    photos: tuple[str, ...]  # folders of training photos
    data: Path  # pictures to measure on
    threads: int

    def done(self) -> Row:
        """Train and measure in a process of its own, which takes its memory with it."""
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            return pool.submit(self.row).result()

    def row(self) -> Row:
        """Train and measure here."""
        torch.set_num_threads(self.threads)
        base, variants = family_of(self.family)
        common = {"photos": list(self.photos), "exclude": SAMPLES}
        folder = KEPT / "run" / self.family
        weights = trained(base, variants[self.variant], self.seed, folder, common)
        if self.family == "moeisr":
            return measure_upscaling(weights, self.data)
        return measure_restoration(weights, self.data, tasks_of(self.family))


def main() -> None:
    """Train, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("family", choices=("moeisr", "moce", "light"))
    parser.add_argument("--photos", nargs="+", required=True, help="folders of training photos")
    parser.add_argument("--data", type=Path, required=True, help="Set5, CID22-val within")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="*", help="variants; the base always")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    base, variants = family_of(args.family)
    part = Part(KEPT / f"{args.family}.json", {"base": base, "photos": PHOTOS, "budget": BUDGET})
    names = [n for place, n in enumerate(variants) if not (place and args.only) or n in args.only]
    data = args.data
    get: dict[str, Callable[[Row], float]]
    if args.family == "moeisr":
        get = {
            "dB": lambda row: row["auto"],
            "cost": lambda row: row["auto_cost"],
            f"dB at budget {BUDGET}": lambda row: row["budget"],
        }
    else:
        data = reduced(data / "CID22-val", KEPT / "photos")
        get = {"dB": lambda row: row["mean"]}
        tasks = tasks_of(args.family)
        get |= {task: lambda row, task=task: row["psnr"][task] for task in tasks}  # type: ignore[misc]
        blocks = 4 if args.family == "light" else 3
        get |= {f"bits, block {n}": lambda row, n=n: row["bits"][n] for n in range(blocks)}  # type: ignore[misc]
    for seed in range(args.seeds):
        for name in names:
            job = Job(args.family, name, seed, tuple(args.photos), data, args.threads)
            part.row(f"{name}, seed {seed}", job.done, {"variant": name, "seed": seed})
        print(table(part, names, args.seeds, get), flush=True)
    part.finish()


if __name__ == "__main__":
    main()
