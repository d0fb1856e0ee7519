"""What is done to one picture file, in three phases: read, enlarge or repair, write and tell."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from pixperts.errors import ImageError, PixpertsError, UsageError
from pixperts.image import (
    DEFAULT_QUALITY,
    SUFFIXES,
    Picture,
    Pixels,
    check_output,
    read_image,
    write_image,
)
from pixperts.sizes import SizeRequest
from pixperts.told import Enlarged, Repaired, Told

if TYPE_CHECKING:
    from pixperts.restorer import Restorer

Progress = Callable[[float], None]


@dataclass(frozen=True)
class Job:
    """One picture file, the file it becomes, and perhaps one for the map of its experts.

    `root` and `map_root` are the folders that the two must not leave through a symbolic link;
    None for a file that was named as such. `problem` is why the picture cannot be done at all,
    where that is known before the start.
    """

    source: Path
    target: Path
    expert_map: Path | None = None
    root: Path | None = None
    map_root: Path | None = None
    problem: str | None = None


@dataclass(frozen=True)
class FileOptions:
    """How files are written."""

    quality: int | None = None  # 1 to 100, for the outputs that are JPEG or WebP

    def check(self, jobs: Sequence[Job]) -> None:
        """Raise UsageError for a quality out of 1..100, or one that no output could use."""
        if self.quality is None:
            return
        if not 1 <= self.quality <= 100:
            raise UsageError(f"--quality is {self.quality}, but must lie between 1 and 100.")
        kinds = {SUFFIXES.get(job.target.suffix.lower(), "unknown") for job in jobs}
        if kinds.isdisjoint({*DEFAULT_QUALITY, "unknown"}):
            raise UsageError(
                "--quality does not apply, because no output is JPEG or WebP: drop it."
            )


@dataclass(frozen=True, eq=False)
class Loaded:
    """What `read` hands to `compute`: the picture, and how its result will be written."""

    job: Job
    picture: Picture
    size: tuple[int, int]  # (width, height) of the result
    kind: str  # format of the output
    quality: int | None


@dataclass(frozen=True, eq=False)
class Done:
    """What `compute` hands to `save`: pixels, and what will be told once they are written."""

    job: Job
    pixels: Pixels
    kind: str
    quality: int | None
    told: Told
    chart: Pixels | None = None  # the map of experts


class Wishes(Protocol):
    """What is asked of every picture of a run.

    A dataclass: its fields that are not at their defaults are the settings in the manifest.
    `read` and `save` may run in other threads, beside the `compute` of another picture.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]

    def check_jobs(self, jobs: Sequence[Job]) -> None:
        """Raise UsageError for what no picture of the run could be done with."""

    def check_model(self, restorer: "Restorer", jobs: Sequence[Job]) -> None:
        """Raise UsageError for a model that cannot do it."""

    def new_size(self, width: int, height: int) -> tuple[int, int]:
        """(width, height) of the result for a picture of this size."""

    def expected_pixels(self, job: Job) -> float:
        """Output pixels by the file's header; 0 for a picture that will be refused."""

    def read(self, job: Job) -> Loaded:
        """Decode one picture; what cannot be written is refused here, before the work."""

    def compute(self, loaded: Loaded, restorer: "Restorer", progress: Progress) -> Done:
        """Enlarge or repair it; touches no file."""

    def save(self, done: Done) -> Told:
        """Write it, whole or not at all, and tell."""


class _Files:
    """The phases that touch files, the same for every wish."""

    files: FileOptions

    def new_size(self, width: int, height: int) -> tuple[int, int]:
        """(width, height) of the result for a picture of this size."""
        return width, height

    def expected_pixels(self, job: Job) -> float:
        """Output pixels by the file's header; 0 for a picture that will be refused."""
        try:
            size = self.new_size(*header_size(job.source))
            check_output(job.target, *size, _kind(job.target) or "png")
        except PixpertsError:
            return 0.0
        return float(size[0] * size[1])

    def read(self, job: Job) -> Loaded:
        """Decode one picture; what cannot be written is refused here, before the work.

        Raises:
            UsageError, ImageError: with one sentence.
        """
        picture = read_image(job.source)
        size = self.new_size(picture.width, picture.height)
        kind = _kind(job.target) or picture.format
        quality = self.files.quality if kind in DEFAULT_QUALITY else None
        check_output(job.target, *size, kind, quality)
        if job.expert_map is not None:
            check_output(job.expert_map, *size)
        return Loaded(job, picture, size, kind, quality)

    def save(self, done: Done) -> Told:
        """Write the picture, and before it the map of its experts.

        Raises:
            UsageError, ImageError: with one sentence.
        """
        # In this order, so that a picture that is there has everything that belongs to it.
        if done.job.expert_map is not None and done.chart is not None:
            write_image(done.job.expert_map, done.chart)
        write_image(done.job.target, done.pixels, format=done.kind, quality=done.quality)
        return done.told


@dataclass(frozen=True)
class Enlargement(_Files):
    """Enlarge every picture."""

    size: SizeRequest
    budget: float | None = None  # 0 to 1
    files: FileOptions = FileOptions()

    def check_jobs(self, jobs: Sequence[Job]) -> None:
        """Raise UsageError for what no picture of the run could be done with."""
        self.files.check(jobs)

    def check_model(self, restorer: "Restorer", jobs: Sequence[Job]) -> None:
        """Raise UsageError for a model that repairs, or has no experts to choose from."""
        _ = restorer.upscaler
        if restorer.takes_budget:
            return
        charts = any(job.expert_map is not None for job in jobs)
        for flag, given in (("--budget", self.budget is not None), ("--expert-map", charts)):
            if given:
                raise UsageError(f"{restorer.name} has a single expert: leave {flag} out.")

    def new_size(self, width: int, height: int) -> tuple[int, int]:
        """(width, height) of the result for a picture of this size."""
        return self.size.resolve(width, height)

    def compute(self, loaded: Loaded, restorer: "Restorer", progress: Progress) -> Done:
        """Enlarge one picture.

        Raises:
            UsageError, ImageError: with one sentence.
        """
        picture, size, job = loaded.picture, loaded.size, loaded.job
        width, height = picture.width, picture.height
        # Nothing is heard of the encoder, so the first band of rows brings its share along.
        parts = restorer.upscaler.multiply_adds((height, width), (size[1], size[0]))
        first = parts["encoder"] / parts["total"]
        started = time.perf_counter()
        pixels, routing = restorer.upscale_with_routing(
            picture.pixels,
            size=size,
            budget=self.budget,
            progress=lambda share: progress(first + (1 - first) * share),
        )
        seconds = time.perf_counter() - started
        chart = None
        if job.expert_map is not None:
            from pixperts.expert_maps import draw

            if routing is None:
                raise UsageError(
                    f"{restorer.name} has a single expert: leave the map of experts out."
                )
            chart = draw(routing)
        told = Enlarged(
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
        return Done(job, pixels, loaded.kind, loaded.quality, told, chart)


@dataclass(frozen=True)
class Repair(_Files):
    """Repair every picture."""

    strength: float = 1.0  # 0 to 1
    files: FileOptions = FileOptions()

    def check_jobs(self, jobs: Sequence[Job]) -> None:
        """Raise UsageError for what no picture of the run could be done with."""
        self.files.check(jobs)
        if any(job.expert_map is not None for job in jobs):
            raise UsageError("--expert-map applies to enlarging: leave it out.")

    def check_model(self, restorer: "Restorer", jobs: Sequence[Job]) -> None:
        """Raise UsageError for a model that enlarges."""
        _ = restorer.repairer

    def compute(self, loaded: Loaded, restorer: "Restorer", progress: Progress) -> Done:
        """Repair one picture.

        Raises:
            UsageError, ImageError: with one sentence.
        """
        picture, job = loaded.picture, loaded.job
        width, height = picture.width, picture.height
        started = time.perf_counter()
        pixels, routings = restorer.restore_with_routing(
            picture.pixels, strength=self.strength, progress=progress
        )
        seconds = time.perf_counter() - started
        from pixperts.analysis import Analysis

        found = Analysis.of(restorer, routings, (height, width))  # it may fail: nothing is written
        told = Repaired(
            input=str(job.source),
            output=str(job.target),
            width=width,
            height=height,
            seconds=round(seconds, 3),
            model=restorer.name,
            strength=self.strength,
            experts=[list(block.experts) for block in found.blocks],
            gates=[[round(gate, 4) for gate in block.gates] for block in found.blocks],
            skipped=round(found.skipped, 4),
            task=found.task,
            confidence=None if found.confidence is None else round(found.confidence, 4),
            multiply_adds=found.multiply_adds,
            megapixels=width * height / 1e6,
        )
        return Done(job, pixels, loaded.kind, loaded.quality, told)


def _kind(path: Path) -> str | None:
    return SUFFIXES.get(path.suffix.lower())


def header_size(path: Path) -> tuple[int, int]:
    """Upright (width, height) without decoding; ImageError where there is no such header."""
    import pyvips

    if not os.path.isfile(path):
        raise ImageError(f"{path} is not a regular file: name a picture file.")
    try:
        # Through a source, because a file name with brackets would be taken for options.
        source = pyvips.Source.new_from_file(os.fsencode(path))
        image = pyvips.Image.new_from_source(source, "", access="sequential")
        turned = image.get_typeof("orientation") and image.get("orientation") in range(5, 9)
    except pyvips.Error as error:
        raise ImageError(f"{path} cannot be decoded: copy it again.") from error
    return (image.height, image.width) if turned else (image.width, image.height)
