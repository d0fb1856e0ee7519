"""Pictures row by row, for those that are larger than the memory: the same pixels and the same
files as `image.read_image` and `image.write_image` give at once.
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import numpy as np
from numpy.typing import DTypeLike

from pixperts.defaults import MAX_PIXELS
from pixperts.errors import ImageError, UsageError
from pixperts.io.atomic import Temporary, replacing
from pixperts.io.color.light import check_light, encoded, is_encoded
from pixperts.io.decode import Opened, open_picture
from pixperts.io.encode import Recipe, encode
from pixperts.io.formats import PathLike
from pixperts.io.image import check_output, format_of
from pixperts.io.metadata.metadata import NO_METADATA, Metadata
from pixperts.io.tiff.plain import plain_header
from pixperts.io.vips import libvips, reason
from pixperts.ops.pixels import DTYPES, Pixels, for_format, stored_shape, upright

_BAND = 256  # rows that are decoded at a time in a pass over all of them
_IN_MEMORY = 100_000_000  # bytes of a turned picture that need no temporary file
_LOSSY_SHARE = 0.5  # compressed bytes per byte of pixels; lossless results may not shrink at all


class RowReader:
    """The rows of a picture file from the top downwards, upright; a context manager.

    What `read_image` returns is spread over `width`, `height`, `bands`, `dtype`, `format`,
    `metadata`, `notes` and `bits`. Only the rows in use are in memory, with exceptions: WebP, AVIF,
    GIF, what extras read, interlaced PNG and progressive JPEG are decoded whole; a picture that is
    turned or upside down is decoded into a temporary file first, in memory up to 100 MB.

    Raises as `read_image`: for the header at once, for damaged pixels in `rows`.
    """

    def __init__(
        self,
        path: PathLike,
        *,
        max_pixels: int = MAX_PIXELS,
        color: str = "keep",
        page: int | None = None,
        strict: bool = False,
    ) -> None:
        opened = open_picture(Path(path), max_pixels, color, page=page, strict=strict)
        self.path = opened.path
        self.format = opened.format
        self.width, self.height = opened.size
        self.bands = int(opened.image.bands)
        self.dtype = opened.dtype
        self.metadata = opened.metadata
        self.notes = opened.notes
        self.bits = opened.bits
        self._opened: Opened | None = opened
        self._turned: _Turned | None = None
        self._begin = 0  # the upright row of the first one kept
        self._kept: Pixels = np.empty((0, self.width, self.bands), self.dtype)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file and the rows."""
        if self._turned is not None:
            self._turned.close()
        self._opened = self._turned = None
        self._kept = self._kept[:0]

    def rows(self, top: int, bottom: int) -> Pixels:
        """The rows from `top` to before `bottom` as a new (bottom - top, width, bands) array.

        `top` may not lie above that of the call before; windows may overlap or leave rows out.

        Raises UsageError for other rows or after `close`, ImageError for damaged pixels.
        """
        opened = self._opened
        if opened is None:
            raise UsageError(f"{self.path} is closed: open it again.")
        if not (self._begin <= top < bottom <= self.height):
            raise UsageError(
                f"Rows {top} to {bottom} of {self.path} cannot be read: they must be between "
                f"{self._begin}, where the previous call began, and {self.height}."
            )
        if opened.orientation > 2:
            if self._turned is None:
                self._turned = _Turned(opened)
            self._begin = top
            return self._turned.rows(top, bottom)
        end = self._begin + len(self._kept)
        while end < top:  # a gap: sequential decoders cannot leap
            step = min(top, end + _BAND)
            opened.decode(end, step)
            end = step
            self._kept, self._begin = self._kept[:0], end
        parts = [self._kept[top - self._begin :]]
        if end < bottom:
            parts.append(upright(opened.decode(end, bottom), opened.orientation))
        self._kept = np.concatenate(parts)
        self._begin = top
        return self._kept[: bottom - top].copy()


class _Turned:
    """A picture decoded into a temporary file as turned blocks, each from some rows of the file.

    A block holds what its rows become in the upright picture: whole rows where they are only put
    upside down, or some columns of every row where they are turned. Either way the upright rows
    of a block lie one behind the other.
    """

    def __init__(self, opened: Opened) -> None:
        self._orientation = opened.orientation
        self._size = opened.size
        image = opened.image
        self._width, self._height = image.width, image.height
        self._bands, self._dtype = image.bands, opened.dtype
        folder = tempfile.gettempdir()
        self._file: IO[bytes] = tempfile.SpooledTemporaryFile(_IN_MEMORY, "w+b", dir=folder)  # noqa: SIM115
        size = self._width * self._height * self._bands * self._dtype.itemsize
        try:
            if size > _IN_MEMORY:
                check_space(Path(folder), size, opened.path, "turned upright")
            for top in range(0, self._height, _BAND):
                rows = opened.decode(top, min(top + _BAND, self._height))
                self._file.write(upright(rows, self._orientation).tobytes())
        except OSError as error:
            self.close()
            raise ImageError(
                f"{opened.path} could not be turned upright in {folder} ({reason(error)}): make "
                "room there or set TMPDIR to another folder."
            ) from error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._file.close()

    def rows(self, top: int, bottom: int) -> Pixels:
        result = np.empty((bottom - top, self._size[0], self._bands), self._dtype)
        backwards = self._orientation in (3, 4, 6, 7)  # the file's first rows are last upright
        for start in range(0, self._height, _BAND):
            depth = min(_BAND, self._height - start)
            first = self._height - start - depth if backwards else start
            at = start * self._width  # pixels of the file before this block
            if self._orientation >= 5:
                # The block is (W, depth, C) and fills columns first to first + depth.
                part = self._read(at + top * depth, (bottom - top, depth, self._bands))
                result[:, first : first + depth] = part
                continue
            begin, end = max(first, top), min(first + depth, bottom)
            if begin < end:
                shape = (end - begin, self._width, self._bands)
                result[begin - top : end - top] = self._read(
                    at + (begin - first) * self._width, shape
                )
        return result

    def _read(self, at: int, shape: tuple[int, int, int]) -> Pixels:
        self._file.seek(at * self._bands * self._dtype.itemsize)
        data = self._file.read(int(np.prod(shape)) * self._dtype.itemsize)
        return np.frombuffer(data, self._dtype).reshape(shape)


class RowWriter:
    """Write a picture file from its rows, from the top downwards; a context manager.

    The options are those of `write_image`, and so is the file. Rows go to a hidden uncompressed
    file beside the target; when the block ends without an error they are encoded from there into
    a second one, which replaces the target. JPEG, PNG and TIFF are encoded row by row; the
    other formats take the whole picture into memory.

    `check` is called before anything is made in the folder, before the encoding, and before the
    target is replaced; what it raises leaves the target as it was.

    Raises UsageError and ImageError as `write_image`, ImageError where the disk has no room for
    both files.
    """

    def __init__(
        self,
        path: PathLike,
        width: int,
        height: int,
        bands: int,
        dtype: DTypeLike,
        *,
        format: str | None = None,  # noqa: A002
        quality: int | None = None,
        lossless: bool | None = None,
        metadata: Metadata | None = None,
        software: str | None = None,
        strip_metadata: bool = False,
        check: Callable[[], None] | None = None,
    ) -> None:
        if check is not None:
            check()
        self._check = check
        self.path = Path(path)
        self.width, self.height, self.bands = width, height, bands
        self.dtype = np.dtype(dtype)
        if self.dtype not in DTYPES or bands not in range(1, 5) or min(width, height) < 1:
            raise UsageError(
                f"{path} cannot be {width} x {height} pixels with {bands} channels of "
                f"{self.dtype}: give 1 to 4 channels of uint8, uint16 or float32."
            )
        kind = format_of(self.path, format)
        check_output(self.path, width, height, kind, quality, lossless)
        known = metadata or NO_METADATA
        check_light(self.path, kind, self.dtype, known, silent=True)
        self._encode = is_encoded(kind, self.dtype, known)
        known = encoded(kind, self.dtype, known)
        self._recipe = Recipe(kind, quality, bool(lossless), known, software, strip_metadata)
        self._stored = stored_shape(self.dtype, bands, kind)
        self._written = 0
        final = Path(os.path.realpath(self.path))
        size = width * height * self._stored[1] * self._stored[0].itemsize
        share = 1.0 if lossless or kind in ("png", "tiff", "exr") else _LOSSY_SHARE
        self._raw: Temporary | None = None
        try:
            final.parent.mkdir(parents=True, exist_ok=True)
            self.space = int(size * (1 + share))  # bytes of disk
            check_space(final.parent, self.space, self.path, "written")
            self._raw = Temporary(final)
            self._file = self._raw.path.open("rb+")
            self._file.write(plain_header(width, height, *self._stored))
        except OSError as error:
            self.close()
            raise self._failed(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            self.close()

    def write(self, rows: Pixels) -> None:
        """Add (N, width, bands) rows of the announced type below those before.

        Raises UsageError for another shape or type or too many rows, ImageError for NaN or
        infinite samples and where the disk is full.
        """
        fits = isinstance(rows, np.ndarray) and rows.ndim == 3 and rows.dtype == self.dtype
        if not fits or rows.shape[1:] != (self.width, self.bands):
            raise UsageError(
                f"Rows of shape {np.shape(rows)} and type {getattr(rows, 'dtype', None)} do not "
                f"fit {self.path}: give (N, {self.width}, {self.bands}) of {self.dtype}."
            )
        if self._written + len(rows) > self.height:
            raise UsageError(
                f"{self._written + len(rows)} rows are more than the {self.height} of {self.path}."
            )
        try:
            ready = for_format(rows, self._recipe.kind, encode=self._encode)
            self._file.write(ready.data)
        except OSError as error:
            raise self._failed(error) from error
        self._written += len(rows)

    def close(self) -> None:
        """Remove what is unfinished; after a clean end there is nothing to remove."""
        if hasattr(self, "_file"):
            with contextlib.suppress(OSError):
                self._file.close()
        if self._raw is not None:
            self._raw.remove()

    def _finish(self) -> None:
        if self._written < self.height:
            raise UsageError(
                f"{self.path} got {self._written} of its {self.height} rows: write them all."
            )
        assert self._raw is not None
        with replacing(self.path, self._check) as temporary:
            self._file.close()
            # Mapped into memory by `rawload`, the whole file would count as memory in use.
            image = libvips().Image.tiffload(
                os.fsencode(self._raw.path), access="sequential", revalidate=True
            )
            encode(temporary, image, self._recipe)

    def _failed(self, error: OSError) -> ImageError:
        return ImageError(
            f"{self.path} could not be written ({reason(error)}): check the free space and the "
            "permissions of its folder."
        )


def check_space(folder: Path, needed: int, path: Path, what: str) -> None:
    """Raise ImageError where a folder's disk has fewer free bytes than a picture needs there."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise ImageError(
            f"{path} needs up to {needed / 1e9:.2f} GB in {folder} to be {what}, where "
            f"{free / 1e9:.2f} GB are free: make room or choose another folder."
        )
