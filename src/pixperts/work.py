"""What is done to one picture file: read, enlarge or repair, write, tell."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pixperts.errors import ImageError, PixpertsError, UsageError
from pixperts.image import DEFAULT_QUALITY, SUFFIXES, check_output, read_image, write_image
from pixperts.sizes import SizeRequest

if TYPE_CHECKING:
    from pixperts.restorer import Restorer

Progress = Callable[[float], None]


@dataclass(frozen=True)
class Job:
    """One picture file, the file it becomes, and perhaps one for the map of its experts."""

    source: Path
    target: Path
    expert_map: Path | None = None


class Told(Protocol):
    """The outcome of one picture: a dataclass of plain values, for `--json`, and a line."""

    def to_line(self) -> str:
        """One line for a person."""


class Wishes(Protocol):
    """What is asked of every picture of a run."""

    def expected_pixels(self, job: Job) -> float:
        """Output pixels by the file's header; 0 for a picture that will be refused."""

    def work(self, job: Job, restorer: "Restorer", progress: Progress) -> Any:
        """Do it to one picture; returns a `Told` dataclass."""


@dataclass(frozen=True)
class Enlarged:
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


@dataclass(frozen=True)
class Repaired:
    """One repaired picture, as `--json` prints it."""

    input: str
    output: str
    width: int  # pixels
    height: int
    seconds: float  # of the repair, without reading and writing files
    model: str
    strength: float  # 1 = what the network says
    experts: list[list[int]]  # chosen in each decoder block, the best first
    gates: list[list[float]]  # their weights
    skipped: float  # share of the multiply-adds of all experts that was not spent
    task: str | None  # nearest by the routing, None where the weights hold no signatures
    confidence: float | None  # of that, 0 to 1
    multiply_adds: float
    megapixels: float

    def to_line(self) -> str:
        """One line for a person."""
        chosen = " ".join("+".join(map(str, block)) for block in self.experts)
        line = f"{self.input} -> {self.output}: {self.width} x {self.height}, {self.seconds:.1f} s"
        line += f", experts {chosen}"
        if self.task is None or self.confidence is None:
            return line
        return f"{line}, looks like {self.task} ({self.confidence:.0%})"


@dataclass(frozen=True)
class Enlargement:
    """Enlarge every picture."""

    size: SizeRequest
    budget: float | None = None  # 0 to 1
    quality: int | None = None  # 1 to 100, for the outputs that are JPEG or WebP

    def expected_pixels(self, job: Job) -> float:
        """Output pixels by the file's header; 0 for a picture that will be refused."""
        return _expected_pixels(job, self.size)

    def work(self, job: Job, restorer: "Restorer", progress: Progress) -> Enlarged:
        """Read, enlarge and write one picture; what cannot be written is refused before the work.

        Raises:
            UsageError, ImageError: with one sentence.
        """
        picture = read_image(job.source)
        width, height = picture.width, picture.height
        size = self.size.resolve(width, height)
        kind = _kind(job.target) or picture.format
        quality = self.quality if kind in DEFAULT_QUALITY else None
        check_output(job.target, *size, kind, quality)
        if job.expert_map is not None:
            check_output(job.expert_map, *size)
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
        write_image(job.target, pixels, format=kind, quality=quality)
        if job.expert_map is not None and chart is not None:
            write_image(job.expert_map, chart)
        return Enlarged(
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


@dataclass(frozen=True)
class Repair:
    """Repair every picture."""

    strength: float = 1.0  # 0 to 1
    quality: int | None = None  # 1 to 100, for the outputs that are JPEG or WebP

    def expected_pixels(self, job: Job) -> float:
        """Output pixels by the file's header; 0 for a picture that will be refused."""
        return _expected_pixels(job, SizeRequest(scale=1.0))

    def work(self, job: Job, restorer: "Restorer", progress: Progress) -> Repaired:
        """Read, repair and write one picture; what cannot be written is refused before the work.

        Raises:
            UsageError, ImageError: with one sentence.
        """
        picture = read_image(job.source)
        width, height = picture.width, picture.height
        kind = _kind(job.target) or picture.format
        quality = self.quality if kind in DEFAULT_QUALITY else None
        check_output(job.target, width, height, kind, quality)
        started = time.perf_counter()
        pixels, routings = restorer.restore_with_routing(
            picture.pixels, strength=self.strength, progress=progress
        )
        seconds = time.perf_counter() - started
        from pixperts.analysis import Analysis

        found = Analysis.of(restorer, routings, (height, width))  # it may fail: nothing is written
        write_image(job.target, pixels, format=kind, quality=quality)
        return Repaired(
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


def _kind(path: Path) -> str | None:
    return SUFFIXES.get(path.suffix.lower())


def _expected_pixels(job: Job, request: SizeRequest) -> float:
    """Output pixels by the file's header; 0 for a picture that will be refused."""
    try:
        size = request.resolve(*_header_size(job.source))
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
