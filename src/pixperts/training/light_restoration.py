"""Training of moce-ir-light, on patches of degraded scenes.

A scene stands for a whole picture. It is known which degradations each has, and routers learn from
that, too.
"""

from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from pixperts.data.photos import load_photos
from pixperts.data.scenes import DegradedScenes, Scene
from pixperts.degradations.mixture import GROUPS, PARTS, faulty
from pixperts.evaluation.metrics import psnr
from pixperts.models.moce_ir_light.model import MoCEIRLight
from pixperts.models.moeisr_light.parts import Block
from pixperts.routing import Routing
from pixperts.training.distributed import Layout, all_gather_with_grad, processes, rank
from pixperts.training.light_restoration_config import LightRestorationConfig
from pixperts.training.losses import balance_loss, expected_cost, spectral_l1
from pixperts.training.module import TrainingModule
from pixperts.training.restoration import middle, validation_photos

_NOISE, _WEATHER, _LIGHT, _BLUR, _MARKS = range(len(GROUPS))


class LightRestorationModule(TrainingModule):
    """The training step: analyze scenes, repair patches of them, compare these with the targets."""

    config: LightRestorationConfig
    model: MoCEIRLight

    def __init__(self, config: LightRestorationConfig, layout: Layout | None = None) -> None:
        super().__init__(config, layout)
        # On CPUs, convolutions are faster in this memory format, in bfloat16 many times.
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        experts = len(self.model.mixtures[0].costs)
        shape = len(config.tasks), len(self.model.mixtures), experts
        self.counts = torch.zeros(*shape, dtype=torch.int64)
        self.photos = validation_photos(config.validation, config.validation_images)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the tasks of the run."""
        return tuple(self.config.tasks)

    @property
    def blocks(self) -> list[str]:
        """The names of the blocks with experts, as in `Routing.name`."""
        return self.model.block_names

    def samples(self) -> DegradedScenes:
        """Scenes of photos, degraded on the fly."""
        config = self.config
        photos = load_photos(
            [Path(p) for p in config.photos], config.exclude, min_side=max(128, config.scene)
        )
        return DegradedScenes(
            photos,
            tasks=config.tasks,
            side=config.scene,
            patch=config.patch,
            patches=config.patches,
            reduction=config.reduction,
            small=config.small,
            seed=config.seed,
        )

    def loss(self, batch: Scene) -> dict[str, Tensor]:
        """The weighted terms of the loss; counts the experts by task."""
        config, model = self.config, self.model
        scenes = batch.degraded.float() / 255  # (B, 3, s, s)
        patches = cut_patches(scenes, batch.places, config.patch)  # (B P, 3, p, p)
        versions = batch.targets.flatten(0, 1).float() / 255  # (B P, V, 3, p, p)
        targets = versions[:, -1]
        embedding = model.scout(model.count(scenes))  # (B, E)
        noise = self.noise((len(self.blocks), self.counts.shape[2]), normal=True)
        copies = config.patches  # all patches of a scene get the scene's choice
        parts, routings = model.changes(
            patches,
            embedding.repeat_interleave(copies, 0),
            noise=noise.transpose(0, 1).repeat_interleave(copies, 1),
        )
        image = model.changed(patches, parts)
        self._count(routings, batch.task)
        error = picture_error(image, targets, config.error, config.floor)
        terms = {config.error: error, **self._routing_terms(routings, batch.groups)}
        if config.part_weight:
            terms["parts"] = config.part_weight * self._part_error(patches, versions, parts)
        if config.group_weight:
            found = model.scout.groups(embedding)  # (B, G)
            entropy = F.binary_cross_entropy_with_logits(found, batch.groups)
            terms["groups"] = config.group_weight * entropy
        if config.fourier_weight:
            terms["fourier"] = config.fourier_weight * spectral_l1(image, targets)
        return terms

    def _part_error(self, patches: Tensor, versions: Tensor, parts: Tensor) -> Tensor:
        """The errors of two parts of the change: against compression, and against noise.

        Args:
            patches: (B P, 3, p, p) with all faults.
            versions: (B P, V, 3, p, p), see `parts.wanted_parts`.
            parts: (B P, parts, 3, p, p) of the change, in the order of `PARTS`.
        """
        config = self.config
        jpeg, noise = versions[:, 0] - patches, versions[:, 1] - versions[:, 0]
        errors = [
            picture_error(parts[:, PARTS.index(name)], part, config.error, config.floor)
            for name, part in (("jpeg", jpeg), ("noise", noise))
        ]
        return torch.stack(errors).sum()

    def _routing_terms(self, routings: tuple[Routing, ...], groups: Tensor) -> dict[str, Tensor]:
        """Weighted losses of the routers: balance, cost and guidance, each a mean over the blocks.

        Args:
            routings: of each block, for all patches.
            groups: (B, G), 1 for each group of degradations that a scene has, else 0.
        """
        config, copies = self.config, self.config.patches
        meant = meant_expert(groups)  # (B,)
        target = torch.tensor(config.balance_target, device=groups.device)
        balance, cost, guide = [], [], []
        for routing in routings:
            assert routing.logits is not None
            logits = routing.logits[::copies]  # (B, J)
            probabilities = all_gather_with_grad(logits.softmax(dim=-1))
            balance.append(balance_loss(probabilities, target))
            costs = torch.tensor(routing.costs, device=groups.device)
            cost.append(expected_cost(probabilities, costs))
            guide.append(F.cross_entropy(logits, meant))
        weighted = {
            "balance": (config.balance_weight, balance),
            "cost": (config.cost_weight, cost),
            "guide": (config.guide_weight, guide),
        }
        return {k: weight * torch.stack(v).mean() for k, (weight, v) in weighted.items() if weight}

    def _count(self, routings: tuple[Routing, ...], task: Tensor) -> None:
        for block, routing in enumerate(routings):
            experts = routing.experts[:: self.config.patches, 0]
            places = (task, torch.full_like(task, block), experts)
            self.counts.index_put_(places, self.counts.new_ones(()), accumulate=True)

    def scores(self) -> Iterator[tuple[str, float]]:
        """PSNR in dB of each validation task and photo, at most 100.

        In the target, all faults are repaired except darkness and haze.
        """
        cases = [(t, n) for t in self.config.validation_tasks for n in range(len(self.photos))]
        for task, number in cases[rank() :: processes()]:
            clean = self.photos[number].float() / 255
            found = faulty(clean, task, number)
            yield (
                f"psnr_{task}",
                min(psnr(self._repaired(found.degraded), found.target, "rgb"), 100),
            )

    def pictures(self) -> dict[str, Tensor]:
        """For each validation task the middle of a photo: degraded, repaired and target."""
        shown = {}
        for task in self.config.validation_tasks if self.photos else ():
            found = faulty(middle(self.photos[0]).float() / 255, task, 0)
            parts = [found.degraded, self._repaired(found.degraded), found.target]
            shown[task] = torch.cat(parts, dim=2)
        return shown

    def _repaired(self, degraded: Tensor) -> Tensor:
        image: Tensor = self.model(degraded[None].to(self.device)).image
        return image[0].clamp(0, 1).cpu()

    def sheet(self, batch: Scene) -> Tensor:
        """The first patches of all scenes above, their targets below."""
        side = self.config.patch
        patches = cut_patches(batch.degraded, batch.places[:, :1], side)
        columns = (
            torch.cat([patches, batch.targets[:, 0, -1]], dim=2).float() / 255
        )  # (B, 3, 2 p, p)
        return torch.cat(list(columns), dim=2)

    def compile_parts(self) -> None:
        """Compile the plain residual blocks; with two sets, each gets batches of any size."""
        for module in self.model.modules():
            if isinstance(module, Block):
                module.compile(dynamic=self.model.noise_layers is not None)


def cut_patches(scenes: Tensor, places: Tensor, side: int) -> Tensor:
    """Cut squares out of scenes.

    Args:
        scenes: (B, C, s, s).
        places: (B, P, 2) int64, top and left of each square in pixels.
        side: of a square in pixels.

    Returns:
        (B P, C, side, side), first the P squares of the first scene.
    """
    return torch.stack(
        [
            scene[:, top : top + side, left : left + side]
            for scene, own in zip(scenes, places.tolist(), strict=True)
            for top, left in own
        ]
    )


def picture_error(image: Tensor, target: Tensor, form: str, floor: float) -> Tensor:
    """The mean of the errors of some pictures.

    With "log", pictures have the same effect on the weights however much they are degraded.

    Args:
        image: (B, 3, H, W).
        target: (B, 3, H, W).
        form: "l1", or "log" for half of the natural logarithm of the squared error, of which a
            difference of 1 is 8.7 dB.
        floor: added to the squared error, so that pictures that are right already have no effect.

    Returns:
        A scalar in float32.

    Example:
        >>> image, target = torch.full((1, 3, 2, 2), 0.1), torch.zeros(1, 3, 2, 2)
        >>> round(float(picture_error(image, target, "log", 1e-9)), 4)  # ln 0.1
        -2.3026
    """
    difference = (image - target).float().flatten(1)
    if form == "l1":
        return difference.abs().mean()
    return 0.5 * (difference.square().mean(dim=1) + floor).log().mean()


def meant_expert(groups: Tensor) -> Tensor:
    """The expert that is intended for a picture, by the hardest of its degradations.

    No expert (0) for pictures that need no repair of detail, the bottleneck (1) for haze and
    darkness alone, two convolutions (2) for noise and JPEG, and the dilated ones (3), which see
    far, for rain, snow, blur and marks.

    Args:
        groups: (B, G), 1 for each group of degradations that a picture has, else 0.

    Returns:
        (B,) int64.

    Example:
        >>> meant_expert(torch.eye(5)[[2, 0, 1, 3, 4]])
        tensor([1, 2, 3, 3, 3])
    """
    meant = torch.where(groups[:, _LIGHT] > 0, 1, 0)
    meant = torch.where(groups[:, _NOISE] > 0, 2, meant)
    return torch.where(groups[:, [_WEATHER, _BLUR, _MARKS]].amax(dim=1) > 0, 3, meant)
