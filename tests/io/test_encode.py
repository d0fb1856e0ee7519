"""Floats to codes, and pictures that are written whole or not at all."""

import os
import stat
from pathlib import Path

import numpy as np
import pytest
import pyvips

from pixperts.errors import ImageError, UsageError
from pixperts.io import encode as encode_module
from pixperts.io import image as image_module
from pixperts.io.formats import FORMAT_LIMITS, is_image_path
from pixperts.io.image import check_output, list_images, read_image, write_image
from pixperts.ops.pixels import Pixels, from_float, to_float
from tests.helpers.image_files import LIMITS, assert_one_sentence, noise


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_every_code_survives_the_floats(dtype: type) -> None:
    top = LIMITS[np.dtype(dtype).name]
    codes: Pixels = np.arange(top + 1).astype(dtype)
    unit = to_float(codes)
    assert unit.dtype == np.float32
    assert unit[0] == 0
    assert unit[-1] == 1
    assert np.all(np.diff(unit) > 0)
    back = from_float(unit, dtype)
    assert back.dtype == dtype
    assert np.array_equal(back, codes)
    assert np.array_equal(from_float(codes / np.float64(top), dtype), codes)


def test_from_float_rounds_and_clips() -> None:
    values = np.array([-9, 0.4999 / 255, 0.5001 / 255, 254.4999 / 255, 254.5001 / 255, 9])
    assert from_float(values, np.uint8).tolist() == [0, 0, 1, 254, 255, 255]
    assert from_float(values, np.float32)[[0, -1]].tolist() == [0, 1]
    assert from_float(np.array([0.5], np.float16), np.uint16).tolist() == [32768]
    with pytest.raises(UsageError, match="cannot become int64"):
        from_float(values, np.int64)
    with pytest.raises(UsageError, match="uint8"):
        from_float(np.zeros(3, np.uint8), np.uint8)


def test_to_float_of_floats() -> None:
    assert to_float(np.array([-0.001, 0.5, 1.001], np.float32)).tolist() == [0, 0.5, 1]
    with pytest.raises(ImageError, match="span 0 to 255"):
        to_float(np.array([0, 255], np.float32))
    with pytest.raises(UsageError, match="int32"):
        to_float(np.array([0, 255], np.int32))
    assert to_float(np.zeros((0, 3), np.uint8)).shape == (0, 3)


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 5), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((4, 4, 3), np.float64),
        np.zeros((4, 4, 3), bool),
        [[1]],
    ],
)
def test_pixels_that_are_no_picture(tmp_path: Path, pixels: Pixels) -> None:
    with pytest.raises(UsageError, match="give"):
        write_image(tmp_path / "a.png", pixels)
    assert list(tmp_path.iterdir()) == []


def test_pixels_may_be_a_view(tmp_path: Path) -> None:
    pixels = noise()[::-2, ::3, ::-1]
    assert np.array_equal(read_image(write_image(tmp_path / "a.png", pixels)).pixels, pixels)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError("odd")])
def test_a_failed_write_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    seen: list[Path] = []

    def broken(path: Path, *_: object) -> None:
        path.write_bytes(b"half")
        seen.append(path)
        raise error

    monkeypatch.setattr(image_module, "encode", broken)
    new, old = tmp_path / "new.png", tmp_path / "old.png"
    old.write_bytes(b"before")
    for target in (new, old):
        with pytest.raises(ImageError, match="could not be written") as caught:
            write_image(target, noise())
        assert_one_sentence(caught, target)
    assert [p.name for p in tmp_path.iterdir()] == ["old.png"]
    assert old.read_bytes() == b"before"
    for path in seen:
        assert path.parent == tmp_path
        assert path.name.startswith(".")
        assert str(os.getpid()) in path.name


def test_an_interrupted_write_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(path: Path, *_: object) -> None:
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(image_module, "encode", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_image(tmp_path / "a.png", noise())
    assert list(tmp_path.iterdir()) == []


def test_a_failed_replace_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []

    def replace(*_: object) -> None:
        order.append("replace")
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "fsync", lambda _: order.append("fsync"))
    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(ImageError, match="Permission denied"):
        write_image(tmp_path / "a.png", noise())
    assert order == ["fsync", "replace"]
    assert list(tmp_path.iterdir()) == []


def test_a_saver_error_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # With the limit lifted, libjpeg itself refuses the width: a real error of a real saver.
    monkeypatch.setitem(FORMAT_LIMITS, "jpeg", 10**6)
    path = tmp_path / "a.jpg"
    with pytest.raises(ImageError, match="65500") as caught:
        write_image(path, np.zeros((1, 65501, 1), np.uint8))
    assert_one_sentence(caught, path)
    assert list(tmp_path.iterdir()) == []


def test_permissions_and_links_outlive_a_replacement(tmp_path: Path) -> None:
    real, link = tmp_path / "real.png", tmp_path / "link.png"
    write_image(real, noise(seed=1))
    real.chmod(0o600)
    link.symlink_to(real)
    assert write_image(link, noise(seed=2)) == link
    assert link.is_symlink()
    assert stat.S_IMODE(real.stat().st_mode) == 0o600
    assert np.array_equal(read_image(real).pixels, noise(seed=2))


def test_largest_sides_are_written(tmp_path: Path) -> None:
    for suffix, kind in ((".jpg", "jpeg"), (".webp", "webp")):
        pixels = np.zeros((1, FORMAT_LIMITS[kind], 1), np.uint8)
        back = read_image(write_image(tmp_path / f"a{suffix}", pixels))
        assert back.width == FORMAT_LIMITS[kind]


@pytest.mark.parametrize(
    ("name", "width", "height", "limit"),
    [("a.jpg", 65501, 10, 65500), ("a.JPEG", 10, 70000, 65500), ("a.webp", 16384, 1, 16383)],
)
def test_format_limits(tmp_path: Path, name: str, width: int, height: int, limit: int) -> None:
    with pytest.raises(UsageError, match=f"at most {limit} per side"):
        check_output(tmp_path / name, width, height)
    check_output(tmp_path / name, min(width, limit), min(height, limit))
    check_output(tmp_path / "a.png", width, height)
    check_output(tmp_path / "a.tif", width, height)
    with pytest.raises(UsageError, match=str(limit)):
        check_output(tmp_path / "a.png", width, height, Path(name).suffix[1:])
    assert list(tmp_path.iterdir()) == []


def test_outputs_that_cannot_be(tmp_path: Path) -> None:
    for name in ("a.gif", "a", "a.png.bak"):
        with pytest.raises(UsageError, match=r"\.jpg, \.jpeg, \.png, \.webp, \.tif, \.tiff"):
            check_output(tmp_path / name, 4, 4)
    with pytest.raises(UsageError, match="BMP cannot be written: use one of jpeg, png, webp"):
        check_output(tmp_path / "a.png", 4, 4, "bmp")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(UsageError, match="is a folder"):
        check_output(tmp_path / "folder.png", 4, 4)
    with pytest.raises(UsageError, match="not a regular file"):
        check_output(os.devnull, 4, 4, "png")
    (tmp_path / "file").write_text("x")
    with pytest.raises(ImageError, match="file is not a folder"):
        check_output(tmp_path / "file" / "a.png", 4, 4)
    with pytest.raises(UsageError, match="1 to 100"):
        check_output(tmp_path / "a.jpg", 4, 4, quality=500)


def test_check_output_makes_no_folder_and_write_image_does(tmp_path: Path) -> None:
    target = tmp_path / "x" / "y" / "a.png"
    check_output(target, 4, 4)
    assert list(tmp_path.iterdir()) == []
    write_image(target, noise())
    assert target.is_file()


def test_large_tiff_becomes_bigtiff(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # What the saver is told; a real one would take minutes.
    seen: dict[str, object] = {}

    def record(image: pyvips.Image, path: bytes, **options: object) -> None:
        seen.update(options)
        Path(os.fsdecode(path)).touch()

    monkeypatch.setattr(pyvips.Image, "tiffsave", record, raising=False)
    for side, expected in ((1000, False), (65536, True)):
        image = pyvips.Image.black(side, side)
        encode_module.encode(tmp_path / "a.tif", image, encode_module.Recipe("tiff"))
        assert seen["bigtiff"] is expected


def test_names_and_folders(tmp_path: Path) -> None:
    assert is_image_path("a.JPeG")
    assert not is_image_path("a.jpg.txt")
    for name in ("b.png", "a.JPG", "c.txt", ".hidden.png", "sub/d.webp", "sub/.x/e.tif", "z/f.tif"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    assert list_images(tmp_path) == [tmp_path / "a.JPG", tmp_path / "b.png"]
    found = [str(p.relative_to(tmp_path)) for p in list_images(tmp_path, recursive=True)]
    assert found == ["a.JPG", "b.png", "sub/d.webp", "z/f.tif"]
    for wrong in (tmp_path / "none", tmp_path / "c.txt"):
        with pytest.raises(ImageError, match="cannot be listed"):
            list_images(wrong)
