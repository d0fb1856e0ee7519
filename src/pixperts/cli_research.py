"""The commands for those who measure, convert and train: evaluate, convert, train."""

import contextlib
import importlib.util
import itertools
import os
import re
import sys
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from pixperts.cli_options import Budget, Device, Json, check_budget
from pixperts.errors import MissingExtraError, UsageError


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for command in (evaluate, convert, train):
        app.command()(command)


def evaluate(
    model: Annotated[str, typer.Argument(help="Name, weights file, or 'bicubic'.")],
    data: Annotated[
        Path,
        typer.Argument(
            help="Folder of pictures, one with HR/ and LR_x2/, or with --target of degraded ones."
        ),
    ],
    scale: Annotated[
        str | None, typer.Option("--scale", "-s", help="For enlarging: factors, such as 2,3,4.")
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(help="For repair: degradations made here of clean pictures, noise25,rain."),
    ] = None,
    target: Annotated[
        Path | None, typer.Option(help="For repair: folder of the clean versions of DATA.")
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option(
            help="y-shave (luma), rgb-shave or rgb: what is compared.",
            show_default="y-shave for enlarging, rgb for repair",
        ),
    ] = None,
    crop: Annotated[
        int, typer.Option(min=1, help="For repair: cut sides to multiples, 16 as published.")
    ] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Of the degradations of --task.")] = 0,
    limit: Annotated[
        int | None, typer.Option(min=1, help="For repair: only so many pictures a task.")
    ] = None,
    chart: Annotated[
        Path | None,
        typer.Option("--expert-map", help="For repair: draw the experts by task as a .png."),
    ] = None,
    budget: Budget = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Measure quality and cost on a folder of pictures: --scale to enlarge, --task to repair."""
    repairs = task is not None or target is not None
    if repairs == (scale is not None) or (task is not None and target is not None):
        raise UsageError("Give one of --scale (enlarging), --task or --target (repair).")
    if repairs:
        if budget is not None:
            raise UsageError("--budget applies to enlarging: leave it out.")
        _evaluate_repair(
            model, data, task, target, protocol or "rgb", crop, seed, limit, chart, device, as_json
        )
        return
    if chart is not None or crop != 1 or limit is not None or seed:
        raise UsageError("--expert-map, --crop, --seed and --limit apply to repair: drop them.")
    assert scale is not None
    scales = _scales(scale)
    check_budget(budget)
    from pixperts import evaluate as measuring
    from pixperts.progress import ProgressBar
    from pixperts.restorer import load
    from pixperts.super_resolution_set import SuperResolutionSet

    pictures = SuperResolutionSet.open(data)
    upscaler = measuring.bicubic_upscaler() if model == "bicubic" else load(model, device=device)
    visible = sys.stderr.isatty() and not as_json
    with ProgressBar([1.0] * (len(scales) * len(pictures)), visible=visible) as bar:
        scores = measuring.evaluate_upscaling(
            upscaler,
            pictures,
            scales,
            protocol or "y-shave",
            budget,
            lambda done, _: bar.update(done - 1, 1.0),
        )
    if as_json:
        print(measuring.to_json_lines(model, pictures.name, scores), end="")
    else:
        print(measuring.format_table(model, pictures.name, scores))


def _evaluate_repair(
    model: str,
    data: Path,
    task: str | None,
    target: Path | None,
    protocol: str,
    crop: int,
    seed: int,
    limit: int | None,
    chart: Path | None,
    device: str,
    as_json: bool,
) -> None:
    if chart is not None and chart.suffix.lower() != ".png":
        raise UsageError(f"{chart}: the picture of experts by task needs a name ending in .png.")
    from pixperts import evaluate_restoration as measuring
    from pixperts.expert_maps import draw_table
    from pixperts.image import write_image
    from pixperts.progress import ProgressBar
    from pixperts.restorer import load

    if target is not None:
        sets = [measuring.RestorationSet.of_files(data, target, limit=limit)]
    else:
        names = [name.strip() for name in (task or "").split(",")]
        sets = [
            measuring.RestorationSet.synthetic(data, name, seed=seed, limit=limit) for name in names
        ]
    restorer = load(model, device=device)
    count = sum(len(pictures.pairs) for pictures in sets)
    done = itertools.count()
    with ProgressBar([1.0] * count, visible=sys.stderr.isatty() and not as_json) as bar:
        scores = measuring.evaluate_restoration(
            restorer, sets, protocol, crop=crop, progress=lambda: bar.update(next(done), 1.0)
        )
    if as_json:
        print(measuring.restoration_json_lines(model, sets[0].name, scores), end="")
    else:
        print(measuring.format_restoration(model, sets[0].name, scores))
    if chart is not None:
        tasks = [score.task for score in scores]
        write_image(chart, draw_table(tasks, [score.experts for score in scores]))


def convert(
    source: Annotated[Path, typer.Argument(metavar="FILE.pth", help="Published weights.")],
    target: Annotated[Path, typer.Argument(metavar="OUT.safetensors", help="What to write.")],
    name: Annotated[
        str | None, typer.Option(help="Preset they belong to; recognised when unset.")
    ] = None,
    licence: Annotated[str, typer.Option(help="Licence of the weights, kept inside.")] = "unknown",
) -> None:
    """Turn published LIIF, LTE or MoCE-IR weights into a file of ours."""
    from pixperts.convert import convert_file

    preset = convert_file(source, target, name=name, licence=licence)
    print(f"{target}: {preset}, licence {licence}", file=sys.stderr)


def train(
    config: Annotated[Path, typer.Argument(metavar="CONFIG.yaml", help="What to train.")],
    folder: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="RUN_DIR", help="Folder of the run."),
    ],
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Change a field: batch=8, tasks.haze=2; repeatable."
        ),
    ] = None,
    max_steps: Annotated[int | None, typer.Option(min=1, help="Stop after this step.")] = None,
    max_time: Annotated[
        str | None, typer.Option(metavar="HH:MM:SS", help="Stop after this time.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where the run stopped.")] = False,
    devices: Annotated[
        int | None,
        typer.Option(min=1, help="Processes on this machine; torchrun knows by itself."),
    ] = None,
    accelerator: Annotated[str, typer.Option(help="auto, cpu, gpu or mps.")] = "auto",
    wandb: Annotated[
        str | None,
        typer.Option(metavar="PROJECT", help="Log to Weights & Biases too (pixperts\\[wandb])."),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Say what would be trained, draw the first batch, and end."),
    ] = False,
) -> None:
    """Train a model (needs pixperts\\[train])."""
    limit = None if max_time is None else _duration(max_time)
    if accelerator not in ("auto", "cpu", "gpu", "mps"):
        raise UsageError(f"--accelerator is {accelerator!r}, but must be auto, cpu, gpu or mps.")
    for module in ("lightning", "tensorboard", "yaml"):
        if importlib.util.find_spec(module) is None:
            raise MissingExtraError("training", "train")
    from pixperts.train_config import RestorationConfig, TrainConfig

    read = TrainConfig.from_yaml(config, changes or ())
    if dry_run:
        from pixperts.dry_run import dry_run as rehearse

        print(rehearse(read, folder, devices or 1))
        return
    from pixperts.training import train as run

    weights = run(
        read,
        folder,
        max_steps=max_steps,
        max_time=limit,
        resume=resume,
        devices=devices,
        accelerator=accelerator,
        wandb=wandb,
    )
    if int(os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0"))) == 0:
        use = "restore" if isinstance(read, RestorationConfig) else "upscale"
        print(f"{weights} is ready for 'pixperts {use} --model {weights}'.", file=sys.stderr)


def _scales(text: str) -> list[float]:
    """Factors from text such as "2,3,4".

    >>> _scales("2, 3.5")
    [2.0, 3.5]
    """
    scales: list[float] = []
    with contextlib.suppress(ValueError):
        scales = [float(part) for part in text.split(",")]
    if not scales:
        raise UsageError(f"--scale takes numbers with commas between, such as 2,3,4, not {text!r}.")
    return scales


def _duration(text: str) -> timedelta:
    """A time from HH:MM:SS.

    >>> _duration("02:00:30").total_seconds()
    7230.0
    """
    match = re.fullmatch(r"(\d{1,4}):([0-5]\d):([0-5]\d)", text)
    time = timedelta()
    if match:
        hours, minutes, seconds = map(int, match.groups())
        time = timedelta(hours=hours, minutes=minutes, seconds=seconds)
    if not time:
        raise UsageError(f"--max-time is {text!r}, but must be hours:minutes:seconds, as 02:00:00.")
    return time
