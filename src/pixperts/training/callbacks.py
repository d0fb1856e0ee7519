"""Callbacks of a training: limit gradients, stop, measure speed, validate, save weights."""

import math
import signal
import threading
import time
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import Any, Self, cast

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger

from pixperts.errors import DataError
from pixperts.training import distributed
from pixperts.training.config import TrainConfig
from pixperts.training.module import TrainingModule
from pixperts.weights import store


class Guard(Callback):
    """Limits the norm of the gradient, and skips and counts steps whose gradient is not finite.

    The norm is that of the gradient after averaging, so all processes decide in the same way. It is
    not finite if a loss is not, or if the backward pass overflows. For a skipped step the gradients
    are removed, so that the optimizer leaves weights and moments as they are.

    Args:
        config: its `clip` is the largest norm, its `skips` the largest number of steps in a row
            that are skipped.
    """

    def __init__(self, config: TrainConfig) -> None:
        self.clip, self.limit = config.clip, config.skips
        self.skipped, self.in_a_row = 0, 0

    def on_before_optimizer_step(
        self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any
    ) -> None:
        """Called after the backward pass of a whole step.

        Raises:
            DataError: too many steps in a row had no finite gradient.
        """
        parameters = [p for p in pl_module.parameters() if p.grad is not None]
        norm = float(torch.nn.utils.clip_grad_norm_(parameters, self.clip))
        if math.isfinite(norm):
            self.in_a_row = 0
            if trainer.global_step % 50 == 0:
                log(trainer, {"step/gradient_norm": norm})
            return
        for parameter in parameters:
            parameter.grad = None
        self.skipped += 1
        self.in_a_row += 1
        if self.in_a_row >= self.limit:
            raise DataError(
                f"the gradient was not finite in {self.in_a_row} steps in a row, up to step "
                f"{trainer.global_step + 1}: start anew with a lower learning_rate, from the "
                "weights of an earlier step (init: RUN_DIR/last.safetensors), or look for broken "
                "pictures in the training data."
            )

    def state_dict(self) -> dict[str, Any]:
        """The counts, so that a resumed run stops at the same step as one without a break."""
        return {"skipped": self.skipped, "in_a_row": self.in_a_row}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the counts of `state_dict`."""
        self.skipped, self.in_a_row = state_dict["skipped"], state_dict["in_a_row"]


class Stopper(Callback):
    """Ends a run after a whole step: after the last one, after a time, or at a signal.

    The run is then validated and saved. After a signal it is only saved (`hurry`), because whoever
    sent it may not wait for long. A second interrupt ends the run at once.

    Args:
        accumulate: parts of a step.
        limit: time after which the run ends, counted from now; None: no limit.
    """

    _SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self, accumulate: int, limit: timedelta | None = None) -> None:
        self.accumulate, self.limit = accumulate, limit
        self.asked, self.hurry = False, False
        self.started = time.monotonic()
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        self._before = {number: signal.getsignal(number) for number in self._SIGNALS}
        return self

    def on_train_start(self, *_: Any) -> None:
        """Handle signals from now on, if this is the main thread; Lightning would raise at them."""
        for number in self._SIGNALS:
            # A shell starts background jobs so that they ignore interrupts; that is kept.
            if signal.getsignal(number) != signal.SIG_IGN and _in_main_thread():
                signal.signal(number, self._ask)

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            if _in_main_thread():
                signal.signal(number, handler)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Decide after a whole step whether to stop; a run cannot be resumed within one."""
        if (batch_idx + 1) % self.accumulate:
            return
        passed = timedelta(seconds=time.monotonic() - self.started)
        late = self.limit is not None and passed > self.limit
        over = trainer.global_step >= trainer.max_steps
        # Processes have to agree, for which they wait for one another: so not at every step.
        often = distributed.processes() == 1 or trainer.global_step % 10 == 0
        if often and distributed.any_process(late or self.asked):
            self.hurry = distributed.any_process(self.asked)
            over = True
        if over:
            trainer.should_stop = True

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.asked = True


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


class Throughput(Callback):
    """Measures samples per second, and the share of the time spent waiting for samples.

    Args:
        batch: samples of a step, over all processes.
        accumulate: parts of a step.
    """

    def __init__(self, batch: int, accumulate: int) -> None:
        self.samples_a_part = batch / accumulate
        self._reset()

    def _reset(self) -> None:
        self.waited, self.worked, self.parts = 0.0, 0.0, 0
        self._mark: float | None = None

    def on_train_batch_start(self, *_: Any) -> None:
        """Count the time since the end of the last batch as waiting, without validation."""
        now = time.perf_counter()
        if self._mark is not None:
            self.waited += now - self._mark
        self._mark = now

    def on_train_batch_end(self, *_: Any) -> None:
        """Count the time since the start of the batch as work."""
        now = time.perf_counter()
        if self._mark is not None:
            self.worked += now - self._mark
        self.parts += 1
        self._mark = now

    def on_validation_start(self, *_: Any) -> None:
        """Forget the mark, so that the time of validation counts as neither."""
        self._mark = None

    def take(self) -> dict[str, float]:
        """The figures since the last call: samples per second, and a share in 0..1."""
        total = max(self.waited + self.worked, 1e-9)
        figures = {
            "samples_per_second": self.parts * self.samples_a_part / total,
            "waiting_for_data": self.waited / total,
        }
        self._reset()
        return figures


class ValidateAndExport(Callback):
    """Every `check_every` steps: validate, print, log, and write last.safetensors.

    Args:
        folder: of the run.
        config: of the run.
        pace: measures the speed that is reported.
        guard: counts the skipped steps that are reported.
        stopper: says whether there is time to validate.
    """

    def __init__(
        self, folder: Path, config: TrainConfig, pace: Throughput, guard: Guard, stopper: Stopper
    ) -> None:
        self.folder, self.config = folder, config
        self.pace, self.guard, self.stopper = pace, guard, stopper
        self.started = time.monotonic()

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Called while the network has the averaged weights."""
        assert isinstance(pl_module, TrainingModule)
        step = trainer.global_step
        pl_module.counts = distributed.summed(pl_module.counts)
        model = pl_module.model.eval()
        hurry = self.stopper.hurry
        with as_written():
            notes: dict[str, Any] = {"step": step} | ({} if hurry else pl_module.measure())
            pictures = {} if hurry or not trainer.is_global_zero else pl_module.pictures()
        losses = pl_module.take_losses()
        figures = self.pace.take() | {"skipped": float(self.guard.skipped)}
        groups = (
            ("validation", notes), ("loss", losses), ("step", figures),
            ("experts", pl_module.expert_shares()),
        )  # fmt: skip
        for group, values in groups:
            log(trainer, {f"{group}/{k}": float(v) for k, v in values.items() if k != "step"})
        if trainer.is_global_zero:
            self._tell(pl_module, notes, losses, figures)
            card = store.Card(
                name=self.config.model,
                config={},
                license=self.config.license,
                data=self.config.data,
                notes={"training": notes},
            )
            store.save(self.folder / "last.safetensors", model, card)
            show(trainer, pictures, step)
        pl_module.counts.zero_()
        pl_module.train()

    def _tell(
        self,
        task: TrainingModule,
        notes: dict[str, Any],
        losses: dict[str, float],
        figures: dict[str, float],
    ) -> None:
        print(task.expert_table(), flush=True)
        text = ", ".join(f"{k} {v:.3f}" for k, v in notes.items() if k[:5] not in ("step", "share"))
        terms = ", ".join(f"{k} {v:.4f}" for k, v in losses.items())
        terms = f"loss: {terms}" if terms else ""
        minutes = (time.monotonic() - self.started) / 60
        pace = (
            f"{figures['samples_per_second']:.1f} samples/s, "
            f"{100 * figures['waiting_for_data']:.0f} % waiting for data"
        )
        skipped = f", {self.guard.skipped} steps skipped" if self.guard.skipped else ""
        line = "; ".join(part for part in (text, terms, pace + skipped) if part)
        print(f"step {notes['step']}, {minutes:.1f} min: {line}", flush=True)
        for sentence in task.idle_experts():
            print(f"note: {sentence}", flush=True)


def as_written() -> AbstractContextManager[Any]:
    """A context in which compiled parts run as they were written.

    Validation takes whole pictures, and each new size would be compiled anew.
    """
    stance = getattr(torch.compiler, "set_stance", None)  # torch 2.6
    return nullcontext() if stance is None else cast(Any, stance("force_eager"))


def log(trainer: L.Trainer, values: dict[str, float]) -> None:
    """Pass numbers to every logger; only the first process writes."""
    for logger in trainer.loggers:
        logger.log_metrics(values, trainer.global_step)


def show(trainer: L.Trainer, pictures: dict[str, torch.Tensor], step: int) -> None:
    """Pass pictures (3, H, W) in [0, 1], by their names, to every logger."""
    for logger in trainer.loggers:
        for name, picture in pictures.items():
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_image(f"pictures/{name}", picture, step)
            elif isinstance(logger, WandbLogger):
                pixels = (picture.permute(1, 2, 0) * 255).round().byte().numpy()
                logger.log_image(f"pictures/{name}", [pixels], step=step)
