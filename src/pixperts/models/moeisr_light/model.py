"""moeisr-light: MoEISR (arXiv 2311.12077) with its experts moved to LR resolution.

The paper sends each output pixel to one of several implicit decoders. On a CPU nearly all time
then goes into the decoders, for each output pixel anew. Here the experts refine the features of
each LR pixel, and the color of an output pixel is linear in them:

    z = E(x),   z'(n) = z(n) + e_k(u(n)),   y(n, t, u) = x(n) + T(t, u, s) C z'(n),

where the mapper picks expert k for LR pixel n; expert 0 adds nothing. What stays of the paper: a
pool of experts of growing depth, a light mapper, Gumbel-Softmax in training, a balance loss and a
budget.
"""

import math
from collections.abc import Callable, Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from pixperts.errors import UsageError
from pixperts.models.engine import EngineNetwork
from pixperts.models.moeisr_light.color import RADIUS, bound_color
from pixperts.models.moeisr_light.config import MoEISRLightConfig
from pixperts.models.moeisr_light.field import REACH, LinearField, pixels_below
from pixperts.models.moeisr_light.parts import LatentExpert, LatentExperts, Mapper, PlainEncoder
from pixperts.models.output import Output
from pixperts.ops.windows import Part
from pixperts.routing import Routing, choose_each

_ROWS = 4096  # rows are padded to a multiple, as oneDNN prepares itself for each new number


class MoEISRLight(EngineNetwork):
    """Arbitrary-scale super-resolution with experts at LR resolution.

    Attributes:
        config: the configuration.
        costs: of an LR pixel for each expert, relative to the most expensive one.
        hidden_layers: names of the hidden layers, which the optimizer Muon trains.

    Example:
        >>> config = MoEISRLightConfig(channels=8, blocks=1, shared_width=8, mapper_width=4)
        >>> output = MoEISRLight(config)(torch.rand(1, 3, 6, 5), size=(15, 11))
        >>> output.image.shape, output.routings[0].experts.shape
        (torch.Size([1, 3, 15, 11]), torch.Size([1, 15, 11]))
    """

    config: MoEISRLightConfig
    encoder: PlainEncoder
    hidden_layers: ClassVar[tuple[str, ...]] = ("encoder.blocks",)

    fast_in_bfloat16: ClassVar[bool] = True

    def __init__(self, config: MoEISRLightConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = PlainEncoder(config.channels, config.blocks)
        self.experts: LatentExperts | None = None
        self.mapper: Mapper | None = None
        self.costs = (1.0,)
        if len(config.depths) > 1:
            self.experts = LatentExperts(config)
            self.mapper = Mapper(config.channels, config.mapper_width, len(config.depths))
            self.costs = self.experts.costs
        self.field = LinearField(config.channels, config.basis)

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
            size: output (H, W), each axis its own factor.
            part: the part of the output to compute, if lr is only a tile of the LR picture; it
                needs `context` pixels around. `size` remains that of the whole output.
            budget: limit of the mean cost of an LR pixel, for each picture: 0 = always the cheapest
                expert, 1 = always the deepest, None = the mapper decides.
            price: of a unit of cost in logits (a Lagrange multiplier), in place of a budget, see
                `routing.price_of`; one for all pictures or one for each.
            probabilities: keep the softmax of the logits in the routing.
            masked: run every expert on every pixel and mask the results (slow; a reference for
                tests).
            progress: called with the share of the work that is done, 0 to 1.

        Returns:
            Image (B, 3, H, W), or of the part, around [0, 1], unclamped; one `Routing` with the
            expert of the LR pixel below each output pixel, none for a single expert.

        Raises:
            UsageError: a size is below 1, the budget is outside 0..1, or the model has a single
                expert.
        """
        if lr.dim() != 4 or lr.shape[1] != 3 or lr.numel() == 0:
            raise UsageError(f"lr has shape {tuple(lr.shape)}, but must be (B, 3, H, W).")
        if min(size) < 1:
            raise UsageError(f"size is {size[1]}x{size[0]}, but both sides must be at least 1.")
        if budget is not None and self.mapper is None:
            raise UsageError("a model with a single expert has no budget: leave it out.")
        features = self.encode(lr, progress)
        routings: tuple[Routing, ...] = ()
        if self.mapper is not None:
            logits = self.logits(features, size, part)  # (B, J, h, w)
            choice = choose_each(logits, self.costs, budget, price)  # (B, h, w)
            features = self.refine(features, choice, masked=masked)
            rows, columns = pixels_below(lr, size, part)
            shown = choice[:, rows][:, :, columns].to(torch.uint8)
            soft = None
            if probabilities:
                soft = logits.softmax(dim=1)[:, :, rows][:, :, :, columns]
            routings = (Routing(shown, self.costs, soft),)
        image = self.field(features, lr, size, part)
        if self.config.bounded_color:
            image = bound_color(image, lr, *pixels_below(lr, size, part))
        if progress is not None:
            progress(1.0)
        return Output(image, routings)

    @property
    def context(self) -> int:
        """How many LR pixels around its own an output pixel depends on, at most."""
        experts = 1 if self.experts is not None else 0
        return max(self.encoder.receptive_radius + experts + 1 + REACH, RADIUS)

    @property
    def multiply_adds_of_experts(self) -> tuple[int, ...]:
        """Multiply-adds of an LR pixel by each expert."""
        return (0,) if self.experts is None else self.experts.adds

    def prepare(self, device: torch.device) -> None:
        """Store kernels in the memory layout of the features, so that none is converted later."""
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def _encode(self, lr: Tensor, progress: Callable[[float], None] | None = None) -> Tensor:
        """(B, 3, h, w) in [0, 1] -> (B, C, h, w) features, z."""
        lr = lr.contiguous(memory_format=torch.channels_last)
        features: Tensor = self.encoder.head(lr - 0.5)
        for number, block in enumerate(self.encoder.blocks):
            features = block(features)
            if progress is not None:
                progress((number + 1) / (len(self.encoder.blocks) + 2))
        return features

    def refine(self, features: Tensor, choice: Tensor, *, masked: bool = False) -> Tensor:
        """z' = z + e_k(u): the features of each LR pixel, refined by its expert.

        Args:
            features: (B, C, h, w).
            choice: (B, h, w) integer.
            masked: run every expert on every pixel and mask.
        """
        if self.experts is None or (not masked and not bool(choice.any())):
            return features
        shared = F.relu_(self.experts.shared(features))
        batch, channels, height, width = features.shape
        # Rows are pixels: (B * h * w, channels); a view in channels_last.
        inputs = shared.permute(0, 2, 3, 1).reshape(-1, shared.shape[1])
        rows = features.permute(0, 2, 3, 1).reshape(-1, channels)
        chosen = choice.reshape(-1)
        if masked:
            for number, expert in enumerate(self.experts.experts, start=1):
                rows = rows + expert(inputs) * (chosen == number)[:, None]
        else:
            rows = rows.clone()
            for number, expert in enumerate(self.experts.experts, start=1):
                items = torch.nonzero(chosen == number).squeeze(1)  # (M,)
                if len(items):
                    rows.index_add_(0, items, _padded(expert, inputs, items).to(rows.dtype))
        return rows.view(batch, height, width, channels).permute(0, 3, 1, 2)

    def latents(self, features: Tensor) -> Tensor:
        """z' of every expert, for training: (B, C, h, w) -> (J, B, C, h, w)."""
        if self.experts is None:
            return features[None]
        shared = F.relu(self.experts.shared(features))
        inputs = shared.permute(0, 2, 3, 1)  # (B, h, w, C')
        refined = [features + expert(inputs).permute(0, 3, 1, 2) for expert in self.experts.experts]
        return torch.stack([features, *refined])

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
        rows, columns = pixels_below(lr, size, part)
        rows, columns = rows[-part.out.top % step :: step], columns[-part.out.left % step :: step]
        logits = self.logits(self.encode(lr), size, part)
        sampled = logits[:, :, rows][:, :, :, columns]  # (B, J, rows, columns)
        return sampled.permute(0, 2, 3, 1).flatten(1, 2)

    def logits(self, features: Tensor, size: tuple[int, int], part: Part | None = None) -> Tensor:
        """Logits of the mapper for each LR pixel: (B, C, h, w) -> (B, J, h, w) float32.

        Args:
            features: of `encode`.
            size: of the whole output.
            part: where the features are those of a tile.

        Raises:
            UsageError: for a model with a single expert.
        """
        if self.mapper is None:
            raise UsageError("a model with a single expert has no logits.")
        whole = features.shape[2:] if part is None else part.whole
        factors = [math.log(a / b) for a, b in zip(size, whole, strict=True)]
        logits: Tensor = self.mapper(features, torch.tensor(factors).to(features))
        return logits.float()

    def multiply_adds(
        self,
        lr_size: tuple[int, int],
        size: tuple[int, int],
        shares: tuple[float, ...] | None = None,
    ) -> dict[str, float]:
        """Analytic multiply-adds of one picture by part.

        Args:
            lr_size: (h, w).
            size: output (H, W).
            shares: share of the pixels that each expert gets; None = all to the deepest.

        Returns:
            encoder, mapper, shared, experts, field and total.
        """
        pixels = float(lr_size[0] * lr_size[1])
        parts = {"encoder": self.encoder.multiply_adds_per_pixel() * pixels}
        if self.experts is not None and self.mapper is not None:
            shares = shares or (*[0.0] * (len(self.costs) - 1), 1.0)
            convolutions = [self.mapper.first, self.mapper.second]
            parts["mapper"] = sum(float(c.weight.numel()) for c in convolutions) * pixels
            # All pixels go through the shared layer, unless all have the first expert.
            needed = float(shares[0] < 1)
            parts["shared"] = self.experts.shared.weight.numel() * pixels * needed
            mean = sum(s * adds for s, adds in zip(shares, self.experts.adds, strict=True))
            parts["experts"] = mean * pixels
        parts["field"] = self.field.multiply_adds(lr_size, size)
        parts["total"] = sum(parts.values())
        return parts


def _padded(expert: LatentExpert, inputs: Tensor, items: Tensor) -> Tensor:
    """The expert's corrections for some rows, computed on a padded number of rows."""
    count = len(items)
    missing = -count % _ROWS if count > _ROWS else (1 << (count - 1).bit_length()) - count
    rows = inputs.index_select(0, torch.cat([items, items[:1].expand(missing)]))
    result: Tensor = expert(rows)
    return result[:count]
