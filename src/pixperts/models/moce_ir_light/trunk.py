"""The layers of moce-ir-light, which compute the changes to a picture."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from pixperts.errors import UsageError
from pixperts.models.interfaces import ScoutedNetwork
from pixperts.models.moce_ir.inputs import pad_to_multiple
from pixperts.models.moce_ir.motion import RADIUS, SIDE, MotionStage
from pixperts.models.moce_ir_light.choices import draw_noises, of_pictures, only_noise, spread_pins
from pixperts.models.moce_ir_light.config import EXPERTS, PARTS, UNSHUFFLE, MoCEIRLightConfig
from pixperts.models.moce_ir_light.layers import NoiseLayers, PlainLayers
from pixperts.models.moce_ir_light.marks import MarksStage
from pixperts.models.moce_ir_light.parts import (
    MixtureBlock,
    expert_multiply_adds,
    kernel_weights,
)
from pixperts.models.moce_ir_light.scout import CONTEXT, Scout
from pixperts.models.moce_ir_light.tone import ToneHead
from pixperts.routing import Routing

_HIDDEN = ("encoder.", "down.", "deep.", "latent.", "up.", "decoder.", "refinement.")


class LightTrunk(PlainLayers, ScoutedNetwork):
    """A U-shaped network of plain convolutions, with experts that a router picks for each picture.

    Attributes:
        hidden_layers: names of the hidden layers, which the optimizer Muon trains.
    """

    config: MoCEIRLightConfig
    fast_in_bfloat16: ClassVar[bool] = True
    hidden_layers: ClassVar[tuple[str, ...]] = (
        "scout.", *_HIDDEN, *(f"noise_layers.{part}" for part in _HIDDEN),
        *(f"marks.{part}." for part in ("fine", "middle", "coarse", "down", "up")),
    )  # fmt: skip
    parts: ClassVar[tuple[str, ...]] = PARTS

    def __init__(self, config: MoCEIRLightConfig) -> None:
        super().__init__()
        self.config = config
        self.scout = Scout(config)
        self.tone = ToneHead(config.tone_width)
        self.motion = MotionStage() if config.motion else None
        self.marks = MarksStage() if config.marks else None
        self._add_layers(config, self._mixture)
        self.noise_layers = NoiseLayers(config) if config.noise_layers else None

    def _mixture(self, level: int) -> MixtureBlock:
        config = self.config
        return MixtureBlock(
            config.channels[level],
            config.expert_widths[level - 1],
            config.bottleneck,
            config.embedding,
            config.modulated,
        )

    def unmarked(self, image: Tensor, amount: float) -> tuple[Tensor, Tensor]:
        """Pictures (B, 3, H, W) without dust and scratches, and the share of pixels changed (B,).

        Args:
            image: (B, 3, H, W) in [0, 1].
            amount: of the change, 0 to 1.

        Raises:
            UsageError: the network has no stage for them.
        """
        if self.marks is None:
            raise UsageError("this network has no stage that removes dust and scratches.")
        result = self.marks(image, amount)
        return result, (result != image).any(dim=1).float().mean(dim=(1, 2))

    def changes(
        self, image: Tensor, embedding: Tensor, **options: Any
    ) -> tuple[Tensor, tuple[Routing, ...]]:
        """What is to be added to a picture, by part (B, P, 3, H, W), and the routings.

        Arguments as of `features`.
        """
        features, routings = self.features(image, embedding, **options)
        return self.parts_of(features, image, embedding, routings), routings

    def parts_of(
        self, features: Tensor, image: Tensor, embedding: Tensor, routings: Sequence[Routing]
    ) -> Tensor:
        """The changes by part (B, P, 3, H, W) that features stand for, of a picture's size."""
        size = (image.shape[2], image.shape[3])

        def last(layers: PlainLayers, items: Tensor | None) -> Tensor:
            return layers.last_layer(_some(features, items), size, _some(embedding, items))

        return self._by_layers(routings, last)

    def features(
        self,
        image: Tensor,
        embedding: Tensor,
        *,
        noise: bool | torch.Generator | Tensor = True,
        pinned: Sequence[Routing] | None = None,
        masked: bool = False,
    ) -> tuple[Tensor, tuple[Routing, ...]]:
        """All but the last layer: (B, C, h, w) at 1/2 of the picture, padded, and the routings."""
        batch, choosing = len(image), len(self.block_names)
        pins = spread_pins(pinned, choosing, batch)
        noises: Sequence[Tensor | None] = [None] * choosing
        if self.training and noise is not False:
            shape = (choosing, batch, EXPERTS)
            noises = draw_noises(noise, shape, self.config.router_noise, image.device)
        given = zip(self.mixtures, pins, noises, self.block_names, strict=True)
        routings = tuple(
            pin or block.route(embedding, own, name) for block, pin, own, name in given
        )
        padded = pad_to_multiple(image.to(self.head.weight.dtype), self.config.multiple)

        def run(layers: PlainLayers, items: Tensor | None) -> Tensor:
            own = routings
            if items is not None:
                own = tuple(of_pictures(routing, items) for routing in routings)
            given = _some(padded, items), _some(embedding, items)
            return self._layers(layers, *given, own, masked)

        return self._by_layers(routings, run), routings

    def _layers(
        self,
        layers: PlainLayers,
        padded: Tensor,
        embedding: Tensor,
        routings: Sequence[Routing],
        masked: bool,
    ) -> Tensor:
        """One set of layers, with the experts of these routings."""
        waiting = zip(layers.shared_parts, self.mixtures, routings, strict=True)

        def mixed(x: Tensor, blocks: nn.ModuleList) -> Tensor:
            # `blocks` comes first: when it ends, nothing more is taken from those that wait.
            for _, (plain, block, routing) in zip(blocks, waiting, strict=False):
                x = block.add_expert(plain.shared(x, embedding), x, routing, masked)
            return x

        return layers.layers(padded, mixed)

    def _by_layers(
        self, routings: Sequence[Routing], run: Callable[[PlainLayers, Tensor | None], Tensor]
    ) -> Tensor:
        """What `run` gives for each picture with the layers that it takes.

        Args:
            routings: of all blocks.
            run: from layers and the places of pictures (M,) in the batch, None for all, to results
                (M, ...).
        """
        if self.noise_layers is None:
            return run(self, None)
        noisy = only_noise(routings)
        if bool(noisy.all()):
            return run(self.noise_layers, None)
        if not bool(noisy.any()):
            return run(self, None)
        places = [torch.nonzero(chosen).squeeze(1) for chosen in (noisy, ~noisy)]
        sets = self.noise_layers, self
        found = [run(layers, own) for layers, own in zip(sets, places, strict=True)]
        return torch.cat(found).index_select(0, torch.cat(places).argsort())

    def prepare(self, device: torch.device) -> None:
        """Store kernels in the memory layout of the features, so that none is converted later."""
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @property
    def mixtures(self) -> list[MixtureBlock]:
        """Every block with experts, in the order of execution."""
        return [cast(MixtureBlock, block) for block in self.shared_parts]

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
        reach += 4 * 2 * config.encoder_blocks[1] + 16 * 2 * config.deep_blocks
        levels = [8] * config.latent_mixtures + [4] * config.decoder_mixtures
        for step, block in zip(levels, self.mixtures, strict=True):
            reach += step * block.reach
        # Within a value of the coarsest level, and then the own region and those around it.
        return reach + config.multiple + 2 * config.cell + (RADIUS if config.motion else 0)

    @property
    def dust_context(self) -> int:
        """How much larger the context is where dust is removed; 0 if the network cannot do that."""
        return 0 if self.marks is None else self.marks.reach

    @property
    def scout_context(self) -> int:
        """Pixels around a tile that `count` needs; a window of the motion may leave it so far."""
        return SIDE if self.config.motion else CONTEXT

    def window_grid(self, routings: Sequence[Routing]) -> int:
        """Side of a region in pixels: tiles must begin at multiples of it."""
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
            scout, marks (their stage, if it ran), encoder, latent, decoder (shared parts), experts,
            refinement, total.
        """
        multiple = self.config.multiple
        pixels = float(-(-size[0] // multiple) * -(-size[1] // multiple)) * multiple**2
        half, quarter, eighth = (pixels / 4**level for level in (1, 2, 3))
        first, second = (kernel_weights(blocks) for blocks in self.encoder)
        downs, ups = ([kernel_weights(layer) for layer in part] for part in (self.down, self.up))
        shared = (kernel_weights(block) - kernel_weights(block.experts) for block in self.mixtures)
        places = [eighth] * self.config.latent_mixtures + [quarter] * self.config.decoder_mixtures
        adds = [kernels * here for kernels, here in zip(shared, places, strict=True)]
        latent = self.config.latent_mixtures
        deep = 0.0 if self.deep is None else kernel_weights(self.deep)
        parts = {
            "scout": self.scout.multiply_adds(size)
            + (0.0 if self.motion is None else self.motion.multiply_adds(size)),
            "marks": 0.0,
            "encoder": (kernel_weights(self.head) + first) * half + (second + downs[0]) * quarter,
            "latent": (downs[1] + ups[0]) * eighth + sum(adds[:latent]) + deep * eighth / 4,
            "decoder": ups[1] * quarter + sum(adds[latent:]),
            "experts": expert_multiply_adds(self.mixtures, places, routings, every=every),
            "refinement": (kernel_weights(self.refinement) + kernel_weights(self.output)) * half,
        }
        if routings is not None and routings[0].marks is not None and self.marks is not None:
            parts["marks"] = self.marks.multiply_adds(size)
        if routings is not None and routings[0].idle is not None:
            busy = 1 - float(routings[0].idle.float().mean())
            for name in ("encoder", "latent", "decoder", "refinement"):  # idle ones have no expert
                parts[name] *= busy
        parts["total"] = sum(parts.values())
        return parts


def _some(values: Tensor, items: Tensor | None) -> Tensor:
    """Those of some pictures (M,) of a batch, or all."""
    return values if items is None else values.index_select(0, items)
