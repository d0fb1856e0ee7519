"""Take a list of picture files through one model: who goes where, what happened to each."""

import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from pixperts.errors import PixpertsError, UsageError
from pixperts.image import DEFAULT_QUALITY, SUFFIXES, is_image_path, list_images
from pixperts.progress import ProgressBar
from pixperts.work import Enlarged, Enlargement, Job, Repair, Repaired, Wishes

if TYPE_CHECKING:
    from pixperts.restorer import Restorer

__all__ = [
    "Enlarged",
    "Enlargement",
    "Job",
    "Repair",
    "Repaired",
    "Wishes",
    "check_quality",
    "explain",
    "plan",
    "run",
]


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
                    f"{taken[key]} and {job.source} would both be written to {target}: put "
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
    """Enlarge or repair every picture and report each; the number of those that failed.

    Results go to stdout as JSON lines or to stderr as text, failures always to stderr.
    """
    failed = 0
    visible = sys.stderr.isatty() and not (as_json or quiet)
    weights = [wishes.expected_pixels(job) if visible else 1.0 for job in jobs]
    with ProgressBar(weights, visible=visible) as bar, _remembering_interrupts() as check:
        for number, job in enumerate(jobs):
            check()
            bar.update(number, 0.0, job.source.name)

            def advance(share: float, number: int = number) -> None:
                check()
                bar.update(number, share)

            entry: dict[str, Any]
            try:
                result = wishes.work(job, restorer, advance)
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
