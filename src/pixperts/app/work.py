"""What a working process does: pictures through models, with everything that is shown of them.

It is the command line's own path, `run_folder`, so that the files are the same byte by byte.
"""

import secrets
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import cache
from itertools import chain, count
from pathlib import Path

from pixperts.app.events import Advanced, Ended, Event, Failed, Finished, Previewed, Started
from pixperts.app.orders import Look, Order, Run, Step, Trial
from pixperts.app.views import write_part, write_preview, write_tiles
from pixperts.errors import PixpertsError, UsageError, explain, printable
from pixperts.inference.loading import load
from pixperts.inference.predictor import Predictor
from pixperts.inference.size_request import SizeRequest
from pixperts.inference.upscaler import Upscaler
from pixperts.io.decode import header_size
from pixperts.io.formats import LOSSLESS, SUFFIXES
from pixperts.io.lossless import is_lossless
from pixperts.io.vips import sniff
from pixperts.jobs.job import Job
from pixperts.jobs.names import Template, numbered
from pixperts.jobs.operations import MAP_SIDE, Upscale
from pixperts.jobs.options import FolderOptions
from pixperts.jobs.outcomes import Listener, Outcome
from pixperts.jobs.plan import Plan
from pixperts.jobs.run import run_folder

Tell = Callable[[Event], None]
_REPAIR = 0.7  # share of the time that a repair takes before an enlargement, roughly
_TOO_LARGE = (
    "{0} would become {1} x {2} pixels, over this page's limit of {3.max_result_pixels}: choose a "
    "smaller size, or use the command line."
)


def carry_out(order: Order, tell: Tell) -> None:
    """Do what is ordered; whatever goes wrong is one sentence."""
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
        tell(Failed(_without_folders(text, path.parent)))


@cache
def predictor_of(name: str) -> Predictor:
    """A model, which stays loaded from one run to the next."""
    return load(name)


def _run(order: Run, tell: Tell) -> None:
    folder = Path(order.folder)
    finished: list[Finished] = []

    def note(one: Finished) -> None:
        finished.append(one)
        tell(one)

    able, amounts = [], [0.0] * len(order.steps)
    for path in map(Path, order.inputs):
        sizes = _sizes(path, order.steps)
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
        pass_on = _Relay(tell, number / len(parts), 1 / len(parts))
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
    sizes = _sizes(part, steps)
    if sizes and sizes[-1][0] * sizes[-1][1] > order.max_result_pixels:
        raise UsageError(_TOO_LARGE.format(f"This part of {path.name}", *sizes[-1], order))
    pass_on = _Relay(tell, 0.0, 1.0)
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


def _sizes(path: Path, steps: Sequence[Step]) -> list[tuple[int, int]]:
    """(width, height) after each step; none for a picture that reading will refuse."""
    sizes = []
    try:
        size = header_size(path)
        for step in steps:
            size = step.operation.new_size(*size)
            sizes.append(size)
    except PixpertsError:
        return []
    return sizes


def _chain(
    paths: Sequence[Path],
    steps: Sequence[Step],
    options: FolderOptions,
    folder: Path,
    pass_on: "_Relay",
) -> list[Finished]:
    """Pictures through one step, or one picture through two."""
    if len(steps) == 1:
        return _step(paths, steps[0], options, pass_on)
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
    repaired = _step([path], first, exact, pass_on.part(0.0, _REPAIR), output=f"{between}/")
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
        for last in _step([Path(one.output)], second, options, rest):
            lines, reports = (*one.lines, *last.lines), (*one.reports, *last.reports)
            done.append(
                replace(last, name=path.name, source=str(path), lines=lines, reports=reports)
            )
    return done


def _step(
    paths: Sequence[Path],
    step: Step,
    options: FolderOptions,
    pass_on: "_Relay",
    output: str | None = None,
) -> list[Finished]:
    """Pictures through one step, as the command line takes them there."""
    predictor = predictor_of(step.model)
    charts = None
    if isinstance(predictor, Upscaler) and predictor.takes_budget:
        charts = f"{paths[0].parent}/"
    run_folder(
        list(paths),
        output,
        step.operation,
        predictor,
        options=options,
        expert_map=charts,
        listener=pass_on,
    )
    return pass_on.finished


class _Relay(Listener):
    """Passes on what a run says, as a share of the whole order.

    Args:
        tell: takes events.
        start: share of the order that is done before.
        span: share that this run makes up.
    """

    def __init__(self, tell: Tell, start: float, span: float) -> None:
        self._tell, self._start, self._span = tell, start, span
        self.finished: list[Finished] = []
        self._names: list[str] = []
        self._before = [0.0]

    def part(self, start: float, span: float) -> "_Relay":
        """The relay of a run that is a part of this one."""
        return _Relay(self._tell, self._start + start * self._span, span * self._span)

    def begin(self, planned: Plan, weigh: Callable[[Job], float]) -> None:
        """Weigh the pictures by their pixels."""
        for job in planned.jobs:
            self._before.append(self._before[-1] + weigh(job))
            self._names.append(job.source.name)
        folders = {job.source.parent for job in planned.jobs}
        for folder in folders:
            self._tell(Started(tuple(_without_folders(one, folder) for one in planned.remarks)))

    def progress(self, number: int, share: float) -> None:
        """Tell of it."""
        before, after = self._before[number : number + 2]
        whole = self._before[-1] or 1.0
        reached = min(1.0, (before + (after - before) * share) / whole)
        self._tell(Advanced(self._start + self._span * reached, self._names[number]))

    def result(self, number: int, outcome: Outcome) -> None:
        """Keep it for the caller."""
        job = outcome.job
        name, folder = job.source.name, job.source.parent
        if outcome.report is None or outcome.error is not None:
            error = outcome.error or f"{name}: a file of the name of its result exists already."
            self.finished.append(Finished(name, error=_without_folders(error, folder)))
            return
        line = _without_folders(outcome.report.to_line(), job.target.parent)
        chart = job.expert_map if job.expert_map is not None and job.expert_map.exists() else None
        self.finished.append(
            Finished(
                name,
                source=str(job.source),
                output=str(job.target),
                chart=None if chart is None else str(chart),
                lines=tuple(_without_folders(line, folder).splitlines()),
                reports=(asdict(outcome.report),),
            )
        )


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


def _without_folders(text: str, folder: Path) -> str:
    """A sentence in which files are called as the user knows them."""
    return text.replace(f"{printable(str(folder))}/", "")
