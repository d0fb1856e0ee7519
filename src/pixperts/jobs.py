"""Enlarge a list of picture files with one model: who goes where, what happened to each."""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from pixperts.errors import ImageError, PixpertsError, UsageError
from pixperts.image import (
    DEFAULT_QUALITY,
    SUFFIXES,
    check_output,
    is_image_path,
    list_images,
    read_image,
    write_image,
)
from pixperts.progress import ProgressBar
from pixperts.sizes import SizeRequest

if TYPE_CHECKING:
    from pixperts.restorer import Restorer


@dataclass(frozen=True)
class Job:
    """One picture file, the file it becomes, and perhaps one for the map of its experts."""

    source: Path
    target: Path
    expert_map: Path | None = None


@dataclass(frozen=True)
class Wishes:
    """What is asked of every picture of a run."""

    size: SizeRequest
    budget: float | None = None  # 0 to 1
    quality: int | None = None  # 1 to 100, for the outputs that are JPEG or WebP


@dataclass(frozen=True)
class Result:
    """One enlarged picture, as `--json` prints it."""

    input: str
    output: str
    width: int  # pixels
    height: int
    new_width: int
    new_height: int
    seconds: float  # of the enlargement, without reading and writing files
    model: str
    mean_cost: float | None  # 1 = the dearest expert everywhere; None for a dense model
    shares: list[float] | None  # of output pixels for each expert
    multiply_adds: float
    megapixels: float  # of the output

    def to_line(self) -> str:
        """One line for a person."""
        sizes = f"{self.width} x {self.height} -> {self.new_width} x {self.new_height}"
        line = f"{self.input} -> {self.output}: {sizes}, {self.seconds:.1f} s"
        if self.mean_cost is None or self.shares is None:
            return line
        shares = " / ".join(f"{100 * share:.0f}" for share in self.shares)
        return f"{line}, mean cost {self.mean_cost:.2f}, experts {shares} %"


def plan(
    inputs: Sequence[Path], output: str, expert_map: str | None = None
) -> tuple[list[Job], list[str]]:
    """The jobs of a command line in order, and one remark a folder with entries left out.

    A folder stands for its own pictures, sorted. `output` is a file for a single input unless it
    is an existing folder or ends in a slash, and else a folder that receives equal names;
    `expert_map` goes by the same rule and its folder receives NAME_experts.png.

    Raises:
        UsageError: a folder without pictures, a file named for several inputs, two outputs of
            one name, or an output that is an input. Missing inputs are found when they are read.
        ImageError: a folder that cannot be listed.
    """
    sources: list[Path] = []
    remarks: list[str] = []
    several = len(inputs) > 1
    for path in inputs:
        if not os.path.isdir(path):
            sources.append(path)
            continue
        several = True
        found = list_images(path)
        skipped = len([n for n in os.listdir(path) if not n.startswith(".")]) - len(found)
        if not found:
            raise UsageError(f"{path} holds no JPEG, PNG, WebP or TIFF: name another folder.")
        if skipped:
            remarks.append(f"{path}: skipped {skipped} of its entries that are no picture files.")
        sources += found
    targets = _targets(sources, output, several)
    maps: list[Path] | list[None] = [None] * len(sources)
    if expert_map is not None:
        names = [source.with_name(f"{source.stem}_experts.png") for source in sources]
        maps = _targets(names, expert_map, several)
        if maps[0].suffix.lower() != ".png":
            raise UsageError(f"{maps[0]}: the map of experts needs a name ending in .png.")
    triples = zip(sources, targets, maps, strict=True)
    jobs = [Job(source, target, chart) for source, target, chart in triples]
    _refuse_clashes(jobs)
    return jobs, remarks


def _targets(sources: Sequence[Path], output: str, several: bool) -> list[Path]:
    """The file or the folder that `output` means, applied to every source's name."""
    folder = Path(output)
    slash = output.endswith(tuple(filter(None, (os.sep, os.altsep))))
    if slash or os.path.isdir(folder):
        return [folder / source.name for source in sources]
    if several:
        if os.path.exists(folder) or is_image_path(folder):
            raise UsageError(f"{output} is named as a file, but several pictures need a folder.")
        return [folder / source.name for source in sources]
    if not is_image_path(folder):
        raise UsageError(
            f"{output} is no existing folder and does not end in {', '.join(SUFFIXES)}: give it "
            "one of these endings, or a slash at the end for a new folder."
        )
    return [folder]


def _refuse_clashes(jobs: Sequence[Job]) -> None:
    inputs = {key for job in jobs for key in _identity(job.source)}
    taken: dict[str, Path] = {}
    for job in jobs:
        for target in filter(None, (job.target, job.expert_map)):
            if not inputs.isdisjoint(_identity(target)):
                raise UsageError(f"{target} is an input as well: name another output.")
            key = os.path.realpath(target)
            if key in taken:
                raise UsageError(
                    f"{taken[key]} and {job.source} would both be written to {target}: enlarge "
                    "them into different folders."
                )
            taken[key] = job.source


def _identity(path: Path) -> set[object]:
    """What tells a file from others; where capitals do not count, only its numbers do."""
    keys: set[object] = {os.path.realpath(path)}
    if os.path.exists(path):
        found = os.stat(path)
        keys.add((found.st_dev, found.st_ino))
    return keys


def check_quality(jobs: Sequence[Job], quality: int | None) -> None:
    """Raise UsageError for a quality out of 1..100, or one that no output could make use of."""
    if quality is None:
        return
    if not 1 <= quality <= 100:
        raise UsageError(f"--quality is {quality}, but must lie between 1 and 100.")
    kinds = {SUFFIXES.get(job.target.suffix.lower(), "unknown") for job in jobs}
    if kinds.isdisjoint({*DEFAULT_QUALITY, "unknown"}):
        raise UsageError("--quality does not apply, because no output is JPEG or WebP: drop it.")


def run(
    jobs: Sequence[Job],
    restorer: "Restorer",
    wishes: Wishes,
    *,
    as_json: bool = False,
    quiet: bool = False,
) -> int:
    """Enlarge every picture and report each as it is done; the number of those that failed.

    Results go to stdout as JSON lines or to stderr as text, failures always to stderr.
    """
    failed = 0
    visible = sys.stderr.isatty() and not (as_json or quiet)
    weights = [_expected_pixels(job, wishes) if visible else 1.0 for job in jobs]
    with ProgressBar(weights, visible=visible) as bar, _remembering_interrupts() as check:
        for number, job in enumerate(jobs):
            check()
            bar.update(number, 0.0, job.source.name)

            def advance(share: float, number: int = number) -> None:
                check()
                bar.update(number, share)

            entry: dict[str, Any]
            try:
                result = enlarge(job, restorer, wishes, advance)
            except Exception as error:  # one bad picture must not cost the others
                failed += 1
                sentence = explain(job.source, error)
                bar.say(sentence)
                entry = {"input": str(job.source), "output": str(job.target), "error": sentence}
            else:
                entry = asdict(result)
                if not (as_json or quiet):
                    bar.say(result.to_line())
            bar.update(number, 1.0)
            if as_json:
                print(json.dumps(entry, allow_nan=False), flush=True)
    return failed


@contextmanager
def _remembering_interrupts() -> Iterator[Callable[[], None]]:
    """Ctrl-C inside: raises at once, and again from the function that is handed out.

    libvips calls back into Python while it works, and an exception that is raised in there is
    printed and dropped.
    """
    pressed = False

    def remember(number: int, frame: FrameType | None) -> None:
        nonlocal pressed
        pressed = True
        raise KeyboardInterrupt

    def check() -> None:
        if pressed:
            raise KeyboardInterrupt

    default = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if not default or threading.current_thread() is not threading.main_thread():
        yield check
        return
    signal.signal(signal.SIGINT, remember)
    try:
        yield check
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def enlarge(
    job: Job, restorer: "Restorer", wishes: Wishes, progress: Callable[[float], None]
) -> Result:
    """Read, enlarge and write one picture; what cannot be written is refused before the work.

    Raises:
        UsageError, ImageError: with one sentence.
    """
    picture = read_image(job.source)
    width, height = picture.width, picture.height
    size = wishes.size.resolve(width, height)
    kind = _kind(job.target) or picture.format
    quality = wishes.quality if kind in DEFAULT_QUALITY else None
    check_output(job.target, *size, kind, quality)
    if job.expert_map is not None:
        check_output(job.expert_map, *size)
    # Nothing is heard of the encoder, so the first band of rows brings its share along.
    parts = restorer.model.multiply_adds((height, width), (size[1], size[0]))
    first = parts["encoder"] / parts["total"]
    started = time.perf_counter()
    pixels, routing = restorer.upscale_with_routing(
        picture.pixels,
        size=size,
        budget=wishes.budget,
        progress=lambda share: progress(first + (1 - first) * share),
    )
    seconds = time.perf_counter() - started
    chart = None
    if job.expert_map is not None:
        from pixperts.expert_maps import draw

        if routing is None:
            raise UsageError(f"{restorer.name} has a single expert: leave the map of experts out.")
        chart = draw(routing)
    write_image(job.target, pixels, format=kind, quality=quality)
    if job.expert_map is not None and chart is not None:
        write_image(job.expert_map, chart)
    return Result(
        input=str(job.source),
        output=str(job.target),
        width=width,
        height=height,
        new_width=size[0],
        new_height=size[1],
        seconds=round(seconds, 3),
        model=restorer.name,
        mean_cost=None if routing is None else routing.mean_cost,
        shares=None if routing is None else list(routing.shares),
        multiply_adds=restorer.multiply_adds(width, height, *size, routing),
        megapixels=size[0] * size[1] / 1e6,
    )


def explain(source: Path, error: Exception) -> str:
    """One sentence that names the picture, whatever went wrong with it.

    Example:
        >>> explain(Path("a.png"), MemoryError())
        'a.png: the memory does not suffice: ask for a smaller size or close other programs.'
    """
    text = " ".join(str(error).split())
    if isinstance(error, PixpertsError):
        return text if str(source) in text else f"{source}: {text}"
    # torch reports its own allocators' failures as RuntimeError, each with its own words.
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "memory" in text):
        return (
            f"{source}: the memory does not suffice: ask for a smaller size or close other "
            "programs."
        )
    return f"{source}: failed unexpectedly ({type(error).__name__}: {text}); please report it."


def _kind(path: Path) -> str | None:
    return SUFFIXES.get(path.suffix.lower())


def _expected_pixels(job: Job, wishes: Wishes) -> float:
    """Output pixels by the file's header; 0 for a picture that will be refused."""
    try:
        size = wishes.size.resolve(*_header_size(job.source))
        check_output(job.target, *size, _kind(job.target) or "png")
    except PixpertsError:
        return 0.0
    return float(size[0] * size[1])


def _header_size(path: Path) -> tuple[int, int]:
    """Upright (width, height) without decoding; ImageError where there is no such header."""
    import pyvips

    if not os.path.isfile(path):
        raise ImageError(f"{path} is not a regular file: name a picture file.")
    try:
        # Through a source, because a file name with brackets would be taken for options.
        source = pyvips.Source.new_from_file(os.fspath(path))
        image = pyvips.Image.new_from_source(source, "", access="sequential")
        turned = image.get_typeof("orientation") and image.get("orientation") in range(5, 9)
    except pyvips.Error as error:
        raise ImageError(f"{path} cannot be decoded: copy it again.") from error
    return (image.height, image.width) if turned else (image.width, image.height)
