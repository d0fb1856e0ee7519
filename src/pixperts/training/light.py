"""Training of moeisr-light: dense patches, a teacher's answers, experts that refine latents."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from pixperts.data.factor_patches import FactorPatches
from pixperts.data.patch_cache import CachedPatches, Patches
from pixperts.data.photos import load_photos
from pixperts.models.moeisr_light.model import MoEISRLight
from pixperts.training.config import LightConfig
from pixperts.training.distributed import Layout, all_gather_with_grad
from pixperts.training.losses import (
    balance_loss,
    expected_cost,
    gumbel_weights,
    predicted_error_loss,
)
from pixperts.training.upscaling import EnlargingModule

# Squared errors times this are as large as absolute ones where these are 1 / 40, as in training;
# the gradient of logarithms times the other is then as large as that of absolute errors.
_SQUARED = 40.0
_LOGARITHM = 0.02
_FLOOR = 1e-5  # added to each patch's squared error: beyond 50 dB it counts for little
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


class LightModule(EnlargingModule):
    """The training step: mix the experts' latents by Gumbel-Softmax, render, compare all pixels."""

    config: LightConfig
    model: MoEISRLight

    def __init__(self, config: LightConfig, layout: Layout | None = None) -> None:
        super().__init__(config, layout)
        # Convolutions are faster so on CPUs, in bfloat16 many times.
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def samples(self) -> CachedPatches | FactorPatches:
        """Patches of the cache, or of photos; one factor a step."""
        config = self.config
        if not config.cache:
            photos = load_photos([Path(p) for p in config.photos], config.exclude)
            return FactorPatches(
                photos,
                side=config.patch,
                batch=config.batch,
                degraded=config.degraded,
                clean=config.clean,
                soft=config.soft,
                seed=config.seed,
            )
        return CachedPatches(
            Path(config.cache),
            batch=config.batch,
            side=config.patch,
            seed=config.seed,
            stretch=config.check_every * config.batch,
        )

    def loss(self, batch: Patches) -> dict[str, Tensor]:
        """The weighted terms; the choice of each LR pixel is counted."""
        config = self.config
        lr, photo, taught = (part.float() / 255 for part in batch)
        size = (photo.shape[2], photo.shape[3])
        features = self.model.encode(lr)
        latents = self.model.latents(features)  # (J, B, C, h, w)
        if self.model.mapper is None:
            image = self.model.field(latents[0], lr, size)
            return {config.error: self.distance(image, photo, taught)}
        # The mapper learns from the features, not they from it: the gradient of its predictions can
        # be thousands of times that of the image at first, and steps are clipped as a whole.
        logits = self.model.logits(features.detach(), size).permute(0, 2, 3, 1)  # (B, h, w, J)
        start, end = config.temperature
        temperature = start * (end / start) ** min(1.0, self.global_step / config.max_steps)
        noise = self.noise(logits.shape[1:], normal=False)
        weights = gumbel_weights(logits, temperature, hard=False, uniform=noise)
        mixed = (weights.permute(3, 0, 1, 2)[:, :, None] * latents).sum(dim=0)  # (B, C, h, w)
        image = self.model.field(mixed, lr, size)
        # Each expert by itself, rendered together: (J, B, 3, H, W).
        alone = self.model.field(latents.flatten(0, 1), lr.repeat(len(latents), 1, 1, 1), size)
        alone = alone.unflatten(0, latents.shape[:2])
        probabilities = logits.softmax(dim=-1).flatten(0, 2)  # (B * h * w, J)
        share = all_gather_with_grad(probabilities.mean(dim=0, keepdim=True))
        terms = {
            config.error: self.distance(image, photo, taught),
            "experts": config.expert_weight * self.distance(alone, photo, taught),
            "balance": config.balance_weight * balance_loss(share, self.balance_target),
            "cost": config.cost_weight * expected_cost(probabilities, self.costs),
        }
        if config.prediction_weight:
            blend = photo.lerp(taught, config.teacher_weight)
            squared = (alone.detach() - blend).square().mean(dim=2)  # (J, B, H, W)
            errors = F.adaptive_avg_pool2d(squared, (lr.shape[2], lr.shape[3])).permute(1, 2, 3, 0)
            # In proportion to the patch's own error, as PSNR is a mean of logarithms.
            own = errors[..., -1].mean(dim=(1, 2)).clamp_min(1e-6)
            relative = (errors / own[:, None, None, None]).clamp_max(20)
            prediction = predicted_error_loss(logits, relative)
            terms["prediction"] = config.prediction_weight * prediction
        chosen = torch.bincount(probabilities.argmax(1), minlength=len(self.costs))
        self.counts[0, 0] += chosen
        return terms

    def distance(self, image: Tensor, photo: Tensor, taught: Tensor) -> Tensor:
        """Mean error of all pixels against the teacher's answer and the photo, by their weights.

        Two errors, not the error against a blend: of absolute errors the one with more weight
        decides where both are certain, and the photo still counts where the teacher is not.
        "log" is the mean of the patches' logarithms, as PSNR is, half of all channels and half of
        luma, in which eyes see detail.

        Args:
            image: (..., B, 3, H, W).
            photo: (B, 3, H, W).
            taught: (B, 3, H, W).
        """
        share, parts = self.config.teacher_weight, []
        for weight, target in ((share, taught), (1 - share, photo)):
            errors = image - target
            if self.config.error == "l1":
                error = errors.abs().mean()
            elif self.config.error == "squared":
                error = _SQUARED * errors.square().mean()
            else:
                luma = torch.einsum("...chw,c->...hw", errors, errors.new_tensor(_LUMA))
                each = errors.square().mean(dim=(-3, -2, -1)) + luma.square().mean(dim=(-2, -1))
                error = _LOGARITHM * (each / 2 + _FLOOR).log().mean()
            parts.append(weight * error)
        return parts[0] + parts[1]

    def sheet(self, batch: Patches) -> Tensor:
        """The LR patch, the photo and the teacher's answer, one below the other."""
        size = batch.photo.shape[2:]
        lr = F.interpolate(batch.lr, size=size, mode="nearest")
        rows = torch.cat([lr, batch.photo, batch.taught], dim=2).float() / 255  # (B, 3, 3 P, P)
        return torch.cat(list(rows), dim=2)

    def compile_parts(self) -> None:
        """The encoder's blocks."""
        for block in self.model.encoder.blocks:
            block.compile(dynamic=False)
