"""Where a GeoTIFF lies on the map, before and after."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from pixperts.io.image import read_image, write_image
from pixperts.io.metadata.losses import losses
from pixperts.io.rows import RowReader, RowWriter
from pixperts.ops.pixels import Pixels, upright
from tests.helpers.photo_files import gradient

SCALE, POINTS, MATRIX, KEYS, DOUBLES, TEXTS = 33550, 33922, 34264, 34735, 34736, 34737
AREA, POINT = 1, 2
Tags = dict[int, tuple[float, ...] | str]


def keys(raster: int) -> tuple[int, ...]:
    """Geographic coordinates; whether a pixel is an area or a point (GeoTIFF 1.1, 7.1)."""
    return (1, 1, 0, 3, 1024, 0, 1, 2, 1025, 0, 1, raster, 2048, 0, 1, 4326)


def write_tiff(path: Path, tags: Tags, raster: int = AREA, orientation: int = 1) -> Path:
    directory = TiffImagePlugin.ImageFileDirectory_v2()
    directory[274] = orientation
    for tag, value in {KEYS: keys(raster), TEXTS: "WGS 84|", 42113: "-9999", **tags}.items():
        directory[tag] = value
        directory.tagtype[tag] = 2 if isinstance(value, str) else 3 if tag == KEYS else 12
    Image.fromarray(gradient()).save(path, tiffinfo=directory)
    return path


def tags_of(path: Path) -> dict[int, Any]:
    with Image.open(path) as image:
        return dict(image.tag_v2)  # type: ignore[attr-defined]


def place_of(tags: dict[int, Any], x: float, y: float) -> tuple[float, float]:
    """Where the point (x, y) of a picture, counted from its corner, lies on the map."""
    raster = dict(zip(tags[KEYS][4::4], tags[KEYS][7::4], strict=True))[1025]
    shift = 0.5 if raster == POINT else 0.0
    column, row = x - shift, y - shift
    if MATRIX in tags:
        m = tags[MATRIX]
        return m[0] * column + m[1] * row + m[3], m[4] * column + m[5] * row + m[7]
    i, j, _, east, north, _ = tags[POINTS][:6]
    return east + (column - i) * tags[SCALE][0], north - (row - j) * tags[SCALE][1]


BY_SCALE: Tags = {SCALE: (0.5, 0.25, 1.0), POINTS: (3.0, 2.0, 0.0, 11.0, 48.0, 0.0)}
BY_MATRIX: Tags = {MATRIX: (0.4, 0.1, 0.0, 11.0, 0.1, -0.3, 0.0, 48.0, 0, 0, 0, 0, 0, 0, 0, 1)}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("raster", [AREA, POINT])
@pytest.mark.parametrize("tags", [BY_SCALE, BY_MATRIX], ids=["scale", "matrix"])
def test_every_point_stays_where_it_is(
    tmp_path: Path, tags: Tags, raster: int, orientation: int
) -> None:
    source = write_tiff(tmp_path / "in.tif", tags, raster, orientation)
    picture = read_image(source)
    larger: Pixels = picture.pixels.repeat(3, axis=0).repeat(2, axis=1)
    path = write_image(tmp_path / "out.tif", larger, metadata=picture.metadata, software="s")
    before, after = tags_of(source), tags_of(path)
    assert (after[KEYS], after[TEXTS], after[42113]) == (before[KEYS], "WGS 84|", "-9999")
    # Where each pixel of the file went: the upright picture of the coordinates themselves.
    rows, columns = np.mgrid[0:32, 0:48].astype(np.float32) + np.float32(0.5)
    came_from = upright(np.stack([columns, rows], -1), orientation)
    for y, x in ((0, 0), (5, 7), (picture.height - 1, picture.width - 1)):
        column, row = came_from[y, x]
        expected = place_of(before, float(column), float(row))
        assert place_of(after, 2 * (x + 0.5), 3 * (y + 0.5)) == pytest.approx(expected, abs=1e-9)


def test_control_points_move_along(tmp_path: Path) -> None:
    points = (
        0.0,
        0.0,
        0.0,
        1.0,
        2.0,
        0.0,
        10.0,
        20.0,
        0.0,
        3.0,
        4.0,
        0.0,
        40.0,
        5.0,
        0.0,
        5.0,
        6.0,
        0,
    )
    picture = read_image(write_tiff(tmp_path / "in.tif", {POINTS: points}))
    larger = picture.pixels.repeat(2, axis=0).repeat(2, axis=1)
    after = tags_of(write_image(tmp_path / "out.tif", larger, metadata=picture.metadata))[POINTS]
    assert after[0::6] == (0, 20, 80)
    assert after[1::6] == (0, 40, 10)
    assert after[3::6] == (1, 3, 5)
    turned = read_image(write_tiff(tmp_path / "in.tif", {POINTS: points}, orientation=6))
    after = tags_of(write_image(tmp_path / "out.tif", turned.pixels, metadata=turned.metadata))
    assert after[POINTS][0::6] == (32, 12, 27)
    assert after[POINTS][1::6] == (0, 10, 40)


def test_big_endian_files(tmp_path: Path) -> None:
    tags = [
        (256, 4, 1, struct.pack(">I", 2)), (257, 4, 1, struct.pack(">I", 1)),
        (258, 3, 1, b"\0\x08\0\0"), (259, 3, 1, b"\0\1\0\0"), (262, 3, 1, b"\0\1\0\0"),
        (273, 4, 1, struct.pack(">I", 8)), (277, 3, 1, b"\0\1\0\0"),
        (278, 4, 1, struct.pack(">I", 1)), (279, 4, 1, struct.pack(">I", 2)),
        (SCALE, 12, 3, struct.pack(">3d", 0.5, 0.25, 0)),
        (POINTS, 12, 6, struct.pack(">6d", 0, 0, 0, 11, 48, 0)),
        (KEYS, 3, 16, struct.pack(">16H", *keys(AREA))),
    ]  # fmt: skip
    values = b"\x10\x20"
    table = b""
    start = 10 + 2 + 12 * len(tags) + 4
    extra = b""
    for tag, kind, count, data in tags:
        field = data
        if len(data) > 4:
            field = struct.pack(">I", start + len(extra))
            extra += data
        table += struct.pack(">HHI", tag, kind, count) + field
    head = b"MM\0*" + struct.pack(">I", 10) + values
    body = struct.pack(">H", len(tags)) + table + bytes(4) + extra
    (tmp_path / "in.tif").write_bytes(head + body)
    picture = read_image(tmp_path / "in.tif")
    larger = picture.pixels.repeat(2, axis=0).repeat(2, axis=1)
    after = tags_of(write_image(tmp_path / "out.tif", larger, metadata=picture.metadata))
    assert after[SCALE][:2] == (0.25, 0.125)
    assert after[KEYS] == keys(AREA)


def test_other_formats_say_what_they_lose(tmp_path: Path) -> None:
    metadata = read_image(write_tiff(tmp_path / "in.tif", BY_SCALE)).metadata
    for kind in ("jpeg", "png", "webp", "avif"):
        assert losses(kind, np.dtype(np.uint8), 3, metadata)[-1].endswith(
            "cannot store the position on the map (GeoTIFF), so it was left out."
        )
    assert not losses("tiff", np.dtype(np.uint8), 3, metadata)


def test_rows_keep_the_place_too(tmp_path: Path) -> None:
    source = write_tiff(tmp_path / "in.tif", BY_SCALE, orientation=3)
    with RowReader(source) as reader:
        size = (reader.width, reader.height, reader.bands, reader.dtype)
        with RowWriter(tmp_path / "out.tif", *size, metadata=reader.metadata) as writer:
            writer.write(reader.rows(0, reader.height))
    whole = read_image(source)
    write_image(tmp_path / "whole.tif", whole.pixels, metadata=whole.metadata)
    assert (tmp_path / "out.tif").read_bytes() == (tmp_path / "whole.tif").read_bytes()


def test_damaged_tags_are_no_more_than_lost(tmp_path: Path) -> None:
    harmed: Tags = {SCALE: (float("nan"),), MATRIX: (1.0, 2.0), POINTS: (1.0, 2.0, 3.0)}
    for orientation in (1, 6):
        picture = read_image(write_tiff(tmp_path / "in.tif", harmed, orientation=orientation))
        write_image(tmp_path / "out.tif", picture.pixels, metadata=picture.metadata)
        assert np.array_equal(read_image(tmp_path / "out.tif").pixels, picture.pixels)
