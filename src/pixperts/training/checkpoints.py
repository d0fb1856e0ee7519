"""Checkpoints of a run: written whole, two at a time, and read only into the same run."""

import os
import pickle
from collections.abc import Callable
from dataclasses import MISSING, asdict, fields
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback

from pixperts.errors import ModelError, UsageError, named
from pixperts.io.atomic import sync
from pixperts.training.config import TrainConfig, renamed

LAST, PREVIOUS = "last.ckpt", "previous.ckpt"
_CONFIG = "pixperts_config"
# What does not change a step. Where files lie may change; that they are the same is up to whoever
# moves them.
_FREE = {
    "init", "photos", "cache", "input", "target", "layouts", "validation", "validation_tasks",
    "validation_images", "validation_scales", "check_every", "skips", "workers", "compile",
    "license", "data",
}  # fmt: skip


def newest(folder: Path) -> Path | None:
    """The checkpoint of a run to continue from: the last, or the one before where it is missing."""
    found = (folder / name for name in (LAST, PREVIOUS))
    return next((path for path in found if path.is_file()), None)


def fitting(path: Path, config: TrainConfig) -> str:
    """A checkpoint's path, when it is whole and of this run.

    Raises:
        ModelError: for a file that is broken or of another program.
        UsageError: where the configuration has changed in what decides about a step.
    """
    try:
        held = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (RuntimeError, OSError, EOFError, pickle.UnpicklingError) as error:
        before = path.with_name(PREVIOUS)
        cure = (
            f"delete it to continue from {before.name}"
            if path.name == LAST and before.is_file()
            else "start again in another folder, with init: last.safetensors of this one"
        )
        raise ModelError(f"{path}: this checkpoint is broken: {cure}.") from error
    was = held.get(_CONFIG) if isinstance(held, dict) else None
    if was is None:
        raise ModelError(f"{path}: this is not a checkpoint of this version.")
    now = _plain(config)
    # A field that was not there when the run began had what is now its default.
    was = _defaults(config) | renamed(was)
    free = set(_FREE)
    if config.halve_at or config.cosine_steps is not None:
        free.add("max_steps")
    if now.get("teacher") and was.get("teacher"):  # as with photos: its file may lie elsewhere now
        free.add("teacher")
    for key in sorted(now.keys() | was.keys()):
        if key not in free and now.get(key) != was.get(key):
            raise UsageError(
                f"{path.parent}: the run was started with {key} = {was.get(key)!r}, not "
                f"{now.get(key)!r}: set it back, or start again in another folder with init: "
                f"{path.parent / 'last.safetensors'}."
            )
    return str(path)


def _defaults(config: TrainConfig) -> dict[str, Any]:
    """The fields that may be left out, each as it is then."""
    found = {}
    for field in fields(config):
        if field.default is not MISSING:
            found[field.name] = field.default
        elif field.default_factory is not MISSING:
            found[field.name] = field.default_factory()
    return found


def _plain(config: TrainConfig) -> dict[str, Any]:
    return asdict(config)


class CheckpointPair(Callback):
    """Keeps the last two checkpoints: written beside, renamed when whole.

    Whatever moment the process is killed at, `newest` finds a whole one. It comes after the
    callback that averages, whose weights are part of it.
    """

    def __init__(
        self,
        folder: Path,
        config: TrainConfig,
        replace: Callable[[Path, Path], None] = os.replace,
    ) -> None:
        self.folder, self.config, self.replace = folder, config, replace

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """What the run was started with, which resuming compares."""
        checkpoint[_CONFIG] = _plain(self.config)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """At the end of a stretch, or where the run stops within one."""
        part = self.folder / f".{LAST}.part"
        try:
            trainer.save_checkpoint(part)  # waits for all processes
            if trainer.is_global_zero:
                sync(part)
                if (self.folder / LAST).is_file():
                    self.replace(self.folder / LAST, self.folder / PREVIOUS)
                self.replace(part, self.folder / LAST)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise ModelError(
                f"{self.folder}: the checkpoint cannot be written ({error.strerror}): make room "
                f"and continue with {named('resume')}."
            ) from error
