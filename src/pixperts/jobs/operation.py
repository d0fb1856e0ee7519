"""What is done to one picture file: `Operation`, with its phases read, compute and save."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pixperts import __version__
from pixperts.defaults import ColorFix
from pixperts.errors import ImageError, PixpertsError, UsageError
from pixperts.io.atomic import copy_file
from pixperts.io.decode import directory_count, header_size
from pixperts.io.formats import NAMES, SUFFIXES, is_video_path
from pixperts.io.image import check_output, read_image, write_image
from pixperts.io.lossless import is_lossless
from pixperts.io.metadata.metadata import NO_METADATA
from pixperts.io.vips import sniff
from pixperts.io.writable import writable_formats
from pixperts.jobs.job import Done, Job, Loaded, lossless_of
from pixperts.jobs.options import FileOptions
from pixperts.jobs.reports import Report
from pixperts.ops.pixels import Pixels

if TYPE_CHECKING:
    from pixperts.inference.predictor import AnyPredictor
    from pixperts.jobs.medium import Medium

Progress = Callable[[float], None]
Say = Callable[[str], None]


class Operation(ABC):
    """What is done to every picture of a run.

    A subclass is a dataclass: its fields that are not at their defaults are the settings in the
    manifest. `read` and `save` may run in other threads, beside the `compute` of another picture.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]
    does: ClassVar[str]  # in the settings of a manifest; lines that exist hold it, so it stays
    files: FileOptions
    color_fix: ColorFix

    @abstractmethod
    def apply(
        self, loaded: Loaded, predictor: "AnyPredictor", medium: "Medium", progress: Progress
    ) -> tuple[Report, Pixels | None]:
        """Fill the medium's sink; a report without seconds and notes, and the map of experts."""

    @abstractmethod
    def check_model(self, predictor: "AnyPredictor", jobs: Sequence[Job]) -> None:
        """Raise UsageError for a model that cannot do it."""

    def load(self, model: str, **options: Any) -> "AnyPredictor":
        """The model by its name or file; see `inference.load` for the options.

        Raises:
            ModelError, UsageError: as `inference.load`.
        """
        from pixperts.inference.loading import load

        return load(model, **options)

    def check_jobs(self, jobs: Sequence[Job]) -> None:
        """Raise UsageError for what no picture of the run could be done with."""
        self.files.check(jobs)

    @property
    def label(self) -> str:
        """What is added to the name of a result that nobody named."""
        return "result"

    def new_size(self, width: int, height: int) -> tuple[int, int]:
        """(width, height) of the result for a picture of this size."""
        return width, height

    def keeps(self, loaded: Loaded) -> bool:
        """Whether the result would be the file itself, so that it is copied byte by byte."""
        return False

    def expected_pixels(self, job: Job) -> float:
        """Output pixels by the file's header; 0 for a picture that will be refused."""
        try:
            if is_video_path(job.source):
                from pixperts.jobs.clips.work import expected_pixels

                return expected_pixels(self, job)
            size = self.new_size(*header_size(job.source, job.page))
            check_output(job.target, *size, _kind(job.target) or "png")
        except PixpertsError:
            return 0.0
        return float(size[0] * size[1])

    def read(self, job: Job) -> Loaded:
        """Decode one picture; what cannot be written is refused here, before the work.

        Raises:
            UsageError, ImageError: with one sentence.
        """
        if is_video_path(job.source):
            from pixperts.jobs.clips.work import read_job

            return read_job(self, job)
        picture = None
        try:
            found = header_size(job.source, job.page)
            new = self.new_size(*found)
            streamed = self.files.streams(found[0] * found[1] + new[0] * new[1])
        except ImageError:
            streamed = False  # reading it says better why it cannot be read
        if not streamed:
            picture = read_image(
                job.source,
                max_pixels=self.files.max_pixels,
                color=self.files.color,
                page=job.page,
                strict=self.files.strict,
            )
            found = (picture.width, picture.height)
        size = self.new_size(*found)
        own = sniff(job.source) if picture is None else picture.format
        if job.in_place:
            _check_in_place(job.source, own)
        named = None if job.in_place else _kind(job.target)
        kind = named or (own if own in writable_formats() else "png")
        kept = own == kind and is_lossless(job.source, kind)
        loaded = Loaded(job, picture, found, size, kind, self.files, is_lossless=kept)
        check_output(job.target, *size, kind, loaded.quality, lossless_of(loaded))
        if job.expert_map is not None:
            check_output(job.expert_map, *size)
        copied = own == kind and job.page is None and self.keeps(loaded)
        return replace(loaded, copied=copied)

    def compute(
        self,
        loaded: Loaded,
        predictor: "AnyPredictor",
        progress: Progress,
        say: Say = lambda sentence: None,
    ) -> Done:
        """Do it; a video, or a result that is too large to be held, is also written.

        Args:
            loaded: of `read`.
            predictor: the model.
            progress: called with the share that is done, rising to 1.
            say: called with what a person should know before the end.

        Raises:
            UsageError, ImageError: with one sentence.
        """
        if loaded.clip is not None:
            from pixperts.jobs.clips.work import make

            return Done(loaded, None, "", make(self, loaded, predictor, progress, say))
        from pixperts.jobs.medium import open_medium

        software = software_tag(predictor.name, loaded.source_size, loaded.size)
        started = time.perf_counter()
        with open_medium(loaded, software, self.color_fix) as medium:
            report, chart = self.apply(loaded, predictor, medium, progress)
            pixels = medium.finish(progress)
            if pixels is None:  # before the picture appears, see `save`
                self._save_chart(loaded, chart)
        seconds = round(time.perf_counter() - started, 3)
        report = replace(report, seconds=seconds, notes=[*medium.notes, *report.notes])
        return Done(loaded, pixels, software, report, chart)

    def save(self, done: Done) -> Report:
        """Write the picture, and before it the map of its experts.

        Raises:
            UsageError, ImageError: with one sentence.
        """
        loaded = done.loaded
        job, picture = loaded.job, loaded.picture
        # In this order, so that a picture that is there has everything that belongs to it.
        self._save_chart(loaded, done.chart)
        if loaded.copied:
            if not job.in_place:
                copy_file(job.source, job.target, loaded.check)
        elif done.pixels is not None:
            write_image(
                job.target,
                done.pixels,
                format=loaded.kind,
                quality=loaded.quality,
                lossless=lossless_of(loaded),
                metadata=NO_METADATA if picture is None else picture.metadata,
                software=done.software,
                strip_metadata=self.files.strip_metadata,
            )
        return done.report

    def _save_chart(self, loaded: Loaded, chart: Pixels | None) -> None:
        """Write the map of experts, where one is wanted."""
        if loaded.job.expert_map is not None and chart is not None:
            if loaded.check is not None:
                loaded.check()
            write_image(loaded.job.expert_map, chart)


def software_tag(model: str, source: tuple[int, int], size: tuple[int, int]) -> str:
    """What the result's metadata say of its making.

    Example:
        >>> software_tag("moeisr-tiny", (200, 100), (500, 250)).split(" ", 2)[2]
        'moeisr-tiny x2.5'
    """
    if source == size:
        return f"pixperts {__version__} {model}"
    factors = {round(new / old, 3) for new, old in zip(size, source, strict=True)}
    text = f"x{factors.pop():g}" if len(factors) == 1 else f"to {size[0]}x{size[1]}"
    return f"pixperts {__version__} {model} {text}"


def _check_in_place(path: Path, kind: str) -> None:
    """Raise UsageError for a picture that its result could not replace without a loss."""
    if kind not in writable_formats():
        raise UsageError(
            f"{path} is {NAMES[kind]}, which cannot be written: leave --in-place out, or convert "
            "it first."
        )
    if (pages := directory_count(path)) > 1:
        raise UsageError(
            f"{path} holds {pages} pictures, and only one would be left: leave --in-place out."
        )


def _kind(path: Path) -> str | None:
    return SUFFIXES.get(path.suffix.lower())
