"""What docs/results.md says of repair: by task, with each expert pinned, and beside classical ones.

Every figure comes from the models that `load` gives, on photos that are spoiled here. A measurement
is saved as soon as it is made (`Part.row`) and not made again.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from pixperts.data.photos import load_photos
from pixperts.data.restoration import degraded_or_clean
from pixperts.evaluation import metrics
from pixperts.inference.analysis import Analysis
from pixperts.inference.restorer import Restorer
from pixperts.models.moce_ir_light.model import MoCEIRLight
from pixperts.routing import Routing
from results_measure import Part, Row, load_as

SEED = 0
TASKS = (
    "noise15",
    "noise25",
    "noise50",
    "jpeg",
    "grain",
    "grain_jpeg",
    "rain",
    "snow",
    "blur",
    "haze",
    "low_light",
    "low_haze_rain",
    "scratches",
    "clean",
)
EQUAL = 100.0  # dB that equal pictures count as
# Experts of moce-ir-light by number; `None` leaves the choice to the router.
PINS: dict[str, int | None] = {
    "the router": None,
    "none": 0,
    "1x1": 1,
    "two 3x3": 2,
    "two dilated": 3,
}


def measure_repairs(part: Part, model: str, data: Path, counts: Mapping[str, int | None]) -> None:
    """How a model repairs each task, and which experts it takes: CID22-val, and CBSD68's noise."""
    restorer = load_as(Restorer, model, part.settings["precision"])
    for folder, tasks in (("CID22-val", TASKS), ("CBSD68", ("noise25",))):
        photos = load_photos([data / folder], min_side=1)[: counts[folder]]
        for task in tasks:
            make = partial(_repaired, restorer, photos, task)
            labels = {"set": folder, "task": task}
            part.pictures(f"{folder} {task}", make, labels, len(photos))
    part.finish()


def pair_of(photos: Sequence[Tensor], task: str, number: int) -> tuple[Tensor, Tensor]:
    """Degraded and clean, (3, H, W) in [0, 1], as `pixperts evaluate` makes them."""
    clean = photos[number].float() / 255
    return degraded_or_clean(clean, task, SEED + number), clean


def _repaired(restorer: Restorer, photos: Sequence[Tensor], task: str, number: int) -> Row:
    degraded, clean = pair_of(photos, task, number)
    restored, routings = restorer.restore_with_routing(degraded)
    found = Analysis.of(restorer, routings, (clean.shape[1], clean.shape[2]))
    return {
        "psnr": _psnr(restored, clean),
        "before": _psnr(degraded, clean),
        "ssim": metrics.ssim(restored, clean, "rgb", 1.0),
        "multiply_adds_per_pixel": found.multiply_adds / clean[0].numel(),
        "skipped": found.skipped,
        "experts": [routing.shares for routing in routings],
    }


def _psnr(picture: Tensor, clean: Tensor) -> float:
    return min(EQUAL, metrics.psnr(picture, clean, "rgb"))


def measure_pinned(part: Part, model: str, folder: Path, tasks: Sequence[str], count: int) -> None:
    """The same network with one expert in every block, whatever the router says."""
    precision = part.settings["precision"]
    network = load_as(Restorer, model, precision).model
    assert isinstance(network, MoCEIRLight)
    photos = load_photos([folder], min_side=1)[:count]
    for task in tasks:
        for name, expert in PINS.items():
            make = partial(_pinned, network, precision, photos, task, expert)
            labels = {"task": task, "pin": name}
            part.pictures(f"{task}, {name}", make, labels, len(photos))
    part.finish()


def pins_of(network: MoCEIRLight, expert: int) -> list[Routing]:
    """One expert for every block, with its full weight."""
    return [
        Routing(torch.tensor([[expert]]), block.costs, gates=torch.ones(1, 1))
        for block in network.mixtures
    ]


def _pinned(
    network: MoCEIRLight,
    precision: str,
    photos: Sequence[Tensor],
    task: str,
    expert: int | None,
    number: int,
) -> Row:
    degraded, clean = pair_of(photos, task, number)
    pinned = None if expert is None else pins_of(network, expert)
    half = torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16")
    with torch.inference_mode(), half:
        output = network(degraded[None], pinned=pinned, tone="auto")
    total = network.multiply_adds((clean.shape[1], clean.shape[2]), output.routings)["total"]
    return {
        "psnr": _psnr(output.image[0].float().clamp(0, 1), clean),
        "before": _psnr(degraded, clean),
        "multiply_adds_per_pixel": total / clean[0].numel(),
    }
