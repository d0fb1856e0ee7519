"""Where a picture lies on the map: the tags of GeoTIFF, for a picture of another size."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pixperts.io.tiff.tags import Tree, Value, raw_entries, read_layout, read_value, swapped

PIXEL_SCALE, TIE_POINTS, TRANSFORMATION = 33550, 33922, 34264
KEYS, DOUBLES, TEXTS = 34735, 34736, 34737
_GDAL = (42112, 42113)  # its own metadata, and the value that stands for no data
_NAMES = (PIXEL_SCALE, TIE_POINTS, TRANSFORMATION, KEYS, DOUBLES, TEXTS, *_GDAL)
_RASTER_TYPE, _PIXEL_IS_POINT = 1025, 2
_DOUBLE = 12
_BROKEN = (ValueError, struct.error, OSError, OverflowError)
Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Place:
    """The tags of a picture of `size`, upright (width, height), little-endian.

    Pixel coordinates in them count from the upper left of the upright picture.
    """

    tags: tuple[tuple[int, Value], ...]
    size: tuple[int, int]

    def scaled(self, width: int, height: int) -> Tree:
        """The tags for the same picture at another size, which stays where it is."""
        factors = width / self.size[0], height / self.size[1]
        # A pixel's coordinates are those of its corner, or of its center.
        shift = 0.5 if _is_point(dict(self.tags)) else 0.0
        changed: Tree = dict(self.tags)
        for tag, value in self.tags:
            numbers = _doubles(value)
            if tag == PIXEL_SCALE and len(numbers) >= 2:
                numbers[0] /= factors[0]
                numbers[1] /= factors[1]
            elif tag == TIE_POINTS:
                for at in range(0, len(numbers) - 5, 6):
                    for axis in (0, 1):
                        moved = (numbers[at + axis] + shift) * factors[axis] - shift
                        numbers[at + axis] = moved
            elif tag == TRANSFORMATION and len(numbers) == 16:
                step = np.diag([1 / factors[0], 1 / factors[1], 1.0, 1.0])
                step[:2, 3] = shift * np.diag(step)[:2] - shift
                numbers = list((np.reshape(numbers, (4, 4)) @ step).ravel())
            else:
                continue
            changed[tag] = _of_doubles(numbers)
        return changed


def read_place(
    path: Path, width: int, height: int, orientation: int, directory: int | None = None
) -> Place | None:
    """The tags of a TIFF's page, of `width` x `height` stored pixels; None without any.

    `directory` is the place of the page in the file, the first one where it is None.
    """
    try:
        with path.open("rb") as handle:
            layout = read_layout(handle)
            rows = raw_entries(handle, layout, directory or layout.first)[0]
            tags: dict[int, Value] = {}
            for tag in _NAMES:
                value = read_value(handle, layout, rows[tag]) if tag in rows else None
                if value is not None:
                    tags[tag] = swapped(value) if layout.order == ">" else value
        if tags.keys().isdisjoint({PIXEL_SCALE, TIE_POINTS, TRANSFORMATION, KEYS}):
            return None
        if orientation != 1:
            tags = _turned(tags, width, height, orientation)
    except _BROKEN:
        return None
    size = (height, width) if orientation >= 5 else (width, height)
    return Place(tuple(sorted(tags.items())), size)


def _turned(tags: dict[int, Value], width: int, height: int, orientation: int) -> dict[int, Value]:
    """The tags for coordinates of the upright picture."""
    last = 1 if _is_point(tags) else 0
    to_upright = _upright(width - last, height - last, orientation)
    result = dict(tags)
    points = _doubles(tags[TIE_POINTS]) if TIE_POINTS in tags else []
    scale = _doubles(tags[PIXEL_SCALE]) if PIXEL_SCALE in tags else []
    matrix = None
    if TRANSFORMATION in tags:
        matrix = np.reshape(_doubles(tags[TRANSFORMATION]), (4, 4))
    elif len(scale) >= 2 and len(points) >= 6:
        # GeoTIFF 1.1, B.6: the same by a matrix, which can also turn.
        matrix = np.diag([scale[0], -scale[1], scale[2] if len(scale) > 2 else 0.0, 1.0])
        matrix[0, 3] = points[3] - points[0] * scale[0]
        matrix[1, 3] = points[4] + points[1] * scale[1]
        result.pop(PIXEL_SCALE)
        result.pop(TIE_POINTS)
    if matrix is not None:
        result[TRANSFORMATION] = _of_doubles(list((matrix @ np.linalg.inv(to_upright)).ravel()))
    elif points:
        for at in range(0, len(points) - 5, 6):
            moved = to_upright @ [points[at], points[at + 1], 0.0, 1.0]
            points[at], points[at + 1] = float(moved[0]), float(moved[1])
        result[TIE_POINTS] = _of_doubles(points)
    return result


def _upright(width: float, height: float, orientation: int) -> Matrix:
    """From coordinates of the stored picture to those of the upright one (TIFF 6.0, section 8)."""
    x, y = np.array([1.0, 0, 0, 0]), np.array([0, 1.0, 0, 0])
    far_x, far_y = np.array([-1.0, 0, 0, width]), np.array([0, -1.0, 0, height])
    pairs = {
        1: (x, y), 2: (far_x, y), 3: (far_x, far_y), 4: (x, far_y),
        5: (y, x), 6: (far_y, x), 7: (far_y, far_x), 8: (y, far_x),
    }  # fmt: skip
    first, second = pairs[orientation]
    return np.stack([first, second, np.array([0, 0, 1.0, 0]), np.array([0, 0, 0, 1.0])])


def _is_point(tags: dict[int, Value]) -> bool:
    keys = tags.get(KEYS)
    if keys is None or keys.type != 3:
        return False
    numbers = struct.unpack(f"<{keys.number}H", keys.data)
    rows = zip(*[iter(numbers[4:])] * 4, strict=False)
    return any(r[0] == _RASTER_TYPE and r[1] == 0 and r[3] == _PIXEL_IS_POINT for r in rows)


def _doubles(value: Value) -> list[float]:
    if value.type != _DOUBLE:
        return []
    return list(struct.unpack(f"<{value.number}d", value.data))


def _of_doubles(numbers: Sequence[float]) -> Value:
    return Value(_DOUBLE, len(numbers), struct.pack(f"<{len(numbers)}d", *numbers))
