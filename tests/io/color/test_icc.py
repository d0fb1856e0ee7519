import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
from PIL import Image, ImageCms

from pixperts.errors import UsageError
from pixperts.io.color.icc import fits, is_srgb, profile_space, srgb_profile
from pixperts.io.image import read_image, write_image
from pixperts.io.metadata.metadata import Metadata
from pixperts.ops.pixels import Pixels
from tests.helpers import photo_files as files

SUFFIXES = (".jpg", ".png", ".webp", ".tif", ".avif")


def colours(dtype: Any = np.uint8) -> Pixels:
    unit = np.random.default_rng(0).random((24, 40, 3)) * 0.4 + 0.4
    top = 1 if dtype is np.float32 else np.iinfo(dtype).max
    scaled: Pixels = unit * top
    return (scaled if dtype is np.float32 else np.rint(scaled)).astype(dtype)


def p3_to_srgb(unit: Pixels) -> Pixels:
    """From the published primaries: both spaces share white point D65 and the curve of sRGB."""
    p3 = primaries((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
    srgb = primaries((0.640, 0.330), (0.300, 0.600), (0.150, 0.060))
    linear = np.where(unit <= 0.04045, unit / 12.92, ((unit + 0.055) / 1.055) ** 2.4)
    moved = np.clip(linear @ (np.linalg.inv(srgb) @ p3).T, 0, 1)
    result: Pixels = np.where(moved <= 0.0031308, moved * 12.92, 1.055 * moved ** (1 / 2.4) - 0.055)
    return result


def primaries(*corners: tuple[float, float]) -> Pixels:
    """RGB to XYZ of three chromaticities with D65 as (1, 1, 1)."""
    matrix = np.array([[x / y, 1, (1 - x - y) / y] for x, y in corners]).T
    white = np.array([0.3127 / 0.3290, 1, (1 - 0.3127 - 0.3290) / 0.3290])
    scaled: Pixels = matrix * np.linalg.solve(matrix, white)
    return scaled


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_profile_is_kept_and_the_pixels_with_it(tmp_path: Path, suffix: str) -> None:
    profile = files.vips_profile("p3")
    pixels = np.full((16, 16, 3), (200, 100, 50), np.uint8)
    path = write_image(tmp_path / f"a{suffix}", pixels, metadata=Metadata(icc=profile))
    picture = read_image(path)
    assert picture.metadata.icc == profile
    assert np.abs(picture.pixels.astype(int) - pixels).max() <= 2
    with Image.open(path) as image:
        assert image.info["icc_profile"] == profile


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(np.uint8, 1.0 / 255), (np.uint16, 2e-3), (np.float32, 2e-3)]
)
def test_display_p3_becomes_srgb(tmp_path: Path, dtype: Any, tolerance: float) -> None:
    pixels = colours(dtype)
    path = tmp_path / "a.tif"
    write_image(path, pixels, metadata=Metadata(icc=files.vips_profile("p3")))
    picture = read_image(path, color="srgb")
    assert picture.pixels.dtype == dtype
    top = 1 if dtype is np.float32 else np.iinfo(dtype).max
    assert np.abs(picture.pixels / top - p3_to_srgb(pixels / top)).max() < tolerance
    assert picture.metadata.icc == srgb_profile()
    assert len(picture.notes) == 1
    assert "converted from its own color profile to sRGB" in picture.notes[0]


def test_alpha_is_no_colour(tmp_path: Path) -> None:
    alpha = np.arange(24 * 40, dtype=np.uint16).reshape(24, 40, 1) * 60
    pixels = np.concatenate([colours(np.uint16), alpha], axis=2)
    write_image(tmp_path / "a.png", pixels, metadata=Metadata(icc=files.vips_profile("p3")))
    result = read_image(tmp_path / "a.png", color="srgb").pixels
    assert np.array_equal(result[..., 3:], alpha)
    assert np.abs(result[..., :3] / 65535 - p3_to_srgb(pixels[..., :3] / 65535)).max() < 2e-3


def test_the_conversion_is_that_of_pillow(tmp_path: Path) -> None:
    # With strong colors, which sRGB does not hold, and another program's profile of AdobeRGB kind.
    pixels = np.random.default_rng(3).integers(0, 256, (24, 40, 3), np.uint8)
    for profile in (files.vips_profile("p3"), files.wide_profile()):
        path = write_image(tmp_path / "a.png", pixels, metadata=Metadata(icc=profile))
        expected = ImageCms.profileToProfile(
            Image.fromarray(pixels),
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        )
        found = read_image(path, color="srgb").pixels.astype(int)
        assert np.abs(found - pixels).max() > 20
        off = np.abs(found - np.asarray(expected))
        assert np.quantile(off, 0.99) <= 1
        assert off.mean() < 0.3


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_srgb_by_whatever_profile_stays_as_it_is(tmp_path: Path, dtype: Any) -> None:
    for profile in (files.srgb_profile(), files.vips_profile("srgb")):
        assert is_srgb(profile)
        write_image(tmp_path / "a.tif", colours(dtype), metadata=Metadata(icc=profile))
        picture = read_image(tmp_path / "a.tif", color="srgb")
        assert np.array_equal(picture.pixels, colours(dtype))
        assert picture.metadata.icc == profile
        assert picture.notes == ()
    assert not is_srgb(files.vips_profile("p3"))
    assert not is_srgb(files.vips_profile("cmyk"))
    assert not is_srgb(b"rubbish" * 40)


def test_grey_stays_grey_with_its_profile(tmp_path: Path) -> None:
    # A profile of gray with gamma 1: a level of 0.5 is sRGB's 0.735.
    grey = files.grey_profile()
    assert profile_space(grey) == "GRAY"
    assert fits(grey, 1)
    assert fits(grey, 2)
    assert not fits(grey, 3)
    pixels = np.full((16, 16, 1), 128, np.uint8)
    for suffix in (".png", ".tif", ".jpg"):
        path = write_image(tmp_path / f"a{suffix}", pixels, metadata=Metadata(icc=grey))
        kept = read_image(path)
        assert kept.metadata.icc == grey
        assert np.array_equal(kept.pixels, pixels)
        converted = read_image(path, color="srgb")
        assert converted.pixels.shape == (16, 16, 1)
        assert abs(int(converted.pixels[3, 3, 0]) - 188) <= 1
        assert converted.metadata.icc is None
    # WebP and AVIF store RGB, to which such a profile cannot be attached.
    for suffix in (".webp", ".avif"):
        path = write_image(
            tmp_path / f"a{suffix}", pixels, lossless=True, metadata=Metadata(icc=grey)
        )
        stored = read_image(path)
        assert stored.metadata.icc is None
        assert np.abs(stored.pixels[3, 3].astype(int) - 188).max() <= 1


def test_a_profile_that_does_not_fit_is_left_out(tmp_path: Path) -> None:
    for channels, profile in ((1, files.srgb_profile()), (3, files.grey_profile())):
        pixels = files.gradient(channels=channels)
        for suffix in (".png", ".jpg", ".tif"):
            path = write_image(tmp_path / f"a{suffix}", pixels, metadata=Metadata(icc=profile))
            assert read_image(path).metadata.icc is None


def test_cmyk_by_its_own_profile_and_by_a_general_one(tmp_path: Path) -> None:
    rgb = Image.new("RGB", (16, 16), (200, 60, 40))
    profile = ImageCms.ImageCmsProfile(io.BytesIO(files.vips_profile("cmyk")))
    srgb = ImageCms.createProfile("sRGB")
    inks = ImageCms.profileToProfile(rgb, srgb, profile, outputMode="CMYK")
    assert inks is not None
    cases: list[tuple[str, dict[str, Any]]] = [
        ("own.jpg", {"icc_profile": profile.tobytes()}),
        ("none.jpg", {}),
    ]
    for name, options in cases:
        path = tmp_path / name
        inks.save(path, quality=100, **options)
        picture = read_image(path)
        how = "its own profile" if options else "a general printing profile"
        assert picture.notes == (f"{path} is CMYK and was converted to sRGB by {how}.",)
        assert picture.pixels.shape == (16, 16, 3)
        assert np.abs(picture.pixels[8, 8].astype(int) - (200, 60, 40)).max() <= 12
        assert picture.metadata.icc == srgb_profile()
        out = write_image(tmp_path / "o.png", picture.pixels, metadata=picture.metadata)
        with Image.open(out) as image:
            assert image.info["icc_profile"] == srgb_profile()


def test_no_other_conversion_is_known(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.png", colours())
    with pytest.raises(UsageError, match="color is 'p3': use one of keep, srgb"):
        read_image(path, color="p3")
    assert read_image(path, color="srgb").notes == ()


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("suffix", [".webp", ".avif"])
def test_lossless_modes(tmp_path: Path, suffix: str, channels: int) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (33, 41, channels), np.uint8)
    pixels[:9, :, -1] = 0  # with colors under full transparency
    path = write_image(tmp_path / f"a{suffix}", pixels, lossless=True)
    assert np.array_equal(read_image(path).pixels, pixels)
    with pytest.raises(UsageError, match="contradict"):
        write_image(path, pixels, lossless=True, quality=90)
    with pytest.raises(UsageError, match="JPEG has no lossless mode"):
        write_image(tmp_path / "a.jpg", pixels, lossless=True)
    write_image(tmp_path / "a.png", pixels, lossless=True)


def test_twelve_bit_avif_spans_the_whole_range(tmp_path: Path) -> None:
    codes = np.arange(0, 65536, 16, dtype=np.uint16).reshape(64, 64, 1).repeat(3, axis=2)
    codes[-1, -1] = 65535
    path = write_image(tmp_path / "a.avif", codes, lossless=True)
    back = read_image(path).pixels
    assert back.dtype == np.uint16
    assert np.array_equal(back, np.rint(np.rint(codes / 65535 * 4095) * (65535 / 4095)))
    assert (back.min(), back.max()) == (0, 65535)
    # Once it is 12 bit, nothing changes any more.
    assert np.array_equal(read_image(write_image(path, back, lossless=True)).pixels, back)


def test_ten_bit_avif_of_others_spans_the_whole_range(tmp_path: Path) -> None:
    path = tmp_path / "a.avif"
    flat = pyvips.Image.black(16, 16, bands=3).copy(interpretation="rgb16").cast("ushort")
    for code, expected in ((65535, 65535), (512 << 6, 32800), (0, 0)):
        (flat + code).cast("ushort").copy(interpretation="rgb16").heifsave(
            str(path), compression="av1", bitdepth=10, lossless=True
        )
        assert np.unique(read_image(path).pixels).tolist() == [expected]


def test_avif_default_is_close_and_keeps_chroma(tmp_path: Path) -> None:
    pixels = files.gradient(96, 128)
    pixels[:, 64:66] = (255, 0, 0)  # a line that halved chroma would smear
    path = write_image(tmp_path / "a.avif", pixels)
    back = read_image(path)
    assert back.format == "avif"
    assert np.abs(back.pixels.astype(int) - pixels).mean() < 2
    assert back.pixels[48, 64, 0] > 240
    assert back.pixels[48, 64, 1:].max() < 20


def test_grey_avif_of_others_is_grey(tmp_path: Path) -> None:
    path = tmp_path / "a.avif"
    ramp = files.gradient(32, 48, 1)
    Image.fromarray(ramp[..., 0]).save(path, quality=100)
    data = path.read_bytes()
    at = data.index(b"av1C")
    if not data[at + 6] & 0x10:
        pytest.skip("This Pillow does not write monochrome AVIF.")
    back = read_image(path).pixels
    assert back.shape == (32, 48, 1)
    assert np.abs(back.astype(int) - ramp).max() <= 8


def broken(profile: bytes, seed: int) -> bytes:
    """Some bytes behind the header changed."""
    numbers = np.random.default_rng(seed)
    data = np.frombuffer(profile, np.uint8).copy()
    places = numbers.integers(128, min(len(data), 300), 10)
    data[places] = numbers.integers(0, 256, 10)
    return data.tobytes()


@pytest.mark.parametrize("kind", ["wide", "p3", "grey"])
@pytest.mark.slow
def test_a_damaged_profile_costs_no_picture(tmp_path: Path, kind: str) -> None:
    profile = {"wide": files.wide_profile(), "grey": files.grey_profile()}.get(kind)
    profile = profile or files.vips_profile("p3")
    pixels = files.gradient()[..., 0] if kind == "grey" else files.gradient()
    told = 0
    for seed in range(40):
        path, icc = tmp_path / f"{seed}.tif", broken(profile, seed)
        Image.fromarray(pixels).save(path, icc_profile=icc)
        assert np.array_equal(np.squeeze(read_image(path).pixels), pixels)
        picture = read_image(path, color="srgb")
        if any("is damaged and was left out: the pixels count as" in n for n in picture.notes):
            told += 1
            assert len(picture.notes) == 1
            assert picture.metadata.icc is None
            assert np.array_equal(np.squeeze(picture.pixels), pixels)
            written = write_image(tmp_path / "b.webp", picture.pixels, metadata=picture.metadata)
            assert read_image(written).metadata.icc is None
        # With gray as colors, which its profile would be needed for.
        write_image(tmp_path / "c.webp", picture.pixels, metadata=read_image(path).metadata)
    assert told >= 5


@pytest.mark.parametrize("color", ["keep", "srgb"])
@pytest.mark.parametrize("cut", [3, 376])
def test_a_profile_that_is_cut_short_is_told(tmp_path: Path, color: str, cut: int) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(files.gradient()).save(path, icc_profile=files.wide_profile()[:cut])
    Image.fromarray(files.gradient()).save(tmp_path / "b.jpg")
    picture = read_image(path, color=color)
    (note,) = picture.notes
    assert f"The color profile of {path} is damaged and was left out" in note
    assert picture.metadata.icc is None
    assert np.array_equal(picture.pixels, read_image(tmp_path / "b.jpg").pixels)


def test_cmyk_with_a_damaged_profile_goes_by_the_general_one(tmp_path: Path) -> None:
    inks = Image.fromarray(files.gradient()).convert("CMYK")
    inks.save(tmp_path / "plain.jpg")
    profile = files.vips_profile("cmyk")
    inks.save(tmp_path / "a.jpg", icc_profile=profile[:128] + bytes(len(profile) - 128))
    picture = read_image(tmp_path / "a.jpg")
    assert "by a general printing profile, as its own is damaged" in picture.notes[0]
    assert np.array_equal(picture.pixels, read_image(tmp_path / "plain.jpg").pixels)
