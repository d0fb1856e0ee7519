"""What is damaged, foreign or not readable is refused in one sentence."""

import os
import struct
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import pyvips

from pixperts.errors import ImageError, UsageError
from pixperts.io.image import check_output, read_image, write_image
from pixperts.ops.pixels import from_float, to_float
from tests.helpers.image_files import SAVERS, assert_one_sentence, noise, png, smooth, vips


@pytest.fixture
def locked() -> Iterator[Path]:
    """A folder that an unprivileged user can see into, while this process is such a user."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "secret.png").write_bytes(b"\x89PNG\r\n\x1a\n")
        (folder / "secret.png").chmod(0)
        folder.chmod(0o555)
        was = os.geteuid()
        if was == 0:
            os.seteuid(65534)
        try:
            yield folder
        finally:
            os.seteuid(was)
            folder.chmod(0o755)


@pytest.mark.parametrize("kind", list(SAVERS))
@pytest.mark.parametrize("interlaced", [False, True])
def test_cut_files_are_errors(tmp_path: Path, kind: str, interlaced: bool) -> None:
    path = tmp_path / f"a{SAVERS[kind]}"
    if interlaced and kind in ("jpeg", "png"):
        getattr(vips(smooth()), f"{kind}save")(str(path), interlace=True)
    else:
        write_image(path, smooth())
    data = path.read_bytes()
    whole = read_image(path).pixels
    # The last 12 bytes of a PNG are its end mark; all pixels come before.
    end = len(data) - (13 if kind == "png" else 1)
    cuts = [1, 12, 40, *(len(data) * k // 8 for k in range(1, 8)), end - 20, end - 4, end]
    for cut in cuts:
        path.write_bytes(data[:cut])
        with pytest.raises(ImageError) as caught:
            read_image(path, strict=True)
        assert_one_sentence(caught, path)
    if kind == "png":
        path.write_bytes(data[:-12])
        assert np.array_equal(read_image(path).pixels, whole)


def tiff(*pages: tuple[int, int, bytes], compression: int = 1) -> bytes:
    """Gray pages of (height, width, data), each directory before its strip (TIFF 6.0, part 1)."""
    data = b"II*\0" + struct.pack("<I", 8)
    for number, (height, width, strip) in enumerate(pages, start=1):
        start = len(data) + 2 + 9 * 12 + 4
        entries = [
            (256, 3, 1, width),
            (257, 3, 1, height),
            (258, 3, 1, 8),
            (259, 3, 1, compression),
            (262, 3, 1, 1),
            (273, 4, 1, start),
            (277, 3, 1, 1),
            (278, 3, 1, height),
            (279, 4, 1, len(strip)),
        ]
        following = start + len(strip) if number < len(pages) else 0
        table = b"".join(struct.pack("<HHII", *entry) for entry in entries)
        data += struct.pack("<H", len(entries)) + table + struct.pack("<I", following) + strip
    return data


@pytest.mark.parametrize("compression", [1, 8])
def test_a_tiff_cut_behind_its_directory_is_an_error(tmp_path: Path, compression: int) -> None:
    # libvips writes the directory last, cameras and scanners first: the second kind, by hand.
    strip = noise(1, np.uint8, 64, 48).tobytes()
    strip = zlib.compress(strip) if compression == 8 else strip
    data = tiff((64, 48, strip), compression=compression)
    path = tmp_path / "a.tif"
    path.write_bytes(data)
    assert np.array_equal(read_image(path).pixels, noise(1, np.uint8, 64, 48))
    for cut in (len(data) - 100, len(data) - len(strip) // 2):
        path.write_bytes(data[:cut])
        with pytest.raises(ImageError, match="cut short"):
            read_image(path)


@pytest.mark.parametrize(
    ("height", "width", "accepted"),
    [(20, 30, True), (13, 20, True), (20, 20, False), (40, 60, False), (40, 10, False)],
)
def test_a_second_page_may_only_be_a_preview(
    tmp_path: Path, height: int, width: int, accepted: bool
) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(tiff((40, 60, bytes(2400)), (height, width, bytes(height * width))))
    picture = read_image(path)
    assert picture.pixels.shape == (40, 60, 1)
    notes = () if accepted else (f"{path} holds 2 pages: only the first was read.",)
    assert picture.notes == notes


@pytest.mark.parametrize("damage", ["directory", "cut", "beyond"])
def test_a_damaged_later_page_costs_nothing(tmp_path: Path, damage: str) -> None:
    first = noise(1, np.uint8, 40, 60)
    data = tiff((40, 60, first.tobytes()), (40, 60, bytes(2400)), (40, 60, bytes(2400)))
    alone = len(tiff((40, 60, first.tobytes())))
    link = 8 + 2 + 9 * 12
    path = tmp_path / "a.tif"
    path.write_bytes(
        {
            "directory": data[: alone + 2] + b"\xff" * 60 + data[alone + 62 :],
            "cut": data[: alone + 30],
            "beyond": data[:link] + struct.pack("<I", 10**7) + data[link + 4 :],
        }[damage]
    )
    picture = read_image(path)
    assert np.array_equal(picture.pixels, first)
    (note,) = picture.notes
    assert note.endswith("pages: only the first was read.")


def test_damaged_png_and_deflated_tiff_are_errors(tmp_path: Path) -> None:
    for name in ("a.png", "a.tif"):
        path = write_image(tmp_path / name, noise())
        data = bytearray(path.read_bytes())
        middle = len(data) // 2
        data[middle : middle + 40] = bytes(40)
        path.write_bytes(data)
        with pytest.raises(ImageError, match="damaged"):
            read_image(path)


def test_what_is_no_picture(tmp_path: Path) -> None:
    cases = {
        "empty.png": (b"", "empty"),
        "notes.png": (b"Dear diary, this is text.\n", "holds no JPEG, PNG, WebP or TIFF"),
        "a.bmp": (b"BM" + bytes(50), "holds no JPEG"),
        "a.mp4": (b"\0\0\0\x18ftypisom" + bytes(50), "nor AVIF, HEIC"),
        "a.gif": (b"GIF89a" + bytes(50), "cannot be decoded as GIF"),
        "a.heic": (b"\0\0\0\x18ftypheic" + bytes(50), "cannot be decoded as HEIC"),
        "a.avif": (b"\0\0\0\x18ftypavif" + bytes(50), "cannot be decoded as AVIF"),
        "photo.NEF": (b"MM\0*" + bytes(50), "camera raw"),
        "header.jpg": (b"\xff\xd8\xff\xe0" + bytes(50), "cannot be decoded as JPEG"),
    }
    for name, (content, message) in cases.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(ImageError, match=message) as caught:
            read_image(path)
        assert_one_sentence(caught, path)


def test_what_is_no_file(tmp_path: Path) -> None:
    for path, message in [
        (tmp_path / "none.png", "does not exist"),
        (tmp_path / "no" / "where.png", "does not exist"),
        (tmp_path, "is a folder"),
    ]:
        with pytest.raises(ImageError, match=message) as caught:
            read_image(path)
        assert_one_sentence(caught, path)
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ImageError, match="not a regular file"):
        read_image(tmp_path / "pipe.png")
    (tmp_path / "dangling.png").symlink_to(tmp_path / "gone.png")
    with pytest.raises(ImageError, match="does not exist"):
        read_image(tmp_path / "dangling.png")
    with pytest.raises(UsageError, match="null byte"):
        read_image("a\0.png")
    with pytest.raises(ImageError, match="cannot be reached"):
        read_image(tmp_path / ("a" * 300 + ".png"))


def test_unreadable_file(locked: Path) -> None:
    path = locked / "secret.png"
    with pytest.raises(ImageError, match="may not be read") as caught:
        read_image(path)
    assert_one_sentence(caught, path)


def test_unwritable_places(locked: Path) -> None:
    for path in (locked / "a.png", locked / "new" / "folder" / "a.png"):
        for attempt in (lambda p: check_output(p, 4, 4), lambda p: write_image(p, noise())):
            with pytest.raises(ImageError, match="write-protected") as caught:
                attempt(path)
            assert_one_sentence(caught, path)
    with pytest.raises(ImageError, match="write-protected"):
        check_output(locked / "secret.png", 4, 4)
    assert [path.name for path in locked.iterdir()] == ["secret.png"]


def test_pixel_limit_is_checked_on_the_header(tmp_path: Path) -> None:
    # The header promises 300 megapixels, and the data behind it could not be decoded at all.
    path = tmp_path / "bomb.png"
    path.write_bytes(png(20000, 15000, 8, 2, b""))
    with pytest.raises(ImageError, match="20000 x 15000 pixels, over the limit of 1000000"):
        read_image(path, max_pixels=1_000_000)
    small = write_image(tmp_path / "a.png", noise())
    assert read_image(small, max_pixels=23 * 37).pixels.size
    with pytest.raises(ImageError, match="limit"):
        read_image(small, max_pixels=23 * 37 - 1)


def test_of_pages_and_frames_the_first_is_read(tmp_path: Path) -> None:
    big = smooth(3, 512, 640)
    pyramid = tmp_path / "pyramid.tif"
    vips(big).tiffsave(str(pyramid), pyramid=True, tile=True, compression="deflate")
    assert pyvips.Image.new_from_file(str(pyramid)).get("n-pages") > 1
    assert np.array_equal(read_image(pyramid).pixels, big)
    stack = vips(np.concatenate([smooth(), 255 - smooth()])).copy()
    stack.set_type(pyvips.GValue.gint_type, "page-height", 96)
    stack.set_type(pyvips.GValue.array_int_type, "delay", [100, 100])
    for name, message in (
        ("pages.tif", "holds 2 pages"),
        ("frames.webp", "is an animation of 2 frames"),
        ("frames.gif", "is an animation of 2 frames"),
    ):
        path = tmp_path / name
        stack.write_to_file(str(path), **({"lossless": True} if name == "frames.webp" else {}))
        picture = read_image(path)
        assert picture.notes == (f"{path} {message}: only the first was read.",)
        assert picture.pixels.shape[:2] == (96, 128)
        if name != "frames.gif":  # which has 256 colors
            assert np.array_equal(picture.pixels[..., :3], smooth())
        else:
            assert np.abs(picture.pixels[..., :3].astype(int) - smooth()).mean() < 8


def test_non_finite_samples(tmp_path: Path) -> None:
    for value in (np.nan, np.inf, -np.inf):
        pixels = noise(3, np.float32)
        pixels[3, 4, 1] = value
        path = tmp_path / "a.tif"
        vips(pixels).tiffsave(str(path))
        with pytest.raises(ImageError, match="NaN or infinite") as caught:
            read_image(path)
        assert_one_sentence(caught, path)
        for name in ("b.tif", "b.png", "b.jpg"):
            with pytest.raises(ImageError, match="NaN"):
                write_image(tmp_path / name, pixels)
        with pytest.raises(ImageError, match="NaN"):
            from_float(pixels, np.uint8)
        with pytest.raises(ImageError, match="NaN"):
            to_float(pixels)
    assert [p.name for p in tmp_path.iterdir()] == ["a.tif"]
