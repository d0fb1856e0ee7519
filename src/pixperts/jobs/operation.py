"""What is done to one file: `Operation`, in three phases: `read`, `compute` and `save`."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pixperts import __version__
from pixperts.defaults import ColorFix
from pixperts.errors import ImageError, PixpertsError, UsageError, named
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
    does: ClassVar[str]  # in the settings of manifests; it must not change, as files hold it
    files: FileOptions
    color_fix: ColorFix

    @abstractmethod
    def apply(
        self, loaded: Loaded, predictor: "AnyPredictor", medium: "Medium", progress: Progress
    ) -> tuple[Report, Pixels | None]:
        """Do the work: read from `medium.source`, fill `medium.sink`.

        Args:
            loaded: the picture, of `read`.
            predictor: the model.
            medium: where pixels come from and go to.
            progress: called with the share of the work that is done, 0 to 1.

        Returns:
            A report without seconds and notes, and the map of experts (H, W, C) or None.
        """

    @abstractmethod
    def check_model(self, predictor: "AnyPredictor", jobs: Sequence[Job]) -> None:
        """Raise UsageError for a model that cannot do this to these jobs."""

    def load(self, model: str, **options: Any) -> "AnyPredictor":
        """The model by its name or file; see `inference.load` for the options.

        Raises:
            ModelError, UsageError: as `inference.load`.
        """
        from pixperts.inference.loading import load

        return load(model, **options)

    def check_jobs(self, jobs: Sequence[Job]) -> None:
        """Raise UsageError for options that do not fit the jobs of a run."""
        self.files.check(jobs)

    @property
    def label(self) -> str:
        """The text that is added to the input's name if no output is named."""
        return "result"

    def new_size(self, width: int, height: int) -> tuple[int, int]:
        """(width, height) of the result for a picture of this size, in pixels."""
        return width, height

    def keeps(self, loaded: Loaded) -> bool:
        """Whether the result would be the file itself, so that it is copied byte by byte."""
        return False

    def expected_pixels(self, job: Job) -> float:
        """Output pixels, by the header of the input; 0 for a file that will be refused."""
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
        """Read one file, and check that its result can be written.

        Raises:
            UsageError: the result cannot be written in this format, size or place.
            ImageError: the file cannot be read.
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
            streamed = False  # `read_image` says more precisely what is wrong
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
        wanted = None if job.in_place else _kind(job.target)
        kind = wanted or (own if own in writable_formats() else "png")
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
        """Compute the result; a video, or a result too large for the memory, is also written.

        Args:
            loaded: the result of `read`.
            predictor: the model.
            progress: called with the share of the work that is done, 0 to 1.
            say: called with sentences that the user should see before the end.

        Raises:
            UsageError: the result needs more memory than there is.
            ImageError: a file cannot be read or written.
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
            if pixels is None:  # the map is written before the picture appears, as in `save`
                self._save_chart(loaded, chart)
        seconds = round(time.perf_counter() - started, 3)
        report = replace(report, seconds=seconds, notes=[*medium.notes, *report.notes])
        return Done(loaded, pixels, software, report, chart)

    def save(self, done: Done) -> Report:
        """Write the map of experts, if one is wanted, and then the picture.

        Raises:
            UsageError: the picture cannot be written in this format.
            ImageError: a file cannot be written.
        """
        loaded = done.loaded
        job, picture = loaded.job, loaded.picture
        # In this order, so that a picture that exists always has its map.
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
    """The text on pixperts, model and factor in the metadata of a result.

    Args:
        model: its name.
        source: (width, height) of the input.
        size: (width, height) of the result.

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
            f"{path} is {NAMES[kind]}, which cannot be written: leave {named('in_place')} out, "
            "or convert it first."
        )
    if (pages := directory_count(path)) > 1:
        raise UsageError(
            f"{path} holds {pages} pictures, and only one would be left: leave "
            f"{named('in_place')} out."
        )


def _kind(path: Path) -> str | None:
    return SUFFIXES.get(path.suffix.lower())
