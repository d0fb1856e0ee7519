"""The phases of a picture's work that touch files: reading it, writing what became of it."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pixperts import __version__
from pixperts.errors import ImageError, PixpertsError
from pixperts.io.decode import header_size
from pixperts.io.encode import losses
from pixperts.io.formats import SUFFIXES, WRITABLE
from pixperts.io.image import check_output, read_image, write_image
from pixperts.io.metadata import NO_METADATA, Metadata
from pixperts.io.vips import sniff
from pixperts.jobs.job import Done, Job, Loaded, lossless_of
from pixperts.jobs.options import FileOptions
from pixperts.jobs.reports import Report
from pixperts.ops.pixels import Pixels

if TYPE_CHECKING:
    from pixperts.inference.streams import FileSource


class Files:
    """`read` and `save`, the same for every operation."""

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
        check_output(job.target, *size, kind, loaded.quality, lossless_of(loaded))
        if job.expert_map is not None:
            check_output(job.expert_map, *size)
        return loaded

    def save(self, done: Done) -> Report:
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
                lossless=lossless_of(loaded),
                metadata=NO_METADATA if picture is None else picture.metadata,
                software=done.software,
                strip_metadata=self.files.strip_metadata,
            )
        return done.report

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


def _kind(path: Path) -> str | None:
    return SUFFIXES.get(path.suffix.lower())
