"""A video through `Operation`: probed by `read_job`, made by `make`.

Each frame goes the way of a picture, `Operation.compute`, and then into a segment.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from pixperts import __version__
from pixperts.errors import ImageError, named, printable
from pixperts.io.atomic import appearing
from pixperts.io.image import Picture, check_place
from pixperts.jobs.clips.parts import Parts, segment_length
from pixperts.jobs.clips.steady import Steadiness, hold
from pixperts.jobs.job import ClipPlan, Job, Loaded
from pixperts.jobs.manifest import settings_of
from pixperts.jobs.reports import EnhanceReport, RestoreReport, UpscaleReport, VideoReport, duration
from pixperts.ops.pixels import Pixels
from pixperts.video.clip import read_clip
from pixperts.video.frames import Timeline, read_frames, survey
from pixperts.video.joining import beside, join
from pixperts.video.library import library
from pixperts.video.segments import write_segment
from pixperts.weights.checksums import file_sha256

if TYPE_CHECKING:
    from pixperts.inference.predictor import AnyPredictor
    from pixperts.jobs.operation import Operation

_MEASURED = 3  # frames after which the time is estimated; the first one warms up and is not counted

Progress = Callable[[float], None]
Say = Callable[[str], None]


def read_job(operation: "Operation", job: Job) -> Loaded:
    """Read the header of a video, and check that its result can be written.

    Raises:
        UsageError: the result cannot be written with this codec, size or place.
        ImageError: the video cannot be read, or its frames are too large.
    """
    files = operation.files
    clip = read_clip(job.source)
    width, height = clip.size
    if width * height > files.max_pixels:
        raise ImageError(
            f"{job.source} has frames of {width} x {height} pixels, more than {files.max_pixels}: "
            f"allow more with {named('max_pixels')}."
        )
    encoding = files.video.chosen(job.target, clip.deep)
    check_place(job.target)
    wanted = operation.new_size(width, height)
    notes = list(clip.notes)
    size = (wanted[0] + wanted[0] % 2, wanted[1] + wanted[1] % 2)
    if size != wanted:
        notes.append(
            f"{job.target} has {size[0]} x {size[1]} pixels and not {wanted[0]} x {wanted[1]}, as "
            "videos have even sides."
        )
    if clip.deep and encoding.pixel_format == "yuv420p":
        notes.append(f"{job.target} has 8 bits where {job.source} has {clip.bits}.")
    extra = beside(clip, encoding, job.target)
    plan = ClipPlan(clip, encoding, extra, (*notes, *extra.notes))
    # What does not grow keeps its sides while it is computed, and is padded when it is encoded.
    kept = wanted == (width, height)
    loaded = Loaded(
        job, None, (width, height), wanted if kept else size, encoding.container, files, clip=plan
    )
    same = job.target.suffix.lower() == job.source.suffix.lower()
    return replace(loaded, copied=same and operation.keeps(loaded))


def expected_pixels(operation: "Operation", job: Job) -> float:
    """Number of output pixels of all frames, by the header of the file."""
    clip = read_clip(job.source)
    width, height = operation.new_size(*clip.size)
    return float(width * height * max(clip.frames, 1))


def make(
    operation: "Operation",
    loaded: Loaded,
    predictor: "AnyPredictor",
    progress: Progress,
    say: Say,
) -> VideoReport:
    """Make the video, which appears as a whole when it is finished.

    Segments of an earlier run are used if source, settings and weights are the same.

    Raises:
        UsageError: a frame needs more memory than there is.
        ImageError: a file cannot be read or written.
    """
    work = _Work(operation, loaded, predictor, progress, say)
    started = time.perf_counter()
    work.run()
    return work.report(time.perf_counter() - started)


class _Work:
    """The work on one video; see `make`."""

    def __init__(
        self,
        operation: "Operation",
        loaded: Loaded,
        predictor: "AnyPredictor",
        progress: Progress,
        say: Say,
    ) -> None:
        assert loaded.clip is not None
        self.operation, self.loaded, self.predictor = operation, loaded, predictor
        self.progress, self.say = progress, say
        self.plan, self.clip = loaded.clip, loaded.clip.clip
        # The size as frames are stored; players may rotate them.
        self.stored = self.clip.swapped(*loaded.size)
        self.reports: list[UpscaleReport | RestoreReport | EnhanceReport] = []
        self.clock: list[float] = []
        self.timeline = Timeline((), 0, Fraction(1), ())
        self.steady = Steadiness({})
        self.left = self.start = 0

    def run(self) -> None:
        job = self.loaded.job
        if self.loaded.copied:
            return
        self.timeline = survey(
            self.clip, strict=self.loaded.options.strict, advance=lambda _: self.progress(0.0)
        )
        frames = len(self.timeline)
        length = segment_length(*self.stored)
        with Parts(job.target, self._settings(), length) as parts:
            pieces = [range(at, min(at + length, frames)) for at in range(0, frames, length)]
            paths = [parts.segment(number) for number in range(len(pieces))]
            whole = list(zip(pieces, paths, strict=True))
            missing = [piece for piece, path in whole if not path.exists()]
            self.left = sum(map(len, missing))
            self.start = missing[0].start if missing else frames
            if parts.resumed:
                name = printable(str(job.source))
                self.say(f"{name}: {frames - self.left} of {frames} frames were done before.")
            if missing:
                self.steady = hold(
                    self.predictor, self.clip, self.timeline, self.start, self.stored
                )
                source = read_frames(self.clip, self.timeline, self.start)
                for piece, path in whole:
                    if not path.exists():
                        self._write(path, piece, source)
            with appearing(job.target, self.loaded.check) as temporary:
                join(
                    paths, temporary, self.clip, self.timeline, self.plan.encoding,
                    self.plan.beside, strip_metadata=self.loaded.options.strip_metadata,
                    factors=self._factors(),
                )  # fmt: skip
            parts.remove()

    def _write(self, path: Path, piece: range, source: Iterator[tuple[int, Pixels]]) -> None:
        frames = (self._computed(n, pixels) for n, pixels in source if n >= piece.start)
        first = (pixels for _, pixels in zip(piece, frames, strict=False))
        if write_segment(path, self.clip, self.plan.encoding, first) != len(piece):
            path.unlink()
            raise ImageError(f"{self.clip.path} changed while it was read: start again.")

    def _computed(self, number: int, pixels: Pixels) -> Pixels:
        """The result of one frame, the same as for a picture of these pixels."""
        files = self.loaded.options
        frame = Loaded(
            self.loaded.job,
            Picture(pixels, "png", self.clip.path),
            (self.clip.stored_width, self.clip.stored_height),
            self.stored,
            "png",
            files,
            scene=self.steady.of(self.timeline.scene_of(number)),
        )
        done = len(self.reports)
        self.clock.append(time.perf_counter())
        if done == _MEASURED:
            self._estimate()
        made = self.operation.compute(
            frame, self.predictor, lambda share: self.progress((done + share) / (self.left + 1))
        )
        assert isinstance(made.report, UpscaleReport | RestoreReport | EnhanceReport)
        assert made.pixels is not None
        self.reports.append(made.report)
        return made.pixels

    def _estimate(self) -> None:
        each = (self.clock[-1] - self.clock[1]) / (_MEASURED - 1)
        left = self.left - _MEASURED
        (width, height), (new_width, new_height) = self.loaded.source_size, self.loaded.size
        self.say(
            f"{printable(str(self.clip.path))}: {left} frames of {width} x {height} to {new_width} "
            f"x {new_height} remain, {each:.2g} s each: about {duration(each * left)}."
        )

    def _factors(self) -> tuple[Fraction, Fraction]:
        width, height = self.stored
        return Fraction(width, self.clip.stored_width), Fraction(height, self.clip.stored_height)

    def _settings(self) -> dict[str, object]:
        """All that the bytes of a segment depend on."""
        encoding = self.plan.encoding
        return {
            "input_sha256": file_sha256(self.loaded.job.source),
            "settings": settings_of(self.operation, self.predictor),
            "weights_sha256": self.predictor.weights_sha256,
            "encoding": [encoding.codec.encoder, encoding.pixel_format, encoding.options],
            "size": self.stored,
            "frames": len(self.timeline),
            "versions": [__version__, library(self.clip.path).__version__],
        }

    def report(self, seconds: float) -> VideoReport:
        """The report on the video."""
        job, encoding = self.loaded.job, self.plan.encoding
        (width, height), size, count = self.loaded.source_size, self.loaded.size, len(self.timeline)
        size = (size[0] + size[0] % 2, size[1] + size[1] % 2)
        costs = [
            one.mean_cost
            for one in self.reports
            if not isinstance(one, RestoreReport) and one.mean_cost
        ]
        notes = [*self.timeline.notes, *self.steady.notes]
        if self.loaded.copied:
            size, notes = (width, height), []
        return VideoReport(
            input=str(job.source),
            output=str(job.target),
            width=width,
            height=height,
            new_width=size[0],
            new_height=size[1],
            seconds=round(seconds, 3),
            model=self.predictor.name,
            frames=count if not self.loaded.copied else self.clip.frames,
            computed=len(self.reports),
            scenes=len(self.timeline.scenes),
            rate=float(self.clip.rate),
            codec=None if self.loaded.copied else encoding.name,
            crf=None if self.loaded.copied else encoding.crf,
            copied={} if self.loaded.copied else self.plan.beside.kinds,
            mean_cost=sum(costs) / len(costs) if costs else None,
            multiply_adds=sum(report.multiply_adds for report in self.reports),
            megapixels=size[0] * size[1] * len(self.reports) / 1e6,
            notes=[*([] if self.loaded.copied else self.plan.notes), *notes],
        )
