"""The training engine of both families: `pixperts train CONFIG.yaml -o RUN_DIR`.

Everything that needs Lightning is in this module and the tasks, and imported when a training
starts.
"""

import time
import warnings
from datetime import timedelta
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, EMAWeightAveraging, ModelCheckpoint, Timer
from lightning.pytorch.loggers import TensorBoardLogger
from torch.utils.data import DataLoader, TensorDataset

from pixperts import checkpoint
from pixperts.data import FromStep
from pixperts.errors import UsageError
from pixperts.memory import keep_freed_memory
from pixperts.restoration_task import RestorationTask
from pixperts.task import Task
from pixperts.train_config import RestorationConfig, TrainConfig, UpscalingConfig
from pixperts.upscaling_task import SuperResolutionTask

__all__ = ["RestorationTask", "SuperResolutionTask", "TrainConfig", "task_of", "train"]


def task_of(config: TrainConfig) -> Task:
    """The task of the configuration's family."""
    if isinstance(config, RestorationConfig):
        return RestorationTask(config)
    assert isinstance(config, UpscalingConfig)
    return SuperResolutionTask(config)


class Keeper(Callback):
    """After each stretch of steps: validate, print one line, write last.safetensors."""

    def __init__(self, folder: Path, config: TrainConfig) -> None:
        self.folder, self.config, self.started = folder, config, time.monotonic()

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        """Ask for a last validation where the last step lies within a stretch."""
        if trainer.global_step >= trainer.max_steps:
            trainer.should_stop = True

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Runs while the averaged weights are swapped in."""
        assert isinstance(pl_module, Task)
        model = pl_module.model.eval()
        notes: dict[str, Any] = {"step": trainer.global_step} | pl_module.measure()
        for name, value in notes.items():
            if name != "step":
                pl_module.log(f"validation/{name}", value)
        text = ", ".join(f"{k} {v:.3f}" for k, v in notes.items() if k[:5] not in ("step", "share"))
        shown = {k: float(v) for k, v in trainer.logged_metrics.items() if "/" in k}
        terms = ", ".join(f"{k} {v:.4f}" for k, v in shown.items() if k[:4] in ("loss", "shar"))
        minutes = (time.monotonic() - self.started) / 60
        print(f"step {trainer.global_step}, {minutes:.1f} min: {text}; {terms}", flush=True)
        card = checkpoint.Card(
            name=self.config.model,
            config={},
            licence=self.config.licence,
            data=self.config.data,
            notes={"training": notes},
        )
        checkpoint.save(self.folder / "last.safetensors", model, card)
        model.train()


def train(
    config: TrainConfig,
    folder: Path,
    *,
    max_steps: int | None = None,
    max_time: timedelta | None = None,
    resume: bool = False,
) -> Path:
    """Run or resume a training.

    Args:
        config: what to train.
        folder: receives last.ckpt (to resume), last.safetensors (to use) and the log.
        max_steps: stop earlier than the configuration's schedule.
        max_time: stop after this time and keep what there is.
        resume: go on from last.ckpt.

    Returns:
        The path of last.safetensors.

    Raises:
        UsageError, DataError, ModelError: with one sentence.
    """
    last = folder / "last.ckpt"
    if resume and not last.is_file():
        raise UsageError(f"{last}: there is nothing to resume; start without --resume.")
    if not resume and last.exists():
        raise UsageError(f"{folder}: holds a run already; add --resume or name another folder.")
    folder.mkdir(parents=True, exist_ok=True)
    keep_freed_memory()
    L.seed_everything(config.seed, verbose=False)
    task = task_of(config)
    samples: Any = task.samples()
    print(samples.describe(), flush=True)
    keeper = Keeper(folder, config)
    # Not `save_last`: without best checkpoints it saves at the very end only, when the averaged
    # weights have replaced the trained ones, from which a run cannot go on as if uninterrupted.
    saver = ModelCheckpoint(
        folder, filename="last", save_top_k=1, every_n_epochs=1,
        save_on_train_epoch_end=True, enable_version_counter=False,
    )  # fmt: skip
    timer = Timer(max_time, interval="step")
    # Buffers are constants here, and averaging whole numbers would truncate them.
    averaging = EMAWeightAveraging(decay=config.ema, use_buffers=False)
    trainer = L.Trainer(
        accelerator="auto",
        devices=1,
        max_steps=min(max_steps or config.max_steps, config.max_steps),
        max_epochs=-1,
        gradient_clip_val=config.clip,
        # `averaging` swaps the weights back at the end of the validation: `keeper` comes before it.
        callbacks=[keeper, averaging, saver, timer],
        logger=TensorBoardLogger(str(folder), name="", version="log"),
        log_every_n_steps=min(50, config.check_every),
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        enable_model_summary=False,
        barebones=False,
    )
    sampler = FromStep(lambda: trainer.global_step, config.check_every, config.batch)
    loader = DataLoader(samples, batch_size=config.batch, sampler=sampler)
    probe = DataLoader(TensorDataset(torch.zeros(1)))  # see `Keeper`
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        warnings.filterwarnings("ignore", message=".*Checkpoint directory.*")
        warnings.filterwarnings("ignore", message=".*LeafSpec.*")  # inside Lightning
        # `FromStep` goes on from the step itself, which Lightning cannot know.
        warnings.filterwarnings("ignore", message=".*dataloader is not resumable.*")
        trainer.fit(task, loader, probe, ckpt_path=str(last) if resume else None,
                    weights_only=False if resume else None)  # fmt: skip
    return folder / "last.safetensors"
