"""HEIC by the extra: exact, turned once, page by page."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageCms

from pixperts.errors import ImageError
from pixperts.io import decode
from pixperts.io.image import read_image
from tests.helpers.decoded import check
from tests.helpers.image_files import noise, smooth

EXACT: dict[str, Any] = {"quality": -1, "chroma": 444, "matrix_coefficients": 0}
ORIENTED = Image.Exif()
ORIENTED[0x0112], ORIENTED[0x010F] = 6, "Camera"  # orientation and maker
BY_PILLOW = [("a.bmp", "BMP"), ("a.tga", "TGA"), ("a.dds", "DDS")]


def heic(path: Path, image: Image.Image, **options: Any) -> Path:
    pillow_heif.from_pillow(image).save(path, **(EXACT | options))
    return path


@pytest.mark.parametrize("channels", [3, 4])
def test_heic(tmp_path: Path, channels: int) -> None:
    pixels = noise(channels)
    path = heic(tmp_path / "a.heic", Image.fromarray(pixels))
    assert check(path, pixels).format == "heic"


def test_heic_gray(tmp_path: Path) -> None:
    pixels = smooth(1)
    path = heic(tmp_path / "a.heic", Image.fromarray(pixels[..., 0]), matrix_coefficients=6)
    result = read_image(path).pixels
    assert result.shape == pixels.shape
    assert np.abs(result.astype(int) - pixels).max() <= 1


def test_heic_of_ten_bits_spans_sixteen(tmp_path: Path) -> None:
    codes = np.random.default_rng(0).integers(0, 1024, (23, 37, 3)).astype(np.uint16)
    codes[0, 0], codes[0, 1] = 1023, 0
    path = tmp_path / "a.heic"
    pillow_heif.options.SAVE_HDR_TO_12_BIT = False
    pillow_heif.from_bytes("RGB;16", (37, 23), (codes << 6).tobytes()).save(path, **EXACT)
    expected = np.rint(codes / 1023 * 65535).astype(np.uint16)
    result = check(path, expected)
    assert result.pixels.max() == 65535


def test_heic_keeps_profile_and_exif_and_is_turned_once(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    stored = noise(3, height=20, width=30)
    path = tmp_path / "a.heic"
    pillow_heif.from_pillow(Image.fromarray(stored)).save(
        path, exif=ORIENTED.tobytes(), icc_profile=profile, **EXACT
    )
    with pillow_heif.open_heif(path).to_pillow() as independent:
        upright = np.asarray(independent)
    result = check(path, upright)
    assert result.metadata.icc == profile
    assert result.metadata.exif is not None
    assert b"Camera" in result.metadata.exif


def test_a_turned_heic_is_upright_in_the_result(tmp_path: Path) -> None:
    from pixperts.io.image import write_image

    stored = noise(3, height=20, width=30)
    plugin = io.BytesIO()
    pillow_heif.register_heif_opener()
    Image.fromarray(stored).save(plugin, "HEIF", exif=ORIENTED.tobytes(), **EXACT)
    path = tmp_path / "a.heic"
    path.write_bytes(plugin.getvalue())
    result = read_image(path)
    write_image(tmp_path / "b.png", result.pixels, metadata=result.metadata)
    with Image.open(path) as seen, Image.open(tmp_path / "b.png") as written:
        assert seen.size == written.size
        np.testing.assert_array_equal(np.asarray(written), np.asarray(seen))
        assert written.getexif().get(0x0112, 1) == 1


def test_heic_of_several_pictures(tmp_path: Path) -> None:
    several = pillow_heif.from_pillow(Image.fromarray(noise(seed=1)))
    several.add_from_pillow(Image.fromarray(noise(seed=2)))
    path = tmp_path / "a.heic"
    several.save(path, primary_index=1, **EXACT)
    result = check(path, noise(seed=2))
    assert result.notes == (f"{path} holds 2 pictures: only the main one was read.",)
    assert decode.page_count(path) == 2


def test_pages_of_heic(tmp_path: Path) -> None:
    several = pillow_heif.from_pillow(Image.fromarray(noise(seed=1)))
    several.add_from_pillow(Image.fromarray(noise(seed=2)))
    path = tmp_path / "a.heic"
    several.save(path, **EXACT)
    for page in (1, 2):
        result = read_image(path, page=page)
        # Of several pictures, pillow-heif stores some as YCbCr, which rounds.
        assert np.abs(result.pixels.astype(int) - noise(seed=page)).max() <= 1
        assert result.notes == ()
    with pytest.raises(ImageError, match="has no page 3, but 2 pages"):
        read_image(path, page=3)
