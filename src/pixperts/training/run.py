"""Run a training of any family: `pixperts train CONFIG.yaml -o RUN_DIR`.

This module and those of the training modules and callbacks need Lightning. They are imported only
when a training starts.
"""

import logging
import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, LearningRateMonitor, WeightAveraging
from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from pixperts.data.photos import PhotoSource
from pixperts.errors import MissingExtraError, PixpertsError, UsageError, named
from pixperts.hardware import Precision, denormals_flushed, fastest_precision
from pixperts.memory import keep_freed_memory
from pixperts.training.callbacks import Guard, Stopper, Throughput, ValidateAndExport
from pixperts.training.checkpoints import LAST, CheckpointPair, fitting, newest
from pixperts.training.config import (
    LightConfig,
    RestorationConfig,
    TrainConfig,
    UpscalingConfig,
)
from pixperts.training.distributed import FromStep, Layout, launched_by_torchrun
from pixperts.training.enhancement import EnhancementModule
from pixperts.training.enhancement_config import EnhancementConfig
from pixperts.training.judge import JudgeModule
from pixperts.training.judge_config import JudgeConfig
from pixperts.training.light import LightModule
from pixperts.training.light_restoration import LightRestorationModule
from pixperts.training.light_restoration_config import LightRestorationConfig
from pixperts.training.marks import MarksModule
from pixperts.training.module import TrainingModule
from pixperts.training.parts import PartsModule
from pixperts.training.restoration import RestorationModule
from pixperts.training.tone import ToneModule
from pixperts.training.upscaling import UpscalingModule


def module_of(config: TrainConfig, layout: Layout | None = None) -> TrainingModule:
    """The training module for a configuration.

    Args:
        config: of the run.
        layout: how processes share a batch; None: there is one process.

    Raises:
        UsageError, DataError, ModelError: the network or the validation data do not fit.
    """
    if isinstance(config, RestorationConfig):
        return RestorationModule(config, layout)
    if isinstance(config, LightConfig):
        return LightModule(config, layout)
    if isinstance(config, JudgeConfig):
        return JudgeModule(config, layout)
    if isinstance(config, EnhancementConfig):
        return EnhancementModule(config, layout)
    if isinstance(config, LightRestorationConfig):
        heads = {"tone": ToneModule, "parts": PartsModule, "marks": MarksModule}
        return heads.get(config.head, LightRestorationModule)(config, layout)
    assert isinstance(config, UpscalingConfig)
    return UpscalingModule(config, layout)


@denormals_flushed()
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
        config: of the run.
        folder: receives last.ckpt and previous.ckpt (to resume), last.safetensors (the weights) and
            the log.
        max_steps: stop after this step, before the end of the configuration's schedule.
        max_time: stop after this time; the run is validated and saved.
        resume: continue from last.ckpt, or from previous.ckpt if that is missing.
        devices: number of processes on this machine, each with a GPU or a share of the CPU. None:
            as many as torchrun started, or 1.
        accelerator: auto, cpu, gpu or mps.
        wandb: name of a Weights & Biases project that gets the log, too.

    Returns:
        The path of last.safetensors.

    Raises:
        UsageError: an argument or the state of the folder does not allow the run.
        DataError: training or validation data cannot be used, or gradients are no longer finite.
        ModelError: weights or a checkpoint cannot be read or written.
        MissingExtraError: `wandb` is set, but the package is not installed.
    """
    start = newest(folder)
    if resume and start is None:
        raise UsageError(
            f"{folder / LAST}: there is nothing to resume; start without {named('resume')}."
        )
    if not resume and start is not None:
        raise UsageError(
            f"{folder}: holds a run already; add {named('resume')} or name another folder."
        )
    if start is None and (folder / "last.safetensors").exists():
        raise UsageError(
            f"{folder}: holds last.safetensors of a run without a checkpoint: move that file away "
            "or name another folder."
        )
    local, machines = launched_by_torchrun() or (devices or 1, 1)
    if devices is not None and devices != local:
        raise UsageError(
            f"{named('devices')} is {devices}, but torchrun started {local}: leave it out."
        )
    layout = Layout(config.batch, config.accumulate, local * machines)
    layout.check()
    going_on = fitting(start, config) if resume and start is not None else None
    make_folder(folder)
    keep_freed_memory()
    for name in ("lightning.pytorch", "lightning.fabric"):  # hints, advertisements
        logging.getLogger(name).setLevel(logging.WARNING)
    L.seed_everything(config.seed, verbose=False)
    task = module_of(config, layout)
    samples: Any = task.samples()
    if isinstance(photos := getattr(samples, "photos", None), PhotoSource):
        photos.limit //= local  # every process keeps its own photos in memory
    pace, guard = Throughput(config.batch, config.accumulate), Guard(config)
    stopper = Stopper(config.accumulate, max_time)
    # `averaging` swaps the weights back at the end of the validation: `ValidateAndExport` comes
    # before it, and `CheckpointPair`, which writes the averaged weights too, after it.
    callbacks: list[Callback] = [
        pace,
        guard,
        stopper,
        LearningRateMonitor(),
        ValidateAndExport(folder, config, pace, guard, stopper),
    ]
    if config.ema:
        # Buffers are constants here, and averaging whole numbers would truncate them.
        averaging = moving_average(config.ema)
        callbacks.append(WeightAveraging(use_buffers=False, multi_avg_fn=averaging))
    callbacks.append(CheckpointPair(folder, config))
    precision = precision_of(config, accelerator)
    trainer = _trainer(
        accelerator=accelerator,
        devices=local,
        num_nodes=machines,
        strategy="ddp" if layout.processes > 1 else "auto",
        precision="bf16-mixed" if precision == "bfloat16" else "32-true",
        max_steps=min(max_steps or config.max_steps, config.max_steps),
        max_epochs=-1,
        accumulate_grad_batches=config.accumulate,
        callbacks=callbacks,
        logger=_loggers(folder, wandb),
        log_every_n_steps=min(50, config.check_every),
        enable_checkpointing=False,  # `CheckpointPair` does
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,  # `FromStep` knows its share
    )  # fmt: skip
    if trainer.is_global_zero:
        print(f"{samples.describe()}; precision: {precision}", flush=True)
        if config.init is not None:
            count = len(task.model.state_dict())
            print(f"init: {len(task.taken)} of {count} tensors taken", flush=True)
    if config.compile:
        task.compile_parts()
    sampler = FromStep(lambda: trainer.global_step, config.check_every, layout)
    with warnings.catch_warnings(), stopper, _sentences():
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        warnings.filterwarnings("ignore", message=".*Checkpoint directory.*")
        warnings.filterwarnings("ignore", message=".*worker processes in total.*")  # as configured
        warnings.filterwarnings("ignore", message=".*in eval mode at the start.*")  # frozen parts
        warnings.filterwarnings("ignore", message=".*LeafSpec.*")  # inside Lightning
        # `FromStep` continues from the step itself, which Lightning cannot know.
        warnings.filterwarnings("ignore", message=".*dataloader is not resumable.*")
        loader = DataLoader(
            samples,
            batch_size=layout.local,
            sampler=sampler,
            num_workers=config.workers,
            # Not forked off: libvips, which compresses JPEG in them, would wait for threads that
            # only this process has.
            multiprocessing_context="spawn" if config.workers else None,
            persistent_workers=config.workers > 0,
            worker_init_fn=_leave_signals_to_the_parent,
            pin_memory=torch.cuda.is_available(),
        )
        probe = DataLoader(TensorDataset(torch.zeros(1)))  # see `ValidateAndExport`
        trainer.fit(
            task, loader, probe, ckpt_path=going_on, weights_only=True if going_on else None
        )
    return folder / "last.safetensors"


def precision_of(config: TrainConfig, accelerator: str = "auto") -> Precision:
    """The precision of products and convolutions in a run; "auto" is decided for its device."""
    if config.precision != "auto":
        return "bfloat16" if config.precision == "bfloat16" else "float32"
    if accelerator in ("auto", "gpu") and torch.cuda.is_available():
        return fastest_precision("cuda")
    if accelerator in ("auto", "gpu", "mps") and torch.backends.mps.is_available():
        return fastest_precision("mps")
    return fastest_precision("cpu")


def moving_average(decay: float) -> Callable[[Any, Any, Any], None]:
    """A function that updates the averaged weights after each step.

    In step n, the average is multiplied by n / (n + 20), but at most by `decay`. So it follows
    closely at first. Otherwise, it would contain the first weights for about 1 / (1 - decay) steps.

    Args:
        decay: in [0, 1).
    """

    @torch.no_grad()
    def update(averaged: list[Tensor], current: list[Tensor], count: Tensor | int) -> None:
        steps = int(count) + 1
        torch._foreach_lerp_(averaged, current, 1 - min(decay, steps / (steps + 20)))

    return update


def make_folder(folder: Path) -> None:
    """Make the folder of a run, if it does not exist.

    Raises:
        UsageError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"{folder}: this folder cannot be made ({error.strerror}): name another."
        ) from error


def _trainer(**options: Any) -> L.Trainer:
    """Lightning's trainer; its error about missing devices becomes a UsageError."""
    try:
        return L.Trainer(**options, num_sanity_val_steps=0)
    except MisconfigurationException as error:
        reason = " ".join(str(error).split())
        raise UsageError(
            f"{named('accelerator')} or {named('devices')} are not available here: {reason}"
        ) from error


def _leave_signals_to_the_parent(worker: int) -> None:
    """Ignore signals in a worker: after one, the run still needs it to finish the step."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def _sentences() -> Iterator[None]:
    """Restore errors that torch's loader has wrapped, and the interrupt behind Lightning's exit."""
    try:
        yield
    except PixpertsError as error:
        text = str(error.args[0]) if error.args else ""
        if text.startswith("Caught "):  # of a worker, with its traceback
            text = text.rstrip().rpartition("pixperts.errors.")[2].partition(": ")[2]
            raise type(error)(text) from None
        raise
    except SystemExit:  # Lightning's way of ending at an interrupt
        raise KeyboardInterrupt from None


def _loggers(folder: Path, wandb: str | None) -> list[Logger]:
    """TensorBoard always; Weights & Biases as well if a project is named."""
    loggers: list[Logger] = [TensorBoardLogger(str(folder), name="", version="log")]
    if wandb is not None:
        try:
            import wandb as _  # noqa: F401
        except ImportError as error:
            raise MissingExtraError("logging to Weights & Biases", "wandb") from error
        loggers.append(WandbLogger(name=folder.name, project=wandb, save_dir=str(folder)))
    return loggers
