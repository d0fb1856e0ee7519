"""Train the weights that are packaged: here, or on a borrowed machine.

    python scripts/weights.py make NAME RUN --bench BENCH_FOLDER [--minutes 55]

NAME is a recipe of several stages in configs/weights/. `make` does all there is to do from nothing:
it fills the cache of training patches, where the recipe names one (scripts/cache_patches.py, beside
the training and at a lower priority), trains stage after stage, measures, and packages what is
better than what is there. After `--minutes` it stops with exit code 3; the same command continues,
also after a kill:

    until python scripts/weights.py make moeisr_light runs/light --bench BENCH; do sleep 1; done

On a borrowed machine, for the other files of configs/weights/:

    python scripts/weights.py pack CARRY --photos FOLDER [FOLDER ...] --bench BENCH_FOLDER
        [--wheels 3.12]
    python scripts/weights.py train NAME CARRY RUN --minutes 9 [--total 27]
    python scripts/weights.py finish NAME RUN --bench BENCH_FOLDER [--force]

`pack` puts photos (shards of at most 48 MB,
so that they can be carried in several trips), validation pictures and, for a machine without a
package registry, wheels of what is not part of a usual PyTorch installation into one folder.

`train` needs nothing but that folder and this repository; missing packages come from the wheels.
The first call measures how fast steps are and fits the schedule to `--total` minutes in all; each
call trains for `--minutes` at most and writes RUN, from which the next one continues, on this
machine or another.

`finish` measures the packaged weights and the new ones on the same pictures in one go, prints both
and packages the new ones if they are better on average (`--force`: in any case). Figures go to
RUN/figures.md, for the card in docs/models/.
"""

import argparse
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pixperts.training.stages import CacheRecipe

    Process = subprocess.Popen[bytes]

ROOT = Path(__file__).resolve().parents[1]
WHEELS = ("pyvips", "pyvips-binary", "cffi", "pycparser")
SHARD = 48_000_000
VALIDATION_PHOTOS = 8
TRIAL = (10, 40)  # steps of the two runs whose difference tells the speed
FIRST_CHUNKS = 48  # of a cache, with which a training begins while the others are being made
CONTINUES = 3  # exit code where the time was over
MARGIN = 0.93  # of the time is planned for steps; validation and checkpoints take the rest


def pack(args: argparse.Namespace) -> None:
    """Everything a training needs, in one folder."""
    import yaml

    from pixperts.data.options import PackOptions
    from pixperts.data.packing import pack_photos
    from pixperts.io.image import list_images

    exclude = yaml.safe_load((ROOT / "configs" / "moce_ir_tiny_aio5.yaml").read_text())["exclude"]
    packed = pack_photos(
        args.photos, args.carry / "photos", PackOptions(shard_size=SHARD), exclude=exclude
    )
    print(packed)
    chosen = list_images(args.bench / "CID22-val")[:VALIDATION_PHOTOS]
    (args.carry / "CID22-val").mkdir(parents=True)
    for photo in chosen:
        shutil.copy(photo, args.carry / "CID22-val")
    shutil.copytree(args.bench / "Set5", args.carry / "Set5")
    if args.wheels:
        line = ["download", "--no-deps", "--only-binary=:all:", "--python-version", args.wheels]
        pip(*line, "-d", str(args.carry / "wheels"), *WHEELS)
    for path in sorted(args.carry.rglob("*")):
        if path.is_file() and path.stat().st_size > 1_000_000:
            print(f"{path.stat().st_size / 1e6:6.1f} MB  {path.relative_to(args.carry)}")


def pip(*line: str) -> None:
    """Run pip, in this interpreter's environment."""
    subprocess.run([sys.executable, "-m", "pip", "--quiet", *line], check=True)


def make_importable(carry: Path) -> None:
    """The package from this repository, what it lacks from the wheels."""
    sys.path.insert(0, str(ROOT / "src"))
    if importlib.util.find_spec("pyvips") is None:
        wheels = str(carry / "wheels")
        pip("install", "--no-index", "--find-links", wheels, "--no-deps", *WHEELS)
        importlib.invalidate_caches()


def settings(name: str, carry: Path) -> dict[str, Any]:
    """The recipe with its data filled in."""
    import yaml

    values: dict[str, Any] = yaml.safe_load((ROOT / f"configs/weights/{name}.yaml").read_text())
    repairs = "tasks" in values
    values["photos"] = [str(carry / "photos")]
    values["validation"] = str(carry / ("CID22-val" if repairs else "Set5"))
    values["workers"] = min(values["workers"], max(0, (os.cpu_count() or 1) - 2))
    return values


def seconds_a_step(values: dict[str, Any], folder: Path) -> float:
    """Measured by two short runs, so that what a start costs does not count."""
    from pixperts.training.config import TrainConfig
    from pixperts.training.run import train

    took = []
    for steps in TRIAL:
        short = {**values, "max_steps": steps, "warmup_steps": 0, "check_every": steps}
        short["validation"] = None
        started = time.perf_counter()
        train(TrainConfig.from_dict(short, "trial"), folder / str(steps))
        took.append(time.perf_counter() - started)
    shutil.rmtree(folder)
    return max(1e-4, (took[1] - took[0]) / (TRIAL[1] - TRIAL[0]))


def train_on(args: argparse.Namespace) -> None:
    """One piece of a run; the first decides how long the whole is."""
    started = time.perf_counter()
    make_importable(args.carry)
    from pixperts.training.config import TrainConfig
    from pixperts.training.run import train

    values = settings(args.name, args.carry)
    plan = args.run / "plan.json"
    if plan.is_file():
        values |= json.loads(plan.read_text())
    else:
        pace = seconds_a_step(values, args.run / "trial")
        steps = max(10, int(MARGIN * 60 * args.total / pace))
        fitted = {"max_steps": steps, "check_every": max(1, steps // 12)}
        fitted["warmup_steps"] = min(values["warmup_steps"], steps // 10)
        values |= fitted
        plan.write_text(json.dumps(fitted))
        print(f"{1000 * pace:.1f} ms per step: {steps} steps in {args.total:g} minutes", flush=True)
    left = 60 * args.minutes - (time.perf_counter() - started)
    going_on = (args.run / "state" / "last.ckpt").is_file()
    config = TrainConfig.from_dict(values, args.name)
    train(config, args.run / "state", max_time=timedelta(seconds=max(1, left)), resume=going_on)


def make(args: argparse.Namespace) -> None:
    """A recipe from nothing to the packaged file, as far as the time allows."""
    from pixperts.training.stages import Recipe, train_stages

    end = None if args.minutes is None else time.monotonic() + 60 * args.minutes
    cache = args.cache or args.run / "cache"
    recipe = Recipe.from_yaml(ROOT / f"configs/weights/{args.name}.yaml", cache)
    with ExitStack() as stack:
        if recipe.cache is not None:
            writer = stack.enter_context(filling(recipe.cache, cache, args.teachers))
            wait_for_chunks(cache, min(FIRST_CHUNKS, recipe.cache.chunks), writer, end)
        limit = None if end is None else timedelta(seconds=max(0.0, end - time.monotonic()))
        weights = train_stages(recipe.stages, args.run, limit)
    if weights is None:
        print("the time is over: the same command continues", flush=True)
        sys.exit(CONTINUES)
    if recipe.price:
        weights = priced(weights, recipe.price)
    finish(args, moving(weights, recipe.motion) if recipe.motion else weights)


def priced(weights: Path, price: float) -> Path:
    """Weights beside these whose mapper pays the price."""
    from package import ask_price
    from pixperts.weights import store

    model, card = store.load(weights)
    ask_price(model, price)
    path = weights.with_name("priced.safetensors")
    store.save(path, model, card)
    return path


def moving(weights: Path, source: str) -> Path:
    """Weights beside these that undo motion blur by the stage of a model that has one."""
    from dataclasses import asdict, replace

    from pixperts.models.moce_ir_light.model import MoCEIRLight
    from pixperts.weights import store
    from pixperts.weights.packaged import weights_file

    model, card = store.load(weights)
    stage = getattr(store.load(weights_file(source))[0], "motion", None)
    if not isinstance(model, MoCEIRLight) or stage is None:
        sys.exit(f"motion: {source} has no stage for motion blur, or {weights.name} takes none.")
    whole = MoCEIRLight(replace(model.config, motion=True))
    whole.load_state_dict(model.state_dict(), strict=False)
    assert whole.motion is not None
    whole.motion.load_state_dict(stage.state_dict())
    path = weights.with_name("moving.safetensors")
    store.save(path, whole, replace(card, config=asdict(whole.config)))
    return path


@contextmanager
def filling(recipe: "CacheRecipe", cache: Path, teachers: Path | None) -> "Iterator[Process]":
    """Within, a process of low priority fills the cache with what is missing."""
    line = [sys.executable, str(ROOT / "scripts" / "cache_patches.py"), str(cache)]
    line += ["--chunks", str(recipe.chunks), "--seed", str(recipe.seed)]
    line += ["--degraded"] if recipe.degraded else []
    line += [] if teachers is None else ["--teachers", str(teachers)]
    line += ["--photos", *recipe.photos, "--exclude", *recipe.exclude]
    writer = subprocess.Popen(line, preexec_fn=lambda: os.nice(10))
    try:
        yield writer
    finally:
        writer.terminate()
        writer.wait()


def wait_for_chunks(cache: Path, count: int, writer: "Process", end: float | None) -> None:
    """Until so many chunks are there; ends the program where the writer fails or time is over."""
    from pixperts.data.patch_cache import list_chunks

    while len(list_chunks(cache)) < count:
        if writer.poll() is not None and len(list_chunks(cache)) < count:
            sys.exit(f"{cache}: the cache could not be filled, see above.")
        if end is not None and time.monotonic() > end:
            print("the time is over: the same command continues", flush=True)
            sys.exit(CONTINUES)
        time.sleep(1)


def finish_run(args: argparse.Namespace) -> None:
    """Measure and package a run of `train`."""
    finish(args, args.run / "state" / "last.safetensors")


def finish(args: argparse.Namespace, weights: Path) -> None:
    """Measure old and new, package the better."""
    import yaml

    from pixperts.weights.packaged import packaged_models
    from weight_figures import card_figures, comparison, figures_of

    model = args.name.replace("_", "-")
    recipe = yaml.safe_load((ROOT / f"configs/weights/{args.name}.yaml").read_text())
    photos = bool(recipe.get("cache", {}).get("degraded"))
    before = None
    if model in packaged_models():
        before = figures_of(model, args.bench, args.limit, photos)
    after = figures_of(str(weights), args.bench, args.limit, photos)
    text = "\n".join(comparison(before, after))
    (args.run / "figures.md").write_text(text + "\n")
    print(text)
    gain = 0.0 if before is None else sum(after[n] - before[n] for n in after) / len(after)
    if before is not None and gain <= 0 and not args.force:
        sys.exit(f"{model}: {gain:+.3f} dB on average, so the packaged weights stay (--force).")
    line = [sys.executable, str(ROOT / "scripts" / "package.py"), str(weights), model]
    shown = {name: round(after[name], 2) for name in card_figures(after)}
    line += ["--quality", json.dumps(shown)]
    if photos:
        line += ["--protocol", "Y channel, border of `scale` pixels cut, JPEG synthetic, dB"]
    elif "CID22-val x2 clean" in after:
        line += ["--protocol", "RGB, whole pictures, reduced, faults synthetic, dB"]
        line += ["--base", "moce-ir-light"]
    elif "Set5 x2" not in after:
        line += ["--protocol", "RGB, whole pictures, synthetic, seed 0, dB"]
        line += ["--signatures", str(args.bench / "CID22-val")]
    if args.package:
        subprocess.run(line, check=True)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("pack")
    one.add_argument("carry", type=Path, help="a new folder")
    one.add_argument("--photos", type=Path, nargs="+", required=True)
    one.add_argument("--bench", type=Path, required=True)
    one.add_argument("--wheels", help="for this version of Python, such as 3.12")
    one.set_defaults(run_it=pack)
    two = commands.add_parser("train")
    two.add_argument("name", help="a file of configs/weights/ without its ending")
    two.add_argument("carry", type=Path)
    two.add_argument("run", type=Path)
    two.add_argument("--minutes", type=float, required=True, help="of this call")
    two.add_argument("--total", type=float, default=27, help="minutes of all calls")
    two.set_defaults(run_it=train_on)
    three = commands.add_parser("finish")
    three.add_argument("name")
    three.add_argument("run", type=Path)
    three.add_argument("--bench", type=Path, required=True)
    three.add_argument("--limit", type=int, help="only so many pictures of CBSD68 and CID22-val")
    three.add_argument("--force", action="store_true", help="package even what is worse")
    three.add_argument("--no-package", dest="package", action="store_false")
    three.set_defaults(run_it=finish_run)
    four = commands.add_parser("make")
    four.add_argument("name", help="a recipe in configs/weights/, without its ending")
    four.add_argument("run", type=Path)
    four.add_argument("--bench", type=Path, required=True)
    four.add_argument("--minutes", type=float, help="of this call; to the end when unset")
    four.add_argument("--cache", type=Path, help="of patches, RUN/cache when unset")
    four.add_argument("--teachers", type=Path, help="weights of SMFANet+")
    four.add_argument("--limit", type=int, help="only so many pictures of CBSD68 and CID22-val")
    four.add_argument("--force", action="store_true", help="package even what is worse")
    four.add_argument("--no-package", dest="package", action="store_false")
    four.set_defaults(run_it=make)
    args = parser.parse_args()
    args.run_it(args)


if __name__ == "__main__":
    main()
