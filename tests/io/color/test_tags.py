"""Colors that files describe by numbers: CICP codes of AVIF and PNG, gamma and primaries of PNG."""

import io
import re
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from pixperts.io.color.chunks import read_color_tags
from pixperts.io.image import read_image, write_image
from pixperts.io.metadata.losses import losses
from pixperts.io.rows import RowReader, RowWriter
from pixperts.ops.pixels import Pixels
from tests.helpers.photo_files import gradient, wide_profile

PQ, HLG, P3 = (9, 16), (9, 18), (12, 13)
CORNERS = struct.pack(">8I", 31270, 32900, 70800, 29200, 17000, 79700, 13100, 4600)  # BT.2020
Chunks = list[tuple[bytes, bytes]]


def ramp(dtype: Any = np.uint8, channels: int = 3) -> Pixels:
    top = int(np.iinfo(dtype).max)
    codes = np.linspace(0, top, 32 * 48).round().astype(dtype).reshape(32, 48, 1)
    return np.repeat(codes, channels, axis=2)


def avif_of(path: Path, codes: tuple[int, int], pixels: Pixels | None = None) -> Path:
    """An AVIF whose nclx box says these codes."""
    Image.fromarray(gradient() if pixels is None else pixels).save(path, quality=95)
    data = bytearray(path.read_bytes())
    at = data.index(b"colrnclx") + 8
    data[at : at + 4] = struct.pack(">HH", *codes)
    path.write_bytes(data)
    return path


def png_of(path: Path, chunks: Chunks, pixels: Pixels | None = None, **options: Any) -> Path:
    """A PNG with these chunks behind its header."""
    pixels = gradient() if pixels is None else pixels
    if pixels.dtype == np.uint16:
        write_image(path, pixels)
    else:
        Image.fromarray(pixels.squeeze()).save(path, **options)
    data = path.read_bytes()
    made = b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )
    path.write_bytes(data[:33] + made + data[33:])
    return path


def chunks_of(path: Path) -> list[tuple[bytes, bytes]]:
    """All chunks, with their checksums and their order checked."""
    data, at, found = path.read_bytes(), 8, []
    while at < len(data):
        size, name = struct.unpack_from(">I4s", data, at)
        body = data[at + 8 : at + 8 + size]
        assert struct.unpack_from(">I", data, at + 8 + size)[0] == zlib.crc32(name + body)
        found.append((name, body))
        at += 12 + size
    names = [name for name, _ in found]
    for name in {b"sRGB", b"gAMA", b"cHRM", b"cICP", b"iCCP"} & set(names):
        assert names.index(name) < names.index(b"IDAT")
    return found


def nclx_of(path: Path) -> list[tuple[int, int]]:
    data = path.read_bytes()
    return [struct.unpack_from(">HH", data, m.end()) for m in re.finditer(b"colrnclx", data)]


def by_profile(path: Path) -> Pixels:
    """8-bit sRGB by Pillow's reading and lcms, for a file with a profile."""
    with Image.open(path) as image:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
        target = ImageCms.createProfile("sRGB")
        mode = "RGB" if image.mode == "L" else image.mode
        shown = ImageCms.profileToProfile(image, profile, target, outputMode=mode)
        assert shown is not None
        return np.asarray(shown)


def srgb_code(light: Any) -> Any:
    light = np.clip(light, 0, 1)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def pq_light(codes: Any) -> Any:
    """cd/m2 by SMPTE ST 2084."""
    power = codes ** (32 / 2523)
    top = np.maximum(power - 0.8359375, 0)
    return 10000 * (top / (18.8515625 - 18.6875 * power)) ** (16384 / 2610)


@pytest.mark.slow
def test_codes_of_avif_stay_in_avif_and_the_picture_too(tmp_path: Path) -> None:
    for number, codes in enumerate((PQ, HLG, P3, (1, 1))):
        picture = read_image(avif_of(tmp_path / "in.avif", codes))
        assert picture.metadata.color is not None
        assert picture.metadata.color.codes == codes
        assert not picture.notes
        alpha = np.dstack([picture.pixels, picture.pixels[..., :1]])
        deep = picture.pixels.astype(np.uint16) * 257
        for pixels in (picture.pixels, alpha, deep, picture.pixels[..., :1]):
            for lossless in (False, True):
                path = tmp_path / f"out{number}.avif"
                write_image(
                    path, pixels, metadata=picture.metadata, software="s", lossless=lossless
                )
                assert nclx_of(path) == [codes]
                assert read_image(path).metadata.color == picture.metadata.color
                with Image.open(path) as image:  # the boxes are whole, and the pixels are there
                    shown = np.asarray(image.convert("RGB"), int)
                    assert image.getexif()[0x131] == "s"
                expected = picture.pixels[..., :1] if pixels.shape[2] == 1 else picture.pixels
                assert np.abs(shown - expected.astype(int)).max() <= (1 if lossless else 6)


def test_codes_go_between_avif_and_png(tmp_path: Path) -> None:
    source = read_image(avif_of(tmp_path / "in.avif", PQ))
    path = write_image(tmp_path / "out.png", source.pixels, metadata=source.metadata)
    assert (b"cICP", bytes([9, 16, 0, 1])) in chunks_of(path)
    with Image.open(path) as image:
        assert np.array_equal(np.asarray(image), source.pixels)
    back = read_image(path)
    write_image(tmp_path / "back.avif", back.pixels, metadata=back.metadata)
    assert nclx_of(tmp_path / "back.avif") == [PQ]


def test_chunks_of_png_stay_in_png(tmp_path: Path) -> None:
    kinds: list[Chunks] = [
        [(b"gAMA", (100000).to_bytes(4, "big"))],
        [(b"cHRM", CORNERS), (b"gAMA", (45455).to_bytes(4, "big"))],
        [(b"sRGB", b"\1"), (b"gAMA", (45455).to_bytes(4, "big"))],
        [(b"cICP", bytes([9, 16, 0, 1])), (b"cLLI", bytes(8)), (b"mDCV", bytes(range(24)))],
    ]
    for chunks in kinds:
        for pixels in (gradient(), gradient(channels=1), ramp(np.uint16)):
            picture = read_image(png_of(tmp_path / "in.png", chunks, pixels))
            path = write_image(
                tmp_path / "out.png", picture.pixels, metadata=picture.metadata, software="s"
            )
            assert set(chunks) <= set(chunks_of(path))
            assert b"iCCP" not in dict(chunks_of(path))
            assert np.array_equal(read_image(path).pixels, pixels)


def test_stripped_files_keep_what_their_colors_mean(tmp_path: Path) -> None:
    picture = read_image(avif_of(tmp_path / "in.avif", PQ))
    for name in ("out.avif", "out.png", "out.jpg"):
        write_image(tmp_path / name, picture.pixels, metadata=picture.metadata, strip_metadata=True)
    assert nclx_of(tmp_path / "out.avif") == [PQ]
    assert dict(chunks_of(tmp_path / "out.png"))[b"cICP"] == bytes([9, 16, 0, 1])
    with Image.open(tmp_path / "out.jpg") as image:
        assert image.info["icc_profile"]


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".tif"])
def test_other_formats_get_a_profile_that_says_the_same(tmp_path: Path, suffix: str) -> None:
    """Of PQ up to white, which 203 cd/m2 is; and of wide primaries."""
    source = png_of(tmp_path / "pq.png", [(b"cICP", bytes([9, 16, 0, 1]))], ramp())
    picture = read_image(source)
    path = write_image(tmp_path / f"out{suffix}", picture.pixels, metadata=picture.metadata)
    kind = {".jpg": "jpeg", ".tif": "tiff"}.get(suffix, suffix[1:])
    (loss,) = losses(kind, picture.pixels.dtype, 3, picture.metadata)
    assert "most viewers clip what is brighter: color='srgb' compresses it" in loss
    assert not losses("png", picture.pixels.dtype, 3, picture.metadata)
    assert not losses("avif", picture.pixels.dtype, 3, picture.metadata)
    with Image.open(path) as image:
        stored = np.asarray(image) / 255
    assert np.abs(stored - ramp() / 255).max() < 0.04
    light = pq_light(stored) / 203
    expected = srgb_code(light) * 255
    below = light < 0.95
    assert np.abs(by_profile(path) - expected)[below].max() < 2.5
    assert by_profile(path)[~below].min() > 245

    picture = read_image(avif_of(tmp_path / "p3.avif", P3))
    path = write_image(tmp_path / f"p3{suffix}", picture.pixels, metadata=picture.metadata)
    with Image.open(path) as image:
        stored = np.asarray(image) / 255
    linear = np.where(stored <= 0.04045, stored / 12.92, ((stored + 0.055) / 1.055) ** 2.4)
    # From Display P3 to sRGB, both of D65; as in CSS Color 4, section 18.
    matrix = [[1.22494, -0.22494, 0], [-0.04206, 1.04206, 0], [-0.01964, -0.07864, 1.09827]]
    assert np.abs(by_profile(path) - srgb_code(linear @ np.transpose(matrix)) * 255).max() < 2.5


def test_gamma_and_primaries_become_a_profile_elsewhere(tmp_path: Path) -> None:
    linear: Chunks = [(b"gAMA", (100000).to_bytes(4, "big"))]
    for pixels in (ramp(), ramp(channels=1)):
        picture = read_image(png_of(tmp_path / "in.png", linear, pixels))
        path = write_image(tmp_path / "out.jpg", picture.pixels, metadata=picture.metadata)
        # Lossy codes of the darkest are far apart once they are shown.
        assert np.abs(by_profile(path) - srgb_code(pixels / 255) * 255)[8:].max() < 5
        write_image(tmp_path / "out.avif", picture.pixels, metadata=picture.metadata)
        shown = read_image(tmp_path / "out.avif", color="srgb")
        assert np.abs(shown.pixels - srgb_code(pixels / 255) * 255)[8:].max() < 5


def test_chunks_that_mean_srgb_make_no_profile(tmp_path: Path) -> None:
    for chunks in (
        [(b"sRGB", b"\0"), (b"gAMA", (45455).to_bytes(4, "big"))],
        [(b"gAMA", (45454).to_bytes(4, "big"))],
        [(b"cICP", bytes([1, 13, 0, 1]))],
    ):
        picture = read_image(png_of(tmp_path / "in.png", chunks), color="srgb")
        assert np.array_equal(picture.pixels, gradient())
        assert not picture.notes
        write_image(tmp_path / "out.jpg", picture.pixels, metadata=picture.metadata)
        with Image.open(tmp_path / "out.jpg") as image:
            assert "icc_profile" not in image.info


def test_a_profile_counts_before_gamma_but_not_before_codes(tmp_path: Path) -> None:
    gamma: Chunks = [(b"gAMA", (100000).to_bytes(4, "big"))]
    plain = read_image(png_of(tmp_path / "a.png", [], icc_profile=wide_profile()), color="srgb")
    both = read_image(png_of(tmp_path / "b.png", gamma, icc_profile=wide_profile()), color="srgb")
    assert np.array_equal(plain.pixels, both.pixels)
    codes: Chunks = [(b"cICP", bytes([1, 13, 0, 1]))]
    picture = read_image(
        png_of(tmp_path / "c.png", codes, icc_profile=wide_profile()), color="srgb"
    )
    assert np.array_equal(picture.pixels, gradient())


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_pq_becomes_srgb(tmp_path: Path, dtype: Any) -> None:
    top = int(np.iinfo(dtype).max)
    pixels = ramp(dtype)
    pixels[..., 1] = pixels[..., 1] // 2
    picture = read_image(
        png_of(tmp_path / "in.png", [(b"cICP", bytes([9, 16, 0, 1]))], pixels), color="srgb"
    )
    light = pq_light(pixels / top) / 203
    # From BT.2020 to BT.709 by ITU-R BT.2087.
    matrix = [
        [1.6604910, -0.5876411, -0.0728499],
        [-0.1245505, 1.1328999, -0.0083494],
        [-0.0181508, -0.1005789, 1.1187297],
    ]
    light = np.maximum(light @ np.transpose(matrix), 0)
    most = light.max(-1, keepdims=True)
    over = (most - 0.8) / 0.2
    bent = 0.8 + 0.2 * over / (1 + over)
    light = np.where(most > 0.8, light * bent / np.maximum(most, 0.8), light)
    error = np.abs(picture.pixels - srgb_code(light) * top) / top * 255
    assert error.max() < 1.1
    assert picture.metadata.color is None
    assert "compressed" in picture.notes[0]
    assert picture.pixels.dtype == dtype


def test_hlg_becomes_srgb(tmp_path: Path) -> None:
    pixels = ramp(np.uint16, channels=4)
    picture = read_image(
        png_of(tmp_path / "in.png", [(b"cICP", bytes([9, 18, 0, 1]))], pixels), color="srgb"
    )
    codes = pixels[..., :3] / 65535
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(codes <= 0.5, codes**2 / 3, (np.exp((codes - c) / a) + b) / 12)
    light = scene**1.2 * 1000 / 203
    over = (light - 0.8) / 0.2
    light = np.where(light > 0.8, 0.8 + 0.2 * over / (1 + over), light)
    assert np.abs(picture.pixels[..., :3] / 65535 - srgb_code(light)).max() < 0.003
    assert np.array_equal(picture.pixels[..., 3], pixels[..., 3])


def test_codes_that_nothing_knows_are_told(tmp_path: Path) -> None:
    picture = read_image(avif_of(tmp_path / "in.avif", (9, 10)), color="srgb")
    assert "which were not converted" in picture.notes[0]
    assert not losses("avif", np.dtype(np.uint8), 3, picture.metadata)
    assert not losses("png", np.dtype(np.uint8), 3, picture.metadata)
    (loss,) = losses("jpeg", np.dtype(np.uint8), 3, picture.metadata)
    assert loss == "JPEG cannot describe the file's colors (CICP 9/10), which look different."


@pytest.mark.slow
def test_rows_keep_colors_as_whole_pictures_do(tmp_path: Path) -> None:
    for source in (
        avif_of(tmp_path / "pq.avif", PQ),
        png_of(tmp_path / "in.png", [(b"gAMA", (100000).to_bytes(4, "big"))]),
    ):
        for color in ("keep", "srgb"):
            for suffix in (".avif", ".png", ".jpg"):
                whole = read_image(source, color=color)
                write_image(tmp_path / f"a{suffix}", whole.pixels, metadata=whole.metadata)
                with RowReader(source, color=color) as reader:
                    size = (reader.width, reader.height, reader.bands, reader.dtype)
                    target = tmp_path / f"b{suffix}"
                    with RowWriter(target, *size, metadata=reader.metadata) as writer:
                        writer.write(reader.rows(0, 20))
                        writer.write(reader.rows(20, 32))
                made = (tmp_path / f"a{suffix}").read_bytes()
                assert made == target.read_bytes()
                if suffix == ".avif" and color == "keep" and source.suffix == ".avif":
                    assert nclx_of(target) == [PQ]


def test_damaged_descriptions_are_as_good_as_none(tmp_path: Path) -> None:
    """No cut or change of a box that says colors is more than a picture without them."""
    path = avif_of(tmp_path / "in.avif", PQ)
    data = path.read_bytes()
    head = data.index(b"mdat")
    random = np.random.default_rng(0)
    for _ in range(200):
        harmed = bytearray(data)
        for at in random.integers(0, head, 4):
            harmed[at] = int(random.integers(0, 256))
        path.write_bytes(harmed[: int(random.integers(8, len(data)))])
        read_color_tags(path, "avif")
