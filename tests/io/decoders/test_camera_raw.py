"""Camera raw files, developed by LibRaw."""

import sys
from pathlib import Path

import numpy as np
import pytest
import rawpy

from pixperts.errors import ImageError, MissingDecoderError
from pixperts.io.decode import header_size
from pixperts.io.image import read_image, write_image
from pixperts.io.vips import sniff
from tests.helpers.dng import write_dng
from tests.helpers.image_files import assert_one_sentence

COLORS = np.array([[0.8, 0.2, 0.1], [0.1, 0.7, 0.2], [0.2, 0.2, 0.9], [0.5, 0.5, 0.5]])


def fields(height: int = 64, width: int = 96) -> np.ndarray:
    """Four upright bars of plain colors, linear light."""
    return np.repeat(np.tile(COLORS[:, None], (1, width // 4, 1)).reshape(1, width, 3), height, 0)


def independent(path: Path) -> np.ndarray:
    with rawpy.imread(str(path)) as raw:
        pixels: np.ndarray = raw.postprocess(use_camera_wb=True, output_bps=16, gamma=(2.4, 12.92))
    return pixels


def test_sixteen_bits_of_srgb(tmp_path: Path) -> None:
    path = write_dng(tmp_path / "a.dng", fields())
    result = read_image(path)
    assert result.format == "raw"
    assert result.pixels.dtype == np.uint16
    np.testing.assert_array_equal(result.pixels, independent(path))
    assert header_size(path) == (96, 64)
    # The colors are those of the light, but for the brightness that LibRaw chooses.
    codes = result.pixels[32, 12::24] / 65535
    linear = np.where(codes > 0.04045, ((codes + 0.055) / 1.055) ** 2.4, codes / 12.92)
    gain = linear[3].mean() / 0.5
    np.testing.assert_allclose(linear / gain, COLORS, atol=0.02)
    (note,) = result.notes
    assert note == (
        f"{path} was developed with the camera's white balance and automatic brightness."
    )


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_turned_once(tmp_path: Path, orientation: int) -> None:
    path = write_dng(tmp_path / "a.dng", fields(), orientation)
    result = read_image(path)
    np.testing.assert_array_equal(result.pixels, independent(path))
    turned = orientation in (6, 8)
    assert header_size(path) == ((64, 96) if turned else (96, 64))
    assert result.pixels.shape == ((96, 64, 3) if turned else (64, 96, 3))
    assert result.metadata.exif is not None
    assert b"Camera" in result.metadata.exif
    write_image(tmp_path / "b.tif", result.pixels, metadata=result.metadata)
    np.testing.assert_array_equal(read_image(tmp_path / "b.tif").pixels, result.pixels)


def test_the_size_is_checked_before_the_development(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    real = rawpy.imread

    def count(name: str) -> rawpy.RawPy:
        opened.append(name)
        return real(name)

    path = write_dng(tmp_path / "a.dng", fields())
    monkeypatch.setattr(rawpy, "imread", count)
    with pytest.raises(ImageError, match="96 x 64 pixels, over the limit of 6143") as caught:
        read_image(path, max_pixels=6143)
    assert_one_sentence(caught, path)
    assert opened == [str(path)]  # for its header
    read_image(path)
    assert len(opened) == 3


def test_cut_short_and_no_raw_file_at_all(tmp_path: Path) -> None:
    path = write_dng(tmp_path / "a.dng", fields())
    whole = path.read_bytes()
    for data in (whole[:100], whole[: len(whole) // 2], b"II*\0\x08\0\0\0" + bytes(60)):
        path.write_bytes(data)
        with pytest.raises(ImageError) as caught:
            read_image(path)
        assert_one_sentence(caught, path)


def test_without_rawpy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_dng(tmp_path / "a.dng", fields())
    monkeypatch.setitem(sys.modules, "rawpy", None)
    with pytest.raises(MissingDecoderError) as caught:
        read_image(path)
    assert_one_sentence(caught, path)
    assert "is camera raw, which needs an extra: pip install 'pixperts[raw]'" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("a.raf", b"FUJIFILMCCD-RAW 0201"),
        ("a.orf", b"IIRO\x08\0\0\0"),
        ("a.rw2", b"IIU\0\x08\0\0\0"),
        ("a.cr3", b"\0\0\0\x18ftypcrx \0\0\0\x01"),
        ("a.cr2", b"II*\0\x10\0\0\0CR\x02\0"),
        ("renamed.tif", b"II*\0\x10\0\0\0CR\x02\0"),
        ("a.NEF", b"MM\0*\0\0\0\x08"),
    ],
)
def test_first_bytes(tmp_path: Path, name: str, head: bytes) -> None:
    (tmp_path / name).write_bytes(head.ljust(64, b"\0"))
    assert sniff(tmp_path / name) == "raw"
