"""Picture files keep their pixels, and what they become where a format cannot hold them."""

from pathlib import Path

import numpy as np
import pytest
import pyvips

from pixperts.errors import ImageError, UsageError
from pixperts.io.image import read_image, write_image
from pixperts.ops import pixels as pixels_module
from tests.helpers.image_files import SAVERS, assert_one_sentence, noise, png, smooth, vips


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize(
    ("suffix", "dtype"),
    [
        (".png", np.uint8),
        (".png", np.uint16),
        (".tif", np.uint8),
        (".TIFF", np.uint16),
        (".tif", np.float32),
    ],
)
def test_lossless_round_trip(tmp_path: Path, suffix: str, dtype: type, channels: int) -> None:
    pixels = noise(channels, dtype)
    path = tmp_path / f"a{suffix}"
    assert write_image(path, pixels) == path
    picture = read_image(path)
    assert picture.pixels.dtype == dtype
    assert picture.pixels.shape == pixels.shape
    assert np.array_equal(picture.pixels, pixels)
    assert picture.format == ("png" if suffix == ".png" else "tiff")
    assert picture.path == path
    assert (picture.width, picture.height) == (37, 23)
    assert picture.pixels.flags.writeable
    assert picture.pixels.flags.c_contiguous


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_round_trip_is_close_and_keeps_grey(tmp_path: Path, channels: int) -> None:
    pixels = smooth(channels)
    back = read_image(write_image(tmp_path / "a.jpg", pixels))
    assert back.format == "jpeg"
    assert back.pixels.shape == pixels.shape
    assert np.abs(back.pixels.astype(int) - pixels).max() <= 6


@pytest.mark.parametrize(("channels", "stored"), [(1, 3), (2, 4), (3, 3), (4, 4)])
def test_webp_round_trip_is_close(tmp_path: Path, channels: int, stored: int) -> None:
    pixels = smooth(channels)
    back = read_image(write_image(tmp_path / "a.webp", pixels))
    assert back.format == "webp"
    assert back.pixels.shape == (96, 128, stored)
    first, last = back.pixels[..., 0].astype(int), back.pixels[..., -1].astype(int)
    assert np.abs(first - pixels[..., 0]).mean() < 4
    if channels in (2, 4):
        assert np.array_equal(last, pixels[..., -1])


def sampling_factors(data: bytes) -> list[int]:
    """The H and V nibbles of each component, from the JPEG frame header (ITU-T T.81, B.2.2)."""
    at = data.index(b"\xff\xc0")
    return [data[at + 11 + 3 * i] for i in range(data[at + 9])]


def test_jpeg_keeps_full_chroma(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.jpg", smooth(), quality=80)
    assert sampling_factors(path.read_bytes()) == [0x11, 0x11, 0x11]


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_quality_governs_size_and_error(tmp_path: Path, suffix: str) -> None:
    pixels = noise(height=96, width=128)
    sizes, errors = [], []
    for quality in (20, 60, 95):
        path = write_image(tmp_path / f"{quality}{suffix}", pixels, quality=quality)
        sizes.append(path.stat().st_size)
        errors.append(np.abs(read_image(path).pixels.astype(int) - pixels).mean())
    assert sizes[0] < sizes[1] < sizes[2]
    assert errors[0] > errors[1] > errors[2]
    default = write_image(tmp_path / f"default{suffix}", pixels).read_bytes()
    assert default == (tmp_path / f"95{suffix}").read_bytes()


@pytest.mark.parametrize("quality", [0, 101, -5, 2.5, True])
def test_bad_quality(tmp_path: Path, quality: int) -> None:
    with pytest.raises(UsageError, match="1 to 100"):
        write_image(tmp_path / "a.jpg", noise(), quality=quality)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_quality_does_not_apply_to_lossless(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(UsageError, match="lossless"):
        write_image(tmp_path / f"a{suffix}", noise(), quality=90)


def test_deep_pixels_become_eight_bit_with_rounding(tmp_path: Path) -> None:
    # By v * 255 / 65535: 128 -> 0.498 -> 0, 129 -> 0.502 -> 1, 65406 -> 254.498, 65407 -> 254.502.
    for code, expected in [(128, 0), (129, 1), (32768, 128), (65406, 254), (65407, 255)]:
        flat = np.full((16, 16, 1), code, np.uint16)
        for name in ("a.jpg", "a.webp"):
            back = read_image(write_image(tmp_path / name, flat, quality=100)).pixels
            assert back.dtype == np.uint8
            assert set(np.unique(back)) == {expected}


def test_sixteen_to_eight_bit_is_the_nearest_code_for_all() -> None:
    codes = np.arange(65536, dtype=np.uint16).reshape(256, 256, 1)
    got = pixels_module.for_format(codes, "webp")
    assert np.array_equal(got, np.rint(codes * (255 / 65535)).astype(np.uint8))


def test_floats_become_what_the_format_holds(tmp_path: Path) -> None:
    pixels = np.array([[[-0.25], [0.0]], [[0.25], [1.5]]], np.float32).repeat(16, 0).repeat(16, 1)
    png = read_image(write_image(tmp_path / "a.png", pixels)).pixels
    assert png.dtype == np.uint16
    assert png[::16, ::16, 0].tolist() == [[0, 0], [16384, 65535]]
    jpeg = read_image(write_image(tmp_path / "a.jpg", pixels, quality=100)).pixels
    assert jpeg[::16, ::16, 0].tolist() == [[0, 0], [64, 255]]
    tiff = read_image(write_image(tmp_path / "a.tif", pixels)).pixels
    assert tiff[::16, ::16, 0].tolist() == [[-0.25, 0], [0.25, 1.5]]


def test_alpha_goes_onto_white_for_jpeg(tmp_path: Path) -> None:
    pixels = np.zeros((16, 48, 4), np.uint8)
    pixels[:, :16] = (200, 200, 200, 255)
    pixels[:, 16:32] = (0, 0, 0, 51)  # 255 * (1 - 51 / 255) = 204
    back = read_image(write_image(tmp_path / "a.jpg", pixels, quality=100)).pixels
    assert back.shape == (16, 48, 3)
    assert [back[8, x].tolist() for x in (8, 24, 40)] == [[200] * 3, [204] * 3, [255] * 3]
    grey = read_image(write_image(tmp_path / "g.jpg", pixels[..., 2:], quality=100)).pixels
    assert grey.shape == (16, 48, 1)
    assert grey[8, ::16, 0].tolist() == [200, 204, 255]


@pytest.mark.parametrize("kind", list(SAVERS))
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_sets_upright(tmp_path: Path, kind: str, orientation: int) -> None:
    upright = np.array([[10, 60, 110], [160, 210, 250]], np.uint8)  # 2 rows, 3 columns
    # EXIF 2.32, tag 0x0112: (the side of the upright picture that row 0 of the file is, column 0).
    sides = ["TL", "TR", "BR", "BL", "LT", "RT", "RB", "LB"][orientation - 1]
    stored = upright.T if sides[0] in "LR" else upright
    if sides[0] in "RB":
        stored = stored[::-1]
    if sides[1] in "RB":
        stored = stored[:, ::-1]
    tiles = np.kron(stored, np.ones((16, 16), np.uint8))[..., None].repeat(3, axis=2)
    tagged = vips(tiles).copy()
    tagged.set_type(pyvips.GValue.gint_type, "orientation", orientation)
    path = tmp_path / f"a{SAVERS[kind]}"
    options = {"Q": 95} if kind in ("jpeg", "webp") else {}
    getattr(tagged, f"{kind}save")(str(path), **options)
    assert pyvips.Image.new_from_file(str(path)).get("orientation") == orientation
    got = read_image(path).pixels
    assert got.shape == (32, 48, 3)
    assert np.abs(got[8::16, 8::16, 0].astype(int) - upright).max() <= 4


def test_upright_hand_computed() -> None:
    # A file of 2 rows and 3 columns whose first row is the right side, read downwards (6).
    stored = np.arange(6).reshape(2, 3, 1)
    assert pixels_module.upright(stored, 6)[..., 0].tolist() == [[3, 0], [4, 1], [5, 2]]
    assert pixels_module.upright(stored, 8)[..., 0].tolist() == [[2, 5], [1, 4], [0, 3]]
    assert pixels_module.upright(stored, 99) is stored


def test_cmyk_becomes_srgb(tmp_path: Path) -> None:
    inks = np.zeros((16, 48, 4), np.uint8)
    inks[:, 16:32, 1] = inks[:, 16:32, 2] = 255  # magenta and yellow: red
    inks[:, 32:, 3] = 255  # black
    for name in ("a.jpg", "a.tif"):
        vips(inks, "cmyk").write_to_file(str(tmp_path / name))
        got = read_image(tmp_path / name).pixels.astype(int)
        assert got.shape == (16, 48, 3)
        white, red, black = (got[8, x] for x in (8, 24, 40))
        assert white.min() >= 250
        assert red[0] > 180
        assert red[1:].max() < 80
        assert black.max() < 80


def test_deep_cmyk_with_alpha_keeps_depth_and_alpha(tmp_path: Path) -> None:
    inks = np.zeros((4, 5, 5), np.uint16)
    inks[..., 4] = 40000
    vips(inks, "cmyk").write_to_file(str(tmp_path / "a.tif"))
    got = read_image(tmp_path / "a.tif").pixels
    assert got.dtype == np.uint16
    assert got.shape == (4, 5, 4)
    assert got[..., :3].min() > 64000
    assert np.all(got[..., 3] == 40000)


@pytest.mark.parametrize("space", ["lab", "labs"])
def test_lab_becomes_srgb_of_sixteen_bit(tmp_path: Path, space: str) -> None:
    pixels = smooth()
    vips(pixels).colourspace(space).tiffsave(str(tmp_path / "a.tif"))
    got = read_image(tmp_path / "a.tif").pixels
    assert got.dtype == np.uint16
    assert np.abs(got / 257 - pixels).max() < 1


def test_odd_sample_types_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    vips(smooth()).colourspace("labs").bandjoin(3).tiffsave(str(path))
    with pytest.raises(ImageError, match="LABS with 4") as caught:
        read_image(path)
    assert_one_sentence(caught, path)
    vips(smooth()).cast("int").tiffsave(str(path))
    with pytest.raises(ImageError, match="stores int samples"):
        read_image(path)


def test_one_bit_and_palette_png_are_expanded(tmp_path: Path) -> None:
    bits, indexed = tmp_path / "bits.png", tmp_path / "indexed.png"
    bits.write_bytes(png(4, 2, 1, 0, b"\0\xa0\0\x50"))
    assert read_image(bits).pixels[..., 0].tolist() == [[255, 0, 255, 0], [0, 255, 0, 255]]
    indexed.write_bytes(png(2, 1, 8, 3, b"\0\1\0", bytes([1, 2, 3, 40, 50, 60])))
    assert read_image(indexed).pixels.tolist() == [[[40, 50, 60], [1, 2, 3]]]


def test_one_bit_tiff_is_expanded(tmp_path: Path) -> None:
    pixels = (noise(1) > 127).astype(np.uint8) * 255
    vips(pixels, "b-w").tiffsave(str(tmp_path / "a.tif"), bitdepth=1, compression="ccittfax4")
    assert np.array_equal(read_image(tmp_path / "a.tif").pixels, pixels)


def test_content_decides_and_not_the_name(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.png", smooth(), format="jpeg")
    assert path.read_bytes().startswith(b"\xff\xd8")
    assert read_image(path).format == "jpeg"


def test_brackets_spaces_and_umlauts_in_names(tmp_path: Path) -> None:
    for name in ("a[Q=1].png", "b [page=3].tif", "grün %d.webp", "x[strip].jpg"):
        assert read_image(write_image(tmp_path / "d[1]" / name, smooth())).pixels.shape[2] == 3


def test_a_replaced_file_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    for seed in range(3):
        pixels = noise(seed=seed)
        assert np.array_equal(read_image(write_image(path, pixels)).pixels, pixels)
