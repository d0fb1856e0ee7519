"""Training of networks that enlarge: the base of all, and the training of MoEISR."""

from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from pixperts.data.benchmarks import SuperResolutionSet
from pixperts.data.photos import load_photos
from pixperts.data.super_resolution import ArbitraryScale, Sample
from pixperts.errors import UsageError
from pixperts.evaluation.metrics import psnr
from pixperts.inference.expert_maps import draw
from pixperts.models.interfaces import UpscalingNetwork
from pixperts.models.moeisr.model import MoEISR
from pixperts.training.config import LightConfig, UpscalingConfig
from pixperts.training.distributed import Layout, all_gather_with_grad, averaged, processes, rank
from pixperts.training.losses import (
    balance_loss,
    distillation_loss,
    expected_cost,
    expected_error,
    gumbel_weights,
    predicted_error_loss,
)
from pixperts.training.module import TrainingModule
from pixperts.weights import store
from pixperts.weights.packaged import weights_file


class EnlargingModule(TrainingModule):
    """The base: one mapper, whose choices are counted, and a benchmark for validation.

    Args:
        config: of the run.
        layout: how processes share a batch; None: there is one process.

    Attributes:
        balance_target: (J,), the wanted share of each expert.
        costs: (J,) of the experts, see `routing`.
        validation: the pictures of the benchmark, which are read when needed; None without one.

    Raises:
        UsageError: `balance_target` does not fit the experts.
        DataError: the pictures of the benchmark cannot be used.
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
            for scale, number in self._cases():  # so that a fault shows before the training
                self.validation.pair(number, scale)

    @property
    def names(self) -> tuple[str, ...]:
        """The only task."""
        return ("enlarging",)

    @property
    def blocks(self) -> tuple[str, ...]:
        """The only block that chooses: the mapper, for every pixel."""
        return ("the mapper",)

    def scores(self) -> Iterator[tuple[str, float]]:
        """PSNR in dB (protocol y-shave) and mean cost of each picture at each scale."""
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
        """Scale and number of each picture of the validation."""
        count = 0 if self.validation is None else len(self.validation)
        return [(s, number) for s in self.config.validation_scales for number in range(count)]

    def _pair(self, number: int, scale: int) -> tuple[Tensor, Tensor]:
        assert self.validation is not None
        return self.validation.pair(number, scale)


class UpscalingModule(EnlargingModule):
    """The training step: mix the colors of the experts, compare them with the photo's.

    The weights of the mixture are samples of a Gumbel-Softmax. Further losses train the mapper.
    """

    config: UpscalingConfig
    model: MoEISR

    def __init__(self, config: UpscalingConfig, layout: Layout | None = None) -> None:
        super().__init__(config, layout)
        # In a tuple, so that it is not registered as a part of this module, which would be trained
        # and saved.
        self._teacher = () if config.teacher is None else (teacher_of(config.teacher),)

    def samples(self) -> ArbitraryScale:
        """Small patches with output pixels to compute, made from photos on the fly."""
        config = self.config
        photos = load_photos(
            [Path(p) for p in config.photos], config.exclude, min_side=max(128, config.patch)
        )
        return ArbitraryScale(
            photos,
            patch=config.patch,
            queries=config.queries,
            scales=config.scales,
            seed=config.seed,
        )

    def target(self, batch: Sample) -> Tensor:
        """The colors of the photo (B, Q, 3), or a blend of them with those of the teacher."""
        target = batch.target
        for teacher in self._teacher:
            teacher.to(batch.lr.device)
            asked = (batch.lr, batch.positions, batch.size)
            if self.config.teacher_turned:
                # The mean over all eight turns is better than each (Timofte et al., arXiv
                # 1511.02228). One of them per step, in turn, costs no more than a single one.
                turns = [turned(*one) for one in zip(*asked, self._numbers, strict=True)]
                lr, positions, size = (torch.stack(parts) for parts in zip(*turns, strict=True))
                asked = (lr, positions, size)
            # In half precision, rounding would be larger than what the teacher does better.
            with torch.no_grad(), torch.autocast(batch.lr.device.type, enabled=False):
                colors, _ = teacher.query(*asked)
            taught = colors[:, :, -1].to(target.dtype)  # of its last expert
            target = target.lerp(taught, self.config.teacher_weight)
        return target

    def loss(self, batch: Sample) -> dict[str, Tensor]:
        """The weighted terms of the loss; counts the choices of the output pixels."""
        config, step, target = self.config, self.global_step, self.target(batch)
        frozen_encoder = any("encoder".startswith(prefix) for prefix in config.frozen)
        with torch.set_grad_enabled(not frozen_encoder):
            lr = batch.lr.contiguous(memory_format=torch.channels_last)
            features = self.model.encode(lr)
        colors, logits = self.model.query(lr, batch.positions, batch.size, features)
        errors = (colors - target[:, :, None]).abs()  # (B, Q, J, 3)
        if logits is None:
            return {"l1": errors.mean()}
        start, end = config.temperature
        temperature = start * (end / start) ** min(1.0, step / config.max_steps)
        noise = self.noise(logits.shape[1:], normal=False)
        weights = gumbel_weights(logits.float(), temperature, hard=config.hard, uniform=noise)
        mixed = (weights[..., None] * colors).sum(dim=2)  # (B, Q, 3)
        probabilities = logits.float().softmax(dim=-1).flatten(0, 1)  # (B * Q, J)
        share = all_gather_with_grad(probabilities.mean(dim=0, keepdim=True))  # (processes, J)
        terms = {
            "l1": config.mixture_weight * (mixed - target).abs().mean(),
            "experts": config.expert_weight * errors.mean(),
            "balance": config.balance_weight * balance_loss(share, self.balance_target),
            "cost": config.cost_weight * expected_cost(probabilities, self.costs),
        }
        squared = errors.detach().square().mean(dim=3)  # (B, Q, J)
        if config.routing_weight:
            routed = expected_error(probabilities, squared.flatten(0, 1))
            # `routed` is relative to the mean error of this process, not of all.
            own = squared.mean() / averaged(squared.mean())
            terms["routing"] = config.routing_weight * own * routed
        if config.distillation_weight:
            distance = distillation_loss(colors, self.costs)
            terms["distillation"] = config.distillation_weight * distance
        if config.prediction_weight:
            counted = squared
            if config.distillation_weight:  # then the last expert is the target
                counted = (colors - colors[:, :, -1:]).detach().square().mean(dim=3)
            # Relative to the patch's error with the last expert, because PSNR is a mean of
            # logarithms.
            relative = counted / squared[..., -1].mean(dim=1).clamp_min(1e-6)[:, None, None]
            prediction = predicted_error_loss(logits.float(), relative.clamp_max(20))
            terms["prediction"] = config.prediction_weight * prediction
        chosen = torch.bincount(probabilities.argmax(1), minlength=len(self.costs))
        self.counts[0, 0] += chosen
        return terms

    def sheet(self, batch: Sample) -> Tensor:
        """The small patches above, the output pixels that are computed below."""
        side = int(batch.size.max())
        columns = []
        for lr, positions, target in zip(batch.lr, batch.positions, batch.target, strict=True):
            asked = torch.zeros(3, side, side)
            asked[:, positions[:, 0], positions[:, 1]] = target.t()
            shown = F.interpolate(lr[None], (side, side), mode="nearest")[0]
            columns.append(torch.cat([shown, asked], dim=1))
        return torch.cat(columns, dim=2)

    def compile_parts(self) -> None:
        """Compile the encoder."""
        self.model.encoder.compile(dynamic=False)


def turned(lr: Tensor, positions: Tensor, size: Tensor, turn: int) -> tuple[Tensor, Tensor, Tensor]:
    """Turn or mirror a square patch, in one of eight ways, with its output pixels.

    Args:
        lr: (3, p, p) in [0, 1].
        positions: (Q, 2) int64, row and column of each output pixel.
        size: (2,) int64, height and width of the output.
        turn: only the three lowest bits count. The first reverses the rows, the second the columns,
            and the third swaps rows and columns afterward.

    Returns:
        The same three for the turned patch; each output pixel shows the same point as before.
    """
    rows, columns = positions.unbind(1)
    if turn & 1:
        lr, rows = lr.flip(1), size[0] - 1 - rows
    if turn & 2:
        lr, columns = lr.flip(2), size[1] - 1 - columns
    if turn & 4:
        lr, rows, columns, size = lr.transpose(1, 2), columns, rows, size.flip(0)
    return lr, torch.stack([rows, columns], dim=1), size


def teacher_of(name: str) -> MoEISR:
    """A MoEISR network to learn from, in evaluation mode and without gradients.

    Args:
        name: of a packaged model or a weights file.

    Raises:
        ModelError: there is no such model, or its file cannot be read.
        UsageError: it is not a MoEISR network.
    """
    network, _ = store.load(weights_file(name))
    if not isinstance(network, MoEISR):
        raise UsageError(f"teacher is {name!r}, which does not enlarge: name a model that does.")
    return network.eval().requires_grad_(False)
