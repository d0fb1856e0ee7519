"""Measure an upscaler on a folder of pictures: read pairs, enlarge, average PSNR and SSIM."""

import dataclasses
import itertools
import json
import math
import time
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pixperts import metrics
from pixperts.errors import DataError, ModelError, UsageError
from pixperts.image import list_images, read_image, to_float
from pixperts.pictures import Member, PictureFile, read_opaque
from pixperts.resize import bicubic, low_resolution_size, quantise
from pixperts.routing import Routing
from pixperts.shards import is_packed, read_photo_shards

PUBLISHED = "published"
SYNTHESISED = "bicubic, antialiased, 8 bit"

# Published LR pictures of some sets come from an HR first cut to a multiple of 12 or 16.
_LARGEST_CROP = 16

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
        """As `upscale`, with the routing of this picture, None for a dense model."""


class _Bicubic:
    def upscale(self, image: Tensor, *, size: Size, budget: float | None = None) -> Tensor:
        if budget is not None:
            raise UsageError("Bicubic enlargement has no experts: leave the budget out.")
        width, height = size
        return bicubic(image, (height, width)).clamp(0.0, 1.0)


def bicubic_upscaler() -> Upscaler:
    """The baseline of every table: `resize.bicubic`, clamped to [0, 1]. It takes no budget."""
    return _Bicubic()


@dataclass(frozen=True)
class SuperResolutionSet:
    """A benchmark folder of high-resolution (HR) pictures, perhaps with their small versions (LR).

    HR lies in `HR/`, or in the folder itself. For a scale with a folder (`LR_x2`, ...) published LR
    of equal stem is read, and HR is cropped to LR size times scale from the top-left corner. For
    every other scale HR is cropped as `resize.low_resolution_size` says, and LR is made from it by
    bicubic with antialiasing and rounded to 8 bit.
    """

    folder: Path
    pictures: tuple[PictureFile, ...]  # HR, sorted

    @classmethod
    def open(cls, folder: Path | str) -> "SuperResolutionSet":
        """List the HR pictures of a folder, or of shards (a folder of them or a .tar file).

        Raises:
            DataError: the folder is missing or holds no picture, two pictures share a stem, or a
                shard is damaged.
        """
        folder = Path(folder)
        if is_packed(folder):
            return cls(folder, tuple(sample.clean for sample in read_photo_shards(folder)))
        hr = folder / "HR" if (folder / "HR").is_dir() else folder
        pictures = tuple(_by_stem(hr).values())
        if not pictures:
            raise DataError(f"{hr} holds no picture: name a folder of HR pictures or one with HR/.")
        return cls(folder, pictures)

    def __len__(self) -> int:
        return len(self.pictures)

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.resolve().name

    def lr_source(self, scale: float) -> str:
        """Where LR comes from at a scale: `PUBLISHED` or `SYNTHESISED`."""
        return PUBLISHED if self._lr_folder(scale).is_dir() else SYNTHESISED

    def check(self, scale: float) -> None:
        """Find out before a long measurement that published HR and LR do not belong together.

        Raises:
            UsageError: `scale` is below 1 or not finite.
            DataError: an HR picture lacks its published LR picture, or the other way round.
        """
        low_resolution_size(1, scale)
        if self.lr_source(scale) == PUBLISHED:
            self._published(scale)

    def pair(self, index: int, scale: float) -> tuple[Tensor, Tensor]:
        """LR `(3, h, w)` and HR `(3, H, W)`, cropped to what LR stands for; float32 in [0, 1].

        Grey pictures come in three equal channels.

        Raises:
            UsageError: `scale` is below 1 or not finite.
            DataError: the sizes do not fit the scale, or a picture has an alpha channel.
        """
        path = self.pictures[index]
        hr = _read_rgb(path)
        height, width = hr.shape[-2:]
        if self.lr_source(scale) == PUBLISHED:
            lr_path = self._published(scale)[_stem(path)]
            lr = _read_rgb(lr_path)
            rows, columns = (round(side * scale) for side in lr.shape[-2:])
            cut = (height - rows, width - columns)
            if min(cut) < 0 or max(cut) >= _LARGEST_CROP + scale:
                raise DataError(
                    f"{lr_path} of {lr.shape[-1]}x{lr.shape[-2]} pixels does not fit scale "
                    f"{scale:g} of {path} of {width}x{height}: put the right pictures there."
                )
            return lr, hr[:, :rows, :columns]
        small_height, rows = low_resolution_size(height, scale)
        small_width, columns = low_resolution_size(width, scale)
        if min(small_height, small_width) < 1:
            raise DataError(
                f"{path} of {width}x{height} pixels is too small for scale {scale:g}: "
                "leave it out or choose a smaller scale."
            )
        hr = hr[:, :rows, :columns]
        return quantise(bicubic(hr, (small_height, small_width))), hr

    def _lr_folder(self, scale: float) -> Path:
        return self.folder / f"LR_x{scale:g}"

    def _published(self, scale: float) -> dict[str, Path]:
        folder = self._lr_folder(scale)
        lr = _by_stem(folder)
        if unpaired := sorted(lr.keys() ^ {_stem(path) for path in self.pictures}):
            raise DataError(
                f"{folder} and the HR pictures do not pair up: {unpaired[0]!r} (one of "
                f"{len(unpaired)}) exists only in {'LR' if unpaired[0] in lr else 'HR'}; "
                "complete the set, or take the LR folder away to have LR made by bicubic."
            )
        return lr


@dataclass
class Score:
    """Averages over the pictures of a set at one scale."""

    scale: float
    psnr: float  # dB, mean over pictures
    ssim: float  # mean over pictures
    images: int
    protocol: str  # a name in metrics.PROTOCOLS
    lr_source: str  # PUBLISHED or SYNTHESISED
    seconds: float  # wall clock in the upscaler, all pictures together
    mean_cost: float | None  # mean over output pixels, 1 = the dearest expert everywhere
    shares: tuple[float, ...] | None  # of output pixels for each expert

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON can hold them; an infinite PSNR (equal pictures) becomes None."""
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
        budget: handed to the upscaler.
        progress: called with (pictures done, pictures in all) after each.

    Raises:
        MissingExtraError: torchmetrics is not installed.
        UsageError: no scales, a scale below 1, or no such protocol.
        DataError: pictures are missing or do not fit together.
        ModelError: the upscaler gave values that are not finite, or a wrong size.
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
    rows = [_HEAD, *(_cells(score) for score in scores)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rows.insert(1, ["-" * width for width in widths])
    used = dict.fromkeys(score.protocol for score in scores)
    notes = (
        f"{key}: {metrics.PROTOCOLS[key].description}" for key in used if key in metrics.PROTOCOLS
    )
    lines = (" | ".join(map(str.rjust, row, widths)) for row in rows)
    return "\n".join(
        ["; ".join([f"{name} on {dataset_name}", *notes]), "", *(f"| {line} |" for line in lines)]
    )


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


def _by_stem(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder: name a folder of pictures.")
    found: dict[str, Path] = {}
    for path in list_images(folder):
        if path.stem in found:
            raise DataError(f"{found[path.stem]} and {path} share a stem: keep one of them.")
        found[path.stem] = path
    return found


def _stem(file: PictureFile) -> str:
    return Path(file.name).stem


def _read_rgb(path: PictureFile) -> Tensor:
    if isinstance(path, Member):
        return read_opaque(path).float() / 255
    pixels = torch.tensor(to_float(read_image(path).pixels))  # (H, W, C)
    if pixels.shape[-1] not in (1, 3):
        raise DataError(
            f"{path} has {pixels.shape[-1]} channels: convert it to grey or RGB without alpha."
        )
    return pixels.permute(2, 0, 1).expand(3, -1, -1).contiguous()  # (3, H, W)
