"""The plain layers of moce-ir-light, which a picture goes through whatever experts it takes.

A network may have two sets of them. Noise and traces of compression show in a few pixels; rain,
snow, blur and marks need a wide view. One set of layers that has to undo both does each less well.
A picture takes one set only, so that two of them cost no time, only space in the file.
"""

from collections.abc import Callable
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixperts.models.moce_ir_light.config import PARTS, UNSHUFFLE, MoCEIRLightConfig
from pixperts.models.moce_ir_light.parts import Deep, SharedPart, shuffled
from pixperts.models.moeisr_light.parts import Block

Mixed = Callable[[Tensor, nn.ModuleList], Tensor]


class PlainLayers:
    """A U-shaped network around blocks with experts; a base of modules that have such layers."""

    head: nn.Conv2d
    encoder: nn.ModuleList
    down: nn.ModuleList
    deep: Deep | None
    latent: nn.ModuleList
    up: nn.ModuleList
    decoder: nn.ModuleList
    refinement: nn.ModuleList
    output: nn.Conv2d
    compression: nn.Linear

    def _add_layers(self, config: MoCEIRLightConfig, block: Callable[[int], SharedPart]) -> None:
        """Create them; `block` makes one for the features at 1/4 (1) or 1/8 (2)."""
        half, quarter, eighth = config.channels
        self.head = nn.Conv2d(3 * UNSHUFFLE**2, half, 3, padding=1)
        self.encoder = nn.ModuleList(
            nn.ModuleList([Block(channels) for _ in range(count)])
            for channels, count in zip((half, quarter), config.encoder_blocks, strict=True)
        )
        self.down = nn.ModuleList(
            [nn.Conv2d(half, quarter, 2, stride=2), nn.Conv2d(quarter, eighth, 2, stride=2)]
        )
        self.deep = Deep(eighth, config.deep_blocks) if config.deep_blocks else None
        self.latent = nn.ModuleList([block(2) for _ in range(config.latent_mixtures)])
        self.up = nn.ModuleList(
            [nn.Conv2d(eighth, 4 * quarter, 1), nn.Conv2d(quarter, 4 * half, 1)]
        )
        self.decoder = nn.ModuleList([block(1) for _ in range(config.decoder_mixtures)])
        self.refinement = nn.ModuleList([Block(half) for _ in range(config.decoder_blocks)])
        self.output = nn.Conv2d(half, len(PARTS) * 3 * UNSHUFFLE**2, 3, padding=1)
        self.compression = nn.Linear(config.embedding, 1)
        nn.init.zeros_(self.compression.weight)
        nn.init.zeros_(self.compression.bias)
        with torch.no_grad():  # a new network leaves pictures nearly as they are
            self.output.weight.mul_(0.1)
            assert self.output.bias is not None
            self.output.bias.zero_()

    @property
    def shared_parts(self) -> list[SharedPart]:
        """The blocks around which experts work, in the order of execution."""
        return [cast(SharedPart, block) for block in (*self.latent, *self.decoder)]

    def layers(self, padded: Tensor, mixed: Mixed) -> Tensor:
        """All but the last layer.

        Args:
            padded: (B, 3, H, W), sides multiples of `config.multiple`.
            mixed: features (B, C, h, w) through blocks with experts.

        Returns:
            (B, C, H / 2, W / 2).
        """
        cells = F.pixel_unshuffle(padded, UNSHUFFLE) - 0.5
        x: Tensor = self.head(cells.contiguous(memory_format=torch.channels_last))
        skips = []
        for blocks, down in zip(self.encoder, self.down, strict=True):
            for block in cast(nn.ModuleList, blocks):
                x = block(x)
            skips.append(x)
            x = down(x)
        if self.deep is not None:
            x = x + self.deep(x)
        x = mixed(x, self.latent)
        first, second = self.up
        x = mixed(shuffled(first(x)) + skips.pop(), self.decoder)
        x = shuffled(second(x)) + skips.pop()
        for block in self.refinement:
            x = block(x)
        return x

    def last_layer(self, features: Tensor, size: tuple[int, int], embedding: Tensor) -> Tensor:
        """The changes of a picture of this size by part, (B, P, 3, H, W).

        What undoes noise and what undoes compression look alike in a pixel, but not in a picture:
        with their sum n and s in (0, 1) of what the scout saw, they are (1 - s) n and s n.

        Args:
            features: (B, C, h, w) of `layers`.
            size: (H, W).
            embedding: (B, E) of the whole pictures.
        """
        residual = F.pixel_shuffle(self.output(features).float(), UNSHUFFLE)
        residual = residual[:, :, : size[0], : size[1]]
        parts: Tensor = residual.unflatten(1, (len(PARTS), 3))
        with torch.autocast(embedding.device.type, enabled=False):
            share = self.compression(embedding.float()).sigmoid()[:, :, None, None, None]
        both = parts[:, :2].sum(dim=1, keepdim=True)  # noise and compression, the first of `PARTS`
        return torch.cat([(1 - share) * both, share * both, parts[:, 2:]], dim=1)


class NoiseLayers(PlainLayers, nn.Module):
    """The set for pictures in which no rain, snow, blur or marks are seen; experts are shared."""

    def __init__(self, config: MoCEIRLightConfig) -> None:
        super().__init__()

        def block(level: int) -> SharedPart:
            part = SharedPart(config.channels[level])
            if config.modulated:
                part.add_modulation(config.embedding)
            return part

        self._add_layers(config, block)

    @torch.no_grad()
    def begin_as(self, layers: PlainLayers) -> None:
        """Copy the other set, from which a training can start."""
        assert isinstance(layers, nn.Module)
        given = layers.state_dict()
        self.load_state_dict({name: given[name] for name in self.state_dict()})
