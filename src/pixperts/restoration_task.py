"""Training of the models that repair (MoCE-IR, arXiv 2411.18466, section 4 and supplement)."""

from pathlib import Path

import torch
from torch import Tensor

from pixperts.data import load_photos
from pixperts.errors import DataError
from pixperts.losses import picture_weights, spectral_l1
from pixperts.metrics import psnr
from pixperts.models import MoCEIR
from pixperts.pairs import TASK_SETS, Pair, match_folders, packed_tasks, read_packed, read_task_set
from pixperts.restoration_data import (
    Degraded,
    FilePairs,
    SyntheticPairs,
    degraded_or_clean,
)
from pixperts.task import Task
from pixperts.train_config import RestorationConfig

_OWN = "pair"  # the task of a user's own folders


class RestorationTask(Task):
    """L1 + 0.1 * L1 of the spectrum + 0.01 * balance of the routers; experts counted by task."""

    config: RestorationConfig
    model: MoCEIR

    def __init__(self, config: RestorationConfig) -> None:
        super().__init__(config)
        self.names = _names(config)
        blocks, experts = len(self.model.decoder_blocks), len(self.model.config.windows)
        self.counts = torch.zeros(len(self.names), blocks, experts, dtype=torch.int64)
        self.photos: list[Tensor] = []
        if config.validation:
            found = load_photos([Path(config.validation)])
            if len(found) < config.validation_images:
                raise DataError(
                    f"{config.validation}: holds {len(found)} photos, but validation_images asks "
                    f"for {config.validation_images}."
                )
            # Spread over the folder, which may be sorted by kind.
            places = range(0, len(found), len(found) // config.validation_images)
            self.photos = [found[place] for place in places][: config.validation_images]

    def samples(self) -> SyntheticPairs | FilePairs:
        """Degraded patches: of pairs of files, or of the photos on the fly."""
        config = self.config
        if config.published is not None or config.input is not None:
            pairs = _pairs(config)
            return FilePairs(pairs, tasks=self.names, patch=config.patch, seed=config.seed)
        photos = load_photos(
            [Path(p) for p in config.photos], config.exclude, min_side=max(128, config.patch)
        )
        return SyntheticPairs(
            photos, tasks=config.tasks, patch=config.patch, reduction=config.reduction,
            seed=config.seed,
        )  # fmt: skip

    def optimizer(self, parameters: list[torch.nn.Parameter]) -> torch.optim.Optimizer:
        """AdamW, as the paper."""
        config = self.config
        return torch.optim.AdamW(
            parameters, lr=config.learning_rate, weight_decay=config.weight_decay
        )

    def training_step(self, batch: Degraded, batch_idx: int) -> Tensor:
        """One step; loss terms are logged, experts counted."""
        config = self.config
        output = self.model(batch.degraded, noise=self.step_noise())
        image, clean = output.image, batch.clean
        if config.equalise:
            # Hazy and dark pictures are wrong by a tenth, clean ones by a hundredth: near the
            # logarithm of its error, a picture pulls as hard whatever its task. Both losses are
            # proportional to the pictures' difference, so a factor on the pictures does it.
            weight = picture_weights(image, clean, config.equalise)[:, None, None, None]
            image, clean = weight * image, weight * clean
        terms = {
            "l1": (image - clean).abs().mean(),
            "fourier": config.fourier_weight * spectral_l1(image, clean),
            "auxiliary": config.auxiliary_weight * self.model.auxiliary_loss(output.routings),
        }
        for block, routing in enumerate(output.routings):
            tasks = batch.task.cpu()[:, None].expand_as(routing.experts)  # (B, k)
            places = (tasks.flatten(), torch.tensor(block), routing.experts.cpu().flatten())
            self.counts.index_put_(places, torch.tensor(1), accumulate=True)
        if self.global_step % 50 == 0:
            self.log_dict({f"loss/{name}": value.detach() for name, value in terms.items()})
        return torch.stack(list(terms.values())).sum()

    def measure(self) -> dict[str, float]:
        """PSNR of each validation task, protocol rgb, and the training's experts by task."""
        notes = {}
        for task in self.config.validation_tasks:
            values = []
            for number, photo in enumerate(self.photos):
                clean = photo.float() / 255
                degraded = degraded_or_clean(clean, task, number)
                image = self.model(degraded[None].to(self.device)).image[0].clamp(0, 1).cpu()
                # A picture that comes back exactly counts as 100 dB.
                values.append(min(psnr(image, clean, "rgb"), 100.0))
            if values:
                notes[f"psnr_{task}"] = sum(values) / len(values)
        print(self.expert_table(), flush=True)
        for name, counts in zip(self.names, self.counts, strict=True):
            shares = counts.sum(dim=0) / counts.sum().clamp_min(1)
            for expert, share in enumerate(shares.tolist()):
                notes[f"share_{name}_{expert}"] = share
        self.counts.zero_()
        return notes

    def expert_table(self) -> str:
        """Share of each expert in each decoder block for each task since the last table, in %."""
        lines = ["experts by task, % of the training pictures, decoder blocks in order:"]
        for name, counts in zip(self.names, self.counts, strict=True):
            shares = 100 * counts / counts.sum(dim=1, keepdim=True).clamp_min(1)
            blocks = [" ".join(f"{value:3.0f}" for value in block) for block in shares.tolist()]
            lines.append(f"  {name:14} {' | '.join(blocks)}")
        return "\n".join(lines)


def _names(config: RestorationConfig) -> tuple[str, ...]:
    """The tasks of a run, in the order of its counts."""
    if config.input is not None:
        return (_OWN,) if config.target is not None else packed_tasks(Path(config.input))
    return tuple(config.tasks) if config.published is None else TASK_SETS[config.published]


def _pairs(config: RestorationConfig) -> list[Pair]:
    """The files of a published set or of one's own folders."""
    if config.published is not None:
        layouts = {name: Path(root) for name, root in config.layouts.items()}
        return read_task_set(config.published, layouts)
    assert config.input is not None
    if config.target is None:
        return read_packed(Path(config.input))
    return match_folders(Path(config.input), Path(config.target), _OWN)
