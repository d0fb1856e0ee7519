"""Kinds of TIFF that are easily taken for something else, held against tifffile and Pillow."""

import contextlib
import threading
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from pixperts.errors import ImageError
from pixperts.io.image import read_image
from pixperts.io.rows import RowReader
from pixperts.io.tiff import watch
from pixperts.io.vips import libvips
from pixperts.ops.pixels import Pixels
from tests.helpers.image_files import assert_one_sentence, noise, smooth
from tests.helpers.tiff_files import RATIONAL, SHORT, build, in_tiles, subsampled, tags

COLORS = {"uint8": 1, "uint16": 257, "float32": 1 / 255}
LEFT_OUT = "has an extra channel that is not transparency: it was left out."
UNABLE = "kind of TIFF that this installation cannot read"


def scaled(pixels: Pixels, dtype: str) -> Pixels:
    made: Pixels = (pixels * np.float64(COLORS[dtype])).astype(dtype)
    return made


@pytest.mark.parametrize("dtype", list(COLORS))
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("layout", ["strips", "tiles", "planes", "deflated"])
def test_an_extra_channel_is_left_out(
    tmp_path: Path, dtype: str, channels: int, layout: str
) -> None:
    color = scaled(smooth(channels), dtype)
    data = np.dstack([color, np.zeros(color.shape[:2], dtype)])
    options: dict[str, Any] = {"planarconfig": "contig"}
    if layout == "tiles":
        options |= {"tile": (32, 48)}
    if layout == "deflated":
        options |= {"compression": "zlib", "predictor": True}
    if layout == "planes":
        data, options = np.moveaxis(data, 2, 0).copy(), {"planarconfig": "separate"}
    path = tmp_path / "x.tif"
    kind = "rgb" if channels == 3 else "minisblack"
    tifffile.imwrite(path, data, photometric=kind, extrasamples=["unspecified"], **options)
    picture = read_image(path)
    assert np.array_equal(picture.pixels, color)
    assert picture.notes == (f"{path} {LEFT_OUT}",)
    with RowReader(path) as reader:
        assert np.array_equal(reader.rows(0, reader.height), color)


def test_transparency_is_kept_beside_other_channels(tmp_path: Path) -> None:
    color, alpha, other = smooth(), noise(1, height=96, width=128), noise(1, height=96, width=128)
    path = tmp_path / "x.tif"
    for order in ([alpha, other, other], [other, alpha, other]):
        names = ["unassalpha" if one is alpha else "unspecified" for one in order]
        tifffile.imwrite(path, np.dstack([color, *order]), photometric="rgb", extrasamples=names)
        picture = read_image(path)
        assert np.array_equal(picture.pixels, np.dstack([color, alpha]))
        assert picture.notes == (
            f"{path} has 2 extra channels that are not transparency: they were left out.",
        )


def test_an_extra_channel_of_cmyk_and_of_palettes(tmp_path: Path) -> None:
    ink, path = noise(4, height=96, width=128), tmp_path / "x.tif"
    tifffile.imwrite(path, ink, photometric="separated")
    plain = read_image(path).pixels
    more = np.dstack([ink, ink[..., :1]])
    tifffile.imwrite(path, more, photometric="separated", extrasamples=["unspecified"])
    assert np.array_equal(read_image(path).pixels, plain)
    white = build(
        path, tags(128, 96, 0, 2) | {338: (SHORT, [0])}, [np.dstack([smooth(1)] * 2).tobytes()]
    )
    assert np.array_equal(read_image(white).pixels, 255 - smooth(1))


def test_channels_that_are_called_gray_but_are_three(tmp_path: Path) -> None:
    path, color = tmp_path / "x.tif", smooth().astype(np.uint16) * 257
    tifffile.imwrite(path, color, photometric="minisblack", planarconfig="contig")
    picture = read_image(path)
    assert np.array_equal(picture.pixels, color)
    assert "the first three were read as RGB" in picture.notes[0]
    tifffile.imwrite(path, np.dstack([color] * 2), photometric="minisblack", planarconfig="contig")
    with pytest.raises(ImageError, match="6 channels") as caught:
        read_image(path)
    assert_one_sentence(caught, path)


@pytest.mark.parametrize("kind", ["minisblack", "miniswhite"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_gray_and_alpha_in_planes(tmp_path: Path, kind: str, dtype: str) -> None:
    gray, alpha = scaled(smooth(1), dtype), scaled(noise(1, height=96, width=128), dtype)
    path, planes = tmp_path / "a.tif", np.stack([gray[..., 0], alpha[..., 0]])
    tifffile.imwrite(
        path, planes, photometric=kind, extrasamples=["unassalpha"], planarconfig="separate"
    )
    expected = gray if kind == "minisblack" else np.iinfo(dtype).max - gray
    assert np.array_equal(read_image(path).pixels, np.dstack([expected, alpha]))


def ycbcr(photo: Pixels) -> Pixels:
    return np.asarray(Image.fromarray(photo).convert("YCbCr"))


def test_ycbcr_that_pillow_writes(tmp_path: Path) -> None:
    path = tmp_path / "y.tif"
    stored = Image.fromarray(smooth()).convert("YCbCr")
    stored.save(path)
    got = read_image(path).pixels.astype(int)
    # Pillow 12.3 cannot read what it wrote; this is what it converts.
    assert np.abs(got - np.asarray(stored.convert("RGB"))).max() <= 1
    assert np.abs(got - smooth()).max() <= 3


@pytest.mark.parametrize("tiled", [False, True])
@pytest.mark.parametrize("across", [1, 2, 4])
@pytest.mark.parametrize("down", [1, 2, 4])
def test_subsampled_ycbcr(tmp_path: Path, across: int, down: int, tiled: bool) -> None:
    stored = ycbcr(smooth(height=128))
    blocks = subsampled(stored, across, down)
    entries = tags(128, 128, 6) | {259: (SHORT, [8]), 530: (SHORT, [across, down])}
    if tiled:
        entries |= {322: (SHORT, [64]), 323: (SHORT, [64])}
    else:
        entries |= {278: (SHORT, [16])}
    height, width = (64, 64) if tiled else (16, 128)
    path = build(tmp_path / "y.tif", entries, in_tiles(blocks, height // down, width // across))
    chroma = stored[::down, ::across, 1:].repeat(down, 0).repeat(across, 1)
    whole = np.dstack([stored[..., :1], chroma])
    expected = np.asarray(Image.fromarray(whole, "YCbCr").convert("RGB")).astype(int)
    got = read_image(path).pixels
    assert got.shape == (128, 128, 3)
    assert np.abs(got - expected).max() <= 1
    with RowReader(path) as reader:
        assert np.array_equal(reader.rows(0, 40), got[:40])
        assert np.array_equal(reader.rows(30, 128), got[30:])


def test_a_subsampled_picture_may_end_inside_a_block(tmp_path: Path) -> None:
    stored = ycbcr(smooth())
    data = zlib.compress(subsampled(stored, 2, 2).tobytes())
    for order in "<>":
        entries = tags(127, 95, 6) | {259: (SHORT, [8])}  # 2 x 2 where the file is silent
        path = build(tmp_path / "y.tif", entries, [data], order)
        with Image.open(path) as image:
            expected = np.asarray(image.convert("RGB")).astype(int)
        assert np.abs(read_image(path).pixels - expected).max() <= 1


@pytest.mark.parametrize("bits", [8, 16])
def test_coefficients_and_reference_of_ycbcr(tmp_path: Path, bits: int) -> None:
    # ITU-R BT.709 with the studio's range, and what the equations of TIFF 6.0 make of it.
    red, blue, unit = 0.2126, 0.0722, 1 << (bits - 8)
    top = (1 << bits) - 1
    rgb = smooth() * (top / 255)
    y = rgb @ [red, 1 - red - blue, blue]
    cb, cr = (rgb[..., 2] - y) / (2 - 2 * blue), (rgb[..., 0] - y) / (2 - 2 * red)
    shares = 219 / top, 112 / (top // 2), 112 / (top // 2)
    codes = np.dstack([y, cb, cr]) * shares + (16, 128, 128)
    stored = np.rint(codes * unit).astype(f"<u{bits // 8}")
    reference = [n * unit for pair in ((16, 235), (128, 240), (128, 240)) for n in pair]
    entries = tags(128, 96, 6, bits=bits) | {
        529: (RATIONAL, [2126, 10000, 7152, 10000, 722, 10000]),
        530: (SHORT, [1, 1]),
        532: (RATIONAL, [part for number in reference for part in (number, 1)]),
    }
    path = build(tmp_path / "y.tif", entries, [stored.tobytes()])
    got = read_image(path).pixels
    assert got.dtype == f"uint{bits}"
    assert np.abs(got - rgb).max() < 2.5


def test_ycbcr_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    data = bytes(128 * 96 * 3)
    for change, message in (
        ({530: (SHORT, [3, 1])}, "subsampled in a way"),
        ({530: (SHORT, [2, 2]), 278: (SHORT, [5])}, "subsampled in a way"),
        ({530: (SHORT, [4, 4]), 322: (SHORT, [16]), 323: (SHORT, [16])}, "subsampled in a way"),
        ({530: (SHORT, [1, 1]), 532: (RATIONAL, [7, 1] * 6)}, "make no sense"),
        ({530: (SHORT, [1, 1]), 529: (RATIONAL, [1, 2, 0, 1, 1, 2])}, "make no sense"),
    ):
        path = build(tmp_path / "y.tif", tags(128, 96, 6) | change, [data])
        with pytest.raises(ImageError, match=message) as caught:
            read_image(path)
        assert_one_sentence(caught, path)


@pytest.mark.parametrize("position", [10, 200, 700])
@pytest.mark.parametrize("kind", ["rgb", "ycbcr"])
def test_a_damaged_tile_is_an_error(tmp_path: Path, kind: str, position: int) -> None:
    photo = noise(height=96, width=128)
    entries = tags(128, 96, 2 if kind == "rgb" else 6) | {259: (SHORT, [8])}
    entries |= {322: (SHORT, [32]), 323: (SHORT, [32])}
    blocks = photo if kind == "rgb" else subsampled(photo, 2, 2)
    side = 32 if kind == "rgb" else 16
    tiles = in_tiles(blocks, side, side)
    path = build(tmp_path / "a.tif", entries, tiles)
    assert read_image(path).pixels.shape == (96, 128, 3)
    broken = bytearray(tiles[5])
    broken[position : position + 40] = bytes(40)
    build(path, entries, [*tiles[:5], bytes(broken), *tiles[6:]])
    with pytest.raises(ImageError, match="damaged") as caught:
        read_image(path)
    assert_one_sentence(caught, path)
    with RowReader(path) as reader, pytest.raises(ImageError, match="damaged"):
        reader.rows(0, 96)


@pytest.mark.parametrize("interference", ["errors", "emptied"])
@pytest.mark.parametrize("kind", ["rgb", "ycbcr"])  # libvips empties its buffer to open the latter
def test_tiles_are_judged_by_themselves_while_other_threads_fail(
    tmp_path: Path, kind: str, interference: str
) -> None:
    """Errors of other threads neither hide a damaged tile nor make a sound one look damaged."""
    photo = noise(height=96, width=128)
    entries = tags(128, 96, 2 if kind == "rgb" else 6) | {259: (SHORT, [8])}
    entries |= {322: (SHORT, [32]), 323: (SHORT, [32])}
    blocks = photo if kind == "rgb" else subsampled(photo, 2, 2)
    side = 32 if kind == "rgb" else 16
    tiles = in_tiles(blocks, side, side)
    sound = build(tmp_path / "sound.tif", entries, tiles)
    expected = read_image(sound).pixels
    broken = build(tmp_path / "broken.tif", entries, [*tiles[:5], tiles[5][:90], *tiles[6:]])
    ended = threading.Event()

    def interfere() -> None:
        while not ended.wait(0.01):
            if interference == "emptied":
                libvips().vips_lib.vips_error_clear()
                continue
            with contextlib.suppress(libvips().Error):
                libvips().Image.tiffload(str(tmp_path / "none.tif"))

    other = threading.Thread(target=interfere)
    other.start()
    try:
        for _ in range(5):
            np.testing.assert_array_equal(read_image(sound).pixels, expected)
            with pytest.raises(ImageError, match="damaged"):
                read_image(broken)
    finally:
        ended.set()
        other.join()


def test_what_another_thread_says_meanwhile_is_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = noise(height=96, width=128)
    entries = tags(128, 96, 2) | {259: (SHORT, [8]), 322: (SHORT, [32]), 323: (SHORT, [32])}
    tiles = in_tiles(photo, 32, 32)
    path = build(tmp_path / "a.tif", entries, tiles)
    said = iter(["tiff2vips: of another file", *[None] * 9, "tiff2vips: of another file", ""])
    monkeypatch.setattr(watch, "_said_since", lambda mark: next(said))
    np.testing.assert_array_equal(read_image(path).pixels, photo)
    assert next(said, "used up") == "used up"


def test_a_file_that_cannot_be_checked_is_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = tags(32, 32, 2) | {259: (SHORT, [8]), 322: (SHORT, [32]), 323: (SHORT, [32])}
    path = build(tmp_path / "a.tif", entries, in_tiles(noise(height=32, width=32), 32, 32))
    monkeypatch.setattr(watch, "_said_since", lambda mark: None)
    monkeypatch.setattr(watch, "_PATIENCE", 0)
    with pytest.raises(ImageError, match=r"could not be checked, as other files .*: try again\.$"):
        read_image(path)


@pytest.mark.parametrize("tiled", [False, True])
def test_old_style_jpeg_is_refused(tmp_path: Path, tiled: bool) -> None:
    Image.fromarray(smooth()).save(tmp_path / "a.jpg", subsampling=0)
    entries = tags(128, 96, 6) | {259: (SHORT, [6]), 512: (SHORT, [1]), 530: (SHORT, [1, 1])}
    entries |= {322: (SHORT, [128]), 323: (SHORT, [96])} if tiled else {}
    path = build(tmp_path / "a.tif", entries, [(tmp_path / "a.jpg").read_bytes()])
    with pytest.raises(ImageError, match=f"old-style JPEG compression, a {UNABLE}") as caught:
        read_image(path)
    assert_one_sentence(caught, path)


def lab_of(photo: Pixels) -> Pixels:
    """L, and a and b as signed bytes."""
    transform = ImageCms.buildTransform(
        ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"
    )
    made = ImageCms.applyTransform(Image.fromarray(photo), transform)
    assert made is not None
    return np.asarray(made)


@pytest.mark.parametrize("photometric", ["cielab", "icclab"])
@pytest.mark.parametrize("alpha", [False, True])
def test_lab_of_eight_bit(tmp_path: Path, photometric: str, alpha: bool) -> None:
    photo = np.asarray(Image.open("examples/colosseum.jpg").convert("RGB").resize((128, 96)))
    stored = lab_of(photo)
    if photometric == "icclab":
        stored = stored ^ np.array([0, 128, 128], np.uint8)  # raised by 128
    path, extra = tmp_path / "a.tif", noise(1, height=96, width=128)
    options: dict[str, Any] = {"photometric": photometric}
    if alpha:
        stored, options["extrasamples"] = np.dstack([stored, extra]), ["unassalpha"]
    tifffile.imwrite(path, stored, **options)
    picture = read_image(path)
    assert picture.pixels.dtype == np.uint8
    difference = picture.pixels[..., :3].astype(int) - photo
    assert np.sqrt((difference**2).mean()) < 2.5
    assert picture.notes == (f"{path} is LAB and was converted to sRGB.",)
    if alpha:
        assert np.array_equal(picture.pixels[..., 3:], extra)


def test_lab_of_sixteen_bit_in_planes(tmp_path: Path) -> None:
    stored = lab_of(smooth()).astype(np.uint16) << 8
    stored[..., 0] += stored[..., 0] >> 8
    contig, planes = tmp_path / "a.tif", tmp_path / "b.tif"
    tifffile.imwrite(contig, stored, photometric="cielab")
    tifffile.imwrite(
        planes, np.moveaxis(stored, 2, 0).copy(), photometric="cielab", planarconfig="separate"
    )
    difference = read_image(planes).pixels.astype(int) - read_image(contig).pixels
    assert np.abs(difference).max() <= 16


def test_icc_lab_of_sixteen_bit_has_its_own_white(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    stored = np.full((8, 8, 3), (0xFF00, 0x8000, 0x8000), np.uint16)
    tifffile.imwrite(path, stored, photometric="icclab")
    assert read_image(path).pixels.min() > 65400


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({258: (SHORT, [12] * 3)}, "12-bit samples"),
        ({258: (SHORT, [4] * 3)}, "4-bit samples in several channels"),
        ({258: (SHORT, [5, 6, 5])}, "channels of different depths"),
        ({262: (SHORT, [32803])}, "the raw mosaic of a sensor"),
        ({262: (SHORT, [34892])}, "the raw colors of a sensor"),
        ({262: (SHORT, [10])}, "ITU"),
        ({262: (SHORT, [777])}, "colors of the kind 777"),
        ({262: (SHORT, [5]), 332: (SHORT, [2])}, "inks that are not CMYK"),
        ({284: (SHORT, [2]), 322: (SHORT, [16]), 323: (SHORT, [16])}, "tiles that hold one"),
    ],
)
def test_sound_files_of_other_kinds_are_not_called_damaged(
    tmp_path: Path, change: dict[int, tuple[int, list[int]]], message: str
) -> None:
    path = build(tmp_path / "a.tif", tags(16, 16, 2) | change, [bytes(16 * 16 * 6)] * 3)
    with pytest.raises(ImageError, match=f"{message}.*{UNABLE}") as caught:
        read_image(path)
    assert_one_sentence(caught, path)


@pytest.mark.parametrize("compression", [50000, 34925, 34887, 99])
def test_unknown_compressions_are_not_called_damage(tmp_path: Path, compression: int) -> None:
    entries = tags(16, 16, 2) | {259: (SHORT, [compression])}
    path = build(tmp_path / "a.tif", entries, [bytes(768)])
    with pytest.raises(ImageError, match="a kind that this installation cannot read") as caught:
        read_image(path)
    assert_one_sentence(caught, path)
    assert "damaged" not in str(caught.value)


def test_twelve_bit_jpeg_is_not_called_damaged(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(smooth()).save(path)
    data = path.read_bytes()
    at = data.index(b"\xff\xc0") + 4
    path.write_bytes(data[:at] + b"\x0c" + data[at + 1 :])
    with pytest.raises(ImageError, match="a kind that this installation cannot read") as caught:
        read_image(path)
    assert_one_sentence(caught, path)
