"""The open choices of both mixtures as changes to a small training run; see experiments.py.

A variant lists its stages: changes to the base's fields, one dictionary a stage; a stage starts
from the weights of the one before. All have the same steps in all, batch and learning rate.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from pixperts.models.interfaces import Network
from pixperts.models.moce_ir.model import MoCEIR
from pixperts.models.moce_ir_light.model import MoCEIRLight

Fields = dict[str, Any]


@dataclass(frozen=True)
class Variant:
    """One choice, made differently than in the base."""

    stages: tuple[Fields, ...] = ({},)
    prepare: Callable[[Network], None] | None = None  # changes the untrained network


def _model(**options: Any) -> Variant:
    return Variant(({"model_options": options},))


def _one(**changes: Any) -> Variant:
    return Variant((changes,))


SAMPLES = ["0074.jpg", "0091.jpg", "0099.jpg", "0107.jpg", "0118.jpg", "0123.jpg", "0132.jpg",
           "0159.jpg", "0164.jpg", "0167.jpg", "0169.jpg", "0176.jpg"]  # fmt: skip

# Costs of these four experts, relative to the deepest: 0.26, 0.34, 0.58, 1. Cost-weighted: the
# share of an expert is proportional to 1 / cost.
MOEISR: Fields = {
    "model": "moeisr-tiny",
    "model_options": {
        "encoder_options": {"channels": 24, "blocks": 3},
        "width": 48, "depths": [0, 1, 2, 3], "widths": [32, 32, 32, 48],
        "mapper_layers": 5, "mapper_width": 16,
    },
    "patch": 24, "queries": 320, "batch": 8, "max_steps": 500, "warmup_steps": 30,
    "learning_rate": 2e-3, "final_rate": 0.02, "ema": 0.99, "balance_weight": 0.01,
    "expert_weight": 0.0,
}  # fmt: skip

_HALF = MOEISR["max_steps"] // 2
_JOINT = {"max_steps": _HALF}

MOEISR_VARIANTS: Mapping[str, Variant] = {
    "base: 4 experts of depths 0 1 2 3": Variant(),
    "1 expert, the deepest": _model(depths=[3], widths=[48]),
    "2 experts: 0 3": _model(depths=[0, 3], widths=[32, 48]),
    "3 experts: 0 1 3": _model(depths=[0, 1, 3], widths=[32, 32, 48]),
    "8 experts: 0 0 1 1 2 2 3 3": _model(
        depths=[0, 0, 1, 1, 2, 2, 3, 3], widths=[32, 32, 32, 32, 32, 32, 48, 48]
    ),
    "4 experts of equal depth 1": _model(depths=[1, 1, 1, 1], widths=[48, 48, 48, 48]),
    "mapper of 1 layer": _model(mapper_layers=1),
    "temperature 5": _one(temperature=[5.0, 5.0]),
    "temperature 5 to 0.5": _one(temperature=[5.0, 0.5]),
    "temperature 1 to 0.2": _one(temperature=[1.0, 0.2]),
    "straight-through": _one(hard=True),
    "straight-through, temperature 5 to 0.5": _one(hard=True, temperature=[5.0, 0.5]),
    "balance 0": _one(balance_weight=0.0),
    "balance 0.001": _one(balance_weight=0.001),
    "balance 0.1": _one(balance_weight=0.1),
    "target by 1 / cost": _one(balance_target=[0.41, 0.31, 0.18, 0.10]),
    "each expert's own L1 x 0.2": _one(expert_weight=0.2),
    "cost in the loss x 0.002": _one(cost_weight=0.002),
    "dense first, then joint": Variant(
        ({**_JOINT, "model_options": {"depths": [3], "widths": [48]}}, _JOINT)
    ),
    "dense first, then encoder frozen": Variant(
        (
            {**_JOINT, "model_options": {"depths": [3], "widths": [48]}},
            {**_JOINT, "frozen": ["encoder"]},
        )
    ),
    "half of the target by liif-edsr": _one(teacher="liif-edsr", teacher_weight=0.5),
    "half of the target by liif-edsr, turned": _one(
        teacher="liif-edsr", teacher_weight=0.5, teacher_turned=True
    ),
    "all of the target by liif-edsr": _one(teacher="liif-edsr", teacher_weight=1.0),
    "no averaging": _one(ema=0.0),
    "rate falls to 0.5 of its peak only": _one(final_rate=0.5),
    "patches of 24, then 34 half as many": Variant(
        ({**_JOINT}, {**_JOINT, "patch": 34, "batch": 4, "queries": 640})
    ),
}

MOCE: Fields = {
    "model": "moce-ir-tiny",
    "model_options": {
        "dim": 8, "heads": [1, 1, 2, 4], "latent_blocks": 2, "refinement_blocks": 1,
        "motion": False, "router_noise": 0.25,
    },
    "tasks": {"noise25": 1, "rain": 1, "haze": 1, "low_light": 1, "blur": 1},
    "patch": 64, "batch": 4, "max_steps": 600, "warmup_steps": 30, "learning_rate": 2e-3,
    "final_rate": 0.02, "ema": 0.99, "auxiliary_weight": 0.01, "fourier_weight": 0.1,
}  # fmt: skip

_NONE = 0.001  # as good as no noise; the balance loss divides by it
_EQUAL = {"rank_divisors": [2, 2, 2, 2], "windows": [8, 8, 8, 8]}


def random_skips(network: Network) -> None:
    """Begin with a mixture drawn at random where encoder and decoder meet, instead of the sum."""
    assert isinstance(network, MoCEIR)
    for level in network.dec:
        level[1].reset_parameters()  # type: ignore[index]


MOCE_HALF = {"max_steps": MOCE["max_steps"] // 2}
MOCE_VARIANTS: Mapping[str, Variant] = {
    "base: complexity experts, bias, Fourier 0.1, skips as sums": Variant(),
    "no bias": _one(complexity_bias=False),
    "no balance at all": _one(auxiliary_weight=0.0),
    "balance 0.1": _one(auxiliary_weight=0.1),
    "equal experts": _model(**_EQUAL),
    "equal experts, no balance": Variant(({"model_options": _EQUAL, "auxiliary_weight": 0.0},)),
    "router noise 0.05": _model(router_noise=0.05),
    "no router noise": _model(router_noise=_NONE),
    "no router noise, no bias": Variant(
        ({"model_options": {"router_noise": _NONE}, "complexity_bias": False},)
    ),
    "no router noise, no balance": Variant(
        ({"model_options": {"router_noise": _NONE}, "auxiliary_weight": 0.0},)
    ),
    "no router noise, equal experts": _model(router_noise=_NONE, **_EQUAL),
    "Fourier 0": _one(fourier_weight=0.0),
    "Fourier 0.02": _one(fourier_weight=0.02),
    "equalized losses, level 0.1": _one(equalize=0.1),
    "skips begin at random": Variant(prepare=random_skips),
    "no averaging": _one(ema=0.0),
    "rate falls to 0.5 of its peak only": _one(final_rate=0.5),
    "patches of 64, then 128 a quarter as many": Variant(
        (MOCE_HALF, {**MOCE_HALF, "patch": 128, "batch": 1})
    ),
}

LIGHT: Fields = {
    "model": "moce-ir-light",
    "model_options": {
        "channels": [32, 64, 80], "expert_widths": [64, 48], "bottleneck": 16, "scout_channels": 16,
    },
    "frozen": ["tone"],
    "tasks": {
        "mixture": 3, "clean": 0.5, "noise25": 1, "jpeg": 1, "grain_jpeg": 1, "rain": 1, "blur": 1,
    },
    "scene": 128, "patch": 64, "batch": 6, "patches": 2, "max_steps": 300, "warmup_steps": 20,
    "matrix_rate": 0.01, "learning_rate": 3e-4, "final_rate": 0.02, "ema": 0.99,
    "group_weight": 1.0, "guide_weight": 1.0, "floor": 2e-5,
}  # fmt: skip
LIGHT_TASKS = ("noise25", "jpeg", "grain_jpeg", "rain", "blur")

# Without routers: nothing draws to an expert, and the one of `always` is fixed.
_UNROUTED: Fields = {"guide_weight": 0.0, "balance_weight": 0.0, "cost_weight": 0.0}
_FIXED = ["tone", "latent.0.router", "latent.1.router", "decoder.0.router", "decoder.1.router"]


def always(expert: int) -> Callable[[Network], None]:
    """Every block of a moce-ir-light takes this expert, for every picture."""

    def prepare(network: Network) -> None:
        assert isinstance(network, MoCEIRLight)
        for block in network.mixtures:
            torch.nn.init.constant_(block.router.bias, -20)
            torch.nn.init.constant_(block.router.bias[expert : expert + 1], 20)

    return prepare


def _adam(rate: float) -> Variant:
    return _one(optimizer="adam", learning_rate=rate)


def _unrouted(expert: int) -> Variant:
    return Variant(({**_UNROUTED, "frozen": _FIXED},), always(expert))


LIGHT_VARIANTS: Mapping[str, Variant] = {
    "base: Muon, four experts": Variant(),
    "AdamW at 0.0005": _adam(5e-4),
    "AdamW at 0.001": _adam(1e-3),
    "AdamW at 0.002": _adam(2e-3),
    "no router: always two convolutions": _unrouted(2),
    "no router: always two dilated ones": _unrouted(3),
    "no router: never an expert": _unrouted(0),
    "routers without a guide": _one(guide_weight=0.0),
}
