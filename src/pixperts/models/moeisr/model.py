"""MoEISR: arbitrary-scale super-resolution with a pool of implicit decoders (arXiv 2311.12077).

An encoder makes features; a light mapper picks one expert of the pool for every output pixel;
that expert decodes the pixel. With one expert and no mapper the class is plain LIIF or LTE.

The paper's text is public only as an abstract, and no code was released. Known: decoders of
growing depth, a mapper, Gumbel-Softmax, a balance loss, ablations of 1 against 5 mapper layers.
Chosen here, with the reasons in LAB.md: the mapper's inputs and width, the depths, and that all
experts of a pool share the embedding (LIIF's first layer, LTE's texture estimator).
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from pixperts.errors import UsageError
from pixperts.models.moeisr.config import MoEISRConfig
from pixperts.models.moeisr.decoders import rows_of
from pixperts.models.moeisr.mapper import Mapper
from pixperts.models.moeisr.pool import ExpertPool, multiply_adds_of_parts
from pixperts.models.moeisr.queries import (
    Axis,
    Queries,
    axis_neighbors,
    cells_of,
    make_queries,
    output_axes,
    resample,
)
from pixperts.models.output import Output
from pixperts.ops.windows import Part
from pixperts.routing import (
    Routing,
    at_price,
    choose,
    prices_for,
    run_experts,
    run_experts_masked,
)


class MoEISR(ExpertPool):
    """Arbitrary-scale super-resolution with one or more implicit experts.

    The mapper decides at LR resolution; its logits are interpolated to the output pixels. A budget
    covers the experts alone: encoder, mapper and embeddings cost the same whatever it is. At x2,
    budget 0 of `moeisr-liif-edsr` spends 426 of 1200 G multiply-adds per megapixel of the result,
    that of `moeisr-tiny` 145 of 342.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> config = MoEISRConfig(encoder_options={"channels": 8, "blocks": 1}, width=8,
        ...     depths=(0, 2), widths=(8, 8))
        >>> output = MoEISR(config)(torch.rand(1, 3, 6, 5), size=(15, 11))
        >>> output.image.shape, output.routings[0].experts.shape
        (torch.Size([1, 3, 15, 11]), torch.Size([1, 15, 11]))
    """

    def __init__(self, config: MoEISRConfig) -> None:
        super().__init__(config)
        self.max_pixels = config.max_pixels
        self.mapper: Mapper | None = None
        if len(self.experts) > 1:
            layers, count = config.mapper_layers, len(self.experts)
            self.mapper = Mapper(self.encoder.out_channels, config.mapper_width, layers, count)

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
    ) -> Output:
        """Enlarge to any size.

        Args:
            lr: (B, 3, h, w) in [0, 1], any size from 1x1.
            size: output (H, W), each axis its own factor, below 1 included.
            part: the part of the output to compute, if lr is only a tile of the LR picture; it
                needs `context` pixels around. `size` remains that of the whole output.
            budget: limit of the mean cost of the pixels of each picture: 0 = always the cheapest
                expert, 1 = always the deepest, None = the mapper decides. It covers the experts
                only, see the class.
            price: of a unit of cost in logits (a Lagrange multiplier), in place of a budget, see
                `routing.price_of`; one for all pictures or one for each.
            probabilities: keep the softmax of the logits in the routing.
            masked: run every expert on every pixel and mask the results (slow; a reference for
                tests).
            progress: called with the share of the output rows that are done, 0 to 1.

        Returns:
            Image (B, 3, H, W), or of the part, around [0, 1], unclamped; one `Routing`, none for
            a dense model.

        Raises:
            UsageError: a size is below 1, the budget is outside 0..1, the model has a single
                expert, or there is another number of prices than of pictures.
        """
        height, width = size
        if lr.dim() != 4 or lr.shape[1] != 3 or lr.numel() == 0:
            raise UsageError(f"lr has shape {tuple(lr.shape)}, but must be (B, 3, H, W).")
        if height < 1 or width < 1:
            raise UsageError(f"size is {width}x{height}, but both sides must be at least 1.")
        if budget is not None and self.mapper is None:
            raise UsageError("a model with a single expert has no budget: leave it out.")
        prices = prices_for(price, len(lr))
        lr = lr.contiguous(memory_format=torch.channels_last)
        features = self.encode(lr)
        rows, columns = output_axes(lr, size, part)
        height, width = (axis.index.shape[1] for axis in (rows, columns))
        cell = cells_of(lr, size, part.whole if part else None)
        table, choice, soft = None, None, None
        if self.mapper is not None:
            table = self.mapper(features, cell).float()  # (B, J, h, w)
            if probabilities:
                soft = resample(table, rows, columns).softmax(dim=1)
            choice = lr.new_empty(len(lr), height, width, dtype=torch.uint8)
            if budget is not None:  # a decision about all pixels of a picture together
                for mine, logits in zip(choice, table.split(1), strict=True):
                    flat = choose(rows_of(resample(logits, rows, columns)), self.costs, budget)
                    mine.copy_(flat.view_as(mine))
        streams = self._streams(features)
        image = lr.new_empty(len(lr), height, width, 3)
        for top, bottom in self._bands(lr.shape, height):
            band = rows.at(slice(top, bottom))
            if table is not None and choice is not None and budget is None:
                for mine, logits, own in zip(choice, table.split(1), prices, strict=True):
                    flat = at_price(rows_of(resample(logits, band, columns)), self.costs, own)
                    mine[top:bottom] = flat.view(bottom - top, width)
            part_of = None if choice is None else choice[:, top:bottom]
            image[:, top:bottom] = self._decode_band(
                lr, streams, band, columns, cell, part_of, masked
            )
            if progress is not None:
                progress(bottom / height)
        routings = []
        if choice is not None:
            routings.append(Routing(choice, self.costs, soft))
        return Output(image.permute(0, 3, 1, 2), tuple(routings))

    def prepare(self, device: torch.device) -> None:
        """Choose the number of pixels that are processed at once: more on a GPU than on a CPU."""
        if device.type != "cpu":
            self.max_pixels = max(self.max_pixels, 1 << 18)

    @property
    def context(self) -> int:
        """How many LR pixels beyond its own neighbors an output pixel depends on, at most."""
        necks = 2 * self.config.neck + 1  # and the embedding's 3x3
        mapper = 0 if self.mapper is None else self.config.mapper_layers
        return int(self.encoder.receptive_radius) + max(necks, mapper)

    def sample_logits(self, lr: Tensor, size: tuple[int, int], part: Part, step: int) -> Tensor:
        """The mapper's logits (B, N, J) of every `step`-th output row and column of a part.

        Args:
            lr: (B, 3, h, w) in [0, 1], as of `forward` with a part.
            size: of the whole output.
            part: which tile.
            step: distance of the samples in the whole output.

        Raises:
            UsageError: for a model with a single expert.
        """
        if self.mapper is None:
            raise UsageError("a model with a single expert has no logits.")
        rows, columns = output_axes(lr, size, part)
        rows = rows.at(slice(-part.out.top % step, None, step))
        columns = columns.at(slice(-part.out.left % step, None, step))
        features = self.encode(lr.contiguous(memory_format=torch.channels_last))
        logits = self.mapper(features, cells_of(lr, size, part.whole)).float()
        return rows_of(resample(logits, rows, columns)).view(len(lr), -1, len(self.experts))

    def _encode(self, lr: Tensor, progress: Callable[[float], None] | None = None) -> Tensor:
        """(B, 3, h, w) in [0, 1] -> (B, C, h, w) features; the models' own [-1, 1] is inside."""
        features: Tensor = self.encoder(lr * 2 - 1)
        return features

    def query(
        self, lr: Tensor, positions: Tensor, sizes: Tensor, features: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Colors of chosen output pixels by every expert, for training.

        Args:
            lr: (B, 3, h, w) in [0, 1].
            positions: (B, Q, 2) int64, row and column of each query in its own output.
            sizes: (B, 2) int64, output height and width of each sample.
            features: (B, C, h, w) of `encode`, if they are known; None = they are computed.

        Returns:
            Colors (B, Q, J, 3) around [0, 1], and logits (B, Q, J) or None for a dense model.
        """
        batch, _, height, width = lr.shape
        lr = lr.contiguous(memory_format=torch.channels_last)
        if features is None:
            features = self.encode(lr)
        rows = axis_neighbors(positions[..., 0], sizes[:, :1], height)  # (2, B, Q)
        columns = axis_neighbors(positions[..., 1], sizes[:, 1:], width)
        first = torch.arange(batch, device=lr.device)[:, None] * (height * width)  # (B, 1)
        base = first.expand(positions.shape[:2]).flatten()  # (B * Q,)
        queries = make_queries(rows.flatten(), columns.flatten(), base, width)
        cell = cells_of(lr, sizes)
        padded = tuple(F.pad(stream, (1, 1, 1, 1)) for stream in self._streams(features))
        tables = self._tables(padded, cell)
        asked = {4: queries, 1: queries.nearest()}
        hidden: dict[tuple[bool, int], Tensor] = {}
        colors = []
        for number, expert in enumerate(self.pool):
            light, neighbors = self._is_light(number), self.config.neighbors_of(number)
            mine = asked[neighbors]
            if (light, neighbors) not in hidden:
                embedding = self._embedding_of(number)
                hidden[light, neighbors] = embedding(tables[light], mine)
            # Experts do not write into their input, so one embedding serves several.
            colors.append(expert(hidden[light, neighbors], mine.weight))
        color = torch.stack(colors, dim=1)  # (B * Q, J, 3)
        color = self._to_unit_range(color.flatten(1), rows_of(lr), queries)  # (B * Q, J * 3)
        logits = None
        if self.mapper is not None:
            table = rows_of(self.mapper(features, cell))
            logits = queries.interpolate(table).view(*positions.shape[:2], -1)
        return color.view(*positions.shape[:2], len(self.experts), 3), logits

    def _to_unit_range(self, color: Tensor, source: Tensor, queries: Queries) -> Tensor:
        """From the decoder's [-1, 1] to [0, 1], plus the bilinear enlargement where configured."""
        if not self.config.residual:
            return color * 0.5 + 0.5
        base = queries.interpolate(source)  # (N, 3)
        return color * 0.5 + base.repeat(1, color.shape[1] // 3)

    def _bands(self, shape: torch.Size, height: int) -> list[tuple[int, int]]:
        """Output rows whose LR tables together stay within about `4 * max_pixels` LR pixels.

        But no fewer than a few LR rows at a time, since neighboring bands compute three twice.
        """
        limit = max(8, 4 * self.max_pixels // (shape[0] * shape[3]))  # LR rows
        step = max(1, min(height, int((limit - 2) * height / shape[2])))
        return [(top, min(top + step, height)) for top in range(0, height, step)]

    def _decode_band(
        self,
        lr: Tensor,
        streams: tuple[Tensor, ...],
        rows: Axis,
        columns: Axis,
        cell: Tensor,
        choice: Tensor | None,
        masked: bool,
    ) -> Tensor:
        """Output rows (B, rows, W, 3) from the LR rows that they need."""
        batch, _, height, width = lr.shape
        first, last = int(rows.index.min()), int(rows.index.max()) + 1
        top, bottom = max(0, first - 1), min(height, last + 1)
        margin = (1, 1, int(first == 0), int(last == height))
        padded = tuple(F.pad(stream[:, :, top:bottom], margin) for stream in streams)
        tables = self._tables(padded, cell)
        # The tables start at LR row `first`; the picture's own rows for the residual as well.
        rows = rows.counted_from(first)
        source = rows_of(lr[:, :, first:last])
        pixels_y, pixels_x = rows.index.shape[1], columns.index.shape[1]
        count = batch * pixels_y * pixels_x
        flat = lr.new_empty(count, 3)
        run = run_experts_masked if masked else run_experts
        for start in range(0, count, self.max_pixels):
            number = torch.arange(start, min(start + self.max_pixels, count)).to(lr.device)
            y = (number // pixels_x) % pixels_y
            picture = number // (pixels_x * pixels_y)
            queries = make_queries(
                rows.at(y),
                columns.at(number % pixels_x),
                picture * ((last - first) * width),
                width,
            )
            out = flat[start : start + len(number)]
            if choice is None:
                out.copy_(self._runner(0, tables, queries)(None))
            else:
                run(
                    choice.reshape(-1)[start : start + len(number)],
                    [self._runner(j, tables, queries) for j in range(len(self.experts))],
                    out=out,
                )
            out.copy_(self._to_unit_range(out, source, queries))
        return flat.view(batch, pixels_y, pixels_x, 3)

    def multiply_adds(
        self,
        lr_size: tuple[int, int],
        size: tuple[int, int],
        shares: tuple[float, ...] | None = None,
    ) -> dict[str, float]:
        """Analytic multiply-adds of one picture by part, see `multiply_adds_of_parts`.

        Args:
            lr_size: (h, w).
            size: output (H, W).
            shares: share of the output pixels that each expert gets; None = all to the deepest.
        """
        shares = shares or (*[0.0] * (len(self.experts) - 1), 1.0)
        mean = sum(share * adds for share, adds in zip(shares, self._adds, strict=True))
        parts = (self.encoder, self.mapper, self.embedding, self.neck, self.light_embedding)
        return multiply_adds_of_parts(*parts, lr_size, size, mean, len(self.experts))
