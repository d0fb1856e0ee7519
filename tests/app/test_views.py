"""Pictures as a browser shows them."""

from pathlib import Path

import numpy as np
import pytest

from pixperts.app.views import TILE, framed, write_part, write_preview, write_tiles
from pixperts.app.work import chart_rows
from pixperts.errors import ImageError
from pixperts.inference.expert_maps import Sketch, draw
from pixperts.io.image import read_image, write_image
from tests.helpers.command_line import noise
from tests.helpers.photo_files import write_photo


def test_tiles_put_together_are_the_picture(tmp_path: Path) -> None:
    pixels = noise(TILE + 30, TILE + 20)
    write_image(tmp_path / "a.png", pixels)
    found = write_tiles(tmp_path / "a.png", tmp_path / "view", exact=True)
    assert f'Width="{TILE + 20}"' in found.read_text()
    levels = sorted(map(int, (path.name for path in (tmp_path / "view_files").glob("[0-9]*"))))
    level = tmp_path / "view_files" / str(levels[-1])
    tiles = [[read_image(level / f"{x}_{y}.png").pixels for x in range(2)] for y in range(2)]
    # Neighbors overlap by one pixel on either side.
    top = np.concatenate([tiles[0][0][:TILE, :TILE], tiles[0][1][:TILE, 1:]], axis=1)
    bottom = np.concatenate([tiles[1][0][1:, :TILE], tiles[1][1][1:, 1:]], axis=1)
    np.testing.assert_array_equal(np.concatenate([top, bottom]), pixels)
    assert not list(tmp_path.glob(".*"))  # no file is left that was needed on the way


def test_views_are_upright_and_of_eight_bits(tmp_path: Path) -> None:
    turned = write_photo(tmp_path / "turned.jpg", orientation=6)  # 48 x 32 as stored
    assert write_preview(turned, tmp_path / "small.png", 10_000) == (32, 48)
    assert read_image(tmp_path / "small.png").pixels.shape == (48, 32, 3)
    write_image(tmp_path / "deep.png", noise(20, 30, 4, np.uint16))
    write_preview(tmp_path / "deep.png", tmp_path / "small.png", 10_000)
    small = read_image(tmp_path / "small.png").pixels
    assert small.shape == (20, 30, 3)
    assert small.dtype == np.uint8
    write_image(tmp_path / "gray.tif", np.full((9, 8, 1), 0.5, np.float32))
    write_preview(tmp_path / "gray.tif", tmp_path / "small.png", 10_000)
    assert abs(int(read_image(tmp_path / "small.png").pixels.mean()) - 128) <= 1


def test_large_pictures_are_refused_by_their_header(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", noise(20, 30))
    with pytest.raises(ImageError, match="over the limit of 100"):
        write_preview(tmp_path / "a.png", tmp_path / "small.png", 100)


@pytest.mark.parametrize(
    ("center", "place"),
    [((0.5, 0.5), (8, 12, 10, 14)), ((0.0, 1.0), (16, 20, 0, 4)), ((1.0, 0.0), (0, 4, 20, 24))],
)
def test_a_part_is_cut_out_where_it_was_picked(
    tmp_path: Path, center: tuple[float, float], place: tuple[int, int, int, int]
) -> None:
    pixels = noise(20, 24, 3, np.uint16)
    write_image(tmp_path / "a.png", pixels)
    part = write_part(tmp_path / "a.png", tmp_path / "part", center, 4)
    top, bottom, left, right = place
    np.testing.assert_array_equal(read_image(part).pixels, pixels[top:bottom, left:right])


def test_a_part_keeps_profile_and_metadata(tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "a.jpg", orientation=1)
    part = read_image(write_part(photo, tmp_path / "part", (0.5, 0.5), 16))
    assert part.metadata.icc == read_image(photo).metadata.icc is not None


def test_the_outline_stays_inside_and_leaves_the_rest() -> None:
    gray = np.full((60, 80, 1), 100, np.uint8)
    result = framed(gray, (800, 600), (1.0, 1.0), 200)
    assert result.shape == (60, 80, 3)
    changed = np.argwhere((result != 100).any(axis=2))
    assert changed.min(axis=0).tolist() == [40, 60]
    assert changed.max(axis=0).tolist() == [59, 79]
    assert {0, 255} == set(np.unique(result[result != 100]).tolist())


@pytest.mark.parametrize("size", [(300, 200), (5000, 4001), (4097, 9000)])
def test_the_map_is_shown_without_its_legend(size: tuple[int, int]) -> None:
    sketch = Sketch(size, (0.5, 1.0))
    assert sketch.routing is not None
    chart = draw(sketch.routing, legend=False)
    assert chart_rows(chart.shape[1], size) == chart.shape[0]
