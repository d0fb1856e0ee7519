"""What a working process does: pictures through models, with everything that is shown of them.

It is the command line's own path, `run_folder`, so that the files are the same byte by byte.
"""

import math
import secrets
import zipfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain, count
from pathlib import Path

from pixperts.app.orders import Look, Order, Trial
from pixperts.app.pace import amounts
from pixperts.app.views import write_part, write_preview, write_tiles
from pixperts.background.events import Ended, Failed, Finished, Previewed, Started
from pixperts.background.orders import Prepare, Run, Step
from pixperts.background.relay import Relay, Tell, without_folders
from pixperts.background.steps import prepare, sizes_of, take_step
from pixperts.errors import PixpertsError, UsageError, explain
from pixperts.inference.size_request import SizeRequest
from pixperts.io.decode import header_size
from pixperts.jobs.enhance import Enhance
from pixperts.jobs.names import numbered
from pixperts.jobs.operations import MAP_SIDE, Upscale
from pixperts.jobs.options import FolderOptions

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
    made: list[Finished] = []

    def note(one: Finished) -> None:
        one = _with_views(one, folder)
        made.append(one)
        tell(one)

    able: list[Path] = []
    megapixels: Counter[str] = Counter()
    for path in map(Path, order.inputs):
        sizes = sizes_of(path, order.step)
        if sizes is not None:
            if math.prod(sizes[1]) > order.max_result_pixels:
                note(Finished(path.name, error=_TOO_LARGE.format(path.name, *sizes[1], order)))
                continue
            megapixels.update(amounts(order.step, sizes[0]))
        able.append(path)
    tell(Started(megapixels=dict(megapixels)))
    if able:
        take_step(able, order.step, order.options, Relay(tell, note))
    results = [Path(path) for one in made for path in (one.output, one.chart) if path]
    archive = None
    if len(made) > 1 and results:
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
    page = order.step.operation.files.page
    page = page if isinstance(page, int) else None
    target = folder / f"{path.stem}_part"
    part = write_part(path, target, order.center, order.side, order.max_pixels, page)
    step = _step_of_part(order.step, header_size(path, page), header_size(part))
    size = step.operation.new_size(*header_size(part))
    if math.prod(size) > order.max_result_pixels:
        raise UsageError(_TOO_LARGE.format(f"This part of {path.name}", *size, order))
    take_step(
        [part], step, FolderOptions(), Relay(tell, lambda one: tell(_with_views(one, folder)))
    )
    tell(Ended())


def _step_of_part(step: Step, whole: tuple[int, int], part: tuple[int, int]) -> Step:
    """The step for a part, which grows as much as the whole picture would, as a file of its own."""
    operation = step.operation
    files = replace(operation.files, quality=None, lossless=False, page=None)
    operation = replace(operation, files=files)
    if isinstance(operation, Upscale | Enhance):
        new = operation.new_size(*whole)
        width, height = (max(1, round(part[side] * new[side] / whole[side])) for side in range(2))
        operation = replace(operation, size=SizeRequest(size=(width, height)))
    return replace(step, operation=operation)


def _look(order: Look, tell: Tell) -> None:
    path, target = Path(order.input), Path(order.folder) / "preview.png"
    width, height = write_preview(path, target, order.max_pixels)
    tell(Previewed(path.name, width, height, str(target)))
    tell(Ended())


def _with_views(one: Finished, folder: Path) -> Finished:
    """The same with pyramids of tiles of the picture before, after, and its map."""
    if one.output is None or one.source is None:
        return one
    shown = {"before": Path(one.source), "after": Path(one.output)}
    base = folder / "views" / secrets.token_hex(4)
    base.mkdir(parents=True)
    pages = {"before": one.page}
    views = {
        key: str(write_tiles(path, base / key, page=pages.get(key))) for key, path in shown.items()
    }
    if one.chart is not None:
        report = one.report or {}
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
