"""Training of moeisr-light and of the networks of moeisr-photo, on all pixels of patches."""

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

# These factors make the three forms of the error alike in size, so that the other weights fit all
# of them. An absolute error of 1 / 40, which is usual in training, equals 40 times its square; and
# 0.02 times the logarithm has a gradient of the same size.
_SQUARED = 40.0
_LOGARITHM = 0.02
_FLOOR = 1e-5  # added to each patch's squared error: above 50 dB, a gain counts for little
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


class LightModule(EnlargingModule):
    """The training step: mix the latents of the experts, enlarge, compare all pixels.

    The weights of the mixture are samples of a Gumbel-Softmax.
    """

    config: LightConfig
    model: MoEISRLight

    def __init__(self, config: LightConfig, layout: Layout | None = None) -> None:
        super().__init__(config, layout)
        # On CPUs, convolutions are faster in this memory format, in bfloat16 many times.
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def samples(self) -> CachedPatches | FactorPatches:
        """Patches of the cache, or of photos; all samples of a step have the same factor."""
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
        """The weighted terms of the loss; counts the choice of each LR pixel."""
        config = self.config
        lr, photo, taught = (part.float() / 255 for part in batch)
        size = (photo.shape[2], photo.shape[3])
        features = self.model.encode(lr)
        latents = self.model.latents(features)  # (J, B, C, h, w)
        if self.model.mapper is None:
            image = self.model.field(latents[0], lr, size)
            return {config.error: self.distance(image, photo, taught)}
        # Detached, so that the mapper does not train the features: at first the gradient of its
        # predictions can be thousands of times that of the image, and the gradient is clipped as a
        # whole.
        logits = self.model.logits(features.detach(), size).permute(0, 2, 3, 1)  # (B, h, w, J)
        start, end = config.temperature
        temperature = start * (end / start) ** min(1.0, self.global_step / config.max_steps)
        noise = self.noise(logits.shape[1:], normal=False)
        weights = gumbel_weights(logits, temperature, hard=False, uniform=noise)
        mixed = (weights.permute(3, 0, 1, 2)[:, :, None] * latents).sum(dim=0)  # (B, C, h, w)
        image = self.model.field(mixed, lr, size)
        # The image of each expert by itself, computed together: (J, B, 3, H, W).
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
            # Relative to the patch's error with the last expert, because PSNR is a mean of
            # logarithms.
            own = errors[..., -1].mean(dim=(1, 2)).clamp_min(1e-6)
            relative = (errors / own[:, None, None, None]).clamp_max(20)
            prediction = predicted_error_loss(logits, relative)
            terms["prediction"] = config.prediction_weight * prediction
        chosen = torch.bincount(probabilities.argmax(1), minlength=len(self.costs))
        self.counts[0, 0] += chosen
        return terms

    def distance(self, image: Tensor, photo: Tensor, taught: Tensor) -> Tensor:
        """The weighted mean of the errors of an image from the teacher's and from the photo.

        These are two errors, not one error from a blend. With absolute errors, the target with more
        weight decides in pixels of which the network is sure; elsewhere both pull. For "log", the
        logarithms of the patches' squared errors are averaged, as in PSNR. Half of such an error is
        that of all channels, and half that of luma, in which eyes see detail.

        Args:
            image: (..., B, 3, H, W).
            photo: (B, 3, H, W) in [0, 1].
            taught: (B, 3, H, W) in [0, 1], the enlargement of a teacher.
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
        """The LR patches, the photos and the enlargements of the teacher, one below the other."""
        size = batch.photo.shape[2:]
        lr = F.interpolate(batch.lr, size=size, mode="nearest")
        rows = torch.cat([lr, batch.photo, batch.taught], dim=2).float() / 255  # (B, 3, 3 P, P)
        return torch.cat(list(rows), dim=2)

    def compile_parts(self) -> None:
        """Compile the blocks of the encoder."""
        for block in self.model.encoder.blocks:
            block.compile(dynamic=False)
