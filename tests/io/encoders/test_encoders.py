"""HEIC, JPEG XL and JPEG 2000 as other programs read them: pixels, profile, EXIF, XMP, colors."""

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pillow_heif
import pytest
from PIL import Image

from pixperts.errors import ImageError, MissingDecoderError, UsageError
from pixperts.io.color.icc_build import curve_tag, gray_profile, matrix_profile, rgb_to_xyz
from pixperts.io.color.tags import ColorTags
from pixperts.io.encoders import foreign
from pixperts.io.image import read_image, write_image
from pixperts.io.lossless import is_lossless
from pixperts.io.metadata.losses import losses
from pixperts.io.metadata.metadata import Metadata
from pixperts.io.rows import RowWriter
from pixperts.ops.pixels import Pixels
from tests.helpers import photo_files as files
from tests.helpers.image_files import assert_one_sentence, noise, smooth

KINDS = ["heic", "jxl", "jp2"]
# No curve that JPEG XL has a word for, so that the profile itself must be stored.
ODD = matrix_profile(
    "odd",
    rgb_to_xyz((0.64, 0.33), (0.21, 0.71), (0.15, 0.06), (0.3127, 0.3290)),
    curve_tag(np.linspace(0, 1, 4096) ** 1.7),
)
ODD_GRAY = gray_profile("odd gray", curve_tag(np.linspace(0, 1, 4096) ** 1.7))


def by_pillow_heif(data: bytes) -> Pixels:
    found: Pixels = np.asarray(pillow_heif.open_heif(data, convert_hdr_to_8bit=False)[0])
    return found


READERS: dict[str, Callable[[bytes], Pixels]] = {
    "heic": by_pillow_heif,
    "jxl": imagecodecs.jpegxl_decode,
    "jp2": imagecodecs.jpeg2k_decode,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_lossless(tmp_path: Path, kind: str, channels: int, dtype: type) -> None:
    pixels = noise(channels, dtype)
    if channels in (2, 4):
        pixels[:4, :4, -1] = 0  # colors under full transparency stay as well
    path = write_image(tmp_path / f"a.{kind}", pixels, lossless=True)
    assert is_lossless(path, kind) is (kind != "heic" or channels > 2)
    seen = np.atleast_3d(READERS[kind](path.read_bytes()))
    expected = pixels
    if kind == "heic" and dtype is np.uint16:  # 10 bits, which libheif shifts up
        expected = (np.rint(pixels / 65535 * 1023).astype(np.uint16)) << 6
    if channels == 2 and kind != "jp2":  # they have no gray with transparency
        expected = expected[..., [0, 0, 0, 1]]
    np.testing.assert_array_equal(seen, expected)
    again = read_image(path)
    assert again.format == kind
    if kind == "heic" and dtype is np.uint16:
        expected = pixels[..., [0, 0, 0, 1]] if channels == 2 else pixels
        assert np.abs(again.pixels.astype(int) - expected).max() <= 33  # half of a 10-bit step
        return
    np.testing.assert_array_equal(again.pixels, expected)


@pytest.mark.parametrize("kind", KINDS)
def test_quality(tmp_path: Path, kind: str) -> None:
    pixels = smooth()
    sizes, errors = [], []
    for quality in (20, 80, None, 99):
        path = write_image(tmp_path / f"{quality}.{kind}", pixels, quality=quality)
        seen = READERS[kind](path.read_bytes())
        sizes.append(path.stat().st_size)
        errors.append(float(np.sqrt(np.mean((seen.astype(float) - pixels) ** 2))))
        assert not is_lossless(path, kind)
    assert sizes == sorted(sizes)
    assert errors == sorted(errors, reverse=True)
    assert errors[2] < 2  # by default nothing is seen
    with pytest.raises(UsageError, match="contradict each other"):
        write_image(tmp_path / f"a.{kind}", pixels, quality=90, lossless=True)


@pytest.mark.parametrize("kind", KINDS)
def test_metadata_and_profile(tmp_path: Path, kind: str) -> None:
    photo = read_image(files.write_photo(tmp_path / "photo.jpg"))
    own = photo.metadata
    metadata = Metadata(icc=ODD, exif=own.exif, xmp=own.xmp, dpi=own.dpi)
    larger = np.repeat(np.repeat(photo.pixels, 2, 0), 2, 1)
    path = write_image(
        tmp_path / f"a.{kind}", larger, lossless=True, metadata=metadata, software="pixperts 0.1 x2"
    )
    height, width = larger.shape[:2]
    data = path.read_bytes()
    tags = Image.Exif()
    if kind == "heic":
        tags.load(pillow_heif.open_heif(data)[0].info["exif"])
    else:
        sign = b"JpgTiffExif->JP2" if kind == "jp2" else b"Exif\0\0\0\0"
        tags.load(b"Exif\0\0" + data[data.index(sign) + len(sign) :])
    assert tags[0x10F] == "Maker"
    assert tags.get(0x112, 1) == 1
    assert tags[0x131] == "pixperts 0.1 x2"
    inner = tags.get_ifd(files.EXIF_IFD)
    assert (inner[0xA002], inner[0xA003]) == (width, height)
    assert inner[0x927C] == files.MAKER_NOTE
    assert b'xmp:Rating="4"' in data
    assert b"\xff\xd8\xff" not in data[:-1000]  # no thumbnail
    back = read_image(path)
    assert back.metadata.icc == ODD
    assert back.metadata.exif is not None
    assert back.metadata.xmp is not None
    assert back.metadata.dpi == pytest.approx((300, 240), abs=0.02)
    assert back.notes == ()
    np.testing.assert_array_equal(back.pixels, larger)
    stripped = write_image(path, larger, metadata=metadata, software="pix", strip_metadata=True)
    for word in (b"Maker", b"Rating", b"pix\0"):
        assert word not in stripped.read_bytes()
    assert read_image(stripped).metadata.exif is None


@pytest.mark.parametrize("kind", KINDS)
def test_gray_with_a_profile(tmp_path: Path, kind: str) -> None:
    pixels = noise(1)
    metadata = Metadata(icc=ODD_GRAY)
    back = read_image(write_image(tmp_path / f"a.{kind}", pixels, lossless=True, metadata=metadata))
    assert back.metadata.icc == ODD_GRAY
    np.testing.assert_array_equal(back.pixels, pixels)
    # Stored as RGB it has no such profile, which is applied.
    both = np.concatenate([pixels, np.full_like(pixels, 255)], 2)
    back = read_image(write_image(tmp_path / f"b.{kind}", both, lossless=True, metadata=metadata))
    if kind != "jp2":
        assert back.metadata.icc is None
        assert back.pixels.shape[2] == 4
        assert np.abs(back.pixels[..., 0].astype(int) - pixels[..., 0]).max() > 10


def test_lossy_jpeg_xl_with_a_profile_has_the_same_colors(tmp_path: Path) -> None:
    pixels = (smooth().astype(np.uint16) * 257).astype(np.uint16)
    path = write_image(tmp_path / "a.jxl", pixels, metadata=Metadata(icc=ODD))
    write_image(tmp_path / "a.png", pixels, metadata=Metadata(icc=ODD))
    shown = [read_image(tmp_path / name, color="srgb").pixels for name in ("a.jxl", "a.png")]
    difference = shown[0].astype(float) - shown[1]
    assert np.sqrt(np.mean(difference**2)) < 257 * 2.5
    assert not is_lossless(path, "jxl")


@pytest.mark.parametrize("kind", ["heic", "jxl"])
@pytest.mark.parametrize("codes", [(9, 16), (12, 13), (9, 18)])
def test_colors_by_numbers(tmp_path: Path, kind: str, codes: tuple[int, int]) -> None:
    tags = ColorTags(codes, boxes=((b"clli", bytes([3, 232, 1, 144])),))
    pixels = noise(3, np.uint16)
    metadata = Metadata(color=tags)
    path = write_image(tmp_path / f"a.{kind}", pixels, lossless=True, metadata=metadata)
    back = read_image(path)
    assert back.metadata.icc is None
    assert back.metadata.color is not None
    assert back.metadata.color.codes == codes
    assert losses(kind, np.dtype(np.uint8), 3, metadata) == ()
    if kind == "heic":
        assert back.metadata.color.boxes == tags.boxes
        nclx: Any = pillow_heif.open_heif(path)[0].info["nclx_profile"]
        assert (nclx["color_primaries"], nclx["transfer_characteristics"]) == codes
        assert pillow_heif.open_heif(path)[0].info["content_light_level"] == {
            "max_content_light_level": 1000,
            "max_pic_average_light_level": 400,
        }
        return
    np.testing.assert_array_equal(back.pixels, pixels)
    # Numbers that JPEG XL lacks become a profile.
    path = write_image(path, pixels, lossless=True, metadata=Metadata(color=ColorTags((5, 4))))
    assert read_image(path).metadata.icc is not None


def test_jpeg_2000_gets_a_profile_where_other_formats_have_numbers(tmp_path: Path) -> None:
    metadata = Metadata(color=ColorTags((12, 13)))
    path = write_image(tmp_path / "a.jp2", noise(), lossless=True, metadata=metadata)
    back = read_image(path)
    assert back.metadata.icc == ColorTags((12, 13)).profile(False)
    np.testing.assert_array_equal(back.pixels, noise())
    with Image.open(path) as independent:
        np.testing.assert_array_equal(np.asarray(independent), noise())


@pytest.mark.parametrize("kind", KINDS)
def test_row_by_row_it_is_the_same_file(tmp_path: Path, kind: str) -> None:
    pixels = noise(3, np.uint16)
    metadata = Metadata(icc=ODD, dpi=(300.0, 300.0))
    whole = write_image(tmp_path / f"a.{kind}", pixels, metadata=metadata, quality=80)
    rows = tmp_path / f"b.{kind}"
    with RowWriter(rows, 37, 23, 3, np.uint16, metadata=metadata, quality=80) as writer:
        for top in range(0, 23, 5):
            writer.write(pixels[top : top + 5])
    assert rows.read_bytes() == whole.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"a.{kind}", f"b.{kind}"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_failure_leaves_the_old_file(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_image(tmp_path / f"a.{kind}", noise())
    before = path.read_bytes()

    def fail(target: Path, kind: str, content: foreign.Content) -> None:
        target.write_bytes(b"half")
        raise RuntimeError("no more of it")

    monkeypatch.setattr("pixperts.io.encode.encode_foreign", fail)
    with pytest.raises(ImageError, match=r"could not be written \(no more of it\)"):
        write_image(path, noise(seed=1))
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize(("kind", "extra"), [("heic", "heic"), ("jxl", "jxl"), ("jp2", "jxl")])
def test_the_extra_is_named_where_its_library_is_missing(
    tmp_path: Path, kind: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(foreign, "find_spec", lambda name: None)
    path = tmp_path / f"a.{kind}"
    with pytest.raises(UsageError) as caught:
        write_image(path, noise())
    text = str(caught.value)
    assert text.startswith(f"{path}: writing ")
    assert f"needs an extra: pip install 'pixperts[{extra}]', or use one of jpeg, png," in text
    assert list(tmp_path.iterdir()) == []


def test_a_profile_in_jpeg_xl_needs_openimageio(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_image(tmp_path / "a.jxl", noise(), lossless=True, metadata=Metadata(icc=ODD))
    monkeypatch.setitem(sys.modules, "OpenImageIO", None)
    with pytest.raises(MissingDecoderError) as caught:
        read_image(path)
    assert_one_sentence(caught, path)
    assert "JPEG XL with a color profile, which needs an extra: pip install 'pixperts[jxl]'" in str(
        caught.value
    )
    plain = tmp_path / "b.jxl"
    plain.write_bytes(imagecodecs.jpegxl_encode(noise(), lossless=True))
    np.testing.assert_array_equal(read_image(plain).pixels, noise())


def test_sizes_and_sides(tmp_path: Path) -> None:
    for kind in KINDS:
        for height, width in ((1, 1), (1, 70), (3, 2)):
            pixels = noise(3, height=height, width=width)
            path = write_image(tmp_path / f"a.{kind}", pixels, lossless=True)
            np.testing.assert_array_equal(read_image(path).pixels, pixels)
    with pytest.raises(UsageError, match="HEIC holds at most 16384 per side"):
        write_image(tmp_path / "b.heic", np.zeros((1, 16385, 3), np.uint8))


def test_jpeg_xl_of_a_jpeg_is_not_lossless(tmp_path: Path) -> None:
    handle = io.BytesIO()
    Image.fromarray(smooth()).save(handle, "JPEG")
    path = tmp_path / "a.jxl"
    path.write_bytes(imagecodecs.jpegxl_encode_jpeg(handle.getvalue()))
    assert not is_lossless(path, "jxl")
