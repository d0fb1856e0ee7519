"""moce-isr-light: one network that repairs and enlarges, MoCE-IR and MoEISR in one pass.

The trunk of moce-ir-light picks experts for the whole picture (arXiv 2411.18466) and repairs it; an
enlarger reads what the trunk saw, picks a depth for each region (arXiv 2311.12077, whose experts
also grow in depth) and gives colors at any size. At the picture's own size it is moce-ir-light.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from pixperts.defaults import ToneMode
from pixperts.errors import UsageError
from pixperts.models.interfaces import EnhancingNetwork
from pixperts.models.moce_ir.statistics import Statistics
from pixperts.models.moce_ir_light.choices import within_cost
from pixperts.models.moce_ir_light.model import MoCEIRLight, Seen
from pixperts.models.moce_ir_light.parts import kernel_weights
from pixperts.models.moce_isr_light.config import MoCEISRLightConfig
from pixperts.models.moce_isr_light.enlarger import Enlarger
from pixperts.models.moce_isr_light.regions import spread
from pixperts.models.moeisr_light.color import RADIUS, bound_color
from pixperts.models.moeisr_light.field import REACH, pixels_below
from pixperts.models.output import Output
from pixperts.ops.windows import Part
from pixperts.routing import Routing, choose_each

DEPTH = "depth of regions"  # name of the enlarger's routing


class MoCEISRLight(MoCEIRLight, EnhancingNetwork):
    """moce-ir-light, which repairs, and an enlarger that reads its features.

    Example:
        >>> small = MoCEISRLightConfig(
        ...     channels=(8, 8, 8), expert_widths=(8, 8), large_channels=8, large_blocks=2
        ... )
        >>> output = MoCEISRLight(small).eval().enhance(torch.rand(1, 3, 9, 13), (20, 26))
        >>> output.image.shape, [routing.name for routing in output.routings][-1]
        (torch.Size([1, 3, 20, 26]), 'depth of regions')
    """

    config: MoCEISRLightConfig
    hidden_layers: ClassVar[tuple[str, ...]] = (
        *MoCEIRLight.hidden_layers, "enlarger.seen.", "enlarger.blocks."
    )  # fmt: skip

    def __init__(self, config: MoCEISRLightConfig) -> None:
        super().__init__(config)
        self.enlarger = Enlarger(config)
        self.depth_costs = self.enlarger.costs

    def enhance(
        self,
        image: Tensor,
        size: tuple[int, int],
        *,
        part: Part | None = None,
        strength: float = 1.0,
        budget: float | None = None,
        price: float | Sequence[float] | None = None,
        masked: bool = False,
        progress: Callable[[float], None] | None = None,
        **choices: Any,
    ) -> Output:
        """Repair, and bring to a size.

        Args:
            image: (B, 3, h, w) in [0, 1].
            size: (H, W) of the whole result; no side below the picture's.
            part: which output pixels, and where the image lies in the whole picture, at multiples
                of `config.cell`; None = all of both.
            strength: of the repair, 0 to 1: a blend of the picture and the repaired one is
                enlarged.
            budget: 0 = no blocks of the enlarger, 1 = all everywhere, None = what the mapper says.
            price: of a unit of cost in logits, in place of a budget; one for all or for each.
            masked: run every expert and every block everywhere and mask.
            progress: called with the share of the work that is done, rising to 1.
            choices: of the repair, as `look` has them, but for the place.

        Returns:
            Image (B, 3, H, W), or of the part, around [0, 1], unclamped; the routings of the
            repair, and last that of the enlarger, whose items are the output's pixels.

        Raises:
            UsageError: for a size below the picture's, or as `look`.
        """
        whole = (image.shape[2], image.shape[3]) if part is None else part.whole
        if any(large < small for large, small in zip(size, whole, strict=True)):
            raise UsageError(
                f"size is {size[1]}x{size[0]}, but must not be below {whole[1]}x{whole[0]}."
            )
        place = (0, 0) if part is None else (part.source.top, part.source.left)
        given = {"masked": masked, "place": place, "whole": whole, "enlarged": True}
        output, seen = self.look(image, **given, **choices)
        lr, seen = _weakened(image, output.image, seen, strength)
        if progress is not None:
            progress(0.5)
        large, routing = self.enlarge(lr, seen, size, part, budget, price, masked=masked)
        if progress is not None:
            progress(1.0)
        return output._replace(image=large, routings=(*output.routings, routing))

    def enlarge(
        self,
        lr: Tensor,
        seen: Seen,
        size: tuple[int, int],
        part: Part | None = None,
        budget: float | None = None,
        price: float | Sequence[float] | None = None,
        *,
        masked: bool = False,
    ) -> tuple[Tensor, Routing]:
        """The second half of `enhance`: from the repaired picture and what the trunk saw."""
        whole = (lr.shape[2], lr.shape[3]) if part is None else part.whole
        x = self.enlarger.start(lr, seen)
        logits = self.enlarger.logits(x, whole, size)  # (B, J, rows, columns)
        depths = choose_each(logits, self.enlarger.costs, budget, price)
        x = self.enlarger.deepened(x, depths, masked=masked)
        base = lr.float()
        large = self.enlarger.field(x, base, size, part)
        rows, columns = pixels_below(lr, size, part)
        large = bound_color(large, base, rows, columns)
        chosen = spread(depths, self.config.cell, lr)[:, 0]  # (B, h, w)
        shown = chosen[:, rows][:, :, columns].to(torch.uint8)
        return large, Routing(shown, self.enlarger.costs, name=DEPTH)

    def plan(
        self, statistics: Statistics, budget: float, tone: ToneMode = "off"
    ) -> tuple[tuple[Routing, ...], float]:
        """One budget for both halves: the experts of the repair, and a budget of the enlarger.

        The budget is a share of what the router's experts and all blocks of the enlarger would
        take. The repair keeps its experts while that pays for them; the enlarger has the rest.

        Args:
            statistics: of `count`, of the whole pictures.
            budget: 0 to 1.
            tone: as of `look`.

        Returns:
            Routings for `look`, and the budget of the enlarger, of a batch the mean.
        """
        embedding = self.scout(statistics)
        routed = [
            block.route(embedding, None, name)
            for block, name in zip(self.mixtures, self.block_names, strict=True)
        ]
        latent = self.config.latent_mixtures  # blocks at 1/8, before those at 1/4
        costs = [
            [adds / (64 if number < latent else 16) for adds in block.expert_multiply_adds]
            for number, block in enumerate(self.mixtures)
        ]
        deepest = float(kernel_weights(self.enlarger.blocks))
        shares = None if tone == "off" else self.judge(statistics).amounts(tone)
        _, run = self._wanted(embedding, shares, enlarged=True)
        experts, rest = [], 0.0
        for picture in range(len(embedding)):
            if run[picture] == 0:  # no fault was found: none of the experts runs
                experts.append([0] * len(routed))
                rest += budget
                continue
            likely = [_of(routing, picture) for routing in routed]
            usual = within_cost(likely, costs, math.inf)
            limit = budget * (_sum(costs, usual) + deepest)
            chosen = within_cost(likely, costs, limit)
            experts.append(chosen)
            rest += (limit - _sum(costs, chosen)) / deepest
        pins = []
        for routing, own in zip(routed, torch.tensor(experts).t(), strict=True):
            assert routing.probabilities is not None
            numbers = own.to(embedding.device)[:, None]  # (B, 1)
            gates = routing.probabilities.gather(1, numbers)
            pins.append(replace(routing, experts=numbers, gates=gates))
        return tuple(pins), min(1.0, max(0.0, rest / len(embedding)))

    def sample_depths(
        self,
        image: Tensor,
        size: tuple[int, int],
        part: Part,
        step: int,
        *,
        strength: float = 1.0,
        **choices: Any,
    ) -> Tensor:
        """Logits (B, N, J) of the depth of every `step`-th output row and column of a part.

        Args:
            image: (B, 3, h, w) in [0, 1], as of `enhance` with a part.
            size: of the whole output.
            part: which tile.
            step: distance of the samples in the whole output.
            strength: of the repair, as of `enhance`.
            choices: of the repair.
        """
        place = part.source.top, part.source.left
        given = {"place": place, "whole": part.whole, "enlarged": True}
        output, seen = self.look(image, **given, **choices)
        x = self.enlarger.start(*_weakened(image, output.image, seen, strength))
        logits = self.enlarger.logits(x, part.whole, size)  # (B, J, rows, columns)
        rows, columns = (below // self.region for below in pixels_below(image, size, part))
        rows, columns = rows[-part.out.top % step :: step], columns[-part.out.left % step :: step]
        return logits[:, :, rows][:, :, :, columns].permute(0, 2, 3, 1).flatten(1, 2)

    @property
    def region(self) -> int:
        """Side in pixels of what takes one depth."""
        return self.config.cell

    @property
    def enlarging_bytes_per_pixel(self) -> float:
        """Memory that a pixel takes at the peak of a pass, roughly, without the output."""
        return self.bytes_per_pixel + 4.0 * 4 * self.config.large_channels

    @property
    def enlarging_context(self) -> int:
        """Pixels around an output's own on which an enlargement depends, at most.

        The regions around an output's own must be known as a whole, as their depth is.
        """
        return self.context + self.config.cell + max(self.enlarger.reach + REACH, RADIUS)

    def enlarging_multiply_adds(
        self,
        lr_size: tuple[int, int],
        size: tuple[int, int],
        routings: Sequence[Routing] | None = None,
        shares: Sequence[float] | None = None,
    ) -> dict[str, float]:
        """`multiply_adds` of an enlargement: the repair's parts, enlarger and total."""
        parts = self.multiply_adds(lr_size, routings)
        parts["enlarger"] = self.enlarger.multiply_adds(lr_size, size, shares)
        parts["total"] += parts["enlarger"]
        return parts


def _weakened(image: Tensor, repaired: Tensor, seen: Seen, strength: float) -> tuple[Tensor, Seen]:
    """A blend of a picture and the repaired one, and what was then seen of it."""
    if strength == 1:
        return repaired, seen
    blend = torch.lerp(image.to(repaired.dtype), repaired, strength)
    return blend, seen._replace(removed=strength * seen.removed)


def _of(routing: Routing, picture: int) -> list[float]:
    assert routing.probabilities is not None
    values: list[float] = routing.probabilities[picture].tolist()
    return values


def _sum(costs: Sequence[Sequence[float]], chosen: Sequence[int]) -> float:
    return sum(row[place] for row, place in zip(costs, chosen, strict=True))
