"""The training engine of both families: `pixperts train CONFIG.yaml -o RUN_DIR`.

Everything that needs Lightning is in this module, the tasks and the callbacks, and imported when
a training starts.
"""

import logging
import pickle
import warnings
from datetime import timedelta
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging, LearningRateMonitor
from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger
from torch.utils.data import DataLoader, TensorDataset

from pixperts.callbacks import LAST, Guard, Keeper, Pace, Saver, Stopper, newest
from pixperts.errors import MissingExtraError, ModelError, UsageError
from pixperts.memory import keep_freed_memory
from pixperts.parallel import FromStep, Layout, launched_by_torchrun
from pixperts.restoration_task import RestorationTask
from pixperts.task import Task
from pixperts.train_config import RestorationConfig, TrainConfig, UpscalingConfig
from pixperts.upscaling_task import SuperResolutionTask

__all__ = ["RestorationTask", "SuperResolutionTask", "TrainConfig", "task_of", "train"]


def task_of(config: TrainConfig, layout: Layout | None = None) -> Task:
    """The task of the configuration's family."""
    if isinstance(config, RestorationConfig):
        return RestorationTask(config, layout)
    assert isinstance(config, UpscalingConfig)
    return SuperResolutionTask(config, layout)


def train(
    config: TrainConfig,
    folder: Path,
    *,
    max_steps: int | None = None,
    max_time: timedelta | None = None,
    resume: bool = False,
    devices: int | None = None,
    accelerator: str = "auto",
    wandb: str | None = None,
) -> Path:
    """Run or resume a training.

    Args:
        config: what to train.
        folder: receives last.ckpt and previous.ckpt (to resume), last.safetensors (to use) and
            the log.
        max_steps: stop earlier than the configuration's schedule.
        max_time: stop after this time and keep what there is.
        resume: go on from last.ckpt, or from previous.ckpt where that is missing.
        devices: processes on this machine, each with a GPU or a share of the CPU; 1 when unset,
            or what torchrun says.
        accelerator: auto, cpu, gpu or mps.
        wandb: name of a Weights & Biases project to log to as well.

    Returns:
        The path of last.safetensors.

    Raises:
        UsageError, DataError, ModelError: with one sentence.
    """
    start = newest(folder)
    if resume and start is None:
        raise UsageError(f"{folder / LAST}: there is nothing to resume; start without --resume.")
    if not resume and start is not None:
        raise UsageError(f"{folder}: holds a run already; add --resume or name another folder.")
    local, machines = launched_by_torchrun() or (devices or 1, 1)
    if devices is not None and devices != local:
        raise UsageError(f"--devices is {devices}, but torchrun started {local}: leave it out.")
    layout = Layout(config.batch, config.accumulate, local * machines)
    layout.check()
    folder.mkdir(parents=True, exist_ok=True)
    keep_freed_memory()
    for name in ("lightning.pytorch", "lightning.fabric"):  # hints, advertisements
        logging.getLogger(name).setLevel(logging.WARNING)
    L.seed_everything(config.seed, verbose=False)
    task = task_of(config, layout)
    samples: Any = task.samples()
    pace, guard = Pace(config.batch, config.accumulate), Guard(config)
    stopper = Stopper(config.accumulate, max_time)
    # Buffers are constants here, and averaging whole numbers would truncate them.
    averaging = EMAWeightAveraging(decay=config.ema, use_buffers=False)
    trainer = L.Trainer(
        accelerator=accelerator,
        devices=local,
        num_nodes=machines,
        strategy="ddp" if layout.processes > 1 else "auto",
        precision="bf16-mixed" if config.precision == "bfloat16" else "32-true",
        max_steps=min(max_steps or config.max_steps, config.max_steps),
        max_epochs=-1,
        accumulate_grad_batches=config.accumulate,
        # `averaging` swaps the weights back at the end of the validation: `Keeper` comes before it.
        callbacks=[
            pace, guard, stopper, LearningRateMonitor(),
            Keeper(folder, config, pace, guard), averaging, Saver(folder),
        ],
        logger=_loggers(folder, wandb),
        log_every_n_steps=min(50, config.check_every),
        num_sanity_val_steps=0,
        enable_checkpointing=False,  # `Saver` does
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,  # `FromStep` knows its share
    )  # fmt: skip
    if trainer.is_global_zero:
        print(samples.describe(), flush=True)
    if config.compile:
        task.compile_parts()
    sampler = FromStep(lambda: trainer.global_step, config.check_every, layout)
    with warnings.catch_warnings(), stopper:
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        warnings.filterwarnings("ignore", message=".*Checkpoint directory.*")
        warnings.filterwarnings("ignore", message=".*worker processes in total.*")  # as asked for
        warnings.filterwarnings("ignore", message=".*LeafSpec.*")  # inside Lightning
        # `FromStep` goes on from the step itself, which Lightning cannot know.
        warnings.filterwarnings("ignore", message=".*dataloader is not resumable.*")
        loader = DataLoader(
            samples,
            batch_size=layout.local,
            sampler=sampler,
            num_workers=config.workers,
            pin_memory=torch.cuda.is_available(),
        )
        probe = DataLoader(TensorDataset(torch.zeros(1)))  # see `Keeper`
        trainer.fit(task, loader, probe, ckpt_path=_whole(start) if resume else None,
                    weights_only=True if resume else None)  # fmt: skip
    return folder / "last.safetensors"


def _whole(path: Path | None) -> str:
    """A checkpoint that can be read; Lightning's own messages name neither file nor cure."""
    assert path is not None
    try:
        torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (RuntimeError, OSError, EOFError, pickle.UnpicklingError) as error:
        raise ModelError(
            f"{path}: this checkpoint is broken ({str(error).splitlines()[0]}): delete it to go on "
            "from the one before."
        ) from error
    return str(path)


def _loggers(folder: Path, wandb: str | None) -> list[Logger]:
    """TensorBoard always; Weights & Biases where a project is named."""
    loggers: list[Logger] = [TensorBoardLogger(str(folder), name="", version="log")]
    if wandb is not None:
        try:
            import wandb as _  # noqa: F401
        except ImportError as error:
            raise MissingExtraError("logging to Weights & Biases", "wandb") from error
        loggers.append(WandbLogger(name=folder.name, project=wandb, save_dir=str(folder)))
    return loggers
