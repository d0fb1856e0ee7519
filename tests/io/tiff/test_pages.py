"""Files of several pages: which one is the picture, and reading the others."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from pixperts.errors import ImageError
from pixperts.io.decode import header_size, page_count
from pixperts.io.image import read_image
from pixperts.io.rows import RowReader
from pixperts.ops.pixels import Pixels
from tests.helpers.image_files import assert_one_sentence, noise, smooth


def write_pages(path: Path, *pages: tuple[Pixels, dict[str, Any]]) -> Path:
    with tifffile.TiffWriter(path) as writer:
        for pixels, options in pages:
            writer.write(pixels, photometric="rgb", metadata=None, **options)
    return path


REDUCED: dict[str, Any] = {"subfiletype": 1}
TURNED: dict[str, Any] = {"extratags": [(274, 3, 1, 6, True)]}


@pytest.mark.parametrize("mark", [1, 3])
def test_a_page_that_is_marked_as_a_copy_is_not_the_picture(tmp_path: Path, mark: int) -> None:
    big = smooth()
    path = write_pages(
        tmp_path / "a.tif", (smooth(height=24, width=32), {"subfiletype": mark}), (big, {})
    )
    picture = read_image(path)
    assert np.array_equal(picture.pixels, big)
    assert picture.notes == ()
    assert header_size(path) == (128, 96)
    with RowReader(path) as reader:
        assert np.array_equal(reader.rows(0, 96), big)


def test_a_page_marked_by_the_old_tag(tmp_path: Path) -> None:
    small, big = smooth(height=24, width=32), smooth()
    # SubfileType (255): 2 is a reduced copy. tifffile always writes the newer one beside it.
    path = write_pages(
        tmp_path / "a.tif", (small, {"extratags": [(255, 3, 1, 2, True)]}), (big, {})
    )
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        for page in file.pages[:1]:
            tag = page.tags.get(254)  # type: ignore[union-attr]
            if tag is not None:
                data[tag.offset : tag.offset + 2] = (253).to_bytes(2, "little")
    path.write_bytes(data)
    assert read_image(path).pixels.shape == (96, 128, 3)


def test_a_file_of_copies_alone_is_read_all_the_same(tmp_path: Path) -> None:
    path = write_pages(tmp_path / "a.tif", (smooth(), REDUCED))
    assert np.array_equal(read_image(path).pixels, smooth())


def test_a_picture_that_only_a_preview_points_to(tmp_path: Path) -> None:
    big, path = noise(height=96, width=128), tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(
            smooth(height=24, width=32), photometric="rgb", subifds=1, metadata=None, **REDUCED
        )
        writer.write(big, photometric="rgb", metadata=None, compression="zlib")
    assert np.array_equal(read_image(path).pixels, big)
    assert header_size(path) == (128, 96)


def test_each_page_has_its_own_pixels_and_data(tmp_path: Path) -> None:
    first, second, third = noise(seed=1), noise(seed=2), noise(seed=3, height=50, width=20)
    path = write_pages(
        tmp_path / "a.tif",
        (first, {"description": "one"}),
        (smooth(height=5, width=8), REDUCED),
        (second, {"description": "two", "tile": (16, 16)}),
        (third, TURNED),
    )
    assert page_count(path) == 3
    assert read_image(path).notes == (f"{path} holds 3 pages: only the first was read.",)
    for number, expected in ((1, first), (2, second), (3, np.rot90(third, -1))):
        picture = read_image(path, page=number)
        assert np.array_equal(picture.pixels, expected)
        assert picture.notes == ()
        assert header_size(path, number) == expected.shape[1::-1]
        with RowReader(path, page=number) as reader:
            assert np.array_equal(reader.rows(0, reader.height), expected)
    assert b"two" in (read_image(path, page=2).metadata.exif or b"")
    assert b"one" not in (read_image(path, page=2).metadata.exif or b"")
    for number in (0, 4):
        with pytest.raises(ImageError, match=f"no page {number}, but 3 pages") as caught:
            read_image(path, page=number)
        assert_one_sentence(caught, path)


def test_frames_are_pages(tmp_path: Path) -> None:
    frames = [Image.fromarray(np.full((20, 30, 3), level, np.uint8)) for level in (0, 255, 0)]
    for name in ("a.gif", "a.webp"):
        path = tmp_path / name
        options: dict[str, Any] = {"lossless": True} if name == "a.webp" else {}
        frames[0].save(path, save_all=True, append_images=frames[1:], duration=100, **options)
        assert page_count(path) == 3
        assert read_image(path, page=1).pixels[..., :3].max() == 0
        assert read_image(path, page=2).pixels[..., :3].min() == 255
    single = tmp_path / "a.png"
    frames[0].save(single)
    assert read_image(single, page=1).pixels.shape == (20, 30, 3)
    with pytest.raises(ImageError, match="no page 2, but a single page"):
        read_image(single, page=2)
