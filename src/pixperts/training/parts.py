"""Training of the division of moce-ir-light's change: what undoes noise, and what compression.

The network changes a picture by the sum of three parts: against noise, against compression, and the
rest. Only this division is trained; the sum stays as it is. Trained are the last layer, whose
weights of the three parts keep their sum, and the layer that estimates the share of compression
from the embedding of a picture (see `LightTrunk.parts_of`).
"""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pixperts.data.scenes import Scene
from pixperts.degradations.mixture import PARTS, faulty
from pixperts.errors import UsageError
from pixperts.evaluation.metrics import psnr
from pixperts.training.distributed import Layout, processes, rank
from pixperts.training.light_restoration import LightRestorationModule, cut_patches, picture_error
from pixperts.training.light_restoration_config import LightRestorationConfig

_STRIDE = 20.0  # learning rate of the layer for the share, relative to that of the last layer
_NOISE, _JPEG, _REST = (PARTS.index(name) for name in ("noise", "jpeg", "rest"))


class PartsModule(LightRestorationModule):
    """The training step: compare the parts of the change of patches with what they should be."""

    def __init__(self, config: LightRestorationConfig, layout: Layout | None = None) -> None:
        super().__init__(config, layout)
        if self.model.noise_layers is not None:
            raise UsageError("noise_layers is true, but head: parts divides one set of layers.")
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(name.startswith(("output.", "compression.")))
        self._whole = [values.sum(dim=0) for values in self._divided()]
        self.train()

    def _divided(self) -> list[Tensor]:
        """Views of the last layer's weight (P, 12, C, 3, 3) and bias (P, 12)."""
        output = self.model.output
        assert output.bias is not None
        return [
            values.detach().unflatten(0, (len(PARTS), -1))
            for values in (output.weight, output.bias)
        ]

    def loss(self, batch: Scene) -> dict[str, Tensor]:
        """The terms of the loss: of noise and compression together, of the rest, of the share."""
        config, model = self.config, self.model
        with torch.no_grad():
            scenes = batch.degraded.float() / 255  # (B, 3, s, s)
            patches = cut_patches(scenes, batch.places, config.patch)  # (B P, 3, p, p)
            embedding = model.scout(model.count(scenes)).repeat_interleave(config.patches, 0)
            features, routings = model.features(patches, embedding, noise=False)
        versions = batch.targets.flatten(0, 1).float() / 255  # (B P, V, 3, p, p)
        parts = model.parts_of(features, patches, embedding, routings)  # (B P, P, 3, p, p)
        wanted = wanted_parts(patches, versions)
        both = parts[:, _NOISE] + parts[:, _JPEG]
        # The rest is the whole change, which is not trained, minus the other two.
        rest = parts.sum(dim=1).detach() - both
        terms = {
            name: picture_error(found, target, config.error, config.floor)
            for name, found, target in (
                ("both", both, wanted["noise"] + wanted["jpeg"]),
                ("rest", rest, wanted["rest"]),
            )
        }
        logits = model.compression(embedding)[:, 0]
        share, weight = share_of(wanted["jpeg"], both.detach())
        entropy = F.binary_cross_entropy_with_logits(logits, share, weight)
        return {**terms, "share": entropy}

    def optimizer(self) -> torch.optim.Optimizer:
        """Adam, with a higher rate for the share: a single layer that starts at zero."""
        rate = self.config.learning_rate
        groups: list[dict[str, Any]] = [
            {"params": list(self.model.output.parameters())},
            {"params": list(self.model.compression.parameters()), "lr": _STRIDE * rate},
        ]
        return torch.optim.Adam(groups, lr=rate, betas=self.config.betas)

    def optimizer_step(self, *args: Any, **named: Any) -> None:
        """A step, after which the weights of the rest restore the sum of the parts."""
        super().optimizer_step(*args, **named)
        for values, whole in zip(self._divided(), self._whole, strict=True):
            values[_REST] = whole.to(values.device) - values[_NOISE] - values[_JPEG]

    def scores(self) -> Iterator[tuple[str, float]]:
        """PSNR in dB of each part, and of the result, for each validation task and photo.

        Values are at most 100.
        """
        cases = [(t, n) for t in self.config.validation_tasks for n in range(len(self.photos))]
        for task, number in cases[rank() :: processes()]:
            made = faulty(self.photos[number].float() / 255, task, number)
            image = made.degraded[None].to(self.device)
            versions = torch.stack([made.noisy, made.faulty, made.target])[None].to(self.device)
            embedding = self.model.scout(self.model.count(image))
            found, _ = self.model.changes(image, embedding, noise=False)
            wanted = wanted_parts(image, versions)
            for place, name in enumerate(PARTS):
                error = psnr(0.5 + found[0, place].cpu(), 0.5 + wanted[name][0].cpu(), "rgb")
                yield f"{name}_{task}", min(error, 100.0)
            yield f"psnr_{task}", min(psnr(self._repaired(made.degraded), made.target, "rgb"), 100)


def share_of(part: Tensor, whole: Tensor) -> tuple[Tensor, Tensor]:
    """The share of a part in a change, and a weight for it.

    Args:
        part: (B, 3, h, w), a part of the change.
        whole: (B, 3, h, w), the change.

    Returns:
        Two tensors (B,). The first is the share s in 0..1 for which s * whole is closest to the
        part. The second is its weight: near 0 if hardly anything is changed, else near 1.

    Example:
        >>> whole = torch.full((1, 3, 8, 8), 0.1)
        >>> [round(float(value), 3) for value in share_of(0.25 * whole, whole)]
        [0.25, 0.998]
    """
    power = whole.square().mean(dim=(1, 2, 3))
    share = (part * whole).mean(dim=(1, 2, 3)) / (power + 1e-9)
    return share.clamp(0, 1), power / (power + 2e-5)


def wanted_parts(images: Tensor, versions: Tensor) -> dict[str, Tensor]:
    """The parts of the right change of degraded pictures.

    Args:
        images: (B, 3, h, w) with all faults.
        versions: (B, 3, 3, h, w): without compression; without compression and noise; without
            faults.

    Returns:
        By their names, the parts (B, 3, h, w) that are to be added to the pictures.
    """
    plain, calm, right = versions.unbind(dim=1)
    return {"jpeg": plain - images, "noise": calm - plain, "rest": right - calm}
