"""What the trainings of all networks that enlarge share: experts counted, a benchmark measured."""

from collections.abc import Iterator

import torch
from torch import Tensor

from pixperts.data.benchmarks import SuperResolutionSet
from pixperts.errors import UsageError
from pixperts.evaluation.metrics import psnr
from pixperts.inference.expert_maps import draw
from pixperts.models.interfaces import UpscalingNetwork
from pixperts.training.config import LightConfig, UpscalingConfig
from pixperts.training.distributed import Layout, processes, rank
from pixperts.training.module import TrainingModule


class EnlargingModule(TrainingModule):
    """One mapper, whose experts are counted, and pictures of a benchmark to measure on.

    Attributes:
        balance_target: (J,) share of each expert that the balance loss aims at.
        costs: (J,) of the experts, see `routing`.
        validation: the benchmark's pictures, read when needed.
    """

    config: UpscalingConfig | LightConfig
    model: UpscalingNetwork
    balance_target: Tensor
    costs: Tensor

    def __init__(self, config: UpscalingConfig | LightConfig, layout: Layout | None = None) -> None:
        super().__init__(config, layout)
        experts = len(self.model.costs)
        self.counts = torch.zeros(1, 1, experts, dtype=torch.int64)
        target = config.balance_target or (1 / experts,) * experts
        if len(target) != experts or abs(sum(target) - 1) > 1e-6 or min(target) <= 0:
            raise UsageError(
                f"balance_target is {target}, but must be {experts} positive shares summing to 1."
            )
        self.register_buffer("balance_target", torch.tensor(target), persistent=False)
        self.register_buffer("costs", torch.tensor(self.model.costs), persistent=False)
        self.validation: SuperResolutionSet | None = None
        if config.validation:
            self.validation = SuperResolutionSet.open(config.validation)
            for scale, number in self._cases():  # a fault is found now, not after an hour
                self.validation.pair(number, scale)

    @property
    def names(self) -> tuple[str, ...]:
        """There is one task."""
        return ("enlarging",)

    @property
    def blocks(self) -> tuple[str, ...]:
        """One mapper decides for every pixel."""
        return ("the mapper",)

    def scores(self) -> Iterator[tuple[str, float]]:
        """PSNR and mean cost of each picture at each validation scale, protocol y-shave."""
        for scale, number in self._cases()[rank() :: processes()]:
            lr, hr = self._pair(number, scale)
            output = self.model(lr[None].to(self.device), (hr.shape[1], hr.shape[2]))
            image = output.image[0].clamp(0, 1).cpu()
            yield f"psnr_x{scale}", psnr(image, hr, "y-shave", scale)
            for routing in output.routings:
                yield f"cost_x{scale}", routing.mean_cost

    def pictures(self) -> dict[str, Tensor]:
        """For each validation scale the first picture: enlarged, original, map of its experts."""
        shown = {}
        for scale in self.config.validation_scales if self.validation is not None else ():
            lr, hr = self._pair(0, scale)
            output = self.model(lr[None].to(self.device), (hr.shape[1], hr.shape[2]))
            parts = [output.image[0].clamp(0, 1).cpu(), hr]
            for routing in output.routings:
                sketch = draw(routing, legend=False)  # (H, W, 3)
                parts.append(torch.from_numpy(sketch).permute(2, 0, 1).float() / 255)
            shown[f"x{scale}"] = torch.cat(parts, dim=2)
        return shown

    def _cases(self) -> list[tuple[int, int]]:
        """What is validated: scale and number of the picture, which is read when needed."""
        count = 0 if self.validation is None else len(self.validation)
        return [(s, number) for s in self.config.validation_scales for number in range(count)]

    def _pair(self, number: int, scale: int) -> tuple[Tensor, Tensor]:
        assert self.validation is not None
        return self.validation.pair(number, scale)
