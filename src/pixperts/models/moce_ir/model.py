"""MoCE-IR: all-in-one image restoration by a mixture of complexity experts (arXiv 2411.18466).

A four-level U-shaped transformer. The encoder, the latent and the refinement are transformer
blocks across channels; in each decoder block a shared expert (channel attention) and one of four
experts of growing rank and window meet in cross attention. A router in each decoder block decides
once a picture, from its pooled features and the high frequencies of the latent.

State-dict keys follow the published layout but for two names, see `from_published_keys`.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn

from pixperts.errors import UsageError
from pixperts.models.interfaces import SurveyedNetwork
from pixperts.models.moce_ir.balance import Balance, auxiliary_loss
from pixperts.models.moce_ir.blocks import (
    Downsample,
    Stage,
    Upsample,
    channels_last,
    joining,
    multiply_adds_per_pixel,
)
from pixperts.models.moce_ir.config import LEVELS, MoCEIRConfig
from pixperts.models.moce_ir.decoder import DecoderBlock, DecoderStage
from pixperts.models.moce_ir.inputs import HighFrequencyEmbedding, PatchEmbedding, pad_to_multiple
from pixperts.models.moce_ir.motion import STRIDE, MotionStage
from pixperts.models.moce_ir.statistics import Census, Statistics
from pixperts.models.output import Output
from pixperts.ops.windows import Window
from pixperts.routing import Routing


class MoCEIR(SurveyedNetwork):
    """Restoration of any degradation by experts that a router picks for each picture.

    Example:
        >>> from pixperts.models.moce_ir.config import MOCE_PRESETS
        >>> _ = torch.manual_seed(0)
        >>> output = MoCEIR(MOCE_PRESETS["moce-ir-tiny"][1]).eval()(torch.rand(2, 3, 9, 13))
        >>> output.image.shape, len(output.routings), output.routings[0].experts.shape
        (torch.Size([2, 3, 9, 13]), 3, torch.Size([2, 1]))
    """

    config: MoCEIRConfig
    size_multiple = 2 ** (LEVELS - 1)

    def __init__(self, config: MoCEIRConfig) -> None:
        super().__init__()
        self.config = config
        self.motion = MotionStage() if config.motion else None
        self.patch_embed = PatchEmbedding(config.dim)
        levels = range(LEVELS - 1)
        self.enc = nn.ModuleList(
            nn.ModuleList(
                [
                    self._stage(level, config.encoder_blocks[level]),
                    Downsample(config.channels(level)),
                ]
            )
            for level in levels
        )
        self.latent = self._stage(LEVELS - 1, config.latent_blocks)
        self.freq_embed = HighFrequencyEmbedding(config.channels(LEVELS - 1))
        self.dec = nn.ModuleList(
            nn.ModuleList(
                [
                    Upsample(config.channels(level + 1)),
                    joining(config.channels(level)),
                    DecoderStage(config, level),
                ]
            )
            for level in reversed(levels)
        )
        self.refinement = self._stage(0, config.refinement_blocks)
        self.output = nn.Conv2d(config.dim, 3, 3, padding=1, bias=False)

    def _stage(self, level: int, blocks: int) -> Stage:
        config = self.config
        return Stage(config.channels(level), config.heads[level], config.expansion, blocks)

    @property
    def decoder_blocks(self) -> list[DecoderBlock]:
        """Every decoder block in the order of execution, lowest resolution first."""
        return [block for stage in self.dec for block in _layers(stage)]

    @property
    def block_names(self) -> list[str]:
        """Names of the decoder blocks in the order of execution, as their routings have them."""
        config = self.config
        levels = reversed(range(LEVELS - 1))
        return [f"level {x} block {n}" for x in levels for n in range(config.decoder_blocks[x])]

    @property
    def complexities(self) -> tuple[tuple[float, ...], ...]:
        """Parameters of each expert relative to the largest, for each decoder block."""
        return tuple(block.adapter.complexity for block in self.decoder_blocks)

    @property
    def expert_parameters(self) -> list[list[int]]:
        """Number of parameters of each expert, for each decoder block."""
        return [
            [sum(p.numel() for p in expert.parameters()) for expert in block.adapter.experts]
            for block in self.decoder_blocks
        ]

    @property
    def bytes_per_pixel(self) -> float:
        """Memory that a pixel takes at the peak of a pass, roughly."""
        # Measured: 56 to 71 bytes a pixel and channel of `dim`.
        return 76.0 * self.config.dim + 100

    def forward(
        self,
        image: Tensor,
        *,
        noise: bool | torch.Generator | Tensor = True,
        pinned: Sequence[Routing] | None = None,
        masked: bool = False,
        statistics: Statistics | None = None,
        motion: bool = True,
    ) -> Output:
        """Restore.

        Args:
            image: (B, 3, H, W) in [0, 1], any size from 1x1; padded inside to multiples of 8.
            noise: of the routers, in training mode only: a generator to draw from, True for that of
                torch, False for no noise, or (blocks, B, J) standard normal numbers.
            pinned: routings of an earlier pass to use again, one for each decoder block; of one
                picture or of each. None = the routers choose.
            masked: run every expert on every picture and mask the results (slow; a reference for
                tests).
            statistics: of `survey` for the whole picture, if the images are tiles of it.
            motion: whether straight motion blur is undone; it must be the same as in the `survey`
                that made the statistics.

        Returns:
            Image (B, 3, H, W) around [0, 1], unclamped; a `Routing` for each decoder block, in
            the order of execution.

        Raises:
            UsageError: the image is empty or has another shape, or pinned routings do not fit.
        """
        census = None if statistics is None else Census(statistics, count=False)
        return self._run(image, noise, pinned, masked, census, motion)

    def survey(
        self,
        image: Tensor,
        statistics: Statistics | None = None,
        inner: Window | None = None,
        *,
        motion: bool = True,
    ) -> tuple[Output, Statistics]:
        """`forward` without noise, and the sums over all pixels of each picture that it used.

        The sums of the tiles of a picture may be added and given to `forward` as its statistics.
        The sums of a place depend on those of earlier places, so that a survey of tiles that gets
        the sums of an earlier survey comes closer to the sums of the whole picture. Pixels outside
        `inner`, whose sides are multiples of 8 or those of the image, are context and not counted.
        """
        multiple = self.size_multiple
        height = -(-image.shape[2] // multiple) * multiple
        if inner is not None:  # padding at the border of the picture counts, as for the whole
            inner = Window(*(-(-side // multiple) * multiple for side in inner))
        census = Census(statistics, height=height, inner=inner)
        output = self._run(image, False, None, False, census, motion)
        return output, census.statistics

    def window_grid(self, routings: Sequence[Routing]) -> int:
        """Size of the windows of the chosen experts: tiles must begin at multiples of it."""
        levels = [
            level
            for level in reversed(range(LEVELS - 1))
            for _ in range(self.config.decoder_blocks[level])
        ]
        grid: int = self.size_multiple if self.motion is None else STRIDE
        for level, routing in zip(levels, routings, strict=True):
            for expert in routing.experts.unique().tolist():
                window = self.config.windows[int(expert)] << level
                grid = math.lcm(grid, window)
        return grid

    def _run(
        self,
        image: Tensor,
        noise: bool | torch.Generator | Tensor,
        pinned: Sequence[Routing] | None,
        masked: bool,
        census: Census | None,
        motion: bool,
    ) -> Output:
        if image.dim() != 4 or image.shape[1] != 3 or image.numel() == 0:
            raise UsageError(f"image has shape {tuple(image.shape)}, but must be (B, 3, H, W).")
        batch, _, height, width = image.shape
        pins = self._check_pinned(pinned, batch)
        noises = self._noise(noise, image)
        moved: Tensor | None = None
        if self.motion is not None and motion:
            image, found = self.motion(image, census)
            moved = torch.stack(found, dim=1)
        padded = pad_to_multiple(image.to(self.output.weight.dtype), self.size_multiple)
        x = self.patch_embed(channels_last(padded))
        skips = []
        for level in self.enc:
            stage, down = cast(nn.ModuleList, level)
            x = stage(x, census)
            skips.append(x)
            x = down(x)
        x = self.latent(x, census)
        embedding = self.freq_embed(x, census)
        routings: list[Routing] = []
        for level in self.dec:
            up, merge, stage = cast(nn.ModuleList, level)
            x = merge(torch.cat([up(x), skips.pop()], dim=1))
            for block in cast(DecoderStage, stage).layers:
                place = len(routings)
                name = self.block_names[place]
                x, routing = block(x, embedding, noises[place], pins[place], name, masked, census)
                routings.append(routing)
        if moved is not None:
            routings[0] = replace(routings[0], motion=moved)
        residual = self.output(self.refinement(x, census))[:, :, :height, :width]
        return Output(image + residual.to(image.dtype), tuple(routings))

    def _noise(
        self, noise: bool | torch.Generator | Tensor, image: Tensor
    ) -> Sequence[Tensor | None]:
        """Noise (B, J) of each router, or None."""
        blocks = sum(self.config.decoder_blocks)
        if not self.training or noise is False:
            return [None] * blocks
        shape = (blocks, len(image), len(self.config.windows))
        if isinstance(noise, Tensor):
            if noise.shape != shape:
                raise UsageError(f"noise has shape {tuple(noise.shape)}, but must be {shape}.")
            return list((noise * self.config.router_noise).to(image.device))
        generator = noise if isinstance(noise, torch.Generator) else None
        device = image.device if generator is None else generator.device
        drawn = torch.randn(shape, generator=generator, device=device, dtype=torch.float32)
        return list((drawn * self.config.router_noise).to(image.device))

    def _check_pinned(
        self, pinned: Sequence[Routing] | None, batch: int
    ) -> Sequence[Routing | None]:
        """Routings of an earlier pass; those of a single picture apply to the whole batch."""
        blocks = sum(self.config.decoder_blocks)
        if pinned is None:
            return [None] * blocks
        if len(pinned) != blocks:
            raise UsageError(f"{len(pinned)} routings are pinned, but there are {blocks} blocks.")
        spread = []
        for routing in pinned:
            gates = routing.gates
            if gates is None or gates.shape != routing.experts.shape:
                raise UsageError("a pinned routing needs the gates of its experts.")
            if len(routing.costs) != len(self.config.windows):
                raise UsageError("a pinned routing comes from a model with other experts.")
            if len(gates) not in (1, batch):
                raise UsageError(
                    f"routings of {len(gates)} pictures are pinned, but there are {batch}."
                )
            experts, gates = (x.expand(batch, -1) for x in (routing.experts, gates))
            spread.append(Routing(experts, routing.costs, gates=gates, name=routing.name))
        return spread

    def auxiliary_loss(
        self, routings: Sequence[Routing], *, biased: bool = True, form: Balance = "shazeer"
    ) -> Tensor:
        """The loss for the balance of the routers in a forward pass, see `balance.auxiliary_loss`.

        If `biased` is false, all experts count as equally expensive.
        """
        sizes = self.complexities
        weights = sizes if biased else [[1.0] * len(block) for block in sizes]
        return auxiliary_loss(routings, weights, self.config.router_noise, form)

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
            encoder, latent, decoder (shared parts), experts, refinement, total.
        """
        multiple = self.size_multiple
        pixels = float(-(-size[0] // multiple) * -(-size[1] // multiple)) * multiple**2
        parts = dict.fromkeys(("encoder", "latent", "decoder", "experts", "refinement"), 0.0)
        parts["encoder"] = multiply_adds_per_pixel(self.patch_embed) * pixels
        if self.motion is not None:
            parts["encoder"] += self.motion.multiply_adds(size)
        for level, stage in enumerate(self.enc):
            parts["encoder"] += multiply_adds_per_pixel(stage) * pixels / 4**level
        parts["latent"] = multiply_adds_per_pixel(self.latent) * pixels / 4 ** (LEVELS - 1)
        place = 0
        for number, stage in enumerate(self.dec):
            here = pixels / 4 ** (LEVELS - 2 - number)
            up, merge, _ = cast(nn.ModuleList, stage)
            parts["decoder"] += multiply_adds_per_pixel(up) * here / 4
            parts["decoder"] += multiply_adds_per_pixel(merge) * here
            for block in _layers(stage):
                shared = multiply_adds_per_pixel(block)
                shared -= multiply_adds_per_pixel(block.adapter.experts)
                parts["decoder"] += shared * here
                costs, count, share = block.adapter.expert_multiply_adds, self.config.top_k, 1.0
                if every:
                    parts["experts"] += sum(costs) * here
                elif routings is None:
                    parts["experts"] += sum(sorted(costs)[-count:]) * here
                else:
                    count = routings[place].experts.shape[1]
                    for share, cost in zip(routings[place].shares, costs, strict=True):
                        parts["experts"] += count * share * cost * here
                place += 1
        last = multiply_adds_per_pixel(self.refinement) + multiply_adds_per_pixel(self.output)
        parts["refinement"] = last * pixels
        parts["total"] = sum(parts.values())
        return parts


def _layers(stage: nn.Module) -> Iterable[DecoderBlock]:
    layers = cast(DecoderStage, cast(nn.ModuleList, stage)[-1]).layers
    return [cast(DecoderBlock, block) for block in layers]
