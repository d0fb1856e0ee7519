"""Formats that libvips does not read: HEIC, JPEG XL, JPEG 2000, BMP, TGA and DDS by extras."""

import struct
import sys
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pillow_heif
import pytest
from PIL import Image

from pixperts.errors import ImageError, MissingDecoderError, MissingExtraError
from pixperts.io.decode import header_size
from pixperts.io.decoders import foreign
from pixperts.io.image import list_images, read_image
from pixperts.io.rows import RowReader
from tests.helpers.decoded import check
from tests.helpers.image_files import assert_one_sentence, noise, smooth

EXACT: dict[str, Any] = {"quality": -1, "chroma": 444, "matrix_coefficients": 0}
ORIENTED = Image.Exif()
ORIENTED[0x0112], ORIENTED[0x010F] = 6, "Camera"  # orientation and maker
BY_PILLOW = [("a.bmp", "BMP"), ("a.tga", "TGA"), ("a.dds", "DDS")]


def heic(path: Path, image: Image.Image, **options: Any) -> Path:
    pillow_heif.from_pillow(image).save(path, **(EXACT | options))
    return path


# JPEG XL and JPEG 2000


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_jpeg_xl(tmp_path: Path, channels: int, kind: type) -> None:
    pixels = noise(channels, kind)
    path = tmp_path / "a.jxl"
    path.write_bytes(imagecodecs.jpegxl_encode(pixels.squeeze(), lossless=True))
    assert check(path, pixels).format == "jxl"


def test_jpeg_xl_of_floats_and_of_twelve_bits(tmp_path: Path) -> None:
    pixels = noise(3, np.float32)
    (tmp_path / "a.jxl").write_bytes(imagecodecs.jpegxl_encode(pixels, lossless=True))
    check(tmp_path / "a.jxl", pixels)
    codes = noise(3, np.uint16) >> 4
    data = imagecodecs.jpegxl_encode(codes, lossless=True, bitspersample=12)
    (tmp_path / "b.jxl").write_bytes(data)
    check(tmp_path / "b.jxl", np.rint(codes / 4095 * 65535).astype(np.uint16))


def test_jpeg_xl_in_a_container_with_metadata(tmp_path: Path) -> None:
    pixels = noise()
    data = imagecodecs.jpegxl_encode(pixels, lossless=True, usecontainer=True)
    exif = bytes(4) + ORIENTED.tobytes().removeprefix(b"Exif\0\0")
    packed = b"xml " + bytes(imagecodecs.brotli_encode(b"<x:xmpmeta/>"))
    for name, body in ((b"Exif", exif), (b"brob", packed)):
        data += struct.pack(">I4s", 8 + len(body), name) + body
    path = tmp_path / "a.jxl"
    path.write_bytes(data)
    result = check(path, pixels)  # not turned: a codestream has an orientation of its own
    assert result.metadata.exif is not None
    assert b"Camera" in result.metadata.exif
    assert result.metadata.xmp == b"<x:xmpmeta/>"


@pytest.mark.parametrize("codec", ["jp2", "j2k"])
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_jpeg_2000(tmp_path: Path, codec: str, channels: int, kind: type) -> None:
    pixels = noise(channels, kind)
    path = tmp_path / f"a.{codec}"
    path.write_bytes(
        imagecodecs.jpeg2k_encode(pixels.squeeze(), level=0, reversible=True, codecformat=codec)
    )
    assert check(path, pixels).format == "jp2"


def test_jpeg_2000_as_pillow_writes_it(tmp_path: Path) -> None:
    path = tmp_path / "a.jp2"
    Image.fromarray(noise()).save(path)
    check(path, noise())


def test_jpeg_2000_with_a_profile_and_of_twelve_bits(tmp_path: Path) -> None:
    codes = noise(1, np.uint16)[..., 0] >> 4
    data = imagecodecs.jpeg2k_encode(
        codes, level=0, reversible=True, codecformat="jp2", bitspersample=12
    )
    profile = bytes(16) + b"GRAY" + bytes(108)
    profile = struct.pack(">I", len(profile)) + profile[4:36] + b"acsp" + profile[40:]
    colr = struct.pack(">I4s3B", 11 + len(profile), b"colr", 2, 0, 0) + profile
    old = data.index(b"colr") - 4
    header = data.index(b"jp2h") - 4
    size = int.from_bytes(data[header : header + 4], "big") - 15 + len(colr)
    data = (
        data[:header] + struct.pack(">I", size) + data[header + 4 : old] + colr + data[old + 15 :]
    )
    path = tmp_path / "a.jp2"
    path.write_bytes(data)
    found = foreign.open_foreign(path, "jp2")
    assert found.icc == profile
    expected = np.rint(codes / 4095 * 65535).astype(np.uint16)[..., None]
    np.testing.assert_array_equal(read_image(path).pixels, expected)


# BMP, TGA and DDS


@pytest.mark.parametrize(("name", "kind"), BY_PILLOW)
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_by_pillow(tmp_path: Path, name: str, kind: str, mode: str) -> None:
    image = Image.fromarray(noise(4), "RGBA").convert(mode)
    path = tmp_path / name
    image.save(path, kind)
    with Image.open(path) as independent:
        shown = np.asarray(independent)
    shown = shown[..., None] if shown.ndim == 2 else shown
    np.testing.assert_array_equal(shown[..., :3], np.atleast_3d(np.asarray(image))[..., :3])
    check(path, shown)


def test_palettes_and_bits_become_what_they_show(tmp_path: Path) -> None:
    image = Image.fromarray(noise()).quantize(16)
    image.save(tmp_path / "a.bmp")
    check(tmp_path / "a.bmp", np.asarray(image.convert("RGB")))
    image.save(tmp_path / "a.tga", compression="tga_rle")
    check(tmp_path / "a.tga", np.asarray(image.convert("RGB")))
    bits = Image.fromarray(noise(1)[..., 0]).convert("1")
    bits.save(tmp_path / "b.bmp")
    check(tmp_path / "b.bmp", np.asarray(bits.convert("L"))[..., None])


def test_a_size_over_pillows_own_limit_is_ours_to_refuse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    Image.fromarray(noise()).save(tmp_path / "a.bmp")
    check(tmp_path / "a.bmp", noise())


# Damage, and what is not installed


def samples(folder: Path) -> dict[str, Path]:
    image = Image.fromarray(noise(height=200, width=300))
    paths = {"heic": heic(folder / "a.heic", image)}
    for kind, data in (
        ("jxl", imagecodecs.jpegxl_encode(np.asarray(image), lossless=True)),
        ("jp2", imagecodecs.jpeg2k_encode(np.asarray(image), level=0)),
    ):
        paths[kind] = folder / f"a.{kind}"
        paths[kind].write_bytes(data)
    for name, kind in BY_PILLOW:
        paths[kind.lower()] = folder / name
        image.save(folder / name, kind)
    return paths


@pytest.mark.parametrize("kind", ["heic", "jxl", "jp2", "bmp", "tga", "dds"])
def test_files_cut_short(tmp_path: Path, kind: str) -> None:
    path = samples(tmp_path)[kind]
    whole = path.read_bytes()
    for length in (20, 60, len(whole) // 2):
        path.write_bytes(whole[:length])
        with pytest.raises(ImageError) as caught:
            read_image(path)
        assert_one_sentence(caught, path)


@pytest.mark.parametrize(
    ("kind", "library", "extra"),
    [
        ("heic", "pillow_heif", "heic"),
        ("jxl", "imagecodecs", "jxl"),
        ("jp2", "imagecodecs", "jxl"),
        ("bmp", "PIL", "bmp"),
        ("tga", "PIL", "bmp"),
        ("dds", "PIL", "bmp"),
    ],
)
def test_the_extra_is_named_where_its_library_is_missing(
    tmp_path: Path, kind: str, library: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = samples(tmp_path)[kind]
    monkeypatch.setitem(sys.modules, library, None)
    for read in (read_image, header_size, RowReader):
        with pytest.raises(MissingDecoderError) as caught:
            read(path)
        assert_one_sentence(caught, path)
        assert f"which needs an extra: pip install 'pixperts[{extra}]'" in str(caught.value)
        assert isinstance(caught.value, ImageError | MissingExtraError)


def test_a_libvips_that_reads_the_format_is_preferred(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(foreign, "has_hevc", lambda: True)
    with pytest.raises(ImageError, match="which the installed libvips cannot decode"):
        read_image(samples(tmp_path)["heic"])


def test_folders_list_them_and_raw_files_where_they_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.bmp", "b.TGA", "c.dds", "d.heif", "e.nef", "f.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in list_images(tmp_path)] == [
        "a.bmp", "b.TGA", "c.dds", "d.heif", "e.nef",
    ]  # fmt: skip
    monkeypatch.setattr("pixperts.io.formats.find_spec", lambda name: None)
    assert "e.nef" not in [path.name for path in list_images(tmp_path)]


@pytest.mark.parametrize(
    ("name", "at", "size"),
    [("a.bmp", 18, b"\1\0\0\0\xec\0\0\xff"), ("a.dds", 12, b"\xff\xff\xff\xff\1\0\0\0")],
)
def test_sizes_that_a_header_makes_up(tmp_path: Path, name: str, at: int, size: bytes) -> None:
    path = tmp_path / name
    Image.fromarray(noise()).save(path)
    data = bytearray(path.read_bytes())
    data[at : at + 8] = size
    path.write_bytes(data)
    for read in (read_image, header_size):
        with pytest.raises(ImageError) as caught:
            read(path)
        assert_one_sentence(caught, path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["heic", "jxl", "jp2", "bmp", "tga", "dds"])
def test_damage_is_one_sentence_or_a_picture(tmp_path: Path, kind: str) -> None:
    path = samples(tmp_path)[kind]
    whole = path.read_bytes()
    generator = np.random.default_rng(0)
    for _ in range(60):
        data = bytearray(whole)
        for place in generator.integers(0, min(len(data), 400), generator.integers(1, 8)):
            data[place] = generator.integers(0, 256)
        path.write_bytes(data)
        if (error := refusal(path)) is not None:
            assert str(path) in error


def refusal(path: Path) -> str | None:
    try:
        assert read_image(path, max_pixels=1_000_000).pixels.size > 0
    except ImageError as error:
        return str(error)
    return None


@pytest.mark.parametrize("pixel_format", ["DXT1", "DXT5", "BC3", "BC5"])
def test_compressed_dds_is_what_pillow_reads(tmp_path: Path, pixel_format: str) -> None:
    image = Image.fromarray(smooth(4 if pixel_format != "BC5" else 3))
    path = tmp_path / "a.dds"
    image.save(path, pixel_format=pixel_format)
    with Image.open(path) as independent:
        check(path, np.asarray(independent))


@pytest.mark.parametrize("order", ["RGB", "BGR"])
@pytest.mark.parametrize("channels", [3, 4])
def test_dds_of_either_order(tmp_path: Path, order: str, channels: int) -> None:
    pixels = noise(channels)
    Image.fromarray(pixels).save(tmp_path / "a.dds")
    data = bytearray((tmp_path / "a.dds").read_bytes())
    bits, red, green, blue = struct.unpack_from("<4I", data, 88)
    assert bits == 8 * channels
    if order == "RGB":  # the masks change places, and so do the channels that they mean
        struct.pack_into("<3I", data, 92, blue, green, red)
        pixels = pixels[..., [2, 1, 0, 3][:channels]]
    path = tmp_path / "b.dds"
    path.write_bytes(data)
    with Image.open(path) as independent:
        np.testing.assert_array_equal(np.asarray(independent), pixels)
    check(path, pixels)
