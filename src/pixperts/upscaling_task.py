"""Training of the mixtures that enlarge (MoEISR)."""

from pathlib import Path

import torch
from torch import Tensor

from pixperts.data import ArbitraryScale, Sample, load_photos
from pixperts.errors import UsageError
from pixperts.evaluate import SuperResolutionSet
from pixperts.losses import (
    balance_loss,
    distillation_loss,
    expected_cost,
    expected_error,
    gumbel_weights,
    predicted_error_loss,
)
from pixperts.metrics import psnr
from pixperts.models import MoEISR
from pixperts.task import Task
from pixperts.train_config import UpscalingConfig


class SuperResolutionTask(Task):
    """The training step: mix the experts' colours by Gumbel-Softmax, L1, balance, cost."""

    config: UpscalingConfig
    model: MoEISR

    def __init__(self, config: UpscalingConfig) -> None:
        super().__init__(config)
        experts = len(self.model.experts)
        target = config.balance_target or (1 / experts,) * experts
        if len(target) != experts or abs(sum(target) - 1) > 1e-6 or min(target) <= 0:
            raise UsageError(
                f"balance_target is {target}, but must be {experts} positive shares summing to 1."
            )
        self.register_buffer("balance_target", torch.tensor(target), persistent=False)
        self.register_buffer("costs", torch.tensor(self.model.costs), persistent=False)
        self.sets: dict[int, list[tuple[Tensor, Tensor]]] = {}
        if config.validation:
            pictures = SuperResolutionSet.open(config.validation)
            for scale in config.validation_scales:
                self.sets[scale] = [pictures.pair(i, scale) for i in range(len(pictures))]

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
        noise = self.step_noise()
        weights = gumbel_weights(logits.float(), temperature, hard=config.hard, generator=noise)
        mixed = (weights[..., None] * colours).sum(dim=2)  # (B, Q, 3)
        probabilities = logits.float().softmax(dim=-1).flatten(0, 1)  # (B * Q, J)
        terms = {
            "l1": config.mixture_weight * (mixed - batch.target).abs().mean(),
            "experts": config.expert_weight * errors.mean(),
            "balance": config.balance_weight * balance_loss(probabilities, self.balance_target),
            "cost": config.cost_weight * expected_cost(probabilities, self.costs),
        }
        squared = errors.detach().square().mean(dim=3)  # (B, Q, J)
        if config.routing_weight:
            routed = expected_error(probabilities, squared.flatten(0, 1))
            terms["routing"] = config.routing_weight * routed
        if config.distillation_weight:
            distance = distillation_loss(colours, self.costs)
            terms["distillation"] = config.distillation_weight * distance
        if config.prediction_weight:
            counted = squared
            if config.distillation_weight:  # what counts is the distance from the teacher
                counted = (colours - colours[:, :, -1:]).detach().square().mean(dim=3)
            # In proportion to the patch's own error, as PSNR is a mean of logarithms.
            relative = counted / squared[..., -1].mean(dim=1).clamp_min(1e-6)[:, None, None]
            prediction = predicted_error_loss(logits.float(), relative.clamp_max(20))
            terms["prediction"] = config.prediction_weight * prediction
        loss = torch.stack(list(terms.values())).sum()
        if step % 50 == 0:
            share = torch.bincount(probabilities.argmax(1), minlength=len(self.costs))
            share = share.float() / len(probabilities)
            self.log_dict({f"loss/{name}": value.detach() for name, value in terms.items()})
            own = errors.detach().mean(dim=(0, 1, 3))
            self.log_dict({f"share/{j}": value for j, value in enumerate(share)})
            self.log_dict({f"l1/{j}": value for j, value in enumerate(own)})
        return loss

    def measure(self) -> dict[str, float]:
        """PSNR and mean cost at each validation scale, protocol y-shave."""
        notes = {}
        for scale, pairs in self.sets.items():
            values, costs = [], []
            for lr, hr in pairs:
                output = self.model(lr[None].to(self.device), (hr.shape[1], hr.shape[2]))
                image = output.image[0].clamp(0, 1).cpu()
                values.append(psnr(image, hr, "y-shave", scale))
                costs += [routing.mean_cost for routing in output.routings]
            notes[f"psnr_x{scale}"] = sum(values) / len(values)
            if costs:
                notes[f"cost_x{scale}"] = sum(costs) / len(costs)
        return notes
