"""Training of the mixtures that enlarge (MoEISR)."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from pixperts.data.photos import load_photos
from pixperts.data.super_resolution import ArbitraryScale, Sample
from pixperts.errors import UsageError
from pixperts.models.moeisr.model import MoEISR
from pixperts.training.config import UpscalingConfig
from pixperts.training.distributed import Layout, all_gather_with_grad, averaged
from pixperts.training.enlarging import EnlargingModule
from pixperts.training.losses import (
    balance_loss,
    distillation_loss,
    expected_cost,
    expected_error,
    gumbel_weights,
    predicted_error_loss,
)
from pixperts.weights import store
from pixperts.weights.packaged import weights_file


class UpscalingModule(EnlargingModule):
    """The training step: mix the experts' colors by Gumbel-Softmax, L1, balance, cost."""

    config: UpscalingConfig
    model: MoEISR

    def __init__(self, config: UpscalingConfig, layout: Layout | None = None) -> None:
        super().__init__(config, layout)
        # In a tuple, so that it is no part of what is trained, averaged and saved.
        self._teacher = () if config.teacher is None else (teacher_of(config.teacher),)

    def samples(self) -> ArbitraryScale:
        """LR patches with pixel queries, made from the photos on the fly."""
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
        """(B, Q, 3): the photo's colors, or a blend of them with the teacher's."""
        target = batch.target
        for teacher in self._teacher:
            teacher.to(batch.lr.device)
            asked = (batch.lr, batch.positions, batch.size)
            if self.config.teacher_turned:
                # The mean of the eight is better than each (Timofte et al., arXiv 1511.02228);
                # one after the other, over the steps, they cost no more than one.
                turns = [turned(*one) for one in zip(*asked, self._numbers, strict=True)]
                lr, positions, size = (torch.stack(parts) for parts in zip(*turns, strict=True))
                asked = (lr, positions, size)
            # In half precision its colors would be off by more than what it has to teach.
            with torch.no_grad(), torch.autocast(batch.lr.device.type, enabled=False):
                colors, _ = teacher.query(*asked)
            taught = colors[:, :, -1].to(target.dtype)  # of its deepest expert
            target = target.lerp(taught, self.config.teacher_weight)
        return target

    def loss(self, batch: Sample) -> dict[str, Tensor]:
        """The weighted terms; the choices of the queried pixels are counted."""
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
            own = squared.mean() / averaged(squared.mean())  # it is relative to the batch's mean
            terms["routing"] = config.routing_weight * own * routed
        if config.distillation_weight:
            distance = distillation_loss(colors, self.costs)
            terms["distillation"] = config.distillation_weight * distance
        if config.prediction_weight:
            counted = squared
            if config.distillation_weight:  # what counts is the distance from the teacher
                counted = (colors - colors[:, :, -1:]).detach().square().mean(dim=3)
            # In proportion to the patch's own error, as PSNR is a mean of logarithms.
            relative = counted / squared[..., -1].mean(dim=1).clamp_min(1e-6)[:, None, None]
            prediction = predicted_error_loss(logits.float(), relative.clamp_max(20))
            terms["prediction"] = config.prediction_weight * prediction
        chosen = torch.bincount(probabilities.argmax(1), minlength=len(self.costs))
        self.counts[0, 0] += chosen
        return terms

    def sheet(self, batch: Sample) -> Tensor:
        """The LR patch above, below it the queried pixels of the photo."""
        side = int(batch.size.max())
        columns = []
        for lr, positions, target in zip(batch.lr, batch.positions, batch.target, strict=True):
            asked = torch.zeros(3, side, side)
            asked[:, positions[:, 0], positions[:, 1]] = target.t()
            shown = F.interpolate(lr[None], (side, side), mode="nearest")[0]
            columns.append(torch.cat([shown, asked], dim=1))
        return torch.cat(columns, dim=2)

    def compile_parts(self) -> None:
        """The encoder."""
        self.model.encoder.compile(dynamic=False)


def turned(lr: Tensor, positions: Tensor, size: Tensor, turn: int) -> tuple[Tensor, Tensor, Tensor]:
    """A square patch in one of the eight turns and mirrors, and where its queries are then.

    Args:
        lr: (3, p, p) in [0, 1].
        positions: (Q, 2) int64, row and column of each query in the output.
        size: (2,) int64, output height and width.
        turn: of its three lowest bits the first mirrors the rows, the second the columns, the
            third swaps both.

    Returns:
        The same three of the turned patch: each query stays at the same point of the picture.
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
    """A network to learn from, in evaluation mode and without gradients.

    Raises:
        ModelError: as `packaged.weights_file` and `store.load`.
        UsageError: if it does not enlarge.
    """
    network, _ = store.load(weights_file(name))
    if not isinstance(network, MoEISR):
        raise UsageError(f"teacher is {name!r}, which does not enlarge: name a model that does.")
    return network.eval().requires_grad_(False)
