"""What a working process does: pictures through models, with everything that is shown of them.

It is the command line's own path, `run_folder`, so that the files are the same byte by byte.
"""

import secrets
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain, count
from pathlib import Path

from pixperts.app.orders import Look, Order, Trial
from pixperts.app.views import write_part, write_preview, write_tiles
from pixperts.background.events import Ended, Failed, Finished, Previewed, Started
from pixperts.background.orders import Prepare, Run, Step
from pixperts.background.relay import Relay, Tell, without_folders
from pixperts.background.steps import prepare, sizes_after, take_step
from pixperts.errors import PixpertsError, UsageError, explain
from pixperts.inference.size_request import SizeRequest
from pixperts.io.decode import header_size
from pixperts.io.formats import LOSSLESS, SUFFIXES
from pixperts.io.lossless import is_lossless
from pixperts.io.vips import sniff
from pixperts.jobs.names import Template, numbered
from pixperts.jobs.operations import MAP_SIDE, Upscale
from pixperts.jobs.options import FolderOptions

_REPAIR = 0.7  # share of the time that a repair takes before an enlargement, roughly
_TOO_LARGE = (
    "{0} would become {1} x {2} pixels, over this page's limit of {3.max_result_pixels}: choose a "
    "smaller size, or use the command line."
)


def carry_out(order: Order, tell: Tell) -> None:
    """Do what is ordered; whatever goes wrong is one sentence."""
    if isinstance(order, Prepare):
        prepare(order, tell)
        return
    try:
        if isinstance(order, Run):
            _run(order, tell)
        elif isinstance(order, Trial):
            _try(order, tell)
        else:
            _look(order, tell)
    except Exception as error:
        path = Path(order.inputs[0] if isinstance(order, Run) else order.input)
        text = str(error) if isinstance(error, PixpertsError) else explain(path, error)
        tell(Failed(without_folders(text, path.parent)))


def _run(order: Run, tell: Tell) -> None:
    folder = Path(order.folder)
    finished: list[Finished] = []

    def note(one: Finished) -> None:
        finished.append(one)
        tell(one)

    able, amounts = [], [0.0] * len(order.steps)
    for path in map(Path, order.inputs):
        sizes = sizes_after(path, order.steps)
        if sizes and sizes[-1][0] * sizes[-1][1] > order.max_result_pixels:
            width, height = sizes[-1]
            note(Finished(path.name, error=_TOO_LARGE.format(path.name, width, height, order)))
            continue
        able.append(path)
        for place, (width, height) in enumerate(sizes):
            amounts[place] += width * height / 1e6
    tell(Started(megapixels=tuple(amounts)))
    parts: list[list[Path]] = [able] if len(order.steps) == 1 else [[path] for path in able]
    for number, paths in enumerate(parts if able else []):
        pass_on = Relay(tell, number / len(parts), 1 / len(parts))
        for one in _chain(paths, order.steps, order.options, folder, pass_on):
            note(_with_views(one, folder))
    results = [Path(path) for one in finished for path in (one.output, one.chart) if path]
    archive = None
    if len(finished) > 1 and results:
        archive = _pack(results, folder / "pixperts_results.zip")
    tell(Ended(None if archive is None else str(archive)))


def _pack(paths: Sequence[Path], target: Path) -> Path:
    """The files in a zip, not compressed once more."""
    taken: set[str] = set()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as file:
        for path in paths:
            names = chain([path], (numbered(path, number) for number in count(1)))
            name = next(one.name for one in names if one.name not in taken)
            taken.add(name)
            file.write(path, name)
    return target


def _try(order: Trial, tell: Tell) -> None:
    folder, path = Path(order.folder), Path(order.input)
    target = folder / f"{path.stem}_part"
    part = write_part(path, target, order.center, order.side, order.max_pixels)
    steps = _steps_of_part(order.steps, header_size(path), header_size(part))
    sizes = sizes_after(part, steps)
    if sizes and sizes[-1][0] * sizes[-1][1] > order.max_result_pixels:
        raise UsageError(_TOO_LARGE.format(f"This part of {path.name}", *sizes[-1], order))
    pass_on = Relay(tell, 0.0, 1.0)
    for one in _chain([part], steps, FolderOptions(), folder, pass_on):
        tell(_with_views(one, folder))
    tell(Ended())


def _steps_of_part(
    steps: Sequence[Step], whole: tuple[int, int], part: tuple[int, int]
) -> list[Step]:
    """The steps with sizes at which a part grows as much as the whole picture would."""
    found = []
    for step in steps:
        size = step.operation.new_size(*whole)
        if isinstance(step.operation, Upscale) and size != whole:
            part = (
                max(1, round(part[0] * size[0] / whole[0])),
                max(1, round(part[1] * size[1] / whole[1])),
            )
            step = replace(step, operation=replace(step.operation, size=SizeRequest(size=part)))
        whole = size
        found.append(step)
    return found


def _look(order: Look, tell: Tell) -> None:
    path, target = Path(order.input), Path(order.folder) / "preview.png"
    width, height = write_preview(path, target, order.max_pixels)
    tell(Previewed(path.name, width, height, str(target)))
    tell(Ended())


def _chain(
    paths: Sequence[Path],
    steps: Sequence[Step],
    options: FolderOptions,
    folder: Path,
    pass_on: "Relay",
) -> list[Finished]:
    """Pictures through one step, or one picture through two."""
    if len(steps) == 1:
        return take_step(paths, steps[0], options, pass_on)
    (path,), (first, second) = paths, steps
    between = folder / f"between_{path.name}"
    files = first.operation.files
    # Between the two, nothing may be lost.
    first = replace(
        first,
        operation=replace(first.operation, files=replace(files, quality=None, lossless=False)),
    )
    exact = FolderOptions(
        name=f"{{stem}}_{first.operation.label}", format="tiff" if _is_tiff(path) else "png"
    )
    repaired = take_step([path], first, exact, pass_on.part(0.0, _REPAIR), output=f"{between}/")
    if options.format is None:
        options = replace(options, format=_format_after(path))
    files = replace(second.operation.files, page=None)
    if files.quality is None and options.format in LOSSLESS and is_lossless(path, sniff(path)):
        files = replace(files, lossless=True)
    second = replace(second, operation=replace(second.operation, files=files))
    done = []
    for number, one in enumerate(repaired):
        if one.output is None:
            done.append(one)
            continue
        step = (1 - _REPAIR) / len(repaired)
        rest = pass_on.part(_REPAIR + number * step, step)
        for last in take_step([Path(one.output)], second, options, rest):
            lines, reports = (*one.lines, *last.lines), (*one.reports, *last.reports)
            done.append(
                replace(last, name=path.name, source=str(path), lines=lines, reports=reports)
            )
    return done


def _with_views(one: Finished, folder: Path) -> Finished:
    """The same with pyramids of tiles of the picture before, after, and its map."""
    if one.output is None or one.source is None:
        return one
    shown = {"before": Path(one.source), "after": Path(one.output)}
    base = folder / "views" / secrets.token_hex(4)
    base.mkdir(parents=True)
    views = {key: str(write_tiles(path, base / key)) for key, path in shown.items()}
    if one.chart is not None:
        report = one.reports[-1]
        chart, size = Path(one.chart), (report["new_width"], report["new_height"])
        rows = chart_rows(header_size(chart)[0], size)
        views["map"] = str(write_tiles(chart, base / "map", rows=rows, exact=True))
    return replace(one, views=views)


def chart_rows(width: int, size: tuple[int, int]) -> int:
    """Rows of a map of experts above its legend.

    Args:
        width: of the map, which shows every n-th pixel of a large picture.
        size: (width, height) of the picture.

    Example:
        >>> chart_rows(400, (400, 300)), chart_rows(4000, (8000, 4001))
        (300, 2001)
    """
    step = 1 if width == size[0] else -(-max(size) // MAP_SIDE)
    return -(-size[1] // step)


def _is_tiff(path: Path) -> bool:
    return sniff(path) == "tiff"


def _format_after(path: Path) -> str:
    """The format that a result gets where nobody names one."""
    return SUFFIXES[Path(Template().render(path, {})).suffix.lower()]
