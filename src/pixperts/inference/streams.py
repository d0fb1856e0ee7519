"""Where the inference path takes its pixels from and puts its results: arrays, or rows of files."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
import torch
from torch import Tensor

from pixperts.errors import ImageError
from pixperts.io.atomic import Temporary
from pixperts.io.rows import RowReader, check_space
from pixperts.ops.color_match import ColorFix, matched_bands
from pixperts.ops.high_range import Curve
from pixperts.ops.pixels import Pixels, from_float, to_float
from pixperts.ops.windows import Window

_BAND_PIXELS = 1 << 20  # whose colors are matched at a time


class PixelSource(Protocol):
    """A picture that can be read in bands of rows, from the top, more than once."""

    batch: int
    height: int
    width: int
    channels: int  # 1 to 4
    row_bytes: float  # that a row takes while it is held

    def rows(self, top: int, bottom: int) -> Tensor:
        """(B, C, bottom - top, W) float32 in [0, 1]; `top` must not fall between `rewind`s."""

    def rewind(self) -> None:
        """From the top again."""


class PixelSink(Protocol):
    """A result that is filled from the top."""

    row_bytes: float  # that a row takes until it is finished

    def put(self, image: Tensor, window: Window) -> None:
        """A piece (B, C, h, w) in [0, 1] of the rows that are not finished yet."""

    def finish(self, bottom: int) -> None:
        """The rows above `bottom` are complete."""


class ArraySource:
    """A picture in memory, (B, C, H, W) float32 in [0, 1]."""

    row_bytes = 0.0

    def __init__(self, pixels: Tensor) -> None:
        self.pixels = pixels
        self.batch, self.channels, self.height, self.width = pixels.shape

    def rows(self, top: int, bottom: int) -> Tensor:
        """(B, C, bottom - top, W)."""
        return self.pixels[:, :, top:bottom]

    def rewind(self) -> None:
        """Nothing to be done."""


class ArraySink:
    """A result in memory, `image` (B, C, H, W)."""

    row_bytes = 0.0

    def __init__(self, batch: int, channels: int, height: int, width: int) -> None:
        self.image = torch.empty(batch, channels, height, width)

    @classmethod
    def of(cls, image: Tensor) -> Self:
        """A sink that fills an image (B, C, H, W) that is there already."""
        sink = cls(0, 0, 0, 0)
        sink.image = image
        return sink

    def put(self, image: Tensor, window: Window) -> None:
        """A piece, to its place."""
        top, bottom, left, right = window
        self.image[:, :, top:bottom, left:right] = image

    def finish(self, bottom: int) -> None:
        """Nothing to be done."""


class NoSink:
    """A result that nobody wants."""

    row_bytes = 0.0

    def put(self, image: Tensor, window: Window) -> None:
        """Dropped."""

    def finish(self, bottom: int) -> None:
        """Nothing to be done."""


class FileSource:
    """A picture file, of which only a band of rows is held; a context manager.

    Values outside of [0, 1] go through `curve`.
    """

    batch = 1

    def __init__(self, open_reader: Callable[[], RowReader], curve: Curve | None = None) -> None:
        self._open, self.reader, self.curve = open_reader, open_reader(), curve
        self.height, self.width = self.reader.height, self.reader.width
        self.channels = self.reader.bands
        # As decoded, joined with what is kept and copied, then as floats, of one band or two.
        depth = 4 * self.reader.dtype.itemsize + 8
        self.row_bytes = float(self.width * self.channels * depth)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.reader.close()

    def rows(self, top: int, bottom: int) -> Tensor:
        """(1, C, bottom - top, W)."""
        pixels = self.reader.rows(top, bottom)
        if self.curve is not None:
            pixels = self.curve.compress(pixels)
        band = torch.from_numpy(to_float(pixels))  # (rows, W, C)
        return band.permute(2, 0, 1)[None].clamp_(0, 1)

    def rewind(self) -> None:
        """Opens the file again."""
        self.reader.close()
        self.reader = self._open()


class Writer(Protocol):
    """What rows are added to from the top downwards."""

    width: int
    bands: int
    dtype: np.dtype[Any]

    def write(self, rows: Pixels) -> None:
        """(N, width, bands) rows of this type."""


class FileSink:
    """A picture file in the making, of which only a band of rows is held, at its own depth."""

    def __init__(self, writer: Writer, curve: Curve | None = None) -> None:
        self._writer, self._top, self._curve = writer, 0, curve
        self._band = np.empty((0, writer.width, writer.bands), writer.dtype)
        self.row_bytes = 3.0 * writer.width * writer.bands * writer.dtype.itemsize

    def put(self, image: Tensor, window: Window) -> None:
        """A piece (1, C, h, w), converted at once: floats of a wide band would fill the memory."""
        top, bottom = window.top - self._top, window.bottom - self._top
        if bottom > len(self._band):
            more = np.empty((bottom - len(self._band), *self._band.shape[1:]), self._band.dtype)
            self._band = np.concatenate([self._band, more])
        pixels = image[0].permute(1, 2, 0).contiguous().numpy()  # (h, w, C)
        converted = from_float(pixels, self._writer.dtype)
        if self._curve is not None:
            converted = self._curve.expand(converted)
        self._band[top:bottom, window.left : window.right] = converted

    def finish(self, bottom: int) -> None:
        """Writes the rows above `bottom`."""
        count = bottom - self._top
        self._writer.write(self._band[:count])
        self._band, self._top = self._band[count:], bottom

    def complete(self, progress: Callable[[float], None]) -> None:
        """All rows are finished."""


class FloatFile:
    """Rows of floats in a hidden file beside a picture to come; a context manager.

    Raises ImageError where the disk has no room for it and what `beside` bytes will be needed for.
    """

    dtype = np.dtype(np.float32)

    def __init__(self, target: Path, width: int, height: int, bands: int, beside: float) -> None:
        self.width, self.height, self.bands = width, height, bands
        self._target = target
        self._row = width * bands * self.dtype.itemsize
        final = Path(os.path.realpath(target))
        check_space(final.parent, int(self._row * height + beside), target, "written")
        try:
            self._hidden = Temporary(final)
            self._file = self._hidden.path.open("r+b")
        except OSError as error:
            raise self._failed(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._file.close()
        self._hidden.remove()

    def write(self, rows: Pixels) -> None:
        """(N, width, bands) rows below those before."""
        try:
            self._file.write(np.ascontiguousarray(rows).data)
        except OSError as error:
            raise self._failed(error) from error

    def rows(self, top: int, bottom: int) -> Tensor:
        """(1, C, bottom - top, W); nothing is written after the first call."""
        try:
            self._file.seek(top * self._row)
            data = bytearray(self._file.read((bottom - top) * self._row))
        except OSError as error:
            raise self._failed(error) from error
        flat = torch.frombuffer(data, dtype=torch.float32)
        return flat.reshape(bottom - top, self.width, self.bands).permute(2, 0, 1)[None]

    def _failed(self, error: OSError) -> ImageError:
        return ImageError(
            f"{self._target} could not be written ({error.strerror}): check the free space and "
            "the permissions of its folder."
        )


class DraftSource:
    """A finished `FloatFile`, read as a picture."""

    batch = 1

    def __init__(self, draft: FloatFile) -> None:
        self._draft = draft
        self.height, self.width, self.channels = draft.height, draft.width, draft.bands
        self.row_bytes = 8.0 * draft.width * draft.bands  # as read, and one that is made of it

    def rows(self, top: int, bottom: int) -> Tensor:
        """(1, C, bottom - top, W)."""
        return self._draft.rows(top, bottom)

    def rewind(self) -> None:
        """Nothing to be done."""


class MatchedSink(FileSink):
    """A picture file that gets the low frequencies of its source when all else is done."""

    def __init__(self, draft: FloatFile, source: FileSource, final: FileSink, kind: ColorFix):
        super().__init__(draft)
        self._draft, self._source, self._final, self._kind = draft, source, final, kind

    def complete(self, progress: Callable[[float], None]) -> None:
        """Write all rows with the colors of the source; `progress` is called meanwhile."""
        draft, source = self._draft, self._source
        colors = 1 if draft.bands < 3 else 3
        source.rewind()
        for top, bottom, image in matched_bands(
            lambda top, bottom: draft.rows(top, bottom)[:, :colors],
            lambda top, bottom: source.rows(top, bottom)[:, :colors],
            source.rewind,
            self._kind,
            (draft.height, draft.width),
            source.height,
            band=max(32, min(1024, _BAND_PIXELS // draft.width)),
        ):
            rest = draft.rows(top, bottom)[:, colors:]
            whole = torch.cat([image.clamp(0, 1), rest], dim=1)
            self._final.put(whole, Window(top, bottom, 0, draft.width))
            self._final.finish(bottom)
            progress(1.0)
