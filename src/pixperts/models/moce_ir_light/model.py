"""moce-ir-light: MoCE-IR (arXiv 2411.18466) of plain convolutions, made for ordinary processors.

Depthwise convolutions, layer norms and attention over all pixels run at a tenth of the rate of
plain convolutions on a CPU. Here a U-shaped network of 3x3 residual blocks works on the picture
unshuffled by 2, at 1/2, 1/4 and 1/8 of its sides. What stays of the paper: a shared expert beside
one of several of growing complexity, which a router picks for the whole picture, and a preference
for the cheap. The first expert is none, so that what is not needed is not computed.

Three things are new. All that the routers know of the whole picture comes from a scout, so that one
pass suffices and tiles, given its sums, equal the whole. The change of detail keeps the mean color
of each region (`regions`). And light and color are the matter of a head of its own (`tone`).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixperts.defaults import ToneMode
from pixperts.errors import UsageError
from pixperts.models.interfaces import ScoutedNetwork
from pixperts.models.moce_ir.inputs import pad_to_multiple
from pixperts.models.moce_ir.motion import (
    RADIUS,
    SIDE,
    Motion,
    MotionStage,
    cepstrum_sums,
    without,
)
from pixperts.models.moce_ir.statistics import Statistics
from pixperts.models.moce_ir_light.choices import draw_noises, spread_pins, sureness
from pixperts.models.moce_ir_light.config import EXPERTS, PARTS, UNSHUFFLE, MoCEIRLightConfig
from pixperts.models.moce_ir_light.parts import MixtureBlock, kernel_weights
from pixperts.models.moce_ir_light.regions import keep_means
from pixperts.models.moce_ir_light.scout import CONTEXT, Scout
from pixperts.models.moce_ir_light.tone import FAULTS, Tone, ToneHead, count_levels
from pixperts.models.moeisr_light.parts import Block
from pixperts.models.output import Output
from pixperts.ops.windows import Window
from pixperts.routing import Routing

_MULTIPLE = 8  # sides of what is computed are multiples of this


class MoCEIRLight(ScoutedNetwork):
    """Restoration by plain convolutions and experts that a router picks for each picture.

    Attributes:
        hidden_layers: names of the parts that lead from features to features, for Muon.

    Example:
        >>> small = MoCEIRLightConfig(channels=(8, 8, 8), expert_widths=(8, 8))
        >>> output = MoCEIRLight(small).eval()(torch.rand(2, 3, 9, 13))
        >>> output.image.shape, len(output.routings), output.routings[0].experts.shape
        (torch.Size([2, 3, 9, 13]), 4, torch.Size([2, 1]))
    """

    config: MoCEIRLightConfig
    fast_in_bfloat16: ClassVar[bool] = True
    hidden_layers: ClassVar[tuple[str, ...]] = (
        "scout.", "encoder.", "down.", "latent.", "up.", "decoder.", "refinement."
    )  # fmt: skip
    parts: ClassVar[tuple[str, ...]] = PARTS
    light_faults: ClassVar[tuple[str, ...]] = FAULTS

    def __init__(self, config: MoCEIRLightConfig) -> None:
        super().__init__()
        self.config = config
        half, quarter, eighth = config.channels
        self.scout = Scout(config)
        self.tone = ToneHead(config.tone_width)
        self.motion = MotionStage() if config.motion else None
        self.head = nn.Conv2d(3 * UNSHUFFLE**2, half, 3, padding=1)
        self.encoder = nn.ModuleList(
            nn.ModuleList([Block(channels) for _ in range(count)])
            for channels, count in zip((half, quarter), config.encoder_blocks, strict=True)
        )
        self.down = nn.ModuleList(
            [nn.Conv2d(half, quarter, 2, stride=2), nn.Conv2d(quarter, eighth, 2, stride=2)]
        )
        self.latent = nn.ModuleList([self._mixture(2) for _ in range(config.latent_mixtures)])
        self.up = nn.ModuleList(
            [nn.Conv2d(eighth, 4 * quarter, 1), nn.Conv2d(quarter, 4 * half, 1)]
        )
        self.decoder = nn.ModuleList([self._mixture(1) for _ in range(config.decoder_mixtures)])
        self.refinement = nn.ModuleList([Block(half) for _ in range(config.decoder_blocks)])
        self.output = nn.Conv2d(half, len(PARTS) * 3 * UNSHUFFLE**2, 3, padding=1)
        with torch.no_grad():  # a new network leaves pictures nearly as they are
            self.output.weight.mul_(0.1)
            assert self.output.bias is not None
            self.output.bias.zero_()

    def _mixture(self, level: int) -> MixtureBlock:
        config = self.config
        return MixtureBlock(
            config.channels[level],
            config.expert_widths[level - 1],
            config.bottleneck,
            config.embedding,
            config.modulated,
        )

    # ------------------------------------------------------------ what it does

    def forward(
        self,
        image: Tensor,
        *,
        noise: bool | torch.Generator | Tensor = True,
        pinned: Sequence[Routing] | None = None,
        masked: bool = False,
        statistics: Statistics | None = None,
        motion: bool = True,
        amounts: Sequence[float] | None = None,
        tone: ToneMode = "off",
        place: tuple[int, int] = (0, 0),
        whole: tuple[int, int] | None = None,
    ) -> Output:
        """Restore.

        Args:
            image: (B, 3, H, W) in [0, 1], any size from 1x1; mirrored inside to multiples of 8.
            noise: of the routers, in training mode only: drawn from this generator, or from
                torch's own, or left out, or given: (blocks, B, J) standard normal numbers. Never
                any in evaluation mode.
            pinned: routings of an earlier pass, one for each block, to be used again; for one
                picture or for as many as there are.
            masked: run every expert on every picture and mask (slow; the oracle of the tests).
            statistics: see `count`, of the whole pictures of which the images are tiles; of the
                images themselves when None.
            motion: whether straight motion blur is undone where there is some.
            amounts: of the `PARTS` of the change of detail, 0 to 1; 1 for all when None.
            tone: undo darkness and haze: never, where the tone head is sure of them, or in any
                case.
            place: (top, left) of the images in the whole pictures.
            whole: (height, width) of those; None = the images are whole.

        Returns:
            Image (B, 3, H, W) around [0, 1], unclamped; a `Routing` for each block with experts.

        Raises:
            UsageError: for an empty or misshapen image, or pinned routings that do not fit.
        """
        if image.dim() != 4 or image.shape[1] != 3 or image.numel() == 0:
            raise UsageError(f"image has shape {tuple(image.shape)}, but must be (B, 3, H, W).")
        statistics = statistics or self.count(image)
        embedding = self.scout(statistics).expand(len(image), -1)
        options = {"noise": noise, "pinned": pinned, "masked": masked, "amounts": amounts}
        moved: Motion | None = None
        if self.motion is not None and motion:
            moved = self.motion.read(statistics.places[3])
            image = without(image, Motion(*(value.expand(len(image)) for value in moved)))
        output = self.repair(image, embedding, **options)  # type: ignore[arg-type]
        if moved is not None:
            first = replace(output.routings[0], motion=torch.stack(moved, dim=1))
            output = output._replace(routings=(first, *output.routings[1:]))
        if tone == "off":
            return output
        found = self.judge(statistics)
        shares = found.amounts(tone)
        toned = self.tone.apply_to(output.image, found, shares, place, whole)
        light = torch.stack([found.probabilities, shares], dim=2)
        return output._replace(image=toned, light=light)

    def judge(self, statistics: Statistics) -> Tone:
        """What the tone head says of the light and haze of whole pictures."""
        return cast(Tone, self.tone(self.scout.overview(statistics), statistics.places[2][0]))

    def count(
        self,
        image: Tensor,
        inner: Window | None = None,
        place: tuple[int, int] = (0, 0),
        whole: tuple[int, int] | None = None,
    ) -> Statistics:
        """The sums over a picture or a tile of it: the scout's (see `Scout.count`), and levels."""
        sums = self.scout.count(image, inner, place, whole)
        top, bottom, left, right = inner or Window(0, image.shape[2], 0, image.shape[3])
        shown = image[:, :, top:bottom, left:right].float()
        start = place[0] + top, place[1] + left
        levels = count_levels(shown, start, whole or (image.shape[2], image.shape[3]))
        places = (*sums.places, (levels,))
        if self.motion is not None:
            places += (cepstrum_sums(image, inner),)
        return Statistics(places)

    def repair(
        self,
        image: Tensor,
        embedding: Tensor,
        *,
        noise: bool | torch.Generator | Tensor = True,
        pinned: Sequence[Routing] | None = None,
        masked: bool = False,
        amounts: Sequence[float] | None = None,
    ) -> Output:
        """`forward` with what the scout says of each picture, (B, E); without the tone head.

        `amounts` are those of the `PARTS`; 1 for all when None.
        """
        options = {"noise": noise, "pinned": pinned, "masked": masked}
        parts, routings = self.changes(image, embedding, **options)  # type: ignore[arg-type]
        if not self.training:
            taken = sureness(self.scout.groups(embedding).sigmoid(), self.config.sure)  # (B,)
            parts = parts * taken.to(parts.dtype)[:, None, None, None, None]
        sizes = None if self.training else parts.square().mean(dim=(2, 3, 4))  # (B, P)
        return Output(self.changed(image, parts, amounts), routings, sizes)

    def changed(
        self, image: Tensor, parts: Tensor, amounts: Sequence[float] | None = None
    ) -> Tensor:
        """(B, 3, H, W): a picture with its `changes` in some amounts; means of regions stay."""
        if amounts is None:
            residual = parts.sum(dim=1)
        else:
            shares = torch.tensor(tuple(amounts), dtype=parts.dtype, device=parts.device)
            residual = (parts * shares[:, None, None, None]).sum(dim=1)
        residual = keep_means(residual, self.config.cell, self.config.slack)
        return image + residual.to(image.dtype)

    def changes(
        self,
        image: Tensor,
        embedding: Tensor,
        *,
        noise: bool | torch.Generator | Tensor = True,
        pinned: Sequence[Routing] | None = None,
        masked: bool = False,
    ) -> tuple[Tensor, tuple[Routing, ...]]:
        """What is to be added to a picture, by part (B, P, 3, H, W), and the routings."""
        batch, _, height, width = image.shape
        choosing = len(self.block_names)
        pins = spread_pins(pinned, choosing, batch)
        noises: Sequence[Tensor | None] = [None] * choosing
        if self.training and noise is not False:
            shape = (choosing, batch, EXPERTS)
            noises = draw_noises(noise, shape, self.config.router_noise, image.device)
        routings: list[Routing] = []

        def mixed(x: Tensor, blocks: nn.ModuleList) -> Tensor:
            for block in blocks:
                number = len(routings)
                given = (embedding, noises[number], pins[number], masked, self.block_names[number])
                x, routing = cast(MixtureBlock, block)(x, *given)
                routings.append(routing)
            return x

        padded = pad_to_multiple(image.to(self.head.weight.dtype), _MULTIPLE)
        x = F.pixel_unshuffle(padded, UNSHUFFLE) - 0.5
        x = self.head(x.contiguous(memory_format=torch.channels_last))
        skips = []
        for blocks, down in zip(self.encoder, self.down, strict=True):
            for block in cast(nn.ModuleList, blocks):
                x = block(x)
            skips.append(x)
            x = down(x)
        x = mixed(x, self.latent)
        for up, part in zip(self.up, (self.decoder, self.refinement), strict=True):
            x = _shuffled(up(x)) + skips.pop()
            if part is self.decoder:
                x = mixed(x, part)
            else:
                for block in part:
                    x = block(x)
        residual = F.pixel_shuffle(self.output(x).float(), UNSHUFFLE)[:, :, :height, :width]
        return residual.unflatten(1, (len(PARTS), 3)), tuple(routings)

    def prepare(self, device: torch.device) -> None:
        """Lay the kernels out as the features are, or each convolution would do it anew."""
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    # ------------------------------------------------------------ what it is made of

    @property
    def mixtures(self) -> list[MixtureBlock]:
        """Every block with experts, in the order of execution."""
        return [cast(MixtureBlock, block) for block in (*self.latent, *self.decoder)]

    @property
    def block_names(self) -> list[str]:
        """Names of the blocks that choose, in the order of execution, as their routings have."""
        config = self.config
        latent = [f"level 2 block {number}" for number in range(config.latent_mixtures)]
        return latent + [f"level 1 block {number}" for number in range(config.decoder_mixtures)]

    @property
    def expert_parameters(self) -> list[list[int]]:
        """Number of parameters of each expert, for each block that chooses."""
        return [block.expert_parameters for block in self.mixtures]

    @property
    def bytes_per_pixel(self) -> float:
        """Memory that a pixel takes at the peak of a pass, roughly."""
        # At 1/2 the skip, a block's input, its hidden features and its output live together.
        return 4.0 * self.config.channels[0] * 5 / UNSHUFFLE**2 + 150

    @property
    def context(self) -> int:
        """Pixels around an output's own on which it depends, at most, given the statistics."""
        config = self.config
        reach = 2 * (2 + 2 * (config.encoder_blocks[0] + config.decoder_blocks))
        reach += 4 * 2 * config.encoder_blocks[1]
        levels = [8] * config.latent_mixtures + [4] * config.decoder_mixtures
        for step, block in zip(levels, self.mixtures, strict=True):
            reach += step * block.reach
        # Within a value of 1/8, and then the own region and those around it.
        return reach + _MULTIPLE + 2 * config.cell + (RADIUS if config.motion else 0)

    @property
    def scout_context(self) -> int:
        """Pixels around a tile that `count` needs; a window of the motion may leave it so far."""
        return SIDE if self.config.motion else CONTEXT

    def window_grid(self, routings: Sequence[Routing]) -> int:
        """Pixels from region to region: tiles begin at multiples of it."""
        return self.config.cell

    def multiply_adds(
        self,
        size: tuple[int, int],
        routings: Sequence[Routing] | None = None,
        *,
        every: bool = False,
    ) -> dict[str, float]:
        """Analytic multiply-adds of one picture, by part.

        Args:
            size: (H, W).
            routings: of a forward pass, averaged over its pictures; None = the most
                expensive experts.
            every: as if every expert ran, which is what routing saves.

        Returns:
            scout, encoder, latent, decoder (shared parts), experts, refinement, total.
        """
        pixels = float(-(-size[0] // _MULTIPLE) * -(-size[1] // _MULTIPLE)) * _MULTIPLE**2
        half, quarter, eighth = (pixels / 4**level for level in (1, 2, 3))
        first, second = (kernel_weights(blocks) for blocks in self.encoder)
        downs, ups = ([kernel_weights(layer) for layer in part] for part in (self.down, self.up))
        parts = {
            "scout": self.scout.multiply_adds(size)
            + (0.0 if self.motion is None else self.motion.multiply_adds(size)),
            "encoder": (kernel_weights(self.head) + first) * half + (second + downs[0]) * quarter,
            "latent": (downs[1] + ups[0]) * eighth,
            "decoder": ups[1] * quarter,
            "experts": 0.0,
            "refinement": (kernel_weights(self.refinement) + kernel_weights(self.output)) * half,
        }
        for number, block in enumerate(self.mixtures):
            latent = number < self.config.latent_mixtures
            here = eighth if latent else quarter
            experts = kernel_weights(block.experts)
            parts["latent" if latent else "decoder"] += (kernel_weights(block) - experts) * here
            adds = block.expert_multiply_adds
            if every:
                parts["experts"] += sum(adds) * here
            elif routings is None:
                parts["experts"] += max(adds) * here
            else:
                shares = routings[number].shares
                parts["experts"] += sum(s * a for s, a in zip(shares, adds, strict=True)) * here
        parts["total"] = sum(parts.values())
        return parts


def _shuffled(x: Tensor) -> Tensor:
    """(B, 4 C, h, w) -> (B, C, 2 h, 2 w), laid out with channels last."""
    return F.pixel_shuffle(x, 2).contiguous(memory_format=torch.channels_last)
