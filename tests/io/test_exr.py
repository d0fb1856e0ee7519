"""OpenEXR: linear light read and written, held against the OpenEXR project's own library."""

import contextlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import OpenEXR
import pytest
import tifffile

from pixperts.errors import ImageError, MissingDecoderError, UsageError
from pixperts.io import decode
from pixperts.io.color.tags import PRIMARIES, ColorTags
from pixperts.io.encoders import foreign
from pixperts.io.image import read_image, write_image
from pixperts.io.metadata.exr import ExrHeader
from pixperts.io.metadata.losses import losses
from pixperts.io.metadata.metadata import Metadata
from pixperts.io.rows import RowReader, RowWriter
from pixperts.ops.pixels import Pixels
from tests.helpers.decoded import check
from tests.helpers.image_files import assert_one_sentence

HALF, FLOAT = np.float16, np.float32
ACES_CG = (0.713, 0.293, 0.165, 0.830, 0.128, 0.044, 0.32168, 0.33767)
ACES_2065 = (0.7347, 0.2653, 0.0, 1.0, 0.0001, -0.077, 0.32168, 0.33767)
NAMES = {1: "Y", 2: "YA", 3: "RGB", 4: "RGBA"}


def light(channels: int = 3, dtype: Any = HALF, seed: int = 0) -> Pixels:
    """From -0.1 to 20, mostly dark, and alpha from 0.25 to 1."""
    rng = np.random.default_rng(seed)
    pixels = rng.random((23, 37, channels)) ** 4 * 20 - 0.1
    if channels in (2, 4):
        pixels[..., -1] = rng.choice([0.25, 0.5, 1.0], (23, 37))
    made: Pixels = pixels.astype(dtype)
    return made


def save(path: Path, channels: dict[str, Any], **header: Any) -> Path:
    header = {"type": OpenEXR.scanlineimage, "compression": OpenEXR.PIZ_COMPRESSION} | header
    with OpenEXR.File(header, channels) as file:
        file.write(str(path))
    return path


def exr(path: Path, pixels: Pixels, **header: Any) -> Path:
    names = NAMES[pixels.shape[2]]
    planes = {name: np.ascontiguousarray(pixels[..., at]) for at, name in enumerate(names)}
    return save(path, planes, **header)


def seen(path: Path) -> tuple[dict[str, Any], Pixels]:
    """What the reference library reads, with channels in our order."""
    with OpenEXR.File(str(path), separate_channels=True) as file:
        channels = file.channels()
        order = [name for name in "RGBYA" if name in channels]
        return dict(file.header()), np.stack([channels[name].pixels for name in order], axis=-1)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [HALF, FLOAT])
def test_samples_are_read_as_they_are(tmp_path: Path, channels: int, dtype: Any) -> None:
    pixels = light(channels, dtype)
    picture = check(exr(tmp_path / "a.exr", pixels), pixels.astype(FLOAT))
    assert picture.format == "exr"
    assert picture.notes == ()
    assert picture.metadata.color == ColorTags((1, 8))
    assert picture.metadata.exr is not None
    assert picture.metadata.exr.half is (dtype is HALF)
    tiled = {"type": OpenEXR.tiledimage, "tiles": OpenEXR.TileDescription()}
    check(exr(tmp_path / "b.exr", pixels, **tiled), pixels.astype(FLOAT))


@pytest.mark.parametrize("channels", [2, 4])
def test_colors_are_divided_by_alpha_and_multiplied_again(tmp_path: Path, channels: int) -> None:
    pixels = light(channels, FLOAT)
    pixels[:4, :4, -1] = 0
    stored = pixels.copy()
    stored[..., :-1] *= pixels[..., -1:]
    picture = read_image(exr(tmp_path / "a.exr", stored))
    shown = pixels[..., -1] > 0
    np.testing.assert_array_equal(picture.pixels[shown], pixels[shown])  # alpha is a power of 2
    np.testing.assert_array_equal(picture.pixels[~shown], stored[~shown])
    again = write_image(tmp_path / "b.exr", picture.pixels, metadata=picture.metadata)
    np.testing.assert_array_equal(seen(again)[1], stored)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [HALF, FLOAT])
def test_exr_to_exr_keeps_everything(tmp_path: Path, channels: int, dtype: Any) -> None:
    own = {"owner": "Somebody", "comments": "Hill", "expTime": 0.5, "rating": 4, "gain": 1.5}
    source = exr(tmp_path / "a.exr", light(channels, dtype), chromaticities=ACES_2065, **own)
    picture = read_image(source)
    (note,) = picture.notes
    assert note.endswith("only OpenEXR can name: elsewhere its colors look different.")
    path = write_image(
        tmp_path / "b.exr", picture.pixels, metadata=picture.metadata, software="pixperts x2"
    )
    header, pixels = seen(path)
    assert pixels.dtype == dtype
    np.testing.assert_array_equal(pixels, seen(source)[1])
    assert header["chromaticities"] == pytest.approx(ACES_2065)
    assert {name: header[name] for name in own} == own
    assert header["Software"] == "pixperts x2"
    assert "capDate" not in header  # not the time of writing
    assert losses("exr", np.dtype(FLOAT), channels, picture.metadata) == ()
    bare = write_image(path, picture.pixels, metadata=picture.metadata, strip_metadata=True)
    header, pixels = seen(bare)
    assert header["chromaticities"] == pytest.approx(ACES_2065)
    assert pixels.dtype == dtype
    assert "owner" not in header
    assert "Software" not in header


def test_what_is_too_bright_for_half_becomes_float(tmp_path: Path) -> None:
    pixels = light(3, FLOAT)
    pixels[0, 0] = 70000
    path = write_image(tmp_path / "a.exr", pixels, metadata=Metadata(exr=ExrHeader(half=True)))
    np.testing.assert_array_equal(seen(path)[1], pixels)


def srgb(values: Pixels) -> Pixels:
    bounded = np.clip(values.astype(np.float64), 0, 1)
    return np.where(bounded <= 0.0031308, bounded * 12.92, 1.055 * bounded ** (1 / 2.4) - 0.055)


def test_other_formats_get_the_curve_of_srgb(tmp_path: Path) -> None:
    pixels = light(4)
    picture = read_image(exr(tmp_path / "a.exr", pixels, owner="Somebody"))
    shown = picture.pixels
    for name, top in (("b.png", 65535), ("b.webp", 255)):
        lossless = True if name == "b.webp" else None
        path = write_image(tmp_path / name, shown, metadata=picture.metadata, lossless=lossless)
        written = read_image(path)
        assert written.metadata.icc is None
        expected = np.concatenate([srgb(shown[..., :3]), shown[..., 3:]], axis=-1) * top
        assert np.abs(written.pixels - expected).max() <= 0.51
    assert losses("png", np.dtype(FLOAT), 4, picture.metadata, outside=True) == (
        "PNG gets 16 bits per channel, so floats are rounded.",
        "PNG cannot store values outside 0 to 1, so they were clipped.",
        "PNG cannot store attributes of OpenEXR, so these were left out: Copyright.",
    )


def test_float_tiff_keeps_the_light_and_says_that_it_is_linear(tmp_path: Path) -> None:
    pixels = light(3)
    picture = read_image(exr(tmp_path / "a.exr", pixels))
    path = write_image(tmp_path / "b.tif", picture.pixels, metadata=picture.metadata)
    np.testing.assert_array_equal(tifffile.imread(path), pixels.astype(FLOAT))
    icc = read_image(path).metadata.icc
    assert icc == ColorTags((1, 8)).profile(False)


@pytest.mark.parametrize(
    ("corners", "codes"),
    [(PRIMARIES[1], (1, 8)), (PRIMARIES[9], (9, 8)), (PRIMARIES[12], (12, 8)), (None, (1, 8))],
)
def test_known_primaries(tmp_path: Path, corners: Any, codes: tuple[int, int]) -> None:
    header = {} if corners is None else {"chromaticities": tuple(np.ravel(corners).tolist())}
    picture = read_image(exr(tmp_path / "a.exr", light(3), **header))
    assert picture.metadata.color == ColorTags(codes)
    path = write_image(tmp_path / "b.png", picture.pixels, metadata=picture.metadata)
    found = read_image(path).metadata.color
    assert found is not None
    assert found.codes == (codes[0], 13)
    # Of light that another format described, the primaries become the attribute.
    metadata = Metadata(color=ColorTags(codes))
    again, _ = seen(write_image(tmp_path / "c.exr", picture.pixels, metadata=metadata))
    assert again["chromaticities"] == pytest.approx(np.ravel(PRIMARIES[codes[0]]).tolist())


def test_other_primaries_become_chunks_and_profiles(tmp_path: Path) -> None:
    pixels = np.full((4, 6, 3), 0.18, FLOAT)
    picture = read_image(exr(tmp_path / "a.exr", pixels, chromaticities=ACES_CG))
    assert picture.notes == ()
    png = write_image(tmp_path / "a.png", picture.pixels, metadata=picture.metadata)
    jpeg = write_image(tmp_path / "a.jpg", picture.pixels, metadata=picture.metadata)
    found = read_image(png).metadata.color
    assert found is not None
    assert found.corners == tuple(round(100000 * v) for v in (*ACES_CG[6:], *ACES_CG[:6]))
    assert read_image(jpeg).metadata.icc is not None
    # Gray is gray in any primaries.
    for path in (png, jpeg, tmp_path / "a.exr"):
        shown = read_image(path, color="srgb")
        top = np.iinfo(shown.pixels.dtype).max
        np.testing.assert_allclose(shown.pixels / top, 0.4614, atol=0.006)


def test_color_srgb_compresses_what_is_brighter_than_white(tmp_path: Path) -> None:
    pixels = np.zeros((2, 4, 4), FLOAT)
    pixels[..., 3] = 1
    pixels[0, :, :3] = np.array([0.1, 0.5, 4, 100])[:, None]
    pixels[1, :, 0] = [0.1, 0.5, 4, 100]
    picture = read_image(exr(tmp_path / "a.exr", pixels), color="srgb")
    codes = picture.pixels / 65535
    assert picture.pixels.dtype == np.uint16
    np.testing.assert_allclose(codes[0, :2, 0], srgb(pixels[0, :2, 0]), atol=1e-3)
    assert np.all(np.diff(codes[0, :, 0]) > 0)
    assert codes[..., :3].max() < 1
    assert np.all(picture.pixels[..., 3] == 65535)
    assert np.all(picture.pixels[1, :, 1:3] < 100)  # red stays red
    assert picture.notes[0].endswith("to sRGB: light above white was compressed.")
    with RowReader(tmp_path / "a.exr", color="srgb") as reader:
        np.testing.assert_array_equal(reader.rows(0, 2), picture.pixels)


@pytest.mark.parametrize("name", ["b.exr", "b.png", "b.tif"])
def test_row_by_row_it_is_the_same_file(tmp_path: Path, name: str) -> None:
    picture = read_image(exr(tmp_path / "a.exr", light(4), owner="Somebody"))
    whole = write_image(tmp_path / name, picture.pixels, metadata=picture.metadata)
    path = tmp_path / f"rows_{name}"
    with RowWriter(path, 37, 23, 4, FLOAT, metadata=picture.metadata) as writer:
        for top in range(0, 23, 6):
            writer.write(picture.pixels[top : top + 6])
    assert path.read_bytes() == whole.read_bytes()


def test_parts_and_layers(tmp_path: Path) -> None:
    color, depth = light(3), np.ones((23, 37), FLOAT)
    parts = [
        OpenEXR.Part({"type": OpenEXR.scanlineimage}, {"Z": depth}, "depth"),
        OpenEXR.Part({"type": OpenEXR.scanlineimage}, {"RGB": color}, "first"),
        OpenEXR.Part({"type": OpenEXR.scanlineimage}, {"RGB": light(3, seed=1)}, "second"),
    ]
    path = tmp_path / "a.exr"
    with OpenEXR.File(parts) as file:
        file.write(str(path))
    assert decode.page_count(path) == 3
    picture = check(path, color.astype(FLOAT))
    assert picture.notes == (f"{path} holds 3 parts: only the first with colors was read.",)
    third = read_image(path, page=3)
    assert third.notes == ()
    np.testing.assert_array_equal(third.pixels, light(3, seed=1).astype(FLOAT))
    with pytest.raises(ImageError, match=r"has no channels R, G and B or Y, but Z:"):
        read_image(path, page=1)
    planes = {f"beauty.{name}": color[..., at].copy() for at, name in enumerate("RGB")}
    planes |= {"Z": depth, "normal.X": depth}
    picture = check(save(path, planes), color.astype(FLOAT))
    assert picture.notes == (f"{path} has other channels, which were left out: Z, normal.X.",)


@pytest.mark.parametrize(
    ("channels", "words"),
    [
        ({"U": np.ones((4, 6), FLOAT)}, "has no channels R, G and B or Y, but U"),
        ({name: np.ones((4, 6), np.uint32) for name in "RGB"}, "stores uint samples"),
    ],
)
def test_kinds_that_are_refused(tmp_path: Path, channels: dict[str, Any], words: str) -> None:
    path = save(tmp_path / "a.exr", channels)
    with pytest.raises(ImageError, match=words) as caught:
        read_image(path)
    assert_one_sentence(caught, path)


def test_luminance_with_chroma_of_fewer_pixels_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.exr", {name: np.ones((24, 36), HALF) for name in ("Y", "RY", "BY")})
    with pytest.raises(ImageError, match="has no channels R, G and B or Y, but Y, ") as caught:
        read_image(path)
    assert_one_sentence(caught, path)


def test_a_window_that_is_not_the_whole(tmp_path: Path) -> None:
    window = (np.array([-4, -4], np.int32), np.array([40, 30], np.int32))
    path = exr(tmp_path / "a.exr", light(3), displayWindow=window)
    picture = check(path, light(3).astype(FLOAT))
    (note,) = picture.notes
    assert note == (
        f"{path} holds another part of its picture than it shows: all that it holds was read."
    )
    header, _ = seen(write_image(path, picture.pixels, metadata=picture.metadata))
    assert [list(corner) for corner in header["displayWindow"]] == [[0, 0], [36, 22]]


def test_light_without_end_is_refused(tmp_path: Path) -> None:
    for value in (np.nan, np.inf):
        pixels = light(4)
        pixels[3, 3, 1:] = value
        path = exr(tmp_path / "a.exr", pixels)
        with pytest.raises(ImageError, match="NaN or infinite samples") as caught:
            read_image(path)
        assert_one_sentence(caught, path)


def test_damage_is_one_sentence_and_nothing_else_is_said(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = exr(tmp_path / "a.exr", light(3))
    whole = path.read_bytes()
    for length in (4, 20, 100, 330, len(whole) // 2, len(whole) - 50):
        path.write_bytes(whole[:length])
        with pytest.raises(ImageError) as caught:
            read_image(path)
        assert_one_sentence(caught, path)
    generator = np.random.default_rng(0)
    for _ in range(60):
        data = bytearray(whole)
        for place in generator.integers(4, 500, generator.integers(1, 8)):
            data[place] = generator.integers(0, 256)
        path.write_bytes(data)
        with contextlib.suppress(ImageError):
            assert read_image(path, max_pixels=1_000_000).pixels.size > 0
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""


def test_openexr_is_written_of_light_alone(tmp_path: Path) -> None:
    path, codes = tmp_path / "a.exr", np.zeros((4, 6, 3), np.uint8)
    write_image(path, codes.astype(FLOAT))  # floats of which nothing is known
    before = path.read_bytes()
    profile = ColorTags((1, 4)).profile(False)
    refused: list[tuple[Pixels, Metadata]] = [
        (codes, Metadata()),
        (codes.astype(FLOAT), Metadata(icc=profile)),
        (codes.astype(FLOAT), Metadata(color=ColorTags((9, 16)))),
        (codes.astype(np.uint16), Metadata(color=ColorTags((1, 8)))),
    ]
    for pixels, metadata in refused:
        with pytest.raises(UsageError, match="holds linear light in floats, which this picture"):
            write_image(path, pixels, metadata=metadata)
        with pytest.raises(UsageError, match="holds linear light"):
            RowWriter(path, 6, 4, 3, pixels.dtype, metadata=metadata)
    with pytest.raises(UsageError, match="A quality does not apply to OpenEXR"):
        write_image(path, codes.astype(FLOAT), quality=90)
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["a.exr"]


def test_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = exr(tmp_path / "a.exr", light(3))
    monkeypatch.setattr(foreign, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"needs an extra: pip install 'pixperts\[exr\]'"):
        write_image(tmp_path / "b.exr", light(3, FLOAT))
    monkeypatch.setitem(sys.modules, "OpenImageIO", None)
    with pytest.raises(MissingDecoderError) as caught:
        read_image(path)
    assert "is OpenEXR, which needs an extra: pip install 'pixperts[exr]'" in str(caught.value)
    assert_one_sentence(caught, path)
