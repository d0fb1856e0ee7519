"""The phases of a picture's work that touch files: reading it, writing what became of it."""

import math
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pixperts import __version__
from pixperts.codec import WRITABLE, libvips, sniff
from pixperts.errors import ImageError, PixpertsError, UsageError
from pixperts.image import (
    DEFAULT_QUALITY,
    MAX_PIXELS,
    SUFFIXES,
    Metadata,
    Picture,
    Pixels,
    check_output,
    losses,
    read_image,
    write_image,
)
from pixperts.metadata import NO_METADATA
from pixperts.png_texts import refuse_bomb
from pixperts.told import Told

if TYPE_CHECKING:
    from pixperts.color_fix import ColorFix
    from pixperts.rasters import FileCanvas, FileSource

# Pixels of input and output together beyond which rows are read and written as they are needed.
STREAMED_PIXELS = 48_000_000
_HELD = 40.0  # bytes for each of them while they are in memory, copies included


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
    """How files are read and written."""

    quality: int | None = None  # 1 to 100, for the outputs whose format loses something
    lossless: bool = False  # where the format can
    color: str = "keep"  # keep the profile and its encoding, or srgb: convert
    strip_metadata: bool = False  # all but the profile
    # Of an input; it refuses pictures, and changes none.
    max_pixels: int = field(default=MAX_PIXELS, metadata={"setting": False})
    max_memory: float | None = field(default=None, metadata={"setting": False})  # bytes

    def streams(self, pixels: int) -> bool:
        """Whether so many pixels, of input and output together, are too many to be held."""
        limit = math.inf if self.max_memory is None else 0.25 * self.max_memory
        return pixels > STREAMED_PIXELS or pixels * _HELD > limit

    def check(self, jobs: Sequence[Job]) -> None:
        """Raise UsageError for a value out of its range, or one that no output could use."""
        if self.color not in ("keep", "srgb"):
            raise UsageError(f"--color is {self.color!r}, but must be keep or srgb.")
        if self.max_pixels < 1:
            raise UsageError(f"--max-pixels is {self.max_pixels}, but must be at least 1.")
        if self.quality is None:
            return
        if not 1 <= self.quality <= 100:
            raise UsageError(f"--quality is {self.quality}, but must lie between 1 and 100.")
        kinds = {SUFFIXES.get(job.target.suffix.lower(), "unknown") for job in jobs}
        if kinds.isdisjoint({*DEFAULT_QUALITY, "unknown"}):
            known = ", ".join(DEFAULT_QUALITY)
            raise UsageError(f"--quality does not apply, because no output is {known}: drop it.")


FILE_OPTIONS = FileOptions()  # the usual ones


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
    ) -> "tuple[FileSource, FileCanvas]":
        """The picture and its result row by row; the result appears when `stack` ends well.

        The canvas has to be told when it is complete.

        Raises:
            UsageError, ImageError: with one sentence.
        """
        from pixperts.rasters import FileCanvas, FileSource, FloatFile, MatchedCanvas
        from pixperts.rows import RowReader, RowWriter

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
                lossless=_lossless(self),
                metadata=reader.metadata,
                software=software,
                strip_metadata=options.strip_metadata,
                check=self.check,
            )
        )
        canvas = FileCanvas(writer)
        if color_fix == "none":
            return source, canvas
        draft = FloatFile(job.target, *self.size, reader.bands, writer.space)
        return source, MatchedCanvas(stack.enter_context(draft), source, canvas, color_fix)


@dataclass(frozen=True, eq=False)
class Done:
    """What `compute` hands to `save`: pixels, and what will be told once they are written."""

    loaded: Loaded
    pixels: Pixels | None  # None: the rows are written already
    software: str
    told: Told
    chart: Pixels | None = None  # the map of experts


class Files:
    """`read` and `save`, the same for every wish."""

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
        picture = None
        try:
            found = header_size(job.source)
            new = self.new_size(*found)
            streamed = self.files.streams(found[0] * found[1] + new[0] * new[1])
        except ImageError:
            streamed = False  # reading it says better why it cannot be read
        if not streamed:
            picture = read_image(
                job.source, max_pixels=self.files.max_pixels, color=self.files.color
            )
            found = (picture.width, picture.height)
        size = self.new_size(*found)
        own = sniff(job.source) if picture is None else picture.format
        kind = _kind(job.target) or (own if own in WRITABLE else "png")
        loaded = Loaded(job, picture, found, size, kind, self.files)
        check_output(job.target, *size, kind, loaded.quality, _lossless(loaded))
        if job.expert_map is not None:
            check_output(job.expert_map, *size)
        return loaded

    def save(self, done: Done) -> Told:
        """Write the picture, and before it the map of its experts.

        Raises:
            UsageError, ImageError: with one sentence.
        """
        loaded = done.loaded
        job, picture = loaded.job, loaded.picture
        # In this order, so that a picture that is there has everything that belongs to it.
        self.save_chart(loaded, done.chart)
        if done.pixels is not None:
            write_image(
                job.target,
                done.pixels,
                format=loaded.kind,
                quality=loaded.quality,
                lossless=_lossless(loaded),
                metadata=NO_METADATA if picture is None else picture.metadata,
                software=done.software,
                strip_metadata=self.files.strip_metadata,
            )
        return done.told

    def save_chart(self, loaded: Loaded, chart: Pixels | None) -> None:
        """Write the map of experts, where one is asked for."""
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


def notes_of(loaded: Loaded, source: "FileSource | None" = None) -> list[str]:
    """What the user should know: what reading changed, and what the output cannot hold."""
    if source is not None:
        reader = source.reader
        notes, dtype, bands = reader.notes, reader.dtype, reader.bands
        metadata: Metadata = reader.metadata
    else:
        assert loaded.picture is not None
        pixels = loaded.picture.pixels
        notes, dtype, bands = loaded.picture.notes, pixels.dtype, pixels.shape[2]
        metadata = loaded.picture.metadata
    if loaded.options.strip_metadata:
        metadata = metadata.stripped()
    return [*notes, *losses(loaded.kind, dtype, bands, metadata)]


def reporting(progress: Callable[[float], None], start: float) -> Callable[[float], None]:
    """Progress of what remains after a first share that is not reported."""
    return lambda share: progress(start + (1 - start) * share)


def _lossless(loaded: Loaded) -> bool | None:
    return loaded.options.lossless or None


def _kind(path: Path) -> str | None:
    return SUFFIXES.get(path.suffix.lower())


def header_size(path: Path) -> tuple[int, int]:
    """Upright (width, height) without decoding; ImageError where there is no such header."""
    if not os.path.isfile(path):
        raise ImageError(f"{path} is not a regular file: name a picture file.")
    refuse_bomb(path)
    try:
        # Through a source, because a file name with brackets would be taken for options.
        source = libvips().Source.new_from_file(os.fsencode(path))
        image = libvips().Image.new_from_source(source, "", access="sequential")
        turned = image.get_typeof("orientation") and image.get("orientation") in range(5, 9)
    except libvips().Error as error:
        raise ImageError(f"{path} cannot be decoded: copy it again.") from error
    return (image.height, image.width) if turned else (image.width, image.height)
