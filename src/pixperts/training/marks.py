"""Training of moce-ir-light's stage for dust and scratches, on small patches."""

from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from pixperts.data.marked_patches import MarkedPatch, MarkedPatches
from pixperts.data.photos import load_photos
from pixperts.degradations.mixture import faulty
from pixperts.errors import UsageError
from pixperts.evaluation.metrics import psnr
from pixperts.models.moce_ir_light.marks import MarksStage
from pixperts.training.distributed import Layout, processes, rank
from pixperts.training.light_restoration import picture_error
from pixperts.training.light_restoration_config import LightRestorationConfig
from pixperts.training.tone import HeadModule

_JUDGING = 4.0  # weight of the entropy of the judgments beside the error of the picture


class MarksModule(HeadModule):
    """The training step: find the marks of patches, fill them, compare both with what is right."""

    def __init__(self, config: LightRestorationConfig, layout: Layout | None = None) -> None:
        super().__init__(config, layout)
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(name.startswith("marks."))
        self.train()
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if self.model.marks is None:
            raise UsageError("head is 'marks', but the model has no such stage: set marks: true.")

    @property
    def stage(self) -> MarksStage:
        """What is trained."""
        assert self.model.marks is not None
        return self.model.marks

    def samples(self) -> MarkedPatches:
        """Patches of photos, marked on the fly."""
        config = self.config
        photos = load_photos(
            [Path(p) for p in config.photos], config.exclude, min_side=max(128, config.patch)
        )
        return MarkedPatches(
            photos,
            side=config.patch,
            reduction=config.reduction,
            density=config.density,
            seed=config.seed,
        )

    def loss(self, batch: MarkedPatch) -> dict[str, Tensor]:
        """The terms of the loss: the error of the patches, and of the judgments of pixels."""
        config = self.config
        degraded, target, marks = (part.float() for part in batch)
        degraded, target = degraded / 255, target / 255
        logits, changes = self.stage.estimate(degraded)
        # In use, less than 0.4 counts as none and more than 0.7 as all. Here the probability itself
        # counts, as such steps would have no gradient.
        image = degraded + logits.sigmoid() * changes
        entropy = F.binary_cross_entropy_with_logits(logits, marks)
        return {
            config.error: picture_error(image, target, config.error, config.floor),
            "marks": _JUDGING * entropy,
        }

    def scores(self) -> Iterator[tuple[str, float]]:
        """PSNR in dB of each validation task and photo, of the stage alone, at most 100.

        Pictures of other tasks should stay as they are.
        """
        cases = [(t, n) for t in self.config.validation_tasks for n in range(len(self.photos))]
        for task, number in cases[rank() :: processes()]:
            found = faulty(self.photos[number].float() / 255, task, number)
            wanted = found.target if task == "scratches" else found.degraded
            yield f"psnr_{task}", min(psnr(self._repaired(found.degraded), wanted, "rgb"), 100)

    def pictures(self) -> dict[str, Tensor]:
        """For each validation task a photo: degraded, repaired, clean."""
        shown = {}
        for task in self.config.validation_tasks if self.photos else ():
            clean = self.photos[0].float() / 255
            degraded = faulty(clean, task, 0).degraded
            shown[task] = torch.cat([degraded, self._repaired(degraded), clean], dim=2)
        return shown

    def _repaired(self, degraded: Tensor) -> Tensor:
        with torch.inference_mode():
            image: Tensor = self.stage(degraded[None].to(self.device))
        return image[0].cpu()

    def sheet(self, batch: MarkedPatch) -> Tensor:
        """The patches with all faults, without marks, and the marks, in three rows."""
        rows = [batch.degraded, batch.target, 255 * batch.marks.expand(-1, 3, -1, -1)]
        columns = torch.cat(rows, dim=2).float() / 255  # (B, 3, 3 p, p)
        return torch.cat(list(columns), dim=2)
