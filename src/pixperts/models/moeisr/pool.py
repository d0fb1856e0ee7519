"""The pool of MoEISR: its experts, the embeddings that they use, and their cost.

`MoEISR` adds the mapper, which sends output pixels to the experts.
"""

from collections.abc import Callable
from typing import cast

from torch import Tensor, nn

from pixperts.models.encoders.edsr import ResidualBlock
from pixperts.models.engine import EngineNetwork
from pixperts.models.moeisr.config import Encoder, MoEISRConfig, build_encoder
from pixperts.models.moeisr.decoders import EMBEDDINGS, Embedding, Expert, Tables
from pixperts.models.moeisr.mapper import Mapper
from pixperts.models.moeisr.queries import Queries


class ExpertPool(EngineNetwork):
    """Encoder, embeddings and experts, made from a configuration; the base of `MoEISR`.

    It is a base class and not a submodule, so that names in weights files have no prefix.

    Attributes:
        config: the configuration.
        costs: of an output pixel by each expert, as shares of the most expensive one's.
    """

    config: MoEISRConfig
    encoder: Encoder

    def __init__(self, config: MoEISRConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = build_encoder(config)
        channels = self.encoder.out_channels
        self.embedding = EMBEDDINGS[config.decoder](channels, config.width)
        # A neck adapts the features for all experts but the deepest, at LR resolution, where it is
        # cheap; without one all experts share the embedding.
        self.neck: nn.Sequential | None = None
        self.light_embedding: Embedding | None = None
        if config.neck:
            self.neck = nn.Sequential(*[ResidualBlock(channels) for _ in range(config.neck)])
            self.light_embedding = EMBEDDINGS[config.decoder](channels, config.light_width)
        pool = []
        for number, (width, depth) in enumerate(zip(config.widths, config.depths, strict=True)):
            embedding = self._embedding_of(number)
            pool.append(Expert(embedding.width, width, depth))
        self.experts = nn.ModuleList(pool)
        self._adds = tuple(  # multiply-adds of an output pixel by each expert
            config.neighbors_of(number)
            * (
                expert.multiply_adds_per_query()
                + self._embedding_of(number).multiply_adds_per_query()
            )
            for number, expert in enumerate(pool)
        )
        self.costs = tuple(adds / max(self._adds) for adds in self._adds)

    @property
    def pool(self) -> list[Expert]:
        """The experts, cheapest first."""
        return [cast(Expert, expert) for expert in self.experts]

    def _is_light(self, number: int) -> bool:
        """Whether an expert works on the neck's features."""
        return self.config.neck > 0 and number < len(self.config.depths) - 1

    def _embedding_of(self, number: int) -> Embedding:
        light = self.light_embedding if self._is_light(number) else None
        return self.embedding if light is None else light

    def _tables(self, streams: tuple[Tensor, ...], cell: Tensor) -> tuple[Tables, ...]:
        """The embeddings' LR tables of padded features, one a stream."""
        tables: tuple[Tables, ...] = (self.embedding.tables(streams[0], cell),)
        if self.light_embedding is not None:
            tables += (self.light_embedding.tables(streams[1], cell),)
        return tables

    def _streams(self, features: Tensor) -> tuple[Tensor, ...]:
        """The encoder's features, and the neck's where there is one."""
        return (features,) if self.neck is None else (features, self.neck(features))

    def _runner(
        self, number: int, tables: tuple[Tables, ...], queries: Queries
    ) -> Callable[[Tensor | None], Tensor]:
        embedding, table = self._embedding_of(number), tables[self._is_light(number)]
        neighbors = self.config.neighbors_of(number)

        def run(items: Tensor | None) -> Tensor:
            mine = queries if items is None else queries.take(items)
            mine = mine.nearest() if neighbors == 1 else mine
            color: Tensor = self.pool[number](embedding(table, mine), mine.weight)
            return color

        return run


def multiply_adds_of_parts(
    encoder: Encoder,
    mapper: Mapper | None,
    embedding: Embedding,
    neck: nn.Module | None,
    light_embedding: Embedding | None,
    lr_size: tuple[int, int],
    size: tuple[int, int],
    mean: float,
    experts: int,
) -> dict[str, float]:
    """Multiply-adds of one picture.

    Args:
        encoder: of the model, as the other parts.
        mapper: None for a dense model.
        embedding: of the deepest expert.
        neck: None where all experts share the embedding.
        light_embedding: of the neck.
        lr_size: (h, w).
        size: output (H, W).
        mean: multiply-adds of an output pixel by its expert, on average.
        experts: how many there are.

    Returns:
        encoder, mapper, embedding and light (neck and its embedding) at LR resolution, experts
        at output resolution, total.
    """
    lr_pixels, pixels = float(lr_size[0] * lr_size[1]), float(size[0] * size[1])
    parts = {
        "encoder": encoder.multiply_adds_per_pixel() * lr_pixels,
        "mapper": 0.0,
        "embedding": embedding.multiply_adds_per_lr_pixel() * lr_pixels,
        "light": 0.0,
        "experts": mean * pixels,
    }
    if light_embedding is not None and neck is not None:
        weights = sum(m.weight.numel() for m in neck.modules() if isinstance(m, nn.Conv2d))
        parts["light"] = (light_embedding.multiply_adds_per_lr_pixel() + weights) * lr_pixels
    if mapper is not None:
        parts["mapper"] = mapper.multiply_adds_per_lr_pixel() * lr_pixels
        parts["mapper"] += 4.0 * experts * pixels
    parts["total"] = sum(parts.values())
    return parts
