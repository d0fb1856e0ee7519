"""Where the pixels of one picture come from and go to: memory, or files row by row.

An operation reads from a `PixelSource` and fills a `PixelSink`, so that both work alike.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Protocol

from pixperts.defaults import ColorFix
from pixperts.inference.streams import (
    ArraySink,
    ArraySource,
    FileSink,
    FileSource,
    FloatFile,
    MatchedSink,
    NoSink,
    PixelSink,
    PixelSource,
)
from pixperts.io.arrays import to_tensor
from pixperts.io.color.light import check_light
from pixperts.io.decode import directory_count
from pixperts.io.image import Picture
from pixperts.io.metadata.losses import losses
from pixperts.io.metadata.metadata import Metadata
from pixperts.io.rows import RowReader, RowWriter
from pixperts.jobs.curves import (
    compressed,
    curve_of,
    curve_of_rows,
    for_network,
    is_outside,
    notes_of,
)
from pixperts.jobs.job import Loaded, lossless_of
from pixperts.memory import check_memory
from pixperts.ops.color_match import match_picture
from pixperts.ops.pixels import Pixels


class Medium(Protocol):
    """One picture and its result.

    Attributes:
        source: the picture.
        sink: its result.
        held: whether both are in memory.
        notes: sentences for the user on what reading changed and what the output cannot store.
    """

    source: PixelSource
    sink: PixelSink
    held: bool
    notes: list[str]

    def finish(self, progress: Callable[[float], None]) -> Pixels | None:
        """The result (H, W, C) once the sink is filled; None if it is in its file already."""


class InMemory:
    """A picture that was decoded as a whole, and a result that is written later."""

    held = True

    def __init__(self, loaded: Loaded, picture: Picture, color_fix: ColorFix) -> None:
        own = picture.metadata
        check_light(loaded.job.target, loaded.kind, picture.pixels.dtype, own, silent=False)
        self._curve = curve_of(picture.pixels, own)
        self._pixels, self._back = to_tensor(compressed(picture.pixels, self._curve))
        width, height = loaded.size
        check_memory(width, height)
        self.source: PixelSource = ArraySource(self._pixels)
        self._filled = ArraySink(1, self._pixels.shape[1], height, width)
        self.sink: PixelSink = self._filled
        self._color_fix = color_fix
        lost = losses(
            loaded.kind,
            picture.pixels.dtype,
            picture.pixels.shape[2],
            _kept(loaded, picture.metadata),
            picture.bits,
            outside=is_outside(self._curve),
        )
        self.notes = [*picture.notes, *notes_of(loaded.job.source, self._curve), *lost]

    def finish(self, progress: Callable[[float], None]) -> Pixels | None:
        """Pixels (H, W, C) of the input's type."""
        pixels: Pixels = self._back(
            match_picture(self._filled.image, self._pixels, self._color_fix)
        )
        return pixels if self._curve is None else self._curve.expand(pixels)


class Copied:
    """A picture whose file is copied as it is; it is read all the same, to find damage.

    Notes of reading are reported for files with a single picture. Of files with several only one
    is read, but all are copied.
    """

    held = True

    def __init__(self, loaded: Loaded, source: PixelSource, notes: Sequence[str]) -> None:
        several = directory_count(loaded.job.source) > 1
        self.notes: list[str] = [] if several else list(notes)
        self.source = source
        self.sink: PixelSink = NoSink()

    def finish(self, progress: Callable[[float], None]) -> Pixels | None:
        """None: the file is copied."""
        return None


class Streamed:
    """An input and an output file that are read and written row by row.

    The result appears under its name when the context `close` ends without an error.
    """

    held = False

    def __init__(self, loaded: Loaded, software: str, color_fix: ColorFix) -> None:
        job, options = loaded.job, loaded.options

        with ExitStack() as stack:
            file = stack.enter_context(_rows_of(loaded))
            self.source: PixelSource = file
            reader = file.reader
            check_light(job.target, loaded.kind, reader.dtype, reader.metadata, silent=False)
            writer = stack.enter_context(
                RowWriter(
                    job.target,
                    *loaded.size,
                    reader.bands,
                    reader.dtype,
                    format=loaded.kind,
                    quality=loaded.quality,
                    lossless=lossless_of(loaded),
                    metadata=reader.metadata,
                    software=software,
                    strip_metadata=options.strip_metadata,
                    check=loaded.check,
                )
            )
            self._filled = FileSink(writer, file.curve)
            if color_fix != "none":
                draft = FloatFile(job.target, *loaded.size, reader.bands, writer.space)
                stack.enter_context(draft)
                self._filled = MatchedSink(draft, file, self._filled, color_fix)
            self.sink: PixelSink = self._filled
            lost = losses(
                loaded.kind,
                reader.dtype,
                reader.bands,
                _kept(loaded, reader.metadata),
                reader.bits,
                outside=is_outside(file.curve),
            )
            self.notes = [*reader.notes, *notes_of(job.source, file.curve), *lost]
            self.close = stack.pop_all()

    def finish(self, progress: Callable[[float], None]) -> Pixels | None:
        """None, once the colors are matched, if that is wanted, and all rows are written."""
        self._filled.complete(progress)
        return None


@contextmanager
def open_medium(loaded: Loaded, software: str, color_fix: ColorFix) -> Iterator[Medium]:
    """A context with the medium of a picture: in memory if `read` decoded it, else streamed.

    Raises:
        UsageError: the result needs more memory than there is, or cannot hold the colors.
        ImageError: a file cannot be read or written.
    """
    if loaded.copied and loaded.picture is not None:
        source = ArraySource(to_tensor(for_network(loaded.picture))[0])
        yield Copied(loaded, source, loaded.picture.notes)
        return
    if loaded.copied:
        with _rows_of(loaded) as file:
            yield Copied(loaded, file, file.reader.notes)
        return
    if loaded.picture is not None:
        yield InMemory(loaded, loaded.picture, color_fix)
        return
    medium = Streamed(loaded, software, color_fix)
    with medium.close:
        yield medium


def _rows_of(loaded: Loaded) -> FileSource:
    job, options = loaded.job, loaded.options

    def open_reader() -> RowReader:
        return RowReader(
            job.source,
            max_pixels=options.max_pixels,
            color=options.color,
            page=job.page,
            strict=options.strict,
        )

    return FileSource(open_reader, curve_of_rows(open_reader))


def _kept(loaded: Loaded, metadata: Metadata) -> Metadata:
    return metadata.stripped() if loaded.options.strip_metadata else metadata
