"""JPEG and PNG files that end too early, held against Pillow and the whole picture."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFile

from pixperts.errors import ImageError
from pixperts.io.image import read_image
from pixperts.io.rows import RowReader
from pixperts.ops.pixels import Pixels
from tests.helpers.image_files import assert_one_sentence, png

HEIGHT = 360


def photo() -> Image.Image:
    return Image.open("examples/colosseum.jpg").convert("RGB").resize((480, HEIGHT))


def encoded(kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    photo().save(buffer, kind, **options)
    return buffer.getvalue()


def as_viewers_do(data: bytes, monkeypatch: pytest.MonkeyPatch) -> Pixels:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def refused(path: Path, **options: Any) -> None:
    with pytest.raises(ImageError, match="damaged or cut short") as caught:
        read_image(path, **options)
    assert_one_sentence(caught, path)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}])
@pytest.mark.parametrize("lost", [1, 2])
def test_a_jpeg_that_lacks_only_its_end_mark(
    tmp_path: Path, options: dict[str, Any], lost: int
) -> None:
    data, path = encoded("JPEG", quality=90, **options), tmp_path / "a.jpg"
    path.write_bytes(data[:-lost])
    picture = read_image(path)
    assert np.array_equal(picture.pixels, np.asarray(Image.open(io.BytesIO(data))))
    assert picture.notes == (f"{path} lacks its end mark; all of its rows are there.",)
    refused(path, strict=True)


@pytest.mark.parametrize("share", [0.999, 0.98, 0.95])
@pytest.mark.parametrize("subsampling", [0, 2])
def test_the_rows_of_a_jpeg_that_are_there_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: float, subsampling: int
) -> None:
    data, path = encoded("JPEG", quality=90, subsampling=subsampling), tmp_path / "a.jpg"
    cut = data[: int(len(data) * share)]
    path.write_bytes(cut)
    whole = np.asarray(Image.open(io.BytesIO(data)))
    picture = read_image(path)
    (note,) = picture.notes
    missing = int(note.split("up to ")[1].split()[0])
    assert 0 < missing <= HEIGHT // 8
    assert f"{missing} of its {HEIGHT} rows are missing" in note
    good = HEIGHT - missing
    assert (picture.pixels[good] != whole[good]).any()
    assert np.array_equal(picture.pixels[:good], whole[:good])
    assert np.array_equal(picture.pixels[:good], as_viewers_do(cut, monkeypatch)[:good])
    with RowReader(path) as reader:
        assert reader.notes == picture.notes
        assert np.array_equal(reader.rows(0, 100), picture.pixels[:100])
        assert np.array_equal(reader.rows(100, HEIGHT), picture.pixels[100:])
    refused(path, strict=True)


@pytest.mark.parametrize("share", [0.8, 0.5, 0.1])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_that_lacks_more_is_refused(tmp_path: Path, share: float, progressive: bool) -> None:
    data, path = encoded("JPEG", quality=90, progressive=progressive), tmp_path / "a.jpg"
    if progressive and share == 0.8:
        share = 0.4  # of the last scan, which refines, a part may be missing
    path.write_bytes(data[: int(len(data) * share)])
    refused(path)


def test_a_progressive_jpeg_may_lack_its_finest_details(tmp_path: Path) -> None:
    data, path = encoded("JPEG", quality=90, progressive=True), tmp_path / "a.jpg"
    path.write_bytes(data[: int(len(data) * 0.97)])
    picture = read_image(path)
    (note,) = picture.notes
    assert "the finest details of its lower part may be missing" in note
    whole = np.asarray(Image.open(io.BytesIO(data))).astype(int)
    assert np.sqrt(((picture.pixels - whole) ** 2).mean()) < 2
    refused(path, strict=True)


def test_a_jpeg_with_something_behind_its_end_is_whole(tmp_path: Path) -> None:
    data, path = encoded("JPEG", quality=90), tmp_path / "a.jpg"
    path.write_bytes(data + b"trailer" * 20)
    told = (f"{path} holds 140 bytes after the picture, which were left out.",)
    assert read_image(path, strict=True).notes == read_image(path).notes == told


def test_damage_inside_a_cut_jpeg_is_no_end(tmp_path: Path) -> None:
    # The end mark of a preview before the picture is not that of the picture.
    data, path = encoded("JPEG", quality=90), tmp_path / "a.jpg"
    path.write_bytes(data[:2] + b"\xff\xe1\0\x08ab\xff\xd9cd" + data[2 : len(data) // 2])
    refused(path)


@pytest.mark.parametrize("mode", ["RGB", "L", "P"])
def test_the_rows_of_a_png_that_are_there_are_read(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "a.png"
    image = photo().quantize() if mode == "P" else photo().convert(mode)
    image.save(path)
    data, whole = path.read_bytes(), read_image(path).pixels
    path.write_bytes(data[: int(len(data) * 0.97)])
    picture = read_image(path)
    (note,) = picture.notes
    missing = int(note.split("up to ")[1].split()[0])
    assert 0 < missing <= HEIGHT // 8
    assert "filled with black" in note
    assert np.array_equal(picture.pixels[:-missing], whole[:-missing])
    with RowReader(path) as reader:
        assert np.array_equal(reader.rows(0, HEIGHT), picture.pixels)
    refused(path, strict=True)
    path.write_bytes(data[: len(data) // 2])
    refused(path)


def test_damage_inside_a_png_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    photo().save(path)
    data = bytearray(path.read_bytes())
    data[-200:-160] = bytes(40)
    path.write_bytes(data)
    refused(path)
    path.write_bytes(png(20, 20, 8, 2, b"")[:-12])
    refused(path)


@pytest.mark.parametrize("kind", ["webp", "tiff", "avif", "gif"])
def test_other_files_that_are_cut_are_refused(tmp_path: Path, kind: str) -> None:
    data, path = encoded(kind), tmp_path / f"a.{kind}"
    path.write_bytes(data[: int(len(data) * 0.97)])
    with pytest.raises(ImageError) as caught:
        read_image(path)
    assert_one_sentence(caught, path)
