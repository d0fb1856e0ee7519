"""Training of the part of moce-isr-light that enlarges; the part that repairs stays as it is."""

from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from pixperts.data.photos import load_photos
from pixperts.data.small_scenes import SmallScene, SmallScenes
from pixperts.errors import UsageError
from pixperts.evaluation.metrics import psnr
from pixperts.evaluation.repair_cases import small_pair
from pixperts.models.moce_ir_light.tone import to_light, to_srgb
from pixperts.models.moce_isr_light.model import DEPTH, MoCEISRLight
from pixperts.models.moeisr_light.model import MoEISRLight
from pixperts.models.moeisr_light.parts import Block
from pixperts.models.moeisr_photo.model import MoEISRPhoto
from pixperts.training.distributed import Layout, processes, rank
from pixperts.training.enhancement_config import EnhancementConfig
from pixperts.training.losses import predicted_error_loss
from pixperts.training.module import TrainingModule
from pixperts.training.restoration import middle, validation_photos
from pixperts.weights import store
from pixperts.weights.packaged import weights_file

_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


class EnhancementModule(TrainingModule):
    """The training step: repair small pictures, enlarge them, compare with the photos."""

    config: EnhancementConfig
    model: MoCEISRLight

    def __init__(self, config: EnhancementConfig, layout: Layout | None = None) -> None:
        super().__init__(config, layout)
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if config.enlarger is not None:
            start_enlarger(self.model, weights_file(config.enlarger))
        for name, parameter in self.model.named_parameters():
            if not name.startswith("enlarger."):
                parameter.requires_grad_(False)
        depths = len(self.model.enlarger.costs)
        self.counts = torch.zeros(len(config.tasks), 1, depths, dtype=torch.int64)
        self.photos = validation_photos(config.validation, config.validation_images)
        self.train()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the tasks of the run."""
        return tuple(self.config.tasks)

    @property
    def blocks(self) -> list[str]:
        """One block: the mapper, which chooses the depth of the enlarger for each region."""
        return [DEPTH]

    def samples(self) -> SmallScenes:
        """Photos, reduced and degraded on the fly."""
        config = self.config
        photos = load_photos(
            [Path(p) for p in config.photos], config.exclude, min_side=config.patch
        )
        return SmallScenes(
            photos,
            tasks=config.tasks,
            side=config.patch,
            batch=config.batch,
            largest=config.largest,
            dark=config.dark,
            soft=config.soft,
            seed=config.seed,
        )

    def loss(self, batch: SmallScene) -> dict[str, Tensor]:
        """The weighted terms: the error of the pictures, and that of the mapper's predictions."""
        enlarger = self.model.enlarger
        degraded, photo = batch.degraded.float() / 255, batch.photo.float() / 255
        with torch.no_grad():
            dark = (batch.exposure < 1).to(degraded.dtype)
            output, seen = self.model.look(
                degraded, noise=False, motion=False, enlarged=True, brightened=dark
            )
            lr = brightened(output.image.float(), batch.exposure)
        x = enlarger.start(lr, seen)
        size = (photo.shape[2], photo.shape[3])
        terms = {}
        if self.config.prediction_weight < 1:
            deep = enlarger.deepened(x, self._depths(x), masked=True)
            error = picture_errors(enlarger.field(deep, lr, size), photo)
            terms["log"] = 0.5 * (error + self.config.floor).log().mean()
        if self.config.prediction_weight:
            terms["prediction"] = self.config.prediction_weight * self._prediction(
                x.detach(), lr, photo, batch.task
            )
        return terms

    def _depths(self, x: Tensor) -> Tensor:
        """Number of blocks for each region, (B, rows, columns): all, or random in some pictures."""
        blocks, side = len(self.model.enlarger.blocks), self.model.enlarger.side
        shape = -(-x.shape[2] // side), -(-x.shape[3] // side)
        drawn = self.noise((shape[0] * shape[1] + 1,), normal=False)  # (B, regions + 1)
        random = (drawn[:, 1:] * (blocks + 1)).long().view(-1, *shape)
        shallow = drawn[:, 0] < self.config.shallow
        return torch.where(shallow[:, None, None], random, torch.full_like(random, blocks))

    def _prediction(self, x: Tensor, lr: Tensor, photo: Tensor, task: Tensor) -> Tensor:
        """The loss of the mapper, which learns the error of each depth in each region.

        Only the mapper gets a gradient.

        Args:
            x: (B, C, h, w) features of the enlarger, detached.
            lr: (B, 3, h, w) repaired pictures.
            photo: (B, 3, H, W).
            task: (B,) int64 number of each picture's task.
        """
        enlarger, size = self.model.enlarger, (photo.shape[2], photo.shape[3])
        logits = enlarger.logits(x, lr.shape[2:], size)  # (B, J, rows, columns)
        regions = logits.shape[2], logits.shape[3]
        with torch.no_grad():
            errors = []
            for features in enlarger.all_depths(x):
                squared = (enlarger.field(features, lr, size) - photo).square().mean(dim=1)
                errors.append(F.adaptive_avg_pool2d(squared, regions))
            found = torch.stack(errors, dim=-1)  # (B, rows, columns, J)
            # Relative to the error of the picture with all blocks, because PSNR is a mean of
            # logarithms.
            own = found[..., -1].mean(dim=(1, 2)).clamp_min(1e-6)
            relative = (found / own[:, None, None, None]).clamp_max(20)
        chosen = logits.argmax(dim=1).flatten(1)  # (B, regions)
        places = (task[:, None].expand_as(chosen), torch.zeros_like(chosen), chosen)
        self.counts.index_put_(places, self.counts.new_ones(()), accumulate=True)
        return predicted_error_loss(logits.permute(0, 2, 3, 1), relative)

    def scores(self) -> Iterator[tuple[str, float]]:
        """PSNR in dB of each task, scale and validation photo, with all blocks; at most 100."""
        config = self.config
        cases = [
            (task, scale, number)
            for task in config.validation_tasks
            for scale in config.validation_scales
            for number in range(len(self.photos))
        ]
        for task, scale, number in cases[rank() :: processes()]:
            small, photo = small_pair(self.photos[number].float() / 255, scale, task, number)
            yield (
                f"psnr_{task}_x{scale}",
                min(psnr(self._enlarged(small, photo), photo, "rgb"), 100),
            )

    def pictures(self) -> dict[str, Tensor]:
        """For each validation task the middle of a photo: enlarged, and the photo, side by side."""
        shown = {}
        for task in self.config.validation_tasks if self.photos else ():
            scale = self.config.validation_scales[0]
            small, photo = small_pair(middle(self.photos[0]).float() / 255, scale, task, 0)
            shown[task] = torch.cat([self._enlarged(small, photo), photo], dim=2)
        return shown

    def _enlarged(self, small: Tensor, photo: Tensor) -> Tensor:
        size = (photo.shape[1], photo.shape[2])
        output = self.model.enhance(small[None].to(self.device), size, budget=1.0, noise=False)
        return output.image[0].clamp(0, 1).cpu()

    def sheet(self, batch: SmallScene) -> Tensor:
        """The small pictures above, their photos below."""
        size = (batch.photo.shape[2], batch.photo.shape[3])
        small = F.interpolate(batch.degraded.float() / 255, size=size, mode="nearest")
        columns = torch.cat([small, batch.photo.float() / 255], dim=2)  # (B, 3, 2 S, S)
        return torch.cat(list(columns), dim=2)

    def compile_parts(self) -> None:
        """Compile the plain residual blocks."""
        for module in self.model.modules():
            if isinstance(module, Block):
                module.compile(dynamic=False)


def brightened(image: Tensor, exposure: Tensor) -> Tensor:
    """Pictures at full light.

    Args:
        image: (B, 3, h, w) in [0, 1].
        exposure: (B,), the share of the light that each has; with 1 a picture stays as it is.
    """
    bright = to_srgb(to_light(image) / exposure[:, None, None, None])
    return torch.where(exposure[:, None, None, None] < 1, bright, image)


def picture_errors(image: Tensor, photo: Tensor) -> Tensor:
    """The mean squared error of each picture (B, 3, H, W) from its photo, (B,).

    Half of it is that of all channels, and half that of luma, in which eyes see detail.
    """
    errors = image.float() - photo
    luma = torch.einsum("bchw,c->bhw", errors, errors.new_tensor(_LUMA))
    return (errors.square().mean(dim=(1, 2, 3)) + luma.square().mean(dim=(1, 2))) / 2


def start_enlarger(model: MoCEISRLight, path: Path) -> None:
    """Copy weights of moeisr-light, or of moeisr-photo's network for photos, into an enlarger.

    These are the first convolution, the field, and as many blocks as the enlarger has, evenly
    spread from the first to the last one.

    Args:
        model: whose enlarger is changed.
        path: of the weights file.

    Raises:
        UsageError: the file is of another architecture, or its sizes do not fit.
    """
    source, card = store.load(path)
    enlarger = model.enlarger
    if isinstance(source, MoEISRPhoto):
        source = source.photo
    if not isinstance(source, MoEISRLight):
        raise UsageError(f"{card.name} is not a moeisr-light model: name one as the enlarger.")
    blocks, wanted = source.encoder.blocks, len(enlarger.blocks)
    same = source.config.channels, source.config.basis
    if same != (model.config.large_channels, model.config.basis) or len(blocks) < wanted:
        raise UsageError(f"{card.name} does not fit: it needs as many channels and cosines.")
    with torch.no_grad():  # at first, features of the trunk have no effect
        enlarger.seen.weight.zero_()
        enlarger.image.weight.zero_()
        enlarger.image.weight[:, :3] = source.encoder.head.weight
        assert enlarger.image.bias is not None
        assert source.encoder.head.bias is not None
        enlarger.image.bias.copy_(source.encoder.head.bias)
    enlarger.field.load_state_dict(source.field.state_dict())
    for number, block in enumerate(enlarger.blocks):
        place = round(number * (len(blocks) - 1) / max(1, wanted - 1))
        block.load_state_dict(blocks[place].state_dict())
