"""Which way is up: EXIF says it, and XMP where EXIF does not."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo

from pixperts.io.decode import header_size
from pixperts.io.image import read_image, write_image
from pixperts.io.rows import RowReader
from pixperts.ops.pixels import Pixels
from tests.helpers.jpeg_files import packet
from tests.helpers.photo_files import gradient

SUFFIXES = (".jpg", ".png", ".webp", ".tif")
TIFF = 'xmlns:tiff="http://ns.adobe.com/tiff/1.0/"'


def write(path: Path, xmp: int, exif: int | None = None) -> Path:
    block = Image.Exif()
    block[0x10F] = "Maker"
    if exif is not None:
        block[0x112] = exif
    image = Image.fromarray(gradient())
    told = packet(TIFF, f'tiff:Orientation="{xmp}"')
    if path.suffix == ".png":
        texts = PngInfo()
        texts.add_itxt("XML:com.adobe.xmp", told.decode())
        image.save(path, pnginfo=texts, exif=block)
    elif path.suffix == ".tif":
        image.save(path, tiffinfo={700: told, **({} if exif is None else {274: exif})})
    elif path.suffix == ".webp":
        image.save(path, lossless=True, exif=block, xmp=told)
    else:
        image.save(path, quality=98, subsampling=0, exif=block, xmp=told)
    return path


def shown(path: Path) -> Pixels:
    """As Pillow turns it, which follows XMP where EXIF does not say."""
    with Image.open(path) as image:
        image.load()
        return np.asarray(ImageOps.exif_transpose(image))


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_xmp_turns_a_picture_where_exif_does_not_say(
    tmp_path: Path, suffix: str, orientation: int
) -> None:
    source = write(tmp_path / f"in{suffix}", orientation)
    picture = read_image(source)
    if suffix != ".tif":  # of which Pillow reads the tag alone
        assert np.abs(picture.pixels.astype(int) - shown(source)).max() < 6
    turned = orientation >= 5
    assert picture.pixels.shape[:2] == ((48, 32) if turned else (32, 48))
    assert header_size(source) == (picture.width, picture.height)
    with RowReader(source) as reader:
        assert np.array_equal(reader.rows(0, reader.height), picture.pixels)
    path = tmp_path / f"out{suffix}"
    lossless = suffix == ".webp"
    write_image(path, picture.pixels, metadata=picture.metadata, lossless=lossless)
    assert b'tiff:Orientation="1"' in (read_image(path).metadata.xmp or b"")
    assert np.abs(shown(path).astype(int) - picture.pixels).max() < 6
    assert np.abs(read_image(path).pixels.astype(int) - picture.pixels).max() < 6


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(("exif", "xmp"), [(1, 6), (3, 6), (8, 1)])
def test_exif_wins_where_both_say(tmp_path: Path, suffix: str, exif: int, xmp: int) -> None:
    picture = read_image(write(tmp_path / f"in{suffix}", xmp, exif))
    expected = {1: gradient(), 3: gradient()[::-1, ::-1], 8: np.rot90(gradient())}[exif]
    assert np.abs(picture.pixels.astype(int) - expected).max() < 6


def test_avif_is_turned_by_its_own_boxes_alone(tmp_path: Path) -> None:
    path = tmp_path / "in.avif"
    told = packet(TIFF, 'tiff:Orientation="6"')
    Image.fromarray(gradient()).save(path, quality=95, xmp=told)
    assert read_image(path).pixels.shape == (32, 48, 3)
