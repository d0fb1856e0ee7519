"""How large a network would be, before any of it is built."""

from itertools import pairwise
from typing import NamedTuple

from pixperts.errors import ModelError
from pixperts.models.encoders.edsr import EDSRConfig
from pixperts.models.encoders.rdn import RDNConfig
from pixperts.models.encoders.swinir import SwinIRConfig
from pixperts.models.moce_ir.config import LEVELS, MoCEIRConfig
from pixperts.models.moce_ir.motion import MOTION_WEIGHTS
from pixperts.models.moeisr.config import ENCODERS, MoEISRConfig

# Ten times the largest that was published. A header may ask for more without a single tensor.
MOST_WEIGHTS = 250_000_000
MOST_LAYERS = 1024


class Extent(NamedTuple):
    """Weights of all matrices and convolutions but depthwise ones, without biases; and layers.

    Layers are the blocks that are repeated: residual, dense, of a transformer, of an expert.
    """

    weights: int
    layers: int


def check_extent(config: MoEISRConfig | MoCEIRConfig) -> None:
    """Refuse a configuration whose network no weights file could hold.

    Each field is within its own bounds, but their product need not be.

    Raises:
        ModelError: with the size and the limit.
    """
    weights, layers = extent(config)
    if weights > MOST_WEIGHTS or layers > MOST_LAYERS:
        raise ModelError(
            f"the configuration asks for {weights / 1e6:.0f} million weights in {layers} layers, "
            f"over the limit of {MOST_WEIGHTS / 1e6:.0f} million in {MOST_LAYERS}: use a smaller "
            "model."
        )


def extent(config: MoEISRConfig | MoCEIRConfig) -> Extent:
    """The size of a network by its configuration.

    Example:
        >>> extent(MoEISRConfig())  # LIIF on EDSR-baseline has 1.57 million parameters
        Extent(weights=1563072, layers=36)
    """
    return _moce_ir(config) if isinstance(config, MoCEIRConfig) else _moeisr(config)


def _moce_ir(config: MoCEIRConfig) -> Extent:
    experts = len(config.windows) * config.expert_depth
    layers = sum(config.encoder_blocks) + config.latent_blocks + config.refinement_blocks
    layers += sum(config.decoder_blocks) * (1 + experts)

    def block(channels: int) -> int:  # attention, and the feed-forward
        return 4 * channels**2 + 3 * channels * int(channels * config.expansion)

    latent = config.channels(LEVELS - 1)
    weights = config.latent_blocks * block(latent) + config.refinement_blocks * block(config.dim)
    weights += 2 * 27 * config.dim + 4 * latent**2  # first and last convolution, embedding
    for level, (encoders, decoders) in enumerate(
        zip(config.encoder_blocks, config.decoder_blocks, strict=True)
    ):
        channels = config.channels(level)
        each = sum(3 * channels * rank + 4 * rank**2 for rank in config.ranks(level))
        each *= config.expert_depth
        each += len(config.windows) * (channels + latent)  # the router
        # Projections of input and output and cross attention beside the block.
        each += block(channels) + 7 * channels**2
        weights += encoders * block(channels) + decoders * each
        # Down, up, and the merging of both.
        weights += 9 * channels * (channels // 2) + 9 * 2 * channels * 4 * channels
        weights += 2 * channels**2
    return Extent(weights + (MOTION_WEIGHTS if config.motion else 0), layers)


def _moeisr(config: MoEISRConfig) -> Extent:
    options = ENCODERS[config.encoder][1]
    try:
        found = _encoder(options(**config.encoder_options))
    except TypeError:  # an unknown option, which the building tells of
        return Extent(0, 0)
    channels = getattr(options(**config.encoder_options), "channels", 0)

    def embedding(width: int) -> int:
        return 9 * channels * width * (2 if config.decoder == "lte" else 1)

    weights = found.weights + embedding(config.width)
    layers = found.layers + config.neck + sum(config.depths)
    if config.neck:
        weights += config.neck * 18 * channels**2 + embedding(config.light_width)
    last = len(config.depths) - 1
    for number, (depth, width) in enumerate(zip(config.depths, config.widths, strict=True)):
        first = config.light_width if config.neck and number < last else config.width
        sizes = [first, *[width] * depth, 3]
        weights += sum(a * b for a, b in pairwise(sizes))
    if last:
        sizes = [channels, *[config.mapper_width] * (config.mapper_layers - 1), last + 1]
        weights += sum(9 * a * b for a, b in pairwise(sizes))
        layers += config.mapper_layers
    return Extent(weights, layers)


def _encoder(config: EDSRConfig | RDNConfig | SwinIRConfig) -> Extent:
    channels = config.channels
    if isinstance(config, EDSRConfig):
        weights = 27 * channels + 9 * channels**2 * (2 * config.blocks + 1)
        return Extent(weights, 2 * config.blocks + 1)
    if isinstance(config, RDNConfig):
        widths = [channels + number * config.growth for number in range(config.convolutions + 1)]
        dense = sum(9 * width * config.growth for width in widths[:-1]) + widths[-1] * channels
        weights = config.blocks * (dense + channels**2) + 27 * channels + 18 * channels**2
        return Extent(weights, config.blocks * config.convolutions)
    width = config.width
    layer = 4 * width**2 + 2 * width * int(width * config.mlp_ratio)
    layer += config.heads * (2 * config.window - 1) ** 2
    weights = config.groups * (config.layers * layer + 9 * width**2)
    weights += 27 * width + 9 * width**2 + 9 * width * channels
    return Extent(weights, config.groups * config.layers)
