"""Repairing and enlarging by one network in one pass: what tiles are made by."""

from typing import Any, NamedTuple

from torch import Tensor

from pixperts.inference.findings import FindingsOfTiles, RepairSettings
from pixperts.models.interfaces import Encoder, EnhancingNetwork
from pixperts.models.moce_ir.statistics import Statistics
from pixperts.models.output import Output
from pixperts.ops.windows import Part
from pixperts.routing import Routing


class _Layer(NamedTuple):
    """What tiles need to know of the part that works at LR resolution, see `Encoder`."""

    out_channels: int
    size_multiple: int


class OnePass:
    """A network with the settings and statistics of one picture: what `TiledUpscale` runs.

    Args:
        model: the network.
        settings: how much of each fault is undone.
        statistics: of the whole picture.
        budget: of the repair and the enlargement together; None = as the network says.
    """

    encoder: Encoder

    def __init__(
        self,
        model: EnhancingNetwork,
        settings: RepairSettings,
        statistics: Statistics,
        budget: float | None,
    ) -> None:
        self.model, self.settings = model, settings
        self.costs = model.depth_costs
        self.context = model.enlarging_context + (model.dust_context if settings.dust else 0)
        # In the units of `TiledUpscale.pixel_bytes`.
        self.encoder = _Layer(round(model.enlarging_bytes_per_pixel / 16), model.region)
        self.findings = FindingsOfTiles(model)
        self.routings: tuple[Routing, ...] = ()
        self._choices: dict[str, Any] = {
            "statistics": statistics,
            "motion": settings.motion,
            "amounts": settings.amounts(model.parts),
            "tone": settings.tone,
            "dust": settings.dust,
        }
        self.budget = budget
        if budget is not None:
            pinned, self.budget = model.plan(statistics, budget, settings.tone)
            self._choices["pinned"] = pinned

    def __call__(self, lr: Tensor, size: tuple[int, int], **choices: Any) -> Output:
        """The enlargement and its routing; the repair's are kept."""
        output = self.model.enhance(
            lr, size, strength=self.settings.strength, **self._choices, **choices
        )
        self.findings.add(output, lr.shape[2] * lr.shape[3])
        self.routings = output.routings[:-1]
        return Output(output.image, output.routings[-1:])

    def sample_logits(self, lr: Tensor, size: tuple[int, int], part: Part, step: int) -> Tensor:
        """See `EnhancingNetwork.sample_depths`."""
        strength = self.settings.strength
        return self.model.sample_depths(lr, size, part, step, strength=strength, **self._choices)
