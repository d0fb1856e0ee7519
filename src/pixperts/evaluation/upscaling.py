"""Measure an upscaler on a folder of pictures: read pairs, enlarge, average PSNR and SSIM."""

import dataclasses
import itertools
import json
import math
import time
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pixperts.data.benchmarks import SuperResolutionSet
from pixperts.errors import DataError, ModelError, UsageError
from pixperts.evaluation import metrics
from pixperts.evaluation.tables import markdown_table
from pixperts.ops.resize import bicubic
from pixperts.routing import Routing

Size = tuple[int, int]  # (width, height)


class Upscaler(typing.Protocol):
    """Anything that enlarges one picture to a given size."""

    def upscale(self, image: Tensor, *, size: Size, budget: float | None = None) -> Tensor:
        """Enlarge `(C, H, W)` in [0, 1] to `size` = (width, height)."""


@typing.runtime_checkable
class RoutingUpscaler(Upscaler, typing.Protocol):
    """An upscaler that also reports what its experts did."""

    def upscale_with_routing(
        self, image: Tensor, *, size: Size, budget: float | None = None
    ) -> tuple[Tensor, Routing | None]:
        """As `upscale`, with the routing of this picture; None for a model without experts."""


class _Bicubic:
    def upscale(self, image: Tensor, *, size: Size, budget: float | None = None) -> Tensor:
        if budget is not None:
            raise UsageError("Bicubic enlargement has no experts: leave the budget out.")
        width, height = size
        return bicubic(image, (height, width)).clamp(0.0, 1.0)


def bicubic_upscaler() -> Upscaler:
    """The baseline of every table: `resize.bicubic`, clamped to [0, 1]. It takes no budget."""
    return _Bicubic()


@dataclass
class Score:
    """Averages over the pictures of a set at one scale."""

    scale: float
    psnr: float  # dB, mean over pictures
    ssim: float  # mean over pictures
    images: int
    protocol: str  # a name in metrics.PROTOCOLS
    lr_source: str  # PUBLISHED or SYNTHESIZED
    seconds: float  # wall clock in the upscaler, all pictures together
    mean_cost: float | None  # mean over output pixels, 1 = the most expensive expert everywhere
    shares: tuple[float, ...] | None  # of output pixels for each expert

    def to_dict(self) -> dict[str, Any]:
        """The fields for JSON; the infinite PSNR of equal pictures is None."""
        fields = dataclasses.asdict(self)
        fields["psnr"] = self.psnr if math.isfinite(self.psnr) else None
        fields["shares"] = None if self.shares is None else list(self.shares)
        return fields


def evaluate_upscaling(
    upscaler: Upscaler,
    dataset: SuperResolutionSet,
    scales: Sequence[float],
    protocol: str | metrics.Protocol = "y-shave",
    budget: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Score]:
    """Enlarge every picture of a set at every scale and average the scores.

    PSNR and SSIM are averaged over pictures, cost and shares (of a `RoutingUpscaler`) over pixels.

    Args:
        upscaler: what is measured.
        dataset: the pictures.
        scales: factors of enlargement, each 1 or more; each gives one score, in this order.
        protocol: what is compared, see `metrics.PROTOCOLS`.
        budget: passed to the upscaler.
        progress: called with (pictures done, pictures in all) after each.

    Raises:
        MissingExtraError: torchmetrics is not installed.
        UsageError: no scales, a scale below 1, or no such protocol.
        DataError: pictures are missing, or the sizes of a pair do not fit.
        ModelError: the upscaler returned values that are not finite, or a wrong size.
    """
    if not scales:
        raise UsageError("scales must name at least one factor of enlargement, such as 2.")
    metrics.load_ssim()
    chosen = metrics.find_protocol(protocol)
    for scale in scales:
        dataset.check(scale)
    total = len(scales) * len(dataset)
    done = itertools.count(1)

    def report() -> None:
        if progress is not None:
            progress(next(done), total)

    return [_score(upscaler, dataset, scale, chosen, budget, report) for scale in scales]


def _score(
    upscaler: Upscaler,
    dataset: SuperResolutionSet,
    scale: float,
    protocol: metrics.Protocol,
    budget: float | None,
    report: Callable[[], None],
) -> Score:
    marks: list[tuple[float, float]] = []
    areas: list[int] = []
    routes: list[tuple[float, ...]] = []  # mean cost and shares
    seconds = 0.0
    for index, path in enumerate(dataset.pictures):
        lr, hr = dataset.pair(index, scale)
        size = (hr.shape[-1], hr.shape[-2])
        started = time.perf_counter()
        prediction, routing = _enlarge(upscaler, lr, size, budget)
        seconds += time.perf_counter() - started
        if routing is not None:
            areas.append(math.prod(size))
            routes.append((routing.mean_cost, *routing.shares))
        if prediction.shape != hr.shape or not bool(torch.isfinite(prediction).all()):
            raise ModelError(
                f"Enlarging {path} by {scale:g} should give finite values of shape "
                f"{tuple(hr.shape)}, but gave shape {tuple(prediction.shape)} with "
                f"{int((~torch.isfinite(prediction)).sum())} values not finite."
            )
        try:
            measured = (prediction, hr, protocol, scale)
            marks.append((metrics.psnr(*measured), metrics.ssim(*measured)))
        except DataError as error:
            raise DataError(f"{path} cannot be measured at scale {scale:g}: {error}") from error
        report()
    psnr, ssim = (sum(values) / len(marks) for values in zip(*marks, strict=True))
    route = [
        sum(area * value for area, value in zip(areas, values, strict=True)) / sum(areas)
        for values in zip(*routes, strict=True)
    ]
    return Score(
        scale=float(scale),
        psnr=psnr,
        ssim=ssim,
        images=len(marks),
        protocol=protocol.name,
        lr_source=dataset.lr_source(scale),
        seconds=seconds,
        mean_cost=route[0] if route else None,
        shares=tuple(route[1:]) if route else None,
    )


@torch.no_grad()
def _enlarge(
    upscaler: Upscaler, lr: Tensor, size: Size, budget: float | None
) -> tuple[Tensor, Routing | None]:
    routing = None
    if isinstance(upscaler, RoutingUpscaler):
        prediction, routing = upscaler.upscale_with_routing(lr, size=size, budget=budget)
    else:
        prediction = upscaler.upscale(lr, size=size, budget=budget)
    # The copy waits for an accelerator to finish, so the caller's clock includes it.
    return prediction.cpu(), routing


def format_table(name: str, dataset_name: str, scores: Sequence[Score]) -> str:
    """A Markdown table, one row a score, under a line naming model, set and protocol.

    A missing value is a dash; shares run from the first to the last expert; seconds count the
    upscaler alone, all pictures together.
    """
    used = dict.fromkeys(score.protocol for score in scores)
    notes = (
        f"{key}: {metrics.PROTOCOLS[key].description}" for key in used if key in metrics.PROTOCOLS
    )
    lines = markdown_table(_HEAD, [_cells(score) for score in scores])
    return "\n".join(["; ".join([f"{name} on {dataset_name}", *notes]), "", *lines])


_HEAD = ["scale", "protocol", "images", "PSNR (dB)", "SSIM", "cost", "shares", "seconds", "LR"]


def _cells(score: Score) -> list[str]:
    return [
        f"{score.scale:g}",
        score.protocol,
        str(score.images),
        f"{score.psnr:.2f}",
        f"{score.ssim:.4f}",
        "-" if score.mean_cost is None else f"{score.mean_cost:.3f}",
        " / ".join(f"{100 * share:.0f}%" for share in score.shares or ()) or "-",
        f"{score.seconds:.1f}",
        score.lr_source,
    ]


def to_json_lines(name: str, dataset_name: str, scores: Sequence[Score]) -> str:
    """One JSON object a line for each score: `model`, `dataset` and the fields of `Score`."""
    return "".join(
        json.dumps({"model": name, "dataset": dataset_name, **score.to_dict()}, allow_nan=False)
        + "\n"
        for score in scores
    )
