"""The decoder of MoCE-IR (arXiv 2411.18466): blocks in which a shared and a routed expert meet."""

from torch import Tensor, nn

from pixperts.models.moce_ir.bands import in_bands
from pixperts.models.moce_ir.blocks import (
    ChannelAttention,
    ChannelNorm,
    CrossChannelAttention,
    FeedForward,
    Pointwise,
)
from pixperts.models.moce_ir.config import LEVELS, MoCEIRConfig
from pixperts.models.moce_ir.experts import ExpertMixture
from pixperts.models.moce_ir.statistics import Census, mean_over_pixels
from pixperts.routing import Routing


class DecoderBlock(nn.Module):
    """Shared expert, routed experts, cross attention; then the feed-forward (figure 2).

    Args:
        config: of the model.
        level: resolution of its maps: 0 is the full one, each further level halves it.
    """

    def __init__(self, config: MoCEIRConfig, level: int) -> None:
        super().__init__()
        channels, heads = config.channels(level), config.heads[level]
        self.norms = nn.ModuleList(ChannelNorm(channels) for _ in range(2))
        self.proj = nn.ModuleList(Pointwise(channels, channels, bias=True) for _ in range(2))
        self.shared = ChannelAttention(channels, heads, bias=False)
        self.adapter = ExpertMixture(
            channels,
            config.channels(LEVELS - 1),
            config.ranks(level),
            config.windows,
            config.expert_depth,
            config.top_k,
            config.fourier,
        )
        self.mixer = CrossChannelAttention(channels, heads)
        self.ffn = FeedForward(channels, config.expansion, bias=False)

    def forward(
        self,
        x: Tensor,
        embedding: Tensor,
        noise: Tensor | None,
        pinned: Routing | None,
        name: str,
        masked: bool,
        census: Census | None,
    ) -> tuple[Tensor, Routing]:
        """Apply the block, with the experts that the router chooses.

        Args:
            x: (B, C, H, W).
            embedding: (B, E) of the high frequencies of the latent.
            noise: (B, J) added to the logits of the J experts, in training; None for none.
            pinned: a choice to use instead of the router's; None for the router's.
            name: of the block, for the record of its choice.
            masked: run every expert on every picture and drop what was not chosen: slower, but
                of fixed shapes, for exports.
            census: see `blocks.attend`.

        Returns:
            The map (B, C, H, W), and the choice.
        """
        shared = self.shared(x, census, lambda part: self.proj[0](self.norms[0](part)))
        adapted = in_bands(lambda part: self.proj[1](self.norms[0](part)), x, halo=0)
        routing = pinned
        if routing is None:
            routing = self.adapter.route(adapted, embedding, noise, name, census)
        elif census is not None:
            mean_over_pixels(adapted, census)  # as the router does: sums are kept in order
        mixed = self.adapter(adapted, shared, routing, masked=masked)
        x = x + self.mixer(mixed, shared, census)
        return in_bands(lambda part: part + self.ffn(self.norms[1](part)), x, halo=1), routing


class DecoderStage(nn.Module):
    """The decoder blocks of one level; `model` runs its `layers` one by one."""

    def __init__(self, config: MoCEIRConfig, level: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            DecoderBlock(config, level) for _ in range(config.decoder_blocks[level])
        )
