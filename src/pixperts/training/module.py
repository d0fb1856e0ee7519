"""The base of all trainings: a network, its optimizer, noise, measurements, counts of experts."""

import math
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import lightning as L
import torch
from torch import Tensor
from torch.utils.data import Dataset

from pixperts.errors import UsageError
from pixperts.models.interfaces import Network
from pixperts.models.moeisr_light.parts import Block
from pixperts.models.presets import create_model
from pixperts.training import distributed
from pixperts.training.config import TrainConfig
from pixperts.training.optimizers import optimizer_of
from pixperts.weights import store
from pixperts.weights.packaged import weights_file


class TrainingModule(L.LightningModule):
    """A network with its losses, samples and measurements; each family has a subclass.

    Args:
        config: of the run.
        layout: how processes share a batch; None: there is one process.

    Attributes:
        counts: (tasks, blocks, J) int64, how often each of J experts was chosen since the last
            validation.
        taken: names of the tensors that were copied from `config.init`, if that is set.

    Raises:
        ModelError: the network cannot be built, or its first weights cannot be read.
        UsageError: `init` or `frozen` does not fit the network.
    """

    counts: Tensor

    def __init__(self, config: TrainConfig, layout: distributed.Layout | None = None) -> None:
        super().__init__()
        self.config = config
        self.layout = layout or distributed.Layout(config.batch, config.accumulate)
        self.model: Network = create_model(config.model, **config.model_options)
        self.taken: list[str] = []
        if config.init is not None:
            self.taken = self.start(weights_file(config.init))
        names = [name for name, _ in self.model.named_parameters()]
        for prefix in config.frozen:
            if not any(name.startswith(prefix) for name in names):
                raise UsageError(f"frozen names {prefix!r}, but no parameter begins like that.")
        for name, parameter in self.model.named_parameters():
            if name.startswith(tuple(config.frozen) or ("\0",)):
                parameter.requires_grad_(False)
        if not any(p.requires_grad for p in self.model.parameters()):
            raise UsageError("frozen names every parameter, so there is nothing to train.")
        named = self.model.named_parameters()
        # A batch may have no picture for an expert, or for one of two sets of layers.
        split = getattr(self.model, "noise_layers", None) is not None
        self._touched = [p for name, p in named if p.requires_grad and (split or "experts" in name)]
        self._numbers = range(0)
        self._sums: dict[str, Any] = {}
        self.train()

    def start(self, path: Path) -> list[str]:
        """Begin with the weights of a file; returns the names of what was taken."""
        return start_from(self.model, path)

    # ------------------------------------------------------------ for subclasses

    @property
    @abstractmethod
    def names(self) -> Sequence[str]:
        """The tasks for which `counts` counts separately."""

    @property
    @abstractmethod
    def blocks(self) -> Sequence[str]:
        """The names of the blocks that choose experts, in order of execution."""

    @abstractmethod
    def samples(self) -> Dataset[Any]:
        """Training samples by number; each depends on the seed and its number only."""

    @abstractmethod
    def loss(self, batch: Any) -> dict[str, Tensor]:
        """The weighted terms of the loss, whose sum is minimized; also counts the experts."""

    @abstractmethod
    def scores(self) -> Iterator[tuple[str, float]]:
        """Names and values of measurements, for the validation pictures of this process."""

    @abstractmethod
    def pictures(self) -> dict[str, Tensor]:
        """Results of the present weights to look at: (3, H, W) in [0, 1], by name."""

    @abstractmethod
    def sheet(self, batch: Any) -> Tensor:
        """A batch as one picture (3, H, W) in [0, 1], with one column per sample."""

    @abstractmethod
    def compile_parts(self) -> None:
        """Compile the parts that choose no experts and get maps of one size only."""

    # ------------------------------------------------------------ steps

    def train(self, mode: bool = True) -> Self:
        """Set the mode as for every module, but frozen parts stay in evaluation mode.

        Dropout and skipped branches in them would only disturb the parts that are trained.
        """
        super().train(mode)
        for part in self.model.modules():
            kept = [parameter.requires_grad for parameter in part.parameters()]
            if kept and not any(kept):
                part.eval()
        return self

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """The loss of one part of a step.

        Random numbers depend on the seed and the step only, so that a resumed run uses the same.
        """
        part = batch_idx % self.layout.accumulate
        places = self.layout.places(distributed.rank(), part)
        first = self.global_step * self.layout.batch
        self._numbers = range(first + places.start, first + places.stop)[: len(batch[0])]
        # For random numbers inside a network, such as SwinIR's skipped branches.
        torch.manual_seed((self.config.seed << 40) + self._numbers.start)
        terms = self.loss(batch)
        for name, value in terms.items():  # values that are not finite are left out of the mean
            value, finite = value.detach(), value.detach().isfinite()
            part_of = torch.stack([value.nan_to_num(0.0, 0.0, 0.0), finite.to(value.dtype)])
            self._sums[name] = self._sums.get(name, 0.0) + part_of.float()
        return torch.stack(list(terms.values())).sum() + distributed.zero_gradients_for(
            self._touched
        )

    def noise(self, shape: Sequence[int], *, normal: bool) -> Tensor:
        """Random numbers (B, *shape) that depend on the seed and the numbers of the samples only.

        Args:
            shape: of the random numbers of one sample.
            normal: draw from the standard normal distribution; else uniformly from [0, 1).
        """
        draw = torch.randn if normal else torch.rand
        rows = []
        for number in self._numbers:
            seed = (self.config.seed << 40) + number
            rows.append(draw(*shape, generator=torch.Generator().manual_seed(seed)))
        return torch.stack(rows).to(self.device)

    def on_fit_start(self) -> None:
        """Move the counts to the device of the choices, so that no step waits for a copy."""
        self.counts = self.counts.to(self.device)

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        """Nothing: `measure` does it, on whole pictures and with the averaged weights."""

    def optimizer(self) -> torch.optim.Optimizer:
        """The optimizer, with the highest learning rates of the schedule."""
        config = self.config
        return optimizer_of(
            config.optimizer,
            self.model,
            rate=config.learning_rate,
            matrix_rate=config.matrix_rate,
            betas=config.betas,
            weight_decay=config.weight_decay,
        )

    def configure_optimizers(self) -> Any:
        """The optimizer and its schedule: a linear warm-up, then a cosine or halvings."""
        config = self.config
        optimizer = self.optimizer()

        def factor(step: int) -> float:
            if step < config.warmup_steps:
                return (step + 1) / config.warmup_steps
            if config.halve_at:
                return 0.5 ** sum(step >= place for place in config.halve_at)
            length = (config.cosine_steps or config.max_steps) - config.warmup_steps
            progress = (step - config.warmup_steps) / max(1, length)
            cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
            return config.final_rate + (1 - config.final_rate) * cosine

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    # ------------------------------------------------------------ measuring

    def measure(self) -> dict[str, float]:
        """Means of `scores` over the pictures of all processes, and the shares of the experts."""
        values: dict[str, list[float]] = {}
        for name, value in distributed.gathered(list(self.scores())):
            values.setdefault(name, []).append(value)
        notes = {name: sum(found) / len(found) for name, found in values.items()}
        for name, counts in zip(self.names, self.counts, strict=True):
            shares = counts.sum(dim=0) / counts.sum().clamp_min(1)
            for expert, share in enumerate(shares.tolist()):
                notes[f"share_{name}_{expert}"] = share
        return notes

    def take_losses(self) -> dict[str, float]:
        """Means of the terms of the loss since the last call, over all processes."""
        sums, self._sums = self._sums, {}
        means = {}
        for name, value in sorted(sums.items()):
            total, count = distributed.summed(value).tolist()
            means[name] = total / max(1.0, count)
        return means

    def expert_shares(self) -> dict[str, float]:
        """Share of each expert in 0..1 since the last validation, by task/block/expert."""
        shares = self.counts / self.counts.sum(dim=2, keepdim=True).clamp_min(1)
        return {
            f"{name}/{block}/{expert}": value
            for name, blocks in zip(self.names, shares.tolist(), strict=True)
            for block, values in zip(self.blocks, blocks, strict=True)
            for expert, value in enumerate(values)
        }

    def expert_table(self) -> str:
        """A table with the share of each expert since the last validation, in %.

        Each task has a line, with the blocks one after the other.
        """
        lines = ["experts by task, % of the training samples, blocks in order:"]
        for name, counts in zip(self.names, self.counts, strict=True):
            shares = 100 * counts / counts.sum(dim=1, keepdim=True).clamp_min(1)
            blocks = [" ".join(f"{value:3.0f}" for value in block) for block in shares.tolist()]
            lines.append(f"  {name:14} {' | '.join(blocks)}")
        return "\n".join(lines)

    def idle_experts(self, high: float = 0.9, low: float = 0.01, least: int = 200) -> list[str]:
        """A sentence for each expert that was chosen nearly always or nearly never in its block.

        Args:
            high: share of the choices above which an expert is reported.
            low: share below which it is reported.
            least: blocks with fewer choices since the last validation are left out, as are those
                with one expert.
        """
        sentences = []
        for block, counts in zip(self.blocks, self.counts.sum(dim=0), strict=True):
            total = int(counts.sum())
            if total < least or len(counts) == 1:
                continue
            for expert, share in enumerate((counts / total).tolist()):
                if low <= share <= high:
                    continue
                word = "nearly all" if share > high else "nearly none"
                sentences.append(
                    f"expert {expert} of {block} got {100 * share:.1f} % of the choices, {word}: "
                    "see 'When an expert dies' in docs/training.md."
                )
        return sentences


def start_from(model: torch.nn.Module, path: Path) -> list[str]:
    """Copy those tensors of a weights file that fit a network by name and shape.

    Residual blocks that are not in the file start with a last layer of zeros: they change nothing
    at first, so that a trained network can be extended. Layers for noise that are not in the file
    begin as the other plain layers.

    Args:
        model: is changed.
        path: of the weights file.

    Returns:
        The sorted names of the copied tensors.

    Raises:
        ModelError: the file cannot be read.
        UsageError: no tensor fits.
    """
    source, _ = store.load(path)
    own = model.state_dict()
    fitting = {k: v for k, v in source.state_dict().items() if k in own and v.shape == own[k].shape}
    if not fitting:
        raise UsageError(f"{path}: none of its tensors fits the model that is to be trained.")
    model.load_state_dict({**own, **fitting})
    for name, block in model.named_modules():
        if isinstance(block, Block) and f"{name}.second.weight" not in fitting:
            torch.nn.init.zeros_(block.second.weight)
    layers = getattr(model, "noise_layers", None)
    if layers is not None and "noise_layers.head.weight" not in fitting:
        layers.begin_as(model)
    return sorted(fitting)
