"""The command that trains: train."""

import importlib.util
import os
import re
import sys
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from pixperts.errors import MissingExtraError, UsageError


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
    from pixperts.training.config import RestorationConfig, TrainConfig

    read = TrainConfig.from_yaml(config, changes or ())
    if dry_run:
        from pixperts.training.dry_run import dry_run as rehearse

        print(rehearse(read, folder, devices or 1))
        return
    from pixperts.training.run import train as run

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
