"""Files made to harm: bombs, lies about sizes, code in weights, names that are no names."""

import contextlib
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from pixperts.data.image_files import picture_size
from pixperts.errors import ImageError, ModelError, PixpertsError, printable
from pixperts.io.decode import header_size
from pixperts.io.image import read_image, write_image
from pixperts.io.metadata import exif
from pixperts.io.metadata.metadata import Metadata
from pixperts.io.metadata.photoshop import iptc_record, photoshop_block
from pixperts.io.metadata.png_text import read_texts
from pixperts.io.rows import RowReader
from tests.helpers import photo_files as files
from tests.helpers.limits import bounded


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int = 8, height: int = 8, before: bytes = b"") -> bytes:
    """Gray, and one row of it only where that is not all."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(bytes((min(width, 8) + 1) * min(height, 8))))
    return b"\x89PNG\r\n\x1a\n" + head + before + body + chunk(b"IEND", b"")


def tiff(sizes: list[tuple[int, int]]) -> bytes:
    """Gray pages of these sizes that share 4096 bytes of pixels."""
    data = b"II*\0" + struct.pack("<I", 8 + 4096) + bytes(4096)
    for number, (width, height) in enumerate(sizes):
        rows = [(256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, 1), (262, 3, 1)]
        rows += [(273, 4, 8), (277, 3, 1), (278, 4, height), (279, 4, min(4096, width * height))]
        table = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in rows)
        size = 2 + len(table) + 4
        following = len(data) + size if number < len(sizes) - 1 else 0
        data += struct.pack("<H", len(rows)) + table + struct.pack("<I", following)
    return data


def huge(kind: str, folder: Path) -> bytes:
    """A header that claims billions of pixels."""
    if kind == "png":
        return png(100_000, 90_000)
    if kind == "tiff":
        return tiff([(100_000, 90_000)])
    path = folder / f"small.{kind}"
    Image.fromarray(files.gradient()).save(path, kind)
    data = bytearray(path.read_bytes())
    if kind == "gif":
        data[6:10] = b"\xff" * 4
        at = data.index(b"\x2c\0\0\0\0")  # not a color of the palette
        data[at + 5 : at + 9] = b"\xff" * 4
    elif kind == "jpeg":
        at = data.index(b"\xff\xc0")
        data[at + 5 : at + 9] = struct.pack(">HH", 65000, 65000)
    else:
        head = b"\0\0\0\0" + (60000).to_bytes(3, "little") + (60000).to_bytes(3, "little")
        data[12:12] = b"VP8X" + struct.pack("<I", 10) + head
        data[4:8] = struct.pack("<I", len(data) - 8)
    return bytes(data)


@pytest.mark.parametrize("kind", ["png", "tiff", "gif", "jpeg", "webp"])
def test_sizes_beyond_the_limit_are_refused_by_the_header(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a"
    path.write_bytes(huge(kind, tmp_path))
    for reader in (read_image, RowReader):
        # libwebp may hold the canvas against the picture inside it before the size is known.
        said = r"over the limit of 500000000|as WebP" if kind == "webp" else "over the limit of 5"
        with bounded(40, 2), pytest.raises(ImageError, match=said):
            reader(path)


@pytest.mark.slow
def test_texts_of_a_png_are_bounded_together(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    texts = [b"key%d\0\0" % n + zlib.compress(bytes([65]) * (7 << 20)) for n in range(60)]
    path.write_bytes(png(before=b"".join(chunk(b"zTXt", text) for text in texts)))
    with bounded(60):
        found = read_texts(path)
    assert [len(text) for text in found.values()] == [7 << 20] * 2
    for read in (read_image, header_size):
        with bounded(60), pytest.raises(ImageError, match="texts of more than 64 MiB"):
            read(path)


@pytest.mark.parametrize(
    "text", [b"\0\0x", b" key\0x", b"a\x1bb\0x", b"k" * 80 + b"\0x", b"k\0a\0b"]
)
def test_texts_that_no_png_may_hold_are_left_out(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png(before=chunk(b"tEXt", text) + chunk(b"tEXt", b"Title\0sound")))
    assert read_texts(path) == {"Title": "sound"}


def test_directories_over_one_another_do_not_fill_the_memory() -> None:
    # 64 KB as in a JPEG: three directories inside one another, each of values that overlap.
    count = 500
    rows = b"".join(struct.pack("<HHII", 30000 + n, 7, 60000, 100) for n in range(count))
    rows += b"".join(struct.pack("<HHII", tag, 4, 1, 8) for tag in (0x8769, 0x8825, 0xA005))
    block = b"II*\0" + struct.pack("<IH", 8, count + 3) + rows + bytes(4)
    block = block.ljust(64000, b"\0")
    with bounded(80), contextlib.suppress(*exif.BROKEN):
        exif.parse(block)


@pytest.mark.parametrize("first", range(8))
def test_a_directory_inside_the_header_is_damage(first: int) -> None:
    with pytest.raises(ValueError, match="inside the header"):
        exif.updated(b"II*\0" + struct.pack("<I", first) + bytes(200), 4, 4, "x")


def test_many_resources_before_the_iptc_take_no_time() -> None:
    blocks = b"8BIM\x04\x0a\0\0\0\0\0\0" * 100_000
    with bounded(seconds=1.5):
        assert iptc_record(blocks + photoshop_block(files.IPTC)) == files.IPTC


def test_many_pages_take_no_time(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(tiff([(64, 64), *[(32, 32)] * 4000]))
    with bounded():
        picture = read_image(path)
    assert picture.notes == (f"{path} holds 4000 pages: only the first was read.",)
    path.write_bytes(tiff([(64, 64), (32, 32), (16, 16)]))
    assert read_image(path).notes == ()


@pytest.mark.parametrize("dots", [(0, 1), (1, 0), (4294967295, 1), (1, 4294967295)])
def test_a_resolution_that_cannot_be_meant_is_none(tmp_path: Path, dots: tuple[int, int]) -> None:
    block = exif.updated(None, 4, 4, None, (300.0, 300.0))
    sound, wrong = struct.pack("<II", 300, 1), struct.pack("<II", *dots)
    assert block.count(sound) == 2
    path = write_image(tmp_path / "a.tif", files.gradient(), metadata=Metadata(dpi=(300.0, 300.0)))
    path.write_bytes(path.read_bytes().replace(sound, wrong))
    assert exif.dots_per_inch(block.replace(sound, wrong)) is None
    picture = read_image(path)
    assert picture.metadata.dpi is None or max(picture.metadata.dpi) < 1e6
    for suffix in (".jpg", ".png", ".tif", ".webp"):
        write_image(tmp_path / f"o{suffix}", picture.pixels, metadata=picture.metadata)


def test_large_metadata_is_read_and_bounded(tmp_path: Path) -> None:
    Image.fromarray(files.gradient()).save(
        tmp_path / "a.jpg",
        exif=files.exif()[6:].join([b"Exif\0\0", bytes(60000)]),
        icc_profile=files.srgb_profile() + bytes(12 << 20),
    )
    with bounded(150):
        picture = read_image(tmp_path / "a.jpg")
    assert picture.metadata.icc == files.srgb_profile()  # the rest is none of it
    assert picture.metadata.exif is not None
    for suffix in (".jpg", ".png", ".tif"):
        with bounded(250):
            write_image(tmp_path / f"o{suffix}", picture.pixels, metadata=picture.metadata)


@pytest.mark.parametrize("name", ["x.png", "x.svg", "[access=random].jpg"])
def test_parsers_of_other_formats_are_out_of_reach(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text('<svg xmlns="http://www.w3.org/2000/svg" width="30" height="20"/>')
    assert pyvips.Image.new_from_buffer(path.read_bytes(), "").width == 30  # it has such a parser
    for read in (header_size, picture_size, read_image):
        with pytest.raises(ImageError, match="holds no JPEG, PNG, WebP or TIFF picture"):
            read(path)


@pytest.mark.parametrize("turn", [1, 3, 6, 8])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
def test_the_header_says_how_large_a_picture_is_upright(
    tmp_path: Path, suffix: str, turn: int
) -> None:
    path, tags = tmp_path / f"[page=3]{suffix}", Image.Exif()
    tags[274] = turn
    Image.new("RGB", (30, 20)).save(path, exif=tags)
    assert header_size(path) == picture_size(path) == ((20, 30) if turn > 4 else (30, 20))
    picture = read_image(path)
    assert header_size(path) == (picture.width, picture.height)


NAMES = [
    b"two\nlines.png",
    b"red \x1b[31m.png",
    b"[page=3,n=-1].png",
    b"a.png[access=random]",
    b"-rf.png",
    b"--help.png",
    b"not \xff\xfe utf.png",
    "turned \u202egnp.png".encode(),
    b"%s%n{}.png",
    b" .png",
    b"n" * 251 + b".png",
]


@pytest.mark.parametrize("name", NAMES)
def test_names_of_every_kind(tmp_path: Path, name: bytes) -> None:
    path = tmp_path / os.fsdecode(name)
    pixels = files.gradient()
    assert write_image(path, pixels, format="png") == path
    assert np.array_equal(read_image(path).pixels, pixels)
    with RowReader(path) as reader:
        assert np.array_equal(reader.rows(0, reader.height), pixels)
    assert list(tmp_path.iterdir()) == [path]
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ImageError) as caught:
        read_image(path)
    assert str(caught.value).isprintable()
    assert "cannot be decoded as PNG" in str(caught.value)
    path.write_bytes(tiff([(64, 64), (63, 20)]))
    (note,) = read_image(path).notes
    assert note.isprintable()
    path.unlink()
    with pytest.raises(ImageError, match="does not exist") as caught:
        read_image(path)
    assert str(caught.value).isprintable()
    str(caught.value).encode("utf-8")


def test_names_that_no_system_takes(tmp_path: Path) -> None:
    for name in ("n" * 5000, "a\0b", "n" * 300 + "/a.png"):
        for action in (read_image, lambda path: write_image(path, files.gradient(), format="png")):
            with pytest.raises(PixpertsError) as caught:
                action(tmp_path / name)
            assert str(caught.value).isprintable()
            assert len(str(caught.value)) < 2500


def test_messages_stay_one_line_of_bounded_length() -> None:
    assert printable("früh, 東京 \t\u202e\udcff") == "früh, 東京 \\t\\u202e\\udcff"
    text = str(ModelError("depths is " + "[1, " * 10**6 + "; cure."))
    assert len(text) < 2000
    assert text.endswith("; cure.")


def _pixels(seed: int, width: int, height: int, channels: int, dtype: str) -> Any:
    rng = np.random.default_rng(seed)
    if dtype == "float32":
        return rng.random((height, width, channels), np.float32)
    return rng.integers(0, np.iinfo(dtype).max, (height, width, channels), dtype, endpoint=True)


sides = st.one_of(st.integers(1, 40), st.integers(1, 600))


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 99),
    sides,
    sides,
    st.integers(1, 4),
    st.sampled_from(["uint8", "uint16", "float32"]),
    st.sampled_from([".png", ".tif", ".webp"]),
)
def test_lossless_files_return_every_sample(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    width: int,
    height: int,
    channels: int,
    dtype: str,
    suffix: str,
) -> None:
    if suffix == ".webp":
        dtype, channels, width, height = "uint8", max(channels, 3), width % 99 + 1, height % 99 + 1
    if suffix == ".png" and dtype == "float32":
        dtype = "uint16"
    pixels = _pixels(seed, width, height, channels, dtype)
    path = tmp_path_factory.getbasetemp() / f"lossless{suffix}"
    write_image(path, pixels, lossless=True)
    read = read_image(path)
    got = read.pixels
    if suffix == ".webp" and got.shape[2] == 3 and channels == 4:
        assert (pixels[..., 3] == 255).all()
        pixels = pixels[..., :3]
    assert got.dtype == pixels.dtype
    assert np.array_equal(got, pixels)
    with RowReader(path) as reader:
        top = height // 2
        rows = [reader.rows(0, top)] if top else []
        assert np.array_equal(np.concatenate([*rows, reader.rows(top, height)]), got)


@settings(max_examples=25, deadline=None)
@given(sides, sides, st.integers(1, 4), st.sampled_from([".jpg", ".webp"]), st.integers(50, 100))
def test_lossy_files_return_nearly_every_sample(
    tmp_path_factory: pytest.TempPathFactory,
    width: int,
    height: int,
    channels: int,
    suffix: str,
    quality: int,
) -> None:
    rows, columns = np.mgrid[0:height, 0:width]
    planes = [(rows + columns + 30 * c) % 512 for c in range(channels)]
    pixels = np.abs(np.stack(planes, -1) - 255).clip(0, 255).astype(np.uint8)
    if channels in (2, 4):
        pixels[..., -1] = 255
    path = tmp_path_factory.getbasetemp() / f"lossy{suffix}"
    write_image(path, pixels, quality=quality)
    got = read_image(path).pixels
    colours = pixels[..., :-1] if channels in (2, 4) else pixels
    assert got.shape[:2] == (height, width)
    assert np.abs(got[..., : colours.shape[2]].astype(int) - colours).mean() < 6


@settings(max_examples=24, deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 8), st.booleans())
def test_every_orientation_stands_upright(
    tmp_path_factory: pytest.TempPathFactory, width: int, height: int, turn: int, grey: bool
) -> None:
    pixels = _pixels(turn, width, height, 1 if grey else 3, "uint8")
    # Not TIFF, which Pillow turns on loading and once more by `exif_transpose`.
    path = tmp_path_factory.getbasetemp() / "turned.png"
    image = Image.fromarray(pixels[..., 0] if grey else pixels)
    tags = Image.Exif()
    tags[274] = turn
    image.save(path, exif=tags)
    with Image.open(path) as opened:
        wanted = np.asarray(ImageOps.exif_transpose(opened))
    got = read_image(path).pixels
    assert np.array_equal(got[..., 0] if grey else got, wanted)
    with RowReader(path) as reader:
        assert np.array_equal(reader.rows(0, reader.height), got)


@pytest.mark.parametrize("size", [(1, 1), (1, 37), (64, 3)])
@pytest.mark.parametrize("channels", [3, 4])
def test_lossless_avif_returns_every_sample(
    tmp_path: Path, size: tuple[int, int], channels: int
) -> None:
    pixels = _pixels(1, *size, channels, "uint8")
    got = read_image(write_image(tmp_path / "a.avif", pixels, lossless=True)).pixels
    assert np.array_equal(got, pixels)
