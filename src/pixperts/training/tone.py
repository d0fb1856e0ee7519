"""Training of the tone head of moce-ir-light, which undoes darkness and haze."""

from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from pixperts.data.photos import load_photos
from pixperts.data.tone_scenes import ToneScene, ToneScenes
from pixperts.degradations.mixture import faulty
from pixperts.evaluation.metrics import psnr
from pixperts.models.moce_ir_light.model import MoCEIRLight
from pixperts.models.moce_ir_light.scout import count_overview
from pixperts.models.moce_ir_light.tone import count_levels
from pixperts.training.distributed import Layout, processes, rank
from pixperts.training.light_restoration import picture_error
from pixperts.training.light_restoration_config import LightRestorationConfig
from pixperts.training.module import TrainingModule
from pixperts.training.restoration import validation_photos


class HeadModule(TrainingModule):
    """The training of a part of moce-ir-light that has no experts."""

    config: LightRestorationConfig
    model: MoCEIRLight

    def __init__(self, config: LightRestorationConfig, layout: Layout | None = None) -> None:
        super().__init__(config, layout)
        self.counts = torch.zeros(0, 0, 0, dtype=torch.int64)
        self.photos = validation_photos(config.validation, config.validation_images)

    @property
    def names(self) -> tuple[str, ...]:
        """None: there are no experts to count."""
        return ()

    @property
    def blocks(self) -> list[str]:
        """None: there are no experts."""
        return []

    def compile_parts(self) -> None:
        """Nothing: compiling would not pay."""


class ToneModule(HeadModule):
    """The training step, on whole views.

    The head judges a view with all its faults. What it then does to tones is applied to the view
    whose detail is repaired.
    """

    def samples(self) -> ToneScenes:
        """Views of photos, degraded on the fly."""
        config = self.config
        photos = load_photos(
            [Path(p) for p in config.photos], config.exclude, min_side=config.scene
        )
        return ToneScenes(photos, side=config.scene, seed=config.seed, variety=config.variety)

    def loss(self, batch: ToneScene) -> dict[str, Tensor]:
        """The terms of the loss: of judging the faults, and of the views that have faults."""
        config, model = self.config, self.model
        degraded, plain, target = (image.float() / 255 for image in batch[:3])
        with torch.autocast(degraded.device.type, enabled=False):
            total, area = count_overview(degraded, (0, 0), (config.scene, config.scene))
            tone = model.tone(total / area, count_levels(degraded))
            # To change a good picture is worse than to leave a bad one.
            weight = torch.where(batch.faults > 0, 1.0, config.spare_weight)
            entropy = F.binary_cross_entropy_with_logits(tone.logits, batch.faults, weight)
            # Light varies slowly and is undone at each pixel alone: a quarter of them is enough.
            plain, target = plain[:, :, ::2, ::2], target[:, :, ::2, ::2]
            image = model.tone.apply_to(plain, tone, batch.faults)
            wrong = batch.faults.amax(dim=1) > 0
            terms = {"faults": entropy}
            if bool(wrong.any()):
                own = picture_error(image[wrong], target[wrong], config.error, config.floor)
                terms[config.error] = own * wrong.float().mean()
        return terms

    def scores(self) -> Iterator[tuple[str, float]]:
        """PSNR in dB of each validation task and photo, at most 100.

        Detail counts as repaired: the head is applied to the target of such a repair.
        """
        cases = [(t, n) for t in self.config.validation_tasks for n in range(len(self.photos))]
        for task, number in cases[rank() :: processes()]:
            clean = self.photos[number].float() / 255
            found = faulty(clean, task, number)
            image = self._mapped(found.degraded, found.target)
            yield f"psnr_{task}", min(psnr(image, clean, "rgb"), 100)

    def pictures(self) -> dict[str, Tensor]:
        """For each validation task a photo: degraded, repaired, clean."""
        shown = {}
        for task in self.config.validation_tasks if self.photos else ():
            clean = self.photos[0].float() / 255
            found = faulty(clean, task, 0)
            parts = [found.degraded, self._mapped(found.degraded, found.target), clean]
            shown[task] = torch.cat(parts, dim=2)
        return shown

    def _mapped(self, degraded: Tensor, plain: Tensor) -> Tensor:
        model = self.model
        with torch.inference_mode():
            tone = model.judge(model.count(degraded[None].to(self.device)))
            image = model.tone.apply_to(plain[None].to(self.device), tone, tone.amounts("auto"))
        return image[0].clamp(0, 1).cpu()

    def sheet(self, batch: ToneScene) -> Tensor:
        """The views with all faults, with darkness and haze only, and clean, in three rows."""
        columns = torch.cat(batch[:3], dim=2).float() / 255  # (B, 3, 3 s, s)
        return torch.cat(list(columns), dim=2)
