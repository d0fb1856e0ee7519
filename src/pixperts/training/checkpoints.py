"""Checkpoints of a run: the last two are kept, and only the run that wrote them can read them."""

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
# Fields that may change when a run is resumed, because they do not change a step. For folders this
# holds only if their files are the same; that is not checked.
_FREE = {
    "init", "photos", "cache", "input", "target", "layouts", "validation", "validation_tasks",
    "validation_images", "validation_scales", "check_every", "skips", "workers", "compile",
    "license", "data",
}  # fmt: skip


def newest(folder: Path) -> Path | None:
    """The checkpoint to continue a run from: the last one, or the one before if that is missing.

    Args:
        folder: of the run.

    Returns:
        Its path, or None if there is no checkpoint.
    """
    found = (folder / name for name in (LAST, PREVIOUS))
    return next((path for path in found if path.is_file()), None)


def fitting(path: Path, config: TrainConfig) -> str:
    """The path of a checkpoint, after a check that it is whole and belongs to this run.

    Args:
        path: of the checkpoint.
        config: with which the run is to continue.

    Raises:
        ModelError: the file is broken, or no checkpoint of this program.
        UsageError: a field of the configuration that changes the steps is not as it was.
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
    # A field that did not exist yet when the run began has its present default.
    was = _defaults(config) | renamed(was)
    free = set(_FREE)
    if config.halve_at or config.cosine_steps is not None:
        free.add("max_steps")
    if now.get("teacher") and was.get("teacher"):  # its file may have been moved
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
    """The defaults of all fields that have one."""
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
    """Writes checkpoints, and keeps the last two.

    Each is written to a temporary file, which is renamed when it is whole. So `newest` finds a
    whole one at whatever moment the process is killed. In the list of callbacks, this one comes
    after the one that averages the weights, whose averages the checkpoint holds.

    Args:
        folder: of the run.
        config: of the run.
        replace: renames a file; a test may pass another function.
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
        """Add the configuration, which is compared when the run is resumed."""
        checkpoint[_CONFIG] = _plain(self.config)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write a checkpoint, every `check_every` steps and when the run stops.

        Raises:
            ModelError: it cannot be written.
        """
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
