"""Does reading keep up? Samples a second of the loader, beside what the networks take.

    python benchmarks/data_loading.py FOLDER... [--photos 60] [--crop 256] [--seconds 5]

The photos are read from their folder, packed (JPEG files as they are), packed without loss (PNG)
and packed in tiles of `--crop` (PNG; JPEG at quality 95), each with one worker process and with
two, with nothing decoded kept ("cold": every sample decodes its photo) and with all kept ("kept").
Photos are drawn at random, so that a set much larger than the memory comes near "cold". As other
work on the machine slows the clock but not the count of processor time, that of a sample and of a
network's step is shown as well: their ratio is the share of a core that loading takes.
"""

import argparse
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from pixperts.data.options import PackOptions
from pixperts.data.packing import pack_photos
from pixperts.data.photos import PhotoSource, load_photos
from pixperts.data.restoration import SyntheticPairs
from pixperts.data.super_resolution import ArbitraryScale
from pixperts.io.image import list_images
from pixperts.memory import keep_freed_memory
from pixperts.models.moce_ir.model import MoCEIR
from pixperts.models.moeisr.model import MoEISR
from pixperts.models.presets import create_model

ENLARGE = {"patch": 32, "batch": 16, "queries": 1024}  # as configs/moeisr_tiny.yaml
REPAIR = {"patch": 96, "batch": 8}  # as configs/moce_ir_tiny_aio5.yaml
TASKS = {"noise25": 1.0, "rain": 1.0, "haze": 1.0, "low_light": 1.0, "blur": 1.0}


class Endless(Sampler[int]):
    """0, 1, 2, ... as a training counts its samples."""

    def __iter__(self) -> Iterator[int]:
        return iter(range(1 << 40))


def sources(folders: Sequence[Path], count: int, crop: int, work: Path) -> dict[str, Path]:
    """The folder of the chosen photos, and its packs."""
    chosen = work / "photos"
    chosen.mkdir()
    for number, folder in enumerate(folders):
        found = list_images(folder, recursive=True)
        step = max(1, len(found) * len(folders) // count)
        for path in found[::step][: -(-count // len(folders))]:
            shutil.copy(path, chosen / f"{number}-{path.name}")
    packs = {
        "packed": PackOptions(),
        "packed, PNG": PackOptions(format="png"),
        f"packed, tiles of {crop}, PNG": PackOptions(crop=crop, format="png"),
        f"packed, tiles of {crop}, JPEG": PackOptions(crop=crop, format="jpeg"),
    }
    made = {"folder": chosen}
    for place, (name, options) in enumerate(packs.items()):
        started = time.perf_counter()
        index = pack_photos([chosen], work / f"pack-{place}", options).index
        seconds = time.perf_counter() - started
        size = sum(shard["bytes"] for shard in index.shards) / 1e6
        print(
            f"{name}: {index.samples} pictures, {index.megapixels:.1f} megapixels, {size:.1f} MB, "
            f"packed in {seconds:.1f} s"
        )
        made[name] = work / f"pack-{place}"
    return made


def samples_of(kind: str, photos: PhotoSource) -> Dataset[Any]:
    data: Dataset[Any]
    if kind == "enlarge":
        data = ArbitraryScale(photos, patch=ENLARGE["patch"], queries=ENLARGE["queries"])
    else:
        data = SyntheticPairs(photos, tasks=TASKS, patch=REPAIR["patch"])
    return data


def rate(batches: Iterable[Any], batch: int, seconds: float, warm: int) -> float:
    """Samples a second, after so many batches that do not count."""
    iterator = iter(batches)
    for _ in range(warm):
        next(iterator)
    done, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        next(iterator)
        done += batch
    return done / (time.perf_counter() - started)


def loading_rate(kind: str, path: Path, workers: int, kept: bool, seconds: float) -> float:
    photos = load_photos([path], limit=None if kept else 0)
    batch = ENLARGE["batch"] if kind == "enlarge" else REPAIR["batch"]
    loader = DataLoader(
        samples_of(kind, photos),
        batch_size=batch,
        sampler=Endless(),
        num_workers=workers,
        multiprocessing_context="fork",
    )
    # Until most photos have been drawn once in each process.
    warm = 2 * workers + (3 * len(photos) * workers // batch if kept else 2)
    return rate(loader, batch, seconds, warm)


def loading_cost(kind: str, path: Path, kept: bool, seconds: float) -> float:
    """Processor time of a sample in milliseconds, without worker processes."""
    photos = load_photos([path], limit=None if kept else 0)
    data: Any = samples_of(kind, photos)
    if kept:
        for place in range(len(photos)):
            _ = photos[place]
    started, number = time.process_time(), 0
    while time.process_time() - started < seconds:
        _ = data[number]
        number += 1
    return 1000 * (time.process_time() - started) / number


def steps(kind: str, photos: PhotoSource) -> Iterator[None]:
    """Training steps on one batch that is there already: forward, L1, backward, Adam."""
    model = create_model("moeisr-tiny" if kind == "enlarge" else "moce-ir-tiny").train()
    optimizer = torch.optim.Adam(model.parameters(), 1e-4)
    batch = ENLARGE["batch"] if kind == "enlarge" else REPAIR["batch"]
    data: Any = DataLoader(samples_of(kind, photos), batch_size=batch, sampler=Endless())
    sample = next(iter(data))
    while True:
        if isinstance(model, MoEISR):
            features = model.encode(sample.lr)
            colors, logits = model.query(sample.lr, sample.positions, sample.size, features)
            assert logits is not None
            mixed = (logits.softmax(-1)[..., None] * colors).sum(2)
            loss = (mixed - sample.target).abs().mean()
        else:
            assert isinstance(model, MoCEIR)
            loss = (model(sample.degraded).image - sample.clean).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        yield


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--photos", type=int, default=60, help="how many are taken, spread evenly")
    parser.add_argument("--crop", type=int, default=256)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    parser.add_argument("--workers", default="1,2")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    print(
        f"{options.photos} photos, {options.seconds:g} s a measurement after a warm-up; networks "
        f"with {options.threads} threads, batches {ENLARGE['batch']} of {ENLARGE['patch']} pixels "
        f"(moeisr-tiny) and {REPAIR['batch']} of {REPAIR['patch']} (moce-ir-tiny), nothing loaded "
        "meanwhile"
    )
    with tempfile.TemporaryDirectory() as work:
        found = sources(options.folders, options.photos, options.crop, Path(work))
        workers = [int(number) for number in options.workers.split(",")]
        for kind, model in (("enlarge", "moeisr-tiny"), ("repair", "moce-ir-tiny")):
            batch = ENLARGE["batch"] if kind == "enlarge" else REPAIR["batch"]
            print(f"\n{model}, samples a second")
            for name, path in found.items():
                costs = [
                    f"{word} {loading_cost(kind, path, word == 'kept', options.seconds / 2):.1f}"
                    for word in ("cold", "kept")
                ]
                values = [
                    f"{number} worker{'s' * (number > 1)} {word} "
                    f"{loading_rate(kind, path, number, word == 'kept', options.seconds):.0f}"
                    for number in workers
                    for word in ("cold", "kept")
                ]
                print(f"  {name:30} {', '.join(values)}; CPU ms {', '.join(costs)}")
            stepping = steps(kind, load_photos([found["folder"]]))
            next(stepping)
            spent, counted = time.process_time(), 0
            started = time.perf_counter()
            while counted < 2 or time.perf_counter() - started < options.seconds:
                next(stepping)
                counted += 1
            taken = counted * batch / (time.perf_counter() - started)
            cost = 1000 * (time.process_time() - spent) / (counted * batch)
            print(
                f"  {'what the network takes':30} {taken:.1f} ({taken / batch:.2f} steps a "
                f"second); CPU ms {cost:.1f}"
            )


if __name__ == "__main__":
    main()
