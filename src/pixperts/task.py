"""What is common to the training of both families: start, frozen parts, optimiser, schedule."""

import math
from abc import abstractmethod
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import Tensor
from torch.utils.data import Dataset

from pixperts import checkpoint
from pixperts.errors import UsageError
from pixperts.models import Network, create_model
from pixperts.train_config import TrainConfig


class Task(L.LightningModule):
    """A network, its losses, its samples and its measure; one subclass a family."""

    def __init__(self, config: TrainConfig) -> None:
        super().__init__()
        self.config = config
        self.model: Network = create_model(config.model, **config.model_options)
        if config.init is not None:
            self.taken = start_from(self.model, Path(config.init))
        names = [name for name, _ in self.model.named_parameters()]
        for prefix in config.frozen:
            if not any(name.startswith(prefix) for name in names):
                raise UsageError(f"frozen names {prefix!r}, but no parameter begins like that.")
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(not name.startswith(tuple(config.frozen) or ("\0",)))

    @abstractmethod
    def samples(self) -> Dataset[Any]:
        """Training samples by number, each a function of the seed and its number alone."""

    @abstractmethod
    def measure(self) -> dict[str, float]:
        """Quality of the present weights on the validation pictures; prints details if any."""

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        """Nothing: `measure` takes whole pictures while the averaged weights are swapped in."""

    def optimizer(self, parameters: list[torch.nn.Parameter]) -> torch.optim.Optimizer:
        """The family's optimiser, at the peak learning rate."""
        return torch.optim.Adam(parameters, lr=self.config.learning_rate)

    def configure_optimizers(self) -> Any:
        """Linear warm-up, then cosine over the run's own length."""
        config = self.config
        optimizer = self.optimizer([p for p in self.model.parameters() if p.requires_grad])

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

    def step_noise(self) -> torch.Generator:
        """Randomness of the present step, the same in a run that was resumed."""
        seed = self.config.seed * 1_000_003 + self.global_step
        return torch.Generator(self.device).manual_seed(seed)


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
