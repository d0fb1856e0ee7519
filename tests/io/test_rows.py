import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips

from pixperts.errors import ImageError, UsageError
from pixperts.io import rows as rows_module
from pixperts.io.image import read_image, write_image
from pixperts.io.metadata.metadata import Metadata
from pixperts.io.rows import RowReader, RowWriter
from pixperts.ops.pixels import Pixels
from tests.helpers import photo_files as files

SAVERS = {".jpg": "jpegsave", ".png": "pngsave", ".tif": "tiffsave", ".webp": "webpsave"}


def noise(height: int = 61, width: int = 47, channels: int = 3, dtype: Any = np.uint8) -> Pixels:
    unit = np.random.default_rng(channels).random((height, width, channels))
    if dtype is np.float32:
        return unit.astype(np.float32)
    return np.rint(unit * np.iinfo(dtype).max).astype(dtype)


def vips(pixels: Pixels) -> pyvips.Image:
    height, width, channels = pixels.shape
    kind = {"uint8": "uchar", "uint16": "ushort", "float32": "float"}[pixels.dtype.name]
    image = pyvips.Image.new_from_memory(pixels, width, height, channels, kind)
    deep = pixels.dtype == np.uint16
    space = ("grey16" if deep else "b-w") if channels < 3 else ("rgb16" if deep else "srgb")
    return image.copy(interpretation=space)


def read_in_windows(path: Path, height: int, margin: int = 0, **options: Any) -> Pixels:
    """All rows, in windows of `height` rows that overlap by `margin` on either side."""
    with RowReader(path, **options) as reader:
        parts = []
        for top in range(0, reader.height, height):
            bottom = min(top + height, reader.height)
            first, last = max(0, top - margin), min(reader.height, bottom + margin)
            window = reader.rows(first, last)
            assert window.shape == (last - first, reader.width, reader.bands)
            assert window.dtype == reader.dtype
            parts.append(window[top - first : bottom - first])
    return np.concatenate(parts)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", list(SAVERS))
def test_rows_are_those_of_read_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, orientation: int
) -> None:
    monkeypatch.setattr(rows_module, "_BAND", 16)
    path = tmp_path / f"a{suffix}"
    image = vips(noise()).copy()
    image.set_type(pyvips.GValue.gint_type, "orientation", orientation)
    getattr(image, SAVERS[suffix])(str(path))
    whole = read_image(path)
    assert whole.pixels.shape[0] == (47 if orientation >= 5 else 61)
    for height, margin in ((7, 0), (13, 20)):
        assert np.array_equal(read_in_windows(path, height, margin), whole.pixels)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_pictures_that_do_not_fit_into_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, orientation: int
) -> None:
    monkeypatch.setattr(rows_module, "_BAND", 7)
    monkeypatch.setattr(rows_module, "_IN_MEMORY", 100)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    image = vips(noise(dtype=np.uint16, channels=4)).copy()
    image.set_type(pyvips.GValue.gint_type, "orientation", orientation)
    image.tiffsave(str(tmp_path / "a.tif"))
    whole = read_image(tmp_path / "a.tif").pixels
    assert np.array_equal(read_in_windows(tmp_path / "a.tif", 9, 4), whole)
    assert [path.name for path in tmp_path.iterdir()] == ["a.tif"]
    if orientation > 2:
        monkeypatch.setattr("shutil.disk_usage", lambda _: Usage(0))
        with RowReader(tmp_path / "a.tif") as reader, pytest.raises(ImageError, match="make room"):
            reader.rows(0, 1)


class Usage:
    def __init__(self, free: int) -> None:
        self.free = free


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("interlaced.png", {"interlace": True}),
        ("palette.png", {"palette": True}),
        ("progressive.jpg", {"interlace": True}),
        ("tiled.tif", {"tile": True, "tile_width": 32, "tile_height": 16}),
        ("planes.tif", {"compression": "lzw"}),
        ("lossless.webp", {"lossless": True}),
        ("a.avif", {"compression": "av1", "lossless": True}),
        ("a.gif", {}),
    ],
)
def test_files_that_are_not_stored_by_rows(tmp_path: Path, name: str, options: Any) -> None:
    vips(noise(150, 97)).write_to_file(str(tmp_path / name), **options)
    whole = read_image(tmp_path / name).pixels
    for height, margin in ((11, 0), (40, 25)):
        assert np.array_equal(read_in_windows(tmp_path / name, height, margin), whole)


@pytest.mark.parametrize("color", ["keep", "srgb"])
def test_colours_are_converted_by_rows(tmp_path: Path, color: str) -> None:
    profile = files.vips_profile("p3")
    path = tmp_path / "a.tif"
    write_image(path, noise(dtype=np.uint16), metadata=Metadata(icc=profile))
    inks = vips(noise(channels=4)).copy(interpretation="cmyk")
    inks.jpegsave(str(tmp_path / "b.jpg"))
    for name in ("a.tif", "b.jpg"):
        whole = read_image(tmp_path / name, color=color)
        with RowReader(tmp_path / name, color=color) as reader:
            assert reader.metadata == whole.metadata
            assert reader.notes == whole.notes
        assert np.array_equal(read_in_windows(tmp_path / name, 9, 2, color=color), whole.pixels)


def test_what_a_reader_says_of_the_picture(tmp_path: Path) -> None:
    path = files.write_photo(tmp_path / "a.jpg")
    whole = read_image(path)
    with RowReader(path) as one, RowReader(path) as two:
        assert (one.width, one.height, one.bands, one.dtype.name) == (32, 48, 3, "uint8")
        assert (one.format, one.metadata, one.notes) == (whole.format, whole.metadata, ())
        assert np.array_equal(one.rows(0, 48), two.rows(0, 48))
    with pytest.raises(UsageError, match="closed"):
        one.rows(0, 1)


def test_windows_that_can_and_cannot_be_had(tmp_path: Path) -> None:
    pixels = noise()
    path = write_image(tmp_path / "a.png", pixels)
    with RowReader(path) as reader:
        window = reader.rows(5, 20)
        window[:] = 0  # what was handed out is the caller's own
        assert np.array_equal(reader.rows(5, 8), pixels[5:8])
        assert np.array_equal(reader.rows(10, 30), pixels[10:30])
        assert np.array_equal(reader.rows(40, 41), pixels[40:41])
        for top, bottom in ((39, 50), (45, 45), (50, 62)):
            with pytest.raises(UsageError, match="must be between 40"):
                reader.rows(top, bottom)
        assert np.array_equal(reader.rows(40, 61), pixels[40:])


def test_errors_are_those_of_read_image(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.png", noise(200, 200))
    with pytest.raises(ImageError, match=r"over the limit of 100: raise max_pixels, or reduce"):
        RowReader(path, max_pixels=100)
    with pytest.raises(ImageError, match="does not exist"):
        RowReader(tmp_path / "none.png")
    with pytest.raises(UsageError, match="keep, srgb"):
        RowReader(path, color="cmyk")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with RowReader(path) as reader:
        assert reader.rows(0, 10).shape == (10, 200, 3)
        with pytest.raises(ImageError, match="cut short"):
            reader.rows(10, 200)
    floats = noise(dtype=np.float32)
    floats[50, 3, 1] = np.nan
    vips(floats).tiffsave(str(tmp_path / "a.tif"))
    with RowReader(tmp_path / "a.tif") as reader:
        assert np.array_equal(reader.rows(0, 50), floats[:50])
        with pytest.raises(ImageError, match="NaN"):
            reader.rows(50, 61)


KINDS = [
    (dtype, channels) for dtype in (np.uint8, np.uint16, np.float32) for channels in (1, 2, 3, 4)
]


@pytest.mark.parametrize(
    ("suffix", "dtype", "channels"),
    [
        *[(suffix, *kind) for suffix in (".jpg", ".png", ".tif") for kind in KINDS],
        *[(suffix, *kind) for suffix in (".webp", ".avif") for kind in KINDS[::5]],
    ],
)
def test_a_file_by_rows_is_the_file_at_once(
    tmp_path: Path, suffix: str, dtype: Any, channels: int
) -> None:
    photo = read_image(files.write_photo(tmp_path / "photo.jpg"))
    options: Any = {"metadata": photo.metadata, "software": "pixperts x2"}
    if suffix in (".jpg", ".avif"):
        options["quality"] = 70
    elif suffix == ".webp":
        options["lossless"] = True
    pixels = noise(channels=channels, dtype=dtype)
    once = write_image(tmp_path / f"once{suffix}", pixels, **options)
    by_rows = tmp_path / "new" / f"rows{suffix}"
    with RowWriter(by_rows, 47, 61, channels, dtype, **options) as writer:
        for top in range(0, 61, 9):
            writer.write(pixels[top : top + 9])
    assert by_rows.read_bytes() == once.read_bytes()
    assert [path.name for path in by_rows.parent.iterdir()] == [by_rows.name]


def test_a_raw_file_of_many_strips(tmp_path: Path) -> None:
    pixels = noise(900, 600, 4, np.uint16)
    with RowWriter(tmp_path / "a.tif", 600, 900, 4, np.uint16) as writer:
        writer.write(pixels)
    assert np.array_equal(read_image(tmp_path / "a.tif").pixels, pixels)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_error_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    target = tmp_path / "a.png"
    target.write_bytes(b"before")

    def fail() -> None:
        with RowWriter(target, 47, 61, 3, np.uint8) as writer:
            writer.write(noise()[:5])
            assert len(list(tmp_path.iterdir())) == 2
            raise error

    with pytest.raises(error):
        fail()
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    assert target.read_bytes() == b"before"


def test_a_failing_encoder_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(path: Path, *_: object) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(rows_module, "encode", broken)
    with (
        pytest.raises(ImageError, match="No space left on device"),
        RowWriter(tmp_path / "a.png", 47, 61, 3, np.uint8) as writer,
    ):
        writer.write(noise())
    assert list(tmp_path.iterdir()) == []


def test_rows_that_do_not_fit(tmp_path: Path) -> None:
    def attempt(*parts: Any) -> None:
        with RowWriter(tmp_path / "a.png", 47, 61, 3, np.uint8) as writer:
            for part in parts:
                writer.write(part)

    with pytest.raises(UsageError, match="got 60 of its 61 rows"):
        attempt(noise(60))
    with pytest.raises(UsageError, match="62 rows are more than the 61"):
        attempt(noise(61), noise(1))
    for wrong in (noise(width=46), noise(channels=4), noise(dtype=np.uint16), noise()[0], [[1]]):
        with pytest.raises(UsageError, match="do not fit"):
            attempt(wrong)
    for bands, dtype in ((5, np.uint8), (3, np.int32)):
        with pytest.raises(UsageError, match="give 1 to 4 channels"):
            RowWriter(tmp_path / "a.png", 4, 4, bands, dtype)
    with pytest.raises(UsageError, match="at most 16383"):
        RowWriter(tmp_path / "a.webp", 16384, 4, 3, np.uint8)
    with pytest.raises(UsageError, match="lossless"):
        RowWriter(tmp_path / "a.png", 4, 4, 3, np.uint8, quality=5)
    assert list(tmp_path.iterdir()) == []


def test_the_disk_must_hold_both_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = 1000 * 1000 * 3
    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage(2 * size - 1))
    with pytest.raises(ImageError, match=r"a\.png needs up to 0\.01 GB .* 0\.01 GB are free"):
        RowWriter(tmp_path / "a.png", 1000, 1000, 3, np.uint8)
    RowWriter(tmp_path / "a.jpg", 1000, 1000, 3, np.uint8).close()
    assert list(tmp_path.iterdir()) == []


COPY = """
import sys
from pixperts.io.rows import RowReader, RowWriter

with RowReader(sys.argv[1]) as reader:
    size = reader.width, reader.height, reader.bands, reader.dtype
    with RowWriter(sys.argv[2], *size) as writer:
        for top in range(0, reader.height, 64):
            writer.write(reader.rows(top, min(top + 64, reader.height)))
# Not what getrusage says, which a process inherits from the one that started it.
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("suffix", [".tif", ".jpg"])
@pytest.mark.slow
def test_memory_does_not_grow_with_the_picture(tmp_path: Path, suffix: str) -> None:
    # 50 and 192 MB of pixels; both lie over the size from which JPEG codes are not optimized.
    peaks = []
    for rows in (4200, 16000):
        source = tmp_path / f"{rows}.tif"
        pyvips.Image.black(4000, rows, bands=3).copy(interpretation="srgb").tiffsave(
            str(source), compression="deflate"
        )
        command = [sys.executable, "-c", COPY, str(source), str(tmp_path / f"out{suffix}")]
        paths = os.pathsep.join(map(str, sys.path))
        done = subprocess.run(
            command,
            check=True,
            capture_output=True,
            text=True,
            env=os.environ | {"PYTHONPATH": paths},
        )
        peaks.append(int(done.stdout) / 1024)
    assert peaks[1] < peaks[0] + 40, peaks
    assert peaks[1] < 192, peaks
