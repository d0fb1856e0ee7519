"""Training of the parts of moce-ir-light's change: which share undoes noise, which compression.

The change as a whole stays as it is. Only its division is learned from the features of the network
as it is: by the last layer, with W_k the weights of part k, whose sum is kept, and by the share of
compression that a picture's embedding gives (see `LightTrunk.parts_of`).
"""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pixperts.data.scenes import Scene
from pixperts.degradations.mixture import PARTS, faulty
from pixperts.evaluation.metrics import psnr
from pixperts.training.distributed import Layout, processes, rank
from pixperts.training.light_restoration import LightRestorationModule, cut_patches, picture_error
from pixperts.training.light_restoration_config import LightRestorationConfig

_STRIDE = 20.0  # learning rate of the share of compression, times that of the last layer
_NOISE, _JPEG, _REST = (PARTS.index(name) for name in ("noise", "jpeg", "rest"))


class PartsModule(LightRestorationModule):
    """The training step: the change of patches, and what each of its parts should be."""

    def __init__(self, config: LightRestorationConfig, layout: Layout | None = None) -> None:
        super().__init__(config, layout)
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
        """The error of each part."""
        config, model = self.config, self.model
        with torch.no_grad():
            scenes = batch.degraded.float() / 255  # (B, 3, s, s)
            patches = cut_patches(scenes, batch.places, config.patch)  # (B P, 3, p, p)
            embedding = model.scout(model.count(scenes)).repeat_interleave(config.patches, 0)
            features, _ = model.features(patches, embedding, noise=False)
        versions = batch.targets.flatten(0, 1).float() / 255  # (B P, V, 3, p, p)
        parts = model.parts_of(features, patches, embedding)  # (B P, P, 3, p, p)
        wanted = wanted_parts(patches, versions)
        both = parts[:, _NOISE] + parts[:, _JPEG]
        # The rest is what the other two leave of the whole, which does not change.
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
        """Adam; a single layer on what the scout saw begins at 0 and may go in long steps."""
        rate = self.config.learning_rate
        groups: list[dict[str, Any]] = [
            {"params": list(self.model.output.parameters())},
            {"params": list(self.model.compression.parameters()), "lr": _STRIDE * rate},
        ]
        return torch.optim.Adam(groups, lr=rate, betas=self.config.betas)

    def optimizer_step(self, *args: Any, **named: Any) -> None:
        """A step, after which the parts are brought to the whole again by the rest."""
        super().optimizer_step(*args, **named)
        for values, whole in zip(self._divided(), self._whole, strict=True):
            values[_REST] = whole.to(values.device) - values[_NOISE] - values[_JPEG]

    def scores(self) -> Iterator[tuple[str, float]]:
        """PSNR of each part, and of all together, for each validation task and photo."""
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
    """How much of a change is one of its parts.

    Args:
        part: (B, 3, h, w) what the part should be.
        whole: alike, the change.

    Returns:
        The share in 0..1 by which the change comes closest to the part, and what it matters: 0
        where hardly anything is changed, up to 1; (B,) each.

    Example:
        >>> whole = torch.full((1, 3, 8, 8), 0.1)
        >>> [round(float(value), 3) for value in share_of(0.25 * whole, whole)]
        [0.25, 0.998]
    """
    power = whole.square().mean(dim=(1, 2, 3))
    share = (part * whole).mean(dim=(1, 2, 3)) / (power + 1e-9)
    return share.clamp(0, 1), power / (power + 2e-5)


def wanted_parts(images: Tensor, versions: Tensor) -> dict[str, Tensor]:
    """What each part of a change should be, (B, 3, h, w).

    Args:
        images: (B, 3, h, w) with all faults.
        versions: (B, 3, 3, h, w) without compression, without noise, too, and all right.
    """
    plain, calm, right = versions.unbind(dim=1)
    return {"jpeg": plain - images, "noise": calm - plain, "rest": right - calm}
