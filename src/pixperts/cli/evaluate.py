"""The command that measures: evaluate."""

import contextlib
import itertools
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pixperts.cli.options import JsonOption
from pixperts.errors import UsageError
from pixperts.inference.options import DeviceOptions
from pixperts.jobs.options import UpscaleOptions
from pixperts.options import Option, check_options, option, options_of


def parse_scales(text: str) -> tuple[float, ...]:
    """Factors from text such as "2,3,4".

    >>> parse_scales("2, 3.5")
    (2.0, 3.5)
    """
    scales: tuple[float, ...] = ()
    with contextlib.suppress(ValueError):
        scales = tuple(float(part) for part in text.split(","))
    if not scales:
        raise UsageError(f"--scale takes numbers separated by commas, such as 2,3,4, not {text!r}.")
    return scales


@dataclass(frozen=True)
class RepairOptions:
    """What is measured of a model that repairs."""

    task: str | None = option(
        None, "For repair: degradations to apply to clean pictures, such as noise25,rain."
    )
    target: Path | None = option(None, "For repair: folder of the clean versions of DATA.")
    crop: int = option(
        1, "For repair: cut sides to multiples of this number; 16 as published.", low=1
    )
    seed: int = option(0, "For repair: seed of the degradations of --task.", low=0)
    limit: int | None = option(None, "For repair: at most this many pictures per task.", low=1)
    expert_map: Path | None = option(None, "For repair: draw the experts by task as a .png.")

    def __post_init__(self) -> None:
        check_options(self)


def evaluate(
    model: Annotated[str, Option("Name, weights file, or 'bicubic'.", positional=True)],
    data: Annotated[
        Path,
        Option(
            "Folder of pictures, or of HR/ and LR_x2/, or, with --target, of degraded pictures.",
            positional=True,
        ),
    ],
    *,
    scale: Annotated[
        tuple[float, ...] | None,
        Option(
            "For enlarging: factors, such as 2,3,4.",
            also=("-s",),
            parse=parse_scales,
            metavar="NUMBERS",
        ),
    ] = None,
    repair: RepairOptions,
    running: DeviceOptions,
    report: JsonOption,
    protocol: Annotated[
        str | None,
        Option(
            "y-shave (luma), rgb-shave or rgb: what is compared.",
            shown="y-shave for enlarging, rgb for repair",
        ),
    ] = None,
    budget: Annotated[float | None, options_of(UpscaleOptions)["budget"]] = None,
) -> None:
    """Measure quality and cost on a folder of pictures: --scale to enlarge, --task to repair."""
    repairs = repair.task is not None or repair.target is not None
    both = repair.task is not None and repair.target is not None
    if repairs == (scale is not None) or both:
        raise UsageError("Give one of --scale (enlarging), --task or --target (repair).")
    if repairs:
        if budget is not None:
            raise UsageError("--budget applies to enlarging: leave it out.")
        if repair.target is not None and repair.seed:
            raise UsageError("--seed applies to --task, which draws noise: leave it out.")
        _evaluate_repair(model, data, repair, protocol or "rgb", running, report)
        return
    if repair != RepairOptions():
        raise UsageError(
            "--expert-map, --crop, --seed and --limit apply to repair: leave them out."
        )
    assert scale is not None
    from pixperts.cli.progress import ProgressBar
    from pixperts.data.benchmarks import SuperResolutionSet
    from pixperts.evaluation import upscaling as measuring
    from pixperts.inference.upscaler import Upscaler

    pictures = SuperResolutionSet.open(data)
    upscaler = (
        measuring.bicubic_upscaler()
        if model == "bicubic"
        else Upscaler.load(model, device=running.device)
    )
    visible = sys.stderr.isatty() and not report.as_json
    with ProgressBar([1.0] * (len(scale) * len(pictures)), visible=visible) as bar:
        scores = measuring.evaluate_upscaling(
            upscaler,
            pictures,
            scale,
            protocol or "y-shave",
            budget,
            lambda done, _: bar.update(done - 1, 1.0),
        )
    if report.as_json:
        print(measuring.to_json_lines(model, pictures.name, scores), end="")
    else:
        print(measuring.format_table(model, pictures.name, scores))


def _evaluate_repair(
    model: str,
    data: Path,
    options: RepairOptions,
    protocol: str,
    running: DeviceOptions,
    report: JsonOption,
) -> None:
    chart = options.expert_map
    if chart is not None and chart.suffix.lower() != ".png":
        raise UsageError(f"{chart}: the picture of experts by task needs a name ending in .png.")
    from pixperts.cli.progress import ProgressBar
    from pixperts.evaluation import restoration as measuring
    from pixperts.inference.expert_maps import draw_table
    from pixperts.inference.restorer import Restorer
    from pixperts.io.image import write_image

    seed, limit = options.seed, options.limit
    if options.target is not None:
        sets = [measuring.RestorationSet.of_files(data, options.target, limit=limit)]
    else:
        names = [name.strip() for name in (options.task or "").split(",")]
        sets = [
            measuring.RestorationSet.synthetic(data, name, seed=seed, limit=limit) for name in names
        ]
    restorer = Restorer.load(model, device=running.device)
    count = sum(len(pictures.pairs) for pictures in sets)
    done = itertools.count()
    with ProgressBar([1.0] * count, visible=sys.stderr.isatty() and not report.as_json) as bar:
        scores = measuring.evaluate_restoration(
            restorer,
            sets,
            protocol,
            crop=options.crop,
            progress=lambda: bar.update(next(done), 1.0),
        )
    if report.as_json:
        print(measuring.restoration_json_lines(model, sets[0].name, scores), end="")
    else:
        print(measuring.format_restoration(model, sets[0].name, scores))
    if chart is not None:
        tasks = [score.task for score in scores]
        write_image(chart, draw_table(tasks, [score.experts for score in scores]))
