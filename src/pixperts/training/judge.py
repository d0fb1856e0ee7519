"""Training of the judge of moeisr-photo, which picks one of two networks for each picture."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from pixperts.data.factor_patches import FactorPatches
from pixperts.data.patch_cache import Patches
from pixperts.data.photos import load_photos
from pixperts.errors import UsageError
from pixperts.evaluation.metrics import psnr
from pixperts.evaluation.photo_cases import photo_pair
from pixperts.io.image import list_images
from pixperts.models.moeisr_light.model import MoEISRLight
from pixperts.models.moeisr_photo.model import MoEISRPhoto
from pixperts.training.distributed import Layout, processes, rank
from pixperts.training.enhancement import picture_errors
from pixperts.training.judge_config import JudgeConfig
from pixperts.training.module import TrainingModule, start_from
from pixperts.weights import store
from pixperts.weights.packaged import weights_file

_LEAST = 1e-6  # added to squared errors: below it, nobody sees a difference
_FIRST = 256  # samples by which features are standardized
_LEAST_SPREAD = 0.05
_DIFFERENCE = 4.0  # weight of the difference of the two estimates, which decides


class JudgeModule(TrainingModule):
    """The training step: enlarge patches by both networks, estimate the errors of both."""

    config: JudgeConfig
    model: MoEISRPhoto

    def __init__(self, config: JudgeConfig, layout: Layout | None = None) -> None:
        if config.init is None:  # in a recipe, it comes from the stage before
            raise UsageError("init is missing: name the network for photos.")
        super().__init__(config, layout)
        if config.clean_network is not None:
            _copy(weights_file(config.clean_network), self.model.clean)
        elif not any(name.startswith("clean.") for name in self.taken):
            raise UsageError("clean_network is null, but init has no network for clean pictures.")
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(name.startswith("judge."))
        self.train()
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.counts = torch.zeros(1, 1, len(self.model.members), dtype=torch.int64)
        if not any(name.startswith("judge.") for name in self.taken):
            self._standardize()
        folder = config.validation
        self.photos = [] if folder is None else list_images(Path(folder))
        self._pair = cache(photo_pair)

    def start(self, path: Path) -> list[str]:
        """Take the network for photos, or all of a moeisr-photo."""
        source, card = store.load(path)
        if not isinstance(source, MoEISRPhoto):
            return [f"photo.{name}" for name in _copy(path, self.model.photo)]
        if source.config.member != self.model.config.member:
            raise UsageError(f"{card.name} has networks of another size: change model_options.")
        return start_from(self.model, path)

    def _standardize(self) -> None:
        """Center and spread of the features of the first samples."""
        samples, judge = self.samples(), self.model.judge
        first = [samples[number].lr for number in range(_FIRST)]
        with torch.no_grad():
            features = judge.features(torch.stack(first).float() / 255)
            judge.center.copy_(features.mean(dim=0))
            judge.spread.copy_(features.std(dim=0).clamp_min(_LEAST_SPREAD))

    @property
    def names(self) -> tuple[str, ...]:
        """The only task."""
        return ("enlarging",)

    @property
    def blocks(self) -> list[str]:
        """What chooses."""
        return ["the judge"]

    def samples(self) -> FactorPatches:
        """Patches of photos at all factors, degraded on the fly."""
        config = self.config
        photos = load_photos([Path(p) for p in config.photos], config.exclude)
        return FactorPatches(
            photos,
            side=config.patch,
            batch=config.batch,
            degraded=True,
            clean=config.clean,
            soft=config.soft,
            drawn=config.drawn,
            seed=config.seed,
        )

    def loss(self, batch: Patches) -> dict[str, Tensor]:
        """The terms of the loss: of the estimates, and of their difference."""
        lr, photo = batch.lr.float() / 255, batch.photo.float() / 255
        size = (photo.shape[2], photo.shape[3])
        with torch.no_grad():
            images = [network(lr, size).image.float() for network in self.model.networks]
            errors = torch.stack([picture_errors(x.clamp(0, 1), photo) for x in images], dim=1)
            logs = (errors + _LEAST).log()  # (B, J)
        factors = lr.new_tensor([size[0] / lr.shape[2], size[1] / lr.shape[3]])
        estimates = self.model.judge.learned(lr, factors.expand(len(lr), 2))
        chosen = estimates.argmin(dim=1)
        self.counts[0, 0] += torch.bincount(chosen, minlength=self.counts.shape[2])
        wanted, given = logs[:, 0] - logs[:, 1], estimates[:, 0] - estimates[:, 1]
        return {
            "estimates": F.smooth_l1_loss(estimates, logs),
            "difference": _DIFFERENCE * F.smooth_l1_loss(given, wanted),
        }

    def scores(self) -> Iterator[tuple[str, float]]:
        """PSNR in dB (y-shave) of each case and photo by the network that was picked.

        And what the other one would have been better by, or 0: the regret.
        """
        config = self.config
        count = min(config.validation_images, len(self.photos))
        cases = [
            (scale, case, number)
            for scale in config.validation_scales
            for case in config.validation_cases
            for number in range(count)
        ]
        for scale, case, number in cases[rank() :: processes()]:
            values, picked = self._measured(scale, case, number)
            yield f"psnr_x{scale}_{case}", values[picked]
            yield f"regret_x{scale}_{case}", max(values) - values[picked]

    def _measured(self, scale: int, case: str, number: int) -> tuple[list[float], int]:
        """PSNR by each network, and which the judge picks."""
        lr, photo = self._pair(self.photos[number], scale, case)
        small, size = lr[None].to(self.device), (photo.shape[1], photo.shape[2])
        with torch.inference_mode():
            images = [network(small, size).image for network in self.model.networks]
            picked = self.model.pick(self.model.judged(small, size))
        values = [psnr(x[0].float().clamp(0, 1).cpu(), photo, "y-shave", scale) for x in images]
        return values, picked

    def pictures(self) -> dict[str, Tensor]:
        """Nothing: the judge makes none."""
        return {}

    def sheet(self, batch: Patches) -> Tensor:
        """The small patches, and the photos below them."""
        lr = F.interpolate(batch.lr, size=batch.photo.shape[2:], mode="nearest")
        return torch.cat(list(torch.cat([lr, batch.photo], dim=2).float() / 255), dim=2)

    def compile_parts(self) -> None:
        """Nothing: compiling would not pay."""


def _copy(path: Path, network: MoEISRLight) -> list[str]:
    """Copy weights of one network; returns the names of its tensors.

    Raises:
        ModelError: the file cannot be read.
        UsageError: it is of another architecture, or its sizes do not fit.
    """
    source, card = store.load(path)
    own, state = network.state_dict(), source.state_dict()
    shapes = {name: value.shape for name, value in own.items()}
    if {name: value.shape for name, value in state.items()} != shapes:
        raise UsageError(
            f"{card.name} does not fit: moeisr-photo takes networks like moeisr-light with "
            f"{network.config.channels} channels and {network.config.blocks} blocks."
        )
    network.load_state_dict(state)
    return sorted(state)
