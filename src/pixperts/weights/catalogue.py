"""The table of `pixperts models`: what each model is, how large, how expensive, how good."""

from dataclasses import asdict, dataclass
from typing import Any

from pixperts.models.interfaces import (
    EnhancingNetwork,
    Network,
    RestoringNetwork,
    UpscalingNetwork,
)
from pixperts.models.presets import PRESETS, outline
from pixperts.weights import store
from pixperts.weights.packaged import packaged_models

_SIDE = 1000  # of the output whose cost is given: one megapixel


@dataclass(frozen=True)
class Entry:
    """One model; the fields of a line of `pixperts models --json`."""

    name: str
    trained: bool
    summary: str
    parameters: int
    does: str  # enlarge, repair or both
    gmac_per_megapixel: float  # 10**9 multiply-adds per megapixel of output, enlarged at scale 2
    quality: dict[str, Any]  # measured, such as {"Set5 x2": 37.6}
    license: str | None  # of the weights; None without weights
    experts: int  # that a router chooses from, in a block where there are several; 1: no choice

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return asdict(self)


def list_models() -> list[Entry]:
    """The packaged models, then the presets that have no weights yet, both by name.

    Raises:
        ModelError: for a packaged file that is damaged.
    """
    found = list_trained_models()
    packaged = {entry.name for entry in found}
    for name in sorted(PRESETS.keys() - packaged):
        model = outline(asdict(PRESETS[name].config), PRESETS[name].family)
        found.append(
            Entry(
                name=name,
                trained=False,
                summary=PRESETS[name].summary,
                parameters=_parameters(model),
                does=_does(model),
                gmac_per_megapixel=_gmac(model, None),
                quality={},
                license=None,
                experts=_experts(model),
            )
        )
    return found


def list_trained_models() -> list[Entry]:
    """The packaged models by name.

    Raises:
        ModelError: for a packaged file that is damaged.
    """
    found = []
    for name, path in packaged_models().items():
        card = store.read_card(path)
        model = outline(card.config, card.family)
        summary = PRESETS[card.name].summary if card.name in PRESETS else card.name
        found.append(
            Entry(
                name=name,
                trained=True,
                summary=summary,
                parameters=_parameters(model),
                does=_does(model),
                gmac_per_megapixel=_gmac(model, card.notes.get("shares")),
                quality=dict(card.notes.get("quality", {})),
                license=card.license,
                experts=_experts(model),
            )
        )
    return found


def _does(model: Network) -> str:
    if isinstance(model, EnhancingNetwork):
        return "both"
    return {"upscale": "enlarge", "restore": "repair"}[model.does]


def _parameters(model: Network) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def _experts(model: Network) -> int:
    if isinstance(model, RestoringNetwork):
        return max(map(len, model.expert_parameters))
    assert isinstance(model, UpscalingNetwork)
    return len(model.costs)


def _gmac(model: Network, shares: Any) -> float:
    """As the experts are typically used, or the most expensive always where nobody knows."""
    half = _SIDE // 2
    if isinstance(model, EnhancingNetwork):
        return model.enlarging_multiply_adds((half, half), (_SIDE, _SIDE))["total"] / 1e9
    if isinstance(model, RestoringNetwork):
        return model.multiply_adds((_SIDE, _SIDE))["total"] / 1e9
    assert isinstance(model, UpscalingNetwork)
    usual = tuple(shares) if shares and len(shares) == len(model.costs) else None
    return model.multiply_adds((half, half), (_SIDE, _SIDE), usual)["total"] / 1e9
