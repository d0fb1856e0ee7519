"""Pictures as a browser shows them: sRGB of 8 bits, in tiles of a pyramid, reduced, or in part.

Nothing of this goes into a result; it is made beside it.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from pixperts.defaults import MAX_PIXELS
from pixperts.io.image import write_image
from pixperts.io.rows import RowReader
from pixperts.io.vips import libvips
from pixperts.ops.pixels import Pixels, for_format

TILE = 512  # pixels
PREVIEW = 720  # longest side of a small picture
_BAND = 256  # rows that are decoded at a time
_OF_PHOTOS, _OF_MAPS = ".jpg[Q=92,subsample_mode=off]", ".png"


def write_tiles(
    source: Path,
    base: Path,
    *,
    rows: int | None = None,
    exact: bool = False,
    page: int | None = None,
) -> Path:
    """A pyramid of tiles (Deep Zoom): `base`.dzi and the folder `base`_files.

    Args:
        source: a picture.
        base: of the names.
        rows: how many of the rows are shown, from the top; all where None.
        exact: without loss, for maps, whose colors mean something.
        page: of a file with several; the first where None.
    """
    with _image_of(source, rows, page) as image:
        suffix = _OF_MAPS if exact else _OF_PHOTOS
        image.dzsave(os.fspath(base), tile_size=TILE, overlap=1, suffix=suffix)
    return base.with_name(f"{base.name}.dzi")


def write_preview(source: Path, target: Path, max_pixels: int) -> tuple[int, int]:
    """A small PNG of a picture; (width, height) of the picture itself.

    Raises:
        ImageError: a picture that cannot be read or is larger than `max_pixels`.
    """
    with RowReader(source, max_pixels=max_pixels) as reader:
        size = reader.width, reader.height
    with _image_of(source) as image:
        small = image.thumbnail_image(PREVIEW, height=PREVIEW, size="down")
        write_image(target, np.asarray(small.numpy()).reshape(small.height, small.width, -1))
    return size


def write_part(
    source: Path,
    target: Path,
    center: tuple[float, float],
    side: int,
    max_pixels: int = MAX_PIXELS,
    page: int | None = None,
) -> Path:
    """A square part of a picture as a file of its own, with profile and metadata.

    Args:
        source: a picture.
        target: without an ending; it becomes .tif for floats and .png for all else.
        center: (x, y) of the part, each from 0 to 1.
        side: in pixels, at most; a part never leaves the picture.
        max_pixels: of the picture.
        page: of a file with several; the first where None.

    Raises:
        ImageError: a picture that cannot be read or is larger than `max_pixels`.
    """
    with RowReader(source, max_pixels=max_pixels, page=page) as reader:
        left, width = _span(center[0], side, reader.width)
        top, height = _span(center[1], side, reader.height)
        pixels = reader.rows(top, top + height)[:, left : left + width]
        path = target.with_suffix(".tif" if reader.dtype == np.float32 else ".png")
        write_image(path, np.ascontiguousarray(pixels), metadata=reader.metadata)
    return path


def framed(
    preview: Pixels, size: tuple[int, int], center: tuple[float, float], side: int
) -> Pixels:
    """A small picture (H, W, 3) with the outline of a part.

    Args:
        preview: of a picture.
        size: (width, height) of the picture itself.
        center: as in `write_part`.
        side: likewise.
    """
    result = np.repeat(preview, 3, axis=2) if preview.shape[2] == 1 else preview.copy()
    height, width = result.shape[:2]
    left, wide = _span(center[0], side, size[0])
    top, high = _span(center[1], side, size[1])
    x0, x1 = left * width // size[0], min(width, -(-(left + wide) * width // size[0]))
    y0, y1 = top * height // size[1], min(height, -(-(top + high) * height // size[1]))
    # White within black is seen on every picture.
    for inset, color in ((0, 0), (2, 255)):
        rows, columns = slice(y0 + inset, y1 - inset), slice(x0 + inset, x1 - inset)
        result[rows, x0 + inset : x0 + inset + 2] = color
        result[rows, max(0, x1 - inset - 2) : x1 - inset] = color
        result[y0 + inset : y0 + inset + 2, columns] = color
        result[max(0, y1 - inset - 2) : y1 - inset, columns] = color
    return result


def _span(center: float, side: int, length: int) -> tuple[int, int]:
    """(start, length) of a part along one side.

    >>> _span(0.5, 100, 400), _span(1.0, 100, 400), _span(0.2, 100, 60)
    ((150, 100), (300, 100), (0, 60))
    """
    side = min(side, length)
    return min(max(round(center * length - side / 2), 0), length - side), side


@contextmanager
def _image_of(source: Path, rows: int | None = None, page: int | None = None) -> Iterator[Any]:
    """A libvips image of 8 bits in a file of its own, so that it may be larger than the memory."""
    raw = source.with_name(f".{source.name}.raw")
    try:
        with (
            RowReader(source, max_pixels=MAX_PIXELS, color="srgb", page=page) as reader,
            raw.open("wb") as out,
        ):
            height = reader.height if rows is None else min(rows, reader.height)
            for top in range(0, height, _BAND):
                # As JPEG holds it: 8 bits, transparency laid on white.
                band = for_format(reader.rows(top, min(top + _BAND, height)), "jpeg")
                out.write(band.tobytes())
            width, bands = reader.width, band.shape[2]
        image = libvips().Image.rawload(os.fspath(raw), width, height, bands)
        yield image.copy(interpretation="srgb" if bands == 3 else "b-w")
    finally:
        raw.unlink(missing_ok=True)
