"""The command that measures: evaluate."""

import contextlib
import itertools
import sys
from pathlib import Path
from typing import Annotated

import typer

from pixperts.cli.options import Budget, Device, Json, check_budget
from pixperts.errors import UsageError


def evaluate(
    model: Annotated[str, typer.Argument(help="Name, weights file, or 'bicubic'.")],
    data: Annotated[
        Path,
        typer.Argument(
            help="Folder of pictures, one with HR/ and LR_x2/, or with --target of degraded ones."
        ),
    ],
    scale: Annotated[
        str | None, typer.Option("--scale", "-s", help="For enlarging: factors, such as 2,3,4.")
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(help="For repair: degradations made here of clean pictures, noise25,rain."),
    ] = None,
    target: Annotated[
        Path | None, typer.Option(help="For repair: folder of the clean versions of DATA.")
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option(
            help="y-shave (luma), rgb-shave or rgb: what is compared.",
            show_default="y-shave for enlarging, rgb for repair",
        ),
    ] = None,
    crop: Annotated[
        int, typer.Option(min=1, help="For repair: cut sides to multiples, 16 as published.")
    ] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Of the degradations of --task.")] = 0,
    limit: Annotated[
        int | None, typer.Option(min=1, help="For repair: only so many pictures a task.")
    ] = None,
    chart: Annotated[
        Path | None,
        typer.Option("--expert-map", help="For repair: draw the experts by task as a .png."),
    ] = None,
    budget: Budget = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Measure quality and cost on a folder of pictures: --scale to enlarge, --task to repair."""
    repairs = task is not None or target is not None
    if repairs == (scale is not None) or (task is not None and target is not None):
        raise UsageError("Give one of --scale (enlarging), --task or --target (repair).")
    if repairs:
        if budget is not None:
            raise UsageError("--budget applies to enlarging: leave it out.")
        if target is not None and seed:
            raise UsageError("--seed applies to --task, which draws noise: leave it out.")
        _evaluate_repair(
            model, data, task, target, protocol or "rgb", crop, seed, limit, chart, device, as_json
        )
        return
    if chart is not None or crop != 1 or limit is not None or seed:
        raise UsageError("--expert-map, --crop, --seed and --limit apply to repair: drop them.")
    assert scale is not None
    scales = _scales(scale)
    check_budget(budget)
    from pixperts.cli.progress import ProgressBar
    from pixperts.data.benchmarks import SuperResolutionSet
    from pixperts.evaluation import upscaling as measuring
    from pixperts.inference.upscaler import Upscaler

    pictures = SuperResolutionSet.open(data)
    upscaler = (
        measuring.bicubic_upscaler() if model == "bicubic" else Upscaler.load(model, device=device)
    )
    visible = sys.stderr.isatty() and not as_json
    with ProgressBar([1.0] * (len(scales) * len(pictures)), visible=visible) as bar:
        scores = measuring.evaluate_upscaling(
            upscaler,
            pictures,
            scales,
            protocol or "y-shave",
            budget,
            lambda done, _: bar.update(done - 1, 1.0),
        )
    if as_json:
        print(measuring.to_json_lines(model, pictures.name, scores), end="")
    else:
        print(measuring.format_table(model, pictures.name, scores))


def _evaluate_repair(
    model: str,
    data: Path,
    task: str | None,
    target: Path | None,
    protocol: str,
    crop: int,
    seed: int,
    limit: int | None,
    chart: Path | None,
    device: str,
    as_json: bool,
) -> None:
    if chart is not None and chart.suffix.lower() != ".png":
        raise UsageError(f"{chart}: the picture of experts by task needs a name ending in .png.")
    from pixperts.cli.progress import ProgressBar
    from pixperts.evaluation import restoration as measuring
    from pixperts.inference.expert_maps import draw_table
    from pixperts.inference.restorer import Restorer
    from pixperts.io.image import write_image

    if target is not None:
        sets = [measuring.RestorationSet.of_files(data, target, limit=limit)]
    else:
        names = [name.strip() for name in (task or "").split(",")]
        sets = [
            measuring.RestorationSet.synthetic(data, name, seed=seed, limit=limit) for name in names
        ]
    restorer = Restorer.load(model, device=device)
    count = sum(len(pictures.pairs) for pictures in sets)
    done = itertools.count()
    with ProgressBar([1.0] * count, visible=sys.stderr.isatty() and not as_json) as bar:
        scores = measuring.evaluate_restoration(
            restorer, sets, protocol, crop=crop, progress=lambda: bar.update(next(done), 1.0)
        )
    if as_json:
        print(measuring.restoration_json_lines(model, sets[0].name, scores), end="")
    else:
        print(measuring.format_restoration(model, sets[0].name, scores))
    if chart is not None:
        tasks = [score.task for score in scores]
        write_image(chart, draw_table(tasks, [score.experts for score in scores]))


def _scales(text: str) -> list[float]:
    """Factors from text such as "2,3,4".

    >>> _scales("2, 3.5")
    [2.0, 3.5]
    """
    scales: list[float] = []
    with contextlib.suppress(ValueError):
        scales = [float(part) for part in text.split(",")]
    if not scales:
        raise UsageError(f"--scale takes numbers with commas between, such as 2,3,4, not {text!r}.")
    return scales
