"""Measure a model that repairs on pairs: mean PSNR and SSIM, and the experts of each task."""

import dataclasses
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pixperts.data.pairs import match_folders, read_pair
from pixperts.data.photos import load_photos
from pixperts.data.restoration import CLEAN, degraded_or_clean
from pixperts.errors import DataError, UsageError
from pixperts.evaluation import metrics
from pixperts.evaluation.tables import markdown_table
from pixperts.inference.analysis import Analysis
from pixperts.inference.restorer import Restorer
from pixperts.routing import Routing


@dataclass(frozen=True)
class RestorationSet:
    """Pairs of one task: clean photos that are degraded on the fly, or two folders of files."""

    name: str  # of the folder
    task: str
    origin: str  # how the degraded pictures were made
    pairs: Sequence[Callable[[], tuple[Tensor, Tensor]]]  # degraded and clean, (3, H, W) in [0, 1]

    @classmethod
    def synthetic(
        cls, folder: Path | str, task: str, *, seed: int = 0, limit: int | None = None
    ) -> "RestorationSet":
        """Photos of a folder, photo i degraded with the seed `seed + i`.

        Args:
            folder: of clean photos.
            task: a key of `tasks.TASKS`, or "clean".
            seed: 0 or more.
            limit: largest number of photos; None = all.

        Raises:
            UsageError: the task is unknown.
            DataError: the folder holds no photo.
        """
        from pixperts.degradations.tasks import TASKS

        if task != CLEAN and task not in TASKS:
            raise UsageError(
                f"There is no degradation {task!r}: choose from {', '.join([*TASKS, CLEAN])}."
            )
        folder = Path(folder)
        photos = load_photos([folder], min_side=1)[:limit]

        def pair(photo: Tensor, number: int) -> tuple[Tensor, Tensor]:
            clean = photo.float() / 255
            return degraded_or_clean(clean, task, seed + number), clean

        def later(number: int) -> Callable[[], tuple[Tensor, Tensor]]:
            return lambda: pair(photos[number], number)

        origin = "clean" if task == CLEAN else f"synthetic, seeds from {seed}"
        return cls(folder.resolve().name, task, origin, [later(i) for i in range(len(photos))])

    @classmethod
    def of_files(
        cls, degraded: Path | str, clean: Path | str, *, limit: int | None = None
    ) -> "RestorationSet":
        """Pairs from two folders of pictures that match by name.

        Args:
            degraded: folder of degraded pictures.
            clean: folder of clean pictures.
            limit: largest number of pairs; None = all.

        Raises:
            DataError: a picture has no partner, or one of another size.
        """
        degraded, clean = Path(degraded), Path(clean)
        found = match_folders(degraded, clean)[:limit]

        def later(number: int) -> Callable[[], tuple[Tensor, Tensor]]:
            def pair() -> tuple[Tensor, Tensor]:
                first, second = read_pair(found[number])
                assert first is not None
                return first.float() / 255, second.float() / 255

            return pair

        name = degraded.resolve().name
        return cls(name, "pairs", "files", [later(number) for number in range(len(found))])


@dataclass
class RestorationScore:
    """Averages over the pictures of one task."""

    task: str
    psnr: float  # dB, mean over pictures
    ssim: float
    degraded_psnr: float  # of the input
    degraded_ssim: float
    images: int
    protocol: str  # a name in metrics.PROTOCOLS
    crop: int  # sides were cut to multiples of this; 1 = whole pictures
    origin: str
    seconds: float  # wall clock in the restorer, all pictures together
    parameters: int  # of the network
    active_parameters: float  # number of parameters that were used, mean over pictures
    multiply_adds: float  # mean over pictures
    skipped: float  # share of the work of all experts that was saved, mean over pictures
    experts: list[list[float]]  # share of the choices, for each decoder block and expert

    def to_dict(self) -> dict[str, Any]:
        """The fields for JSON; the infinite PSNR of equal pictures, such as clean ones, is None."""
        values = dataclasses.asdict(self)
        for name in ("psnr", "degraded_psnr"):
            values[name] = values[name] if math.isfinite(values[name]) else None
        return values


def evaluate_restoration(
    restorer: Restorer,
    sets: Sequence[RestorationSet],
    protocol: str = "rgb",
    *,
    crop: int = 1,
    progress: Callable[[], None] | None = None,
) -> list[RestorationScore]:
    """Restore every picture of every set, and average the scores.

    Args:
        restorer: a model that repairs.
        sets: one for each task.
        protocol: rgb (whole picture) or y-shave and rgb-shave with a border as for scale 1.
        crop: cut both pictures to multiples of this, evenly from all sides, before restoring (16
            as MoCE-IR's published test does).
        progress: called after each picture.

    Raises:
        MissingExtraError: torchmetrics is not installed.
        UsageError: no such protocol, or a crop below 1.
        DataError: a picture is too small, or the sizes of a pair differ.
    """
    metrics.load_ssim()
    chosen = metrics.find_protocol(protocol)
    if crop < 1:
        raise UsageError(f"crop is {crop}, but must be at least 1.")
    return [_score(restorer, pictures, chosen, crop, progress) for pictures in sets]


def _score(
    restorer: Restorer,
    pictures: RestorationSet,
    protocol: metrics.Protocol,
    crop: int,
    progress: Callable[[], None] | None,
) -> RestorationScore:
    model = restorer.model
    total = sum(parameter.numel() for parameter in model.parameters())
    counts = torch.zeros(
        len(model.expert_parameters), len(model.expert_parameters[0]), dtype=torch.float64
    )
    rows: list[list[float]] = []
    seconds = 0.0
    for pair in pictures.pairs:
        degraded, clean = (cut_to_multiple(picture, crop) for picture in pair())
        started = time.perf_counter()
        restored, routings = restorer.restore_with_routing(degraded)
        seconds += time.perf_counter() - started
        found = Analysis.of(restorer, routings, (clean.shape[1], clean.shape[2]))
        rows.append(
            [
                metrics.psnr(restored, clean, protocol, 1.0),
                metrics.ssim(restored, clean, protocol, 1.0),
                metrics.psnr(degraded, clean, protocol, 1.0),
                metrics.ssim(degraded, clean, protocol, 1.0),
                active_parameters(restorer, routings, total),
                found.multiply_adds,
                found.skipped,
            ]
        )
        for block, routing in enumerate(routings):
            counts[block] += torch.tensor(routing.shares)
        if progress is not None:
            progress()
    means = [sum(column) / len(rows) for column in zip(*rows, strict=True)]
    return RestorationScore(
        task=pictures.task,
        psnr=means[0],
        ssim=means[1],
        degraded_psnr=means[2],
        degraded_ssim=means[3],
        images=len(rows),
        protocol=protocol.name,
        crop=crop,
        origin=pictures.origin,
        seconds=seconds,
        parameters=total,
        active_parameters=means[4],
        multiply_adds=means[5],
        skipped=means[6],
        experts=(counts / len(rows)).tolist(),
    )


def active_parameters(restorer: Restorer, routings: Sequence[Routing], total: int) -> float:
    """Parameters that took part in restoring one picture: without those of the unused experts.

    Of two sets of plain layers, which are equally large, a picture takes one.
    """
    other = getattr(restorer.model, "noise_layers", None)
    unused = 0 if other is None else sum(p.numel() for p in other.parameters())
    for experts, routing in zip(restorer.model.expert_parameters, routings, strict=True):
        used = set(routing.experts[0].tolist())
        unused += sum(count for number, count in enumerate(experts) if number not in used)
    return float(total - unused)


def cut_to_multiple(picture: Tensor, multiple: int) -> Tensor:
    """The largest central part of (C, H, W) whose sides are multiples of a number.

    Raises:
        DataError: nothing would be left.

    Example:
        >>> cut_to_multiple(torch.arange(21.0).view(1, 3, 7), 3)[0, 0]
        tensor([0., 1., 2., 3., 4., 5.])
    """
    height, width = picture.shape[1:]
    if min(height, width) < multiple:
        raise DataError(f"A picture of {width}x{height} pixels is smaller than crop {multiple}.")
    top, left = height % multiple // 2, width % multiple // 2
    rows, columns = height - height % multiple, width - width % multiple
    return picture[:, top : top + rows, left : left + columns]


def format_restoration(name: str, dataset: str, scores: Sequence[RestorationScore]) -> str:
    """Two Markdown tables under a line naming model, set and protocol: quality, and experts."""
    first = scores[0]
    note = metrics.PROTOCOLS[first.protocol].description
    cut = f", sides cut to multiples of {first.crop}" if first.crop > 1 else ""
    millions = first.parameters / 1e6
    lines = [
        f"{name} on {dataset}; {first.protocol}: {note}{cut}; outputs not rounded to 8 bit; "
        f"{millions:.2f} M parameters",
        "",
    ]
    head = ["task", "images", "input dB", "PSNR (dB)", "gain", "input SSIM", "SSIM",
            "active M", "GMAC", "skipped", "seconds", "input"]  # fmt: skip
    rows = [
        [
            score.task,
            str(score.images),
            f"{score.degraded_psnr:.2f}",
            f"{score.psnr:.2f}",
            "-" if math.isinf(score.degraded_psnr) else f"{score.psnr - score.degraded_psnr:.2f}",
            f"{score.degraded_ssim:.4f}",
            f"{score.ssim:.4f}",
            f"{score.active_parameters / 1e6:.3f}",
            f"{score.multiply_adds / 1e9:.2f}",
            f"{100 * score.skipped:.1f}%",
            f"{score.seconds:.1f}",
            score.origin,
        ]
        for score in scores
    ]
    lines += markdown_table(head, rows)
    lines += [
        "",
        "Share of the pictures that chose each expert, in %, blocks in order:",
        "",
    ]
    blocks = len(first.experts)
    head = ["task", *[f"block {number}" for number in range(blocks)]]
    rows = []
    for score in scores:
        shares = [" / ".join(f"{100 * x:.0f}" for x in block) for block in score.experts]
        rows.append([score.task, *shares])
    return "\n".join([*lines, *markdown_table(head, rows)])


def restoration_json_lines(name: str, dataset: str, scores: Sequence[RestorationScore]) -> str:
    """One JSON object a line for each task: `model`, `dataset` and the fields of the score."""
    return "".join(
        json.dumps({"model": name, "dataset": dataset, **score.to_dict()}, allow_nan=False) + "\n"
        for score in scores
    )
