"""Training of MoCE-IR, which repairs (arXiv 2411.18466, section 4 and supplement)."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from pixperts.data.layouts import TASK_SETS, read_task_set
from pixperts.data.pairs import Pair, match_folders, packed_tasks, read_packed
from pixperts.data.photos import load_photos
from pixperts.data.restoration import Degraded, FilePairs, SyntheticPairs, degraded_or_clean
from pixperts.errors import DataError
from pixperts.evaluation.metrics import psnr
from pixperts.models.moce_ir.balance import Balance
from pixperts.models.moce_ir.blocks import EncoderBlock
from pixperts.models.moce_ir.model import MoCEIR
from pixperts.training.config import RestorationConfig
from pixperts.training.distributed import Layout, all_gather_with_grad, processes, rank
from pixperts.training.losses import picture_weights, spectral_l1
from pixperts.training.module import TrainingModule

_OWN = "pair"  # the task of a user's own folders


class RestorationModule(TrainingModule):
    """The training step: repair patches, compare them and their spectra, balance the routers."""

    config: RestorationConfig
    model: MoCEIR

    def __init__(self, config: RestorationConfig, layout: Layout | None = None) -> None:
        super().__init__(config, layout)
        self._names = _names(config)
        blocks, experts = len(self.model.decoder_blocks), len(self.model.config.windows)
        self.counts = torch.zeros(len(self._names), blocks, experts, dtype=torch.int64)
        self.photos = validation_photos(config.validation, config.validation_images)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the tasks of the run."""
        return self._names

    @property
    def blocks(self) -> list[str]:
        """The names of the decoder blocks, as in `Routing.name`."""
        return self.model.block_names

    def samples(self) -> SyntheticPairs | FilePairs:
        """Degraded patches: from pairs of files, or made from photos on the fly."""
        config = self.config
        if config.published is not None or config.input is not None:
            pairs = _pairs(config)
            return FilePairs(pairs, tasks=self._names, patch=config.patch, seed=config.seed)
        photos = load_photos(
            [Path(p) for p in config.photos], config.exclude, min_side=max(128, config.patch)
        )
        return SyntheticPairs(
            photos, tasks=config.tasks, patch=config.patch, reduction=config.reduction,
            seed=config.seed,
        )  # fmt: skip

    def loss(self, batch: Degraded) -> dict[str, Tensor]:
        """The weighted terms: L1, L1 of the spectrum, and balance; counts experts by task."""
        config = self.config
        shape = (len(self.blocks), self.counts.shape[2])
        noise = self.noise(shape, normal=True).transpose(0, 1)  # (blocks, B, J)
        output = self.model(batch.degraded, noise=noise)
        image, clean = output.image, batch.clean
        if config.equalize:
            # Errors of hazy and dark pictures are ten times those of clean ones. With these
            # weights, which act like a logarithm of the error, all tasks count about as much. Both
            # losses are proportional to the difference of the pictures. So it is enough to multiply
            # the pictures by the weights.
            weight = picture_weights(image, clean, config.equalize)[:, None, None, None]
            image, clean = weight * image, weight * clean
        routings = [
            replace(
                r,
                logits=all_gather_with_grad(r.logits),
                noisy_logits=all_gather_with_grad(r.noisy_logits),
            )
            for r in output.routings
            if r.logits is not None and r.noisy_logits is not None
        ]
        experts = torch.stack([routing.experts for routing in output.routings])  # (blocks, B, k)
        blocks = torch.arange(len(experts), device=experts.device)[:, None, None]
        places = (batch.task[:, None].expand_as(experts), blocks.expand_as(experts), experts)
        self.counts.index_put_(places, self.counts.new_ones(()), accumulate=True)
        return {
            "l1": (image - clean).abs().mean(),
            "fourier": config.fourier_weight * spectral_l1(image, clean),
            "auxiliary": config.auxiliary_weight
            * self.model.auxiliary_loss(
                routings, biased=config.complexity_bias, form=cast(Balance, config.balance)
            ),
        }

    def scores(self) -> Iterator[tuple[str, float]]:
        """PSNR in dB of each validation task and photo, protocol rgb; at most 100."""
        cases = [(t, n) for t in self.config.validation_tasks for n in range(len(self.photos))]
        for task, number in cases[rank() :: processes()]:
            clean = self.photos[number].float() / 255
            degraded = degraded_or_clean(clean, task, number)
            image = self.model(degraded[None].to(self.device)).image[0].clamp(0, 1).cpu()
            yield f"psnr_{task}", min(psnr(image, clean, "rgb"), 100.0)

    def pictures(self) -> dict[str, Tensor]:
        """For each validation task the middle of a photo: degraded, repaired, clean."""
        shown = {}
        for task in self.config.validation_tasks if self.photos else ():
            clean = middle(self.photos[0]).float() / 255
            degraded = degraded_or_clean(clean, task, 0)
            image = self.model(degraded[None].to(self.device)).image[0].clamp(0, 1).cpu()
            shown[task] = torch.cat([degraded, image, clean], dim=2)
        return shown

    def sheet(self, batch: Degraded) -> Tensor:
        """The degraded patches above, the clean ones below."""
        columns = torch.cat([batch.degraded, batch.clean], dim=2)  # (B, 3, 2 p, p)
        return torch.cat(list(columns), dim=2)

    def compile_parts(self) -> None:
        """Compile the transformer blocks of encoder, latent and refinement."""
        for module in self.model.modules():
            if isinstance(module, EncoderBlock):
                module.compile(dynamic=False)


def validation_photos(folder: str | None, count: int) -> list[Tensor]:
    """Photos of a folder, evenly spread over it, because it may be sorted by subject.

    Args:
        folder: None for no photos.
        count: number of photos, 1 or more.

    Returns:
        (3, H, W) uint8 each.

    Raises:
        DataError: the folder has fewer photos.
    """
    if not folder:
        return []
    found = load_photos([Path(folder)])
    if len(found) < count:
        raise DataError(f"{folder}: holds {len(found)} photos, but validation_images is {count}.")
    places = range(0, len(found), len(found) // count)
    return [found[place] for place in places][:count]


def middle(photo: Tensor, side: int = 256) -> Tensor:
    """The middle of a photo (3, H, W), at most `side` pixels in height and width."""
    top, left = (max(0, (length - side) // 2) for length in photo.shape[1:])
    return photo[:, top : top + side, left : left + side]


def _names(config: RestorationConfig) -> tuple[str, ...]:
    """The names of the tasks of a run, in the order of its counts."""
    if config.input is not None:
        return (_OWN,) if config.target is not None else packed_tasks(Path(config.input))
    return tuple(config.tasks) if config.published is None else TASK_SETS[config.published]


def _pairs(config: RestorationConfig) -> list[Pair]:
    """The pairs of files of a published set, of shards or of the user's folders."""
    if config.published is not None:
        layouts = {name: Path(root) for name, root in config.layouts.items()}
        return read_task_set(config.published, layouts)
    assert config.input is not None
    if config.target is None:
        return read_packed(Path(config.input))
    return match_folders(Path(config.input), Path(config.target), _OWN)
