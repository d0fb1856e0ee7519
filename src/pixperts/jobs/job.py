"""One picture's job: its files, how they are read and written, and what passes between phases."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pixperts.io.formats import DEFAULT_QUALITY
from pixperts.io.image import Picture
from pixperts.jobs.options import FileOptions
from pixperts.jobs.reports import Report
from pixperts.ops.pixels import Pixels

if TYPE_CHECKING:
    from pixperts.inference.streams import FileSink, FileSource
    from pixperts.ops.color_match import ColorFix


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


@dataclass(frozen=True, eq=False)
class Loaded:
    """What `read` hands to `compute`: the picture, and how its result will be written.

    `picture` is None where the picture is too large to be held: `stream` opens it and its result.
    """

    job: Job
    picture: Picture | None
    source_size: tuple[int, int]  # (width, height)
    size: tuple[int, int]  # of the result
    kind: str  # format of the output
    options: FileOptions
    # Raises where the outputs may not be written any more; a large picture takes hours.
    check: Callable[[], None] | None = None

    @property
    def quality(self) -> int | None:
        """Of this output's format."""
        return self.options.quality if self.kind in DEFAULT_QUALITY else None

    def stream(
        self, stack: ExitStack, software: str, color_fix: "ColorFix" = "none"
    ) -> "tuple[FileSource, FileSink]":
        """The picture and its result row by row; the result appears when `stack` ends well.

        The sink has to be told when it is complete.

        Raises:
            UsageError, ImageError: with one sentence.
        """
        from pixperts.inference.streams import FileSink, FileSource, FloatFile, MatchedSink
        from pixperts.io.rows import RowReader, RowWriter

        job, options = self.job, self.options

        def open_reader() -> RowReader:
            return RowReader(job.source, max_pixels=options.max_pixels, color=options.color)

        source = stack.enter_context(FileSource(open_reader))
        reader = source.reader
        writer = stack.enter_context(
            RowWriter(
                job.target,
                *self.size,
                reader.bands,
                reader.dtype,
                format=self.kind,
                quality=self.quality,
                lossless=lossless_of(self),
                metadata=reader.metadata,
                software=software,
                strip_metadata=options.strip_metadata,
                check=self.check,
            )
        )
        sink = FileSink(writer)
        if color_fix == "none":
            return source, sink
        draft = FloatFile(job.target, *self.size, reader.bands, writer.space)
        return source, MatchedSink(stack.enter_context(draft), source, sink, color_fix)


@dataclass(frozen=True, eq=False)
class Done:
    """What `compute` hands to `save`: pixels, and the report for when they are written."""

    loaded: Loaded
    pixels: Pixels | None  # None: the rows are written already
    software: str
    report: Report
    chart: Pixels | None = None  # the map of experts


def lossless_of(loaded: Loaded) -> bool | None:
    """Whether the result is written without loss; None leaves it to the format."""
    return loaded.options.lossless or None
