"""moeisr-photo: an expert for each picture.

MoEISR (arXiv 2311.12077) picks an expert for each pixel, MoCE-IR (arXiv 2411.18466) for each
picture. What a network has to do to enlarge depends more on what happened to the whole picture,
compression above all, than on what a pixel shows. So the experts here are two whole networks of
the form of moeisr-light, one for clean pictures and one for all others, and a small judge.
"""

from collections.abc import Callable, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from pixperts.errors import UsageError
from pixperts.models.interfaces import PairedNetwork, UpscalingNetwork
from pixperts.models.moeisr_light.model import MoEISRLight
from pixperts.models.moeisr_light.parts import PlainEncoder
from pixperts.models.moeisr_photo.config import MoEISRPhotoConfig
from pixperts.models.moeisr_photo.judge import Judge, pieces_of
from pixperts.models.output import Output
from pixperts.ops.windows import Part, Window


class MoEISRPhoto(PairedNetwork):
    """Arbitrary-scale super-resolution of photos as they are found.

    Attributes:
        config: the configuration.
        photo: the network for pictures that were compressed, are noisy or soft.
        clean: the network for all others.
        judge: estimates the error of both.

    Example:
        >>> model = MoEISRPhoto(MoEISRPhotoConfig(channels=8, blocks=1, judge_width=4))
        >>> model(torch.rand(1, 3, 6, 5), size=(15, 11)).image.shape
        torch.Size([1, 3, 15, 11])
    """

    config: MoEISRPhotoConfig
    members: ClassVar[tuple[str, ...]] = ("photo", "clean")
    hidden_layers: ClassVar[tuple[str, ...]] = ("photo.encoder.blocks", "clean.encoder.blocks")
    fast_in_bfloat16: ClassVar[bool] = True

    def __init__(self, config: MoEISRPhotoConfig) -> None:
        super().__init__()
        self.config = config
        self.photo = MoEISRLight(config.member)
        self.clean = MoEISRLight(config.member)
        self.judge = Judge(config.judge_width, len(self.members))
        self.costs = (1.0,)

    @property
    def networks(self) -> tuple[UpscalingNetwork, ...]:
        """`photo` and `clean`."""
        return self.photo, self.clean

    def forward(
        self,
        lr: Tensor,
        size: tuple[int, int],
        *,
        part: Part | None = None,
        budget: float | None = None,
        price: float | Sequence[float] | None = None,
        probabilities: bool = False,
        masked: bool = False,
        progress: Callable[[float], None] | None = None,
        members: Sequence[int] | None = None,
    ) -> Output:
        """Enlarge each picture by the network that suits it.

        Args:
            lr: (B, 3, h, w) in [0, 1], any size from 1x1.
            size: output (H, W), each axis its own factor.
            part: see `MoEISRLight.forward`; the judge then knows this part only, so that tiles of
                a picture need `members`.
            budget: must be None, as both networks have one expert.
            price: unused, as no pixel has a choice.
            probabilities: unused.
            masked: unused.
            progress: called with the share of the work that is done, 0 to 1.
            members: number of the network for each picture; None = as the judge says.

        Returns:
            Image (B, 3, H, W), or of the part, around [0, 1], unclamped; no routing.

        Raises:
            UsageError: a size is below 1, or there is a budget.
        """
        if lr.dim() != 4 or lr.shape[1] != 3 or lr.numel() == 0:
            raise UsageError(f"lr has shape {tuple(lr.shape)}, but must be (B, 3, H, W).")
        if members is None:
            members = [self.pick(self.judged(one[None], size, part)) for one in lr]
        images = []
        for number, (one, member) in enumerate(zip(lr, members, strict=True)):
            advance = None if progress is None else _share(progress, number, len(lr))
            output = self.networks[member](
                one[None], size, part=part, budget=budget, progress=advance
            )
            images.append(output.image)
        return Output(torch.cat(images), ())

    def judged(self, lr: Tensor, size: tuple[int, int], part: Part | None = None) -> Tensor:
        """(J,): the estimated errors of one picture (1, 3, h, w), see `forward`."""
        whole = (lr.shape[2], lr.shape[3]) if part is None else part.whole
        factors = size[0] / whole[0], size[1] / whole[1]
        places = self.places(lr.shape[2], lr.shape[3])
        pieces = [lr[:, :, a:b, c:d] for a, b, c, d in places]
        return self.judge.errors(torch.cat(pieces), factors)

    def places(self, height: int, width: int) -> list[Window]:
        """See `judge.pieces_of`."""
        return pieces_of(height, width)

    def errors(self, pieces: Tensor, factors: tuple[float, float]) -> Tensor:
        """See `Judge.errors`."""
        return self.judge.errors(pieces, factors)

    def pick(self, errors: Tensor) -> int:
        """The number of the network whose estimated error of a picture (J,) is the smaller one."""
        photo, clean = errors.tolist()
        return int(clean < self.config.clean_below * photo)

    def encode(self, lr: Tensor) -> Tensor:
        """Features of `photo`: those of the two networks have nothing in common."""
        return self.photo.encode(lr)

    @property
    def encoder(self) -> PlainEncoder:  # type: ignore[override]
        """That of `photo`, whose sizes are those of `clean`."""
        return self.photo.encoder

    @property
    def context(self) -> int:
        """How many LR pixels around its own an output pixel depends on, at most."""
        return self.photo.context

    def prepare(self, device: torch.device) -> None:
        """Store kernels in the memory layout of the features, so that none is converted later."""
        for network in self.networks:
            network.prepare(device)

    def sample_logits(self, lr: Tensor, size: tuple[int, int], part: Part, step: int) -> Tensor:
        """There are none.

        Raises:
            UsageError: always.
        """
        return self.photo.sample_logits(lr, size, part, step)

    def multiply_adds(
        self,
        lr_size: tuple[int, int],
        size: tuple[int, int],
        shares: tuple[float, ...] | None = None,
    ) -> dict[str, float]:
        """Analytic multiply-adds of one picture by part; both networks take the same.

        Args:
            lr_size: (h, w).
            size: output (H, W).
            shares: unused, as no pixel has a choice.

        Returns:
            encoder, field, judge and total.
        """
        parts = self.photo.multiply_adds(lr_size, size)
        parts["judge"] = self.judge.multiply_adds(lr_size)
        parts["total"] += parts["judge"]
        return parts


def _share(progress: Callable[[float], None], number: int, count: int) -> Callable[[float], None]:
    """Progress of one picture of several."""
    return lambda done: progress((number + done) / count)
