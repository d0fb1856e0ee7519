"""Training of super-resolution mixtures with Lightning: `pixperts train CONFIG.yaml -o RUN_DIR`.

Everything that needs Lightning is in this module and imported when a training starts.
"""

import math
import time
import warnings
from datetime import timedelta
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, EMAWeightAveraging, ModelCheckpoint, Timer
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from pixperts import checkpoint
from pixperts.data import ArbitraryScale, FromStep, Sample, load_photos
from pixperts.errors import DataError, UsageError
from pixperts.evaluate import SuperResolutionSet
from pixperts.losses import balance_loss, expected_cost, expected_error, gumbel_weights
from pixperts.memory import keep_freed_memory
from pixperts.metrics import psnr
from pixperts.models import create_model
from pixperts.train_config import TrainConfig

__all__ = ["SuperResolutionTask", "TrainConfig", "start_from", "train"]


class SuperResolutionTask(L.LightningModule):
    """The training step: mix the experts' colours by Gumbel-Softmax, L1, balance, cost."""

    def __init__(self, config: TrainConfig) -> None:
        super().__init__()
        self.config = config
        self.model = create_model(config.model, **config.model_options)
        if config.init is not None:
            self.taken = start_from(self.model, Path(config.init))
        names = [name for name, _ in self.model.named_parameters()]
        for prefix in config.frozen:
            if not any(name.startswith(prefix) for name in names):
                raise UsageError(f"frozen names {prefix!r}, but no parameter begins like that.")
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(not name.startswith(tuple(config.frozen) or ("\0",)))
        experts = len(self.model.experts)
        target = config.balance_target or (1 / experts,) * experts
        if len(target) != experts or abs(sum(target) - 1) > 1e-6 or min(target) <= 0:
            raise UsageError(
                f"balance_target is {target}, but must be {experts} positive shares summing to 1."
            )
        self.register_buffer("balance_target", torch.tensor(target), persistent=False)
        self.register_buffer("costs", torch.tensor(self.model.costs), persistent=False)

    def training_step(self, batch: Sample, batch_idx: int) -> Tensor:
        """One step; loss terms and expert shares are logged."""
        config, step = self.config, self.global_step
        frozen_encoder = any("encoder".startswith(prefix) for prefix in config.frozen)
        with torch.set_grad_enabled(not frozen_encoder):
            lr = batch.lr.contiguous(memory_format=torch.channels_last)
            features = self.model.encode(lr)
        colours, logits = self.model.query(lr, batch.positions, batch.size, features)
        errors = (colours - batch.target[:, :, None]).abs()  # (B, Q, J, 3)
        if logits is None:
            loss = errors.mean()
            self.log_dict({"loss/l1": loss})
            return loss
        start, end = config.temperature
        temperature = start * (end / start) ** min(1.0, step / config.max_steps)
        noise = torch.Generator(logits.device).manual_seed(config.seed * 1_000_003 + step)
        weights = gumbel_weights(logits.float(), temperature, hard=config.hard, generator=noise)
        mixed = (weights[..., None] * colours).sum(dim=2)  # (B, Q, 3)
        probabilities = logits.float().softmax(dim=-1).flatten(0, 1)  # (B * Q, J)
        terms = {
            "l1": (mixed - batch.target).abs().mean(),
            "experts": config.expert_weight * errors.mean(),
            "balance": config.balance_weight * balance_loss(probabilities, self.balance_target),
            "cost": config.cost_weight * expected_cost(probabilities, self.costs),
        }
        if config.routing_weight:
            squared = (colours.detach() - batch.target[:, :, None]).square().mean(dim=3)
            terms["routing"] = config.routing_weight * expected_error(
                probabilities, squared.flatten(0, 1)
            )
        loss = torch.stack(list(terms.values())).sum()
        if step % 50 == 0:
            share = torch.bincount(probabilities.argmax(1), minlength=len(self.costs))
            share = share.float() / len(probabilities)
            self.log_dict({f"loss/{name}": value.detach() for name, value in terms.items()})
            own = errors.detach().mean(dim=(0, 1, 3))
            self.log_dict({f"share/{j}": value for j, value in enumerate(share)})
            self.log_dict({f"l1/{j}": value for j, value in enumerate(own)})
        return loss

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        """Nothing: `Keeper` measures whole pictures while the averaged weights are swapped in."""

    def configure_optimizers(self) -> Any:
        """Adam with linear warm-up, then cosine over the run's own length."""
        config = self.config
        trained = [p for p in self.model.parameters() if p.requires_grad]
        optimizer = torch.optim.Adam(trained, lr=config.learning_rate)

        def factor(step: int) -> float:
            if step < config.warmup_steps:
                return (step + 1) / config.warmup_steps
            progress = (step - config.warmup_steps) / max(1, config.max_steps - config.warmup_steps)
            cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
            return config.final_rate + (1 - config.final_rate) * cosine

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }


class Keeper(Callback):
    """After each stretch of steps: validate, print one line, write last.safetensors."""

    def __init__(self, folder: Path, config: TrainConfig) -> None:
        self.folder, self.config, self.started = folder, config, time.monotonic()
        self.sets: dict[int, list[tuple[Tensor, Tensor]]] = {}
        if config.validation:
            pictures = SuperResolutionSet.open(config.validation)
            for scale in config.validation_scales:
                self.sets[scale] = [pictures.pair(i, scale) for i in range(len(pictures))]

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        """Ask for a last validation where the last step lies within a stretch."""
        if trainer.global_step >= trainer.max_steps:
            trainer.should_stop = True

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Runs while the averaged weights are swapped in."""
        assert isinstance(pl_module, SuperResolutionTask)
        model = pl_module.model.eval()
        notes: dict[str, Any] = {"step": trainer.global_step}
        for scale, pairs in self.sets.items():
            values, costs = [], []
            for lr, hr in pairs:
                output = model(lr[None].to(pl_module.device), (hr.shape[1], hr.shape[2]))
                image = output.image[0].clamp(0, 1).cpu()
                values.append(psnr(image, hr, "y-shave", scale))
                costs += [routing.mean_cost for routing in output.routings]
            notes[f"psnr_x{scale}"] = sum(values) / len(values)
            if costs:
                notes[f"cost_x{scale}"] = sum(costs) / len(costs)
        for name, value in notes.items():
            if name != "step":
                pl_module.log(f"validation/{name}", value)
        text = ", ".join(f"{k} {v:.3f}" for k, v in notes.items() if k != "step")
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


def start_from(model: torch.nn.Module, path: Path) -> list[str]:
    """Copy the tensors of a weights file that fit by name and shape; the names that were taken.

    Raises:
        UsageError: if none fits.
    """
    source, _ = checkpoint.load(path)
    own = model.state_dict()
    fitting = {k: v for k, v in source.state_dict().items() if k in own and v.shape == own[k].shape}
    if not fitting:
        raise UsageError(f"{path}: none of its tensors fits the model that is to be trained.")
    model.load_state_dict({**own, **fitting})
    return sorted(fitting)


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
    if not config.photos:
        raise DataError("the configuration names no folder of training photos ('photos').")
    folder.mkdir(parents=True, exist_ok=True)
    keep_freed_memory()
    L.seed_everything(config.seed, verbose=False)
    task = SuperResolutionTask(config)
    photos = load_photos(
        [Path(p) for p in config.photos], config.exclude, min_side=max(128, config.patch)
    )
    megapixels = sum(p.shape[1] * p.shape[2] for p in photos) / 1e6
    print(f"{len(photos)} training photos, {megapixels:.0f} megapixels", flush=True)
    samples = ArbitraryScale(
        photos, patch=config.patch, queries=config.queries, scales=config.scales, seed=config.seed
    )
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
