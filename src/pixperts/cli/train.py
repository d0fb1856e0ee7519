"""The command that trains: train."""

import importlib.util
import os
import sys
from pathlib import Path
from typing import Annotated

from pixperts.errors import MissingExtraError
from pixperts.options import Option
from pixperts.training.options import RunOptions


def train(
    config: Annotated[
        Path, Option("Training configuration.", positional=True, metavar="CONFIG.yaml")
    ],
    output: Annotated[Path, Option("Folder of the run.", also=("-o",), metavar="RUN_DIR")],
    options: RunOptions,
    changes: Annotated[
        list[str] | None,
        Option(
            "Change a field: batch=8, tasks.haze=2; repeatable.",
            flag="--set",
            metavar="KEY=VALUE",
        ),
    ] = None,
    dry_run: Annotated[
        bool, Option("Print what would be trained, draw the first batch, and end.")
    ] = False,
) -> None:
    """Train a model (needs pixperts[train])."""
    for module in ("lightning", "tensorboard", "yaml"):
        if importlib.util.find_spec(module) is None:
            raise MissingExtraError("training", "train")
    from pixperts.training.config import RestorationConfig, TrainConfig

    read = TrainConfig.from_yaml(config, changes or ())
    if dry_run:
        from pixperts.training.dry_run import dry_run as rehearse

        print(rehearse(read, output, options.devices or 1))
        return
    from pixperts.training.run import train as run

    weights = run(read, output, **vars(options))
    if int(os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0"))) == 0:
        use = "restore" if isinstance(read, RestorationConfig) else "upscale"
        print(f"{weights} is ready for 'pixperts {use} --model {weights}'.", file=sys.stderr)
