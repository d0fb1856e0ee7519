import os
import stat
import struct
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import pyvips

from pixperts import encode as encode_module
from pixperts import image as image_module
from pixperts import pixels as pixels_module
from pixperts.errors import ImageError, UsageError
from pixperts.image import (
    FORMAT_LIMITS,
    Pixels,
    check_output,
    from_float,
    is_image_path,
    list_images,
    read_image,
    to_float,
    write_image,
)

SAVERS = {"jpeg": ".jpg", "png": ".png", "webp": ".webp", "tiff": ".tif"}
LIMITS = {"uint8": 255, "uint16": 65535, "float32": 1}


def noise(
    channels: int = 3, dtype: type = np.uint8, height: int = 23, width: int = 37, seed: int = 0
) -> Pixels:
    unit = np.random.default_rng(seed).random((height, width, channels))
    scaled: Pixels = unit * LIMITS[np.dtype(dtype).name]
    return (scaled if dtype is np.float32 else np.rint(scaled)).astype(dtype)


def smooth(channels: int = 3, height: int = 96, width: int = 128) -> Pixels:
    rows, columns = np.mgrid[0:height, 0:width]
    planes = [128 + 100 * np.sin(rows / (19 + c) + columns / (23 - c) + c) for c in range(channels)]
    stacked: Pixels = np.stack(planes, axis=-1)
    return np.rint(stacked).astype(np.uint8)


def vips(pixels: Pixels, space: str = "srgb") -> pyvips.Image:
    height, width, channels = pixels.shape
    kind = {"uint8": "uchar", "uint16": "ushort", "float32": "float"}[pixels.dtype.name]
    return pyvips.Image.new_from_memory(
        np.ascontiguousarray(pixels), width, height, channels, kind
    ).copy(interpretation=space)


def assert_one_sentence(error: pytest.ExceptionInfo[Exception], path: Path) -> None:
    text = str(error.value)
    assert str(path) in text
    assert "\n" not in text
    assert text.endswith(".")
    assert "Traceback" not in text


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
    assert tiff[::16, ::16, 0].tolist() == [[0, 0], [0.25, 1]]


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


def test_extra_channels_and_odd_sample_types_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    vips(smooth()).bandjoin([1, 2]).tiffsave(str(path))
    with pytest.raises(ImageError, match="5 channels") as caught:
        read_image(path)
    assert_one_sentence(caught, path)
    vips(smooth()).colourspace("labs").bandjoin(3).tiffsave(str(path))
    with pytest.raises(ImageError, match="LABS with 4"):
        read_image(path)
    vips(smooth()).cast("int").tiffsave(str(path))
    with pytest.raises(ImageError, match="stores int samples"):
        read_image(path)


def png(width: int, height: int, depth: int, colour: int, rows: bytes, extra: bytes = b"") -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    palette = chunk(b"PLTE", extra) if extra else b""
    body = chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + header + palette + body + chunk(b"IEND", b"")


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
            read_image(path)
        assert_one_sentence(caught, path)
    if kind == "png":
        path.write_bytes(data[:-12])
        assert np.array_equal(read_image(path).pixels, whole)


def tiff(*pages: tuple[int, int, bytes], compression: int = 1) -> bytes:
    """Grey pages of (height, width, data), each directory before its strip (TIFF 6.0, part 1)."""
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
        "a.heic": (b"\0\0\0\x18ftypheic" + bytes(50), "HEIC, which the installed libvips cannot"),
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
        if name != "frames.gif":  # which has 256 colours
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


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_every_code_survives_the_floats(dtype: type) -> None:
    top = LIMITS[np.dtype(dtype).name]
    codes: Pixels = np.arange(top + 1).astype(dtype)
    unit = to_float(codes)
    assert unit.dtype == np.float32
    assert unit[0] == 0
    assert unit[-1] == 1
    assert np.all(np.diff(unit) > 0)
    back = from_float(unit, dtype)
    assert back.dtype == dtype
    assert np.array_equal(back, codes)
    assert np.array_equal(from_float(codes / np.float64(top), dtype), codes)


def test_from_float_rounds_and_clips() -> None:
    values = np.array([-9, 0.4999 / 255, 0.5001 / 255, 254.4999 / 255, 254.5001 / 255, 9])
    assert from_float(values, np.uint8).tolist() == [0, 0, 1, 254, 255, 255]
    assert from_float(values, np.float32)[[0, -1]].tolist() == [0, 1]
    assert from_float(np.array([0.5], np.float16), np.uint16).tolist() == [32768]
    with pytest.raises(UsageError, match="cannot become int64"):
        from_float(values, np.int64)
    with pytest.raises(UsageError, match="uint8"):
        from_float(np.zeros(3, np.uint8), np.uint8)


def test_to_float_of_floats() -> None:
    assert to_float(np.array([-0.001, 0.5, 1.001], np.float32)).tolist() == [0, 0.5, 1]
    with pytest.raises(ImageError, match="span 0 to 255"):
        to_float(np.array([0, 255], np.float32))
    with pytest.raises(UsageError, match="int32"):
        to_float(np.array([0, 255], np.int32))
    assert to_float(np.zeros((0, 3), np.uint8)).shape == (0, 3)


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 5), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((4, 4, 3), np.float64),
        np.zeros((4, 4, 3), bool),
        [[1]],
    ],
)
def test_pixels_that_are_no_picture(tmp_path: Path, pixels: Pixels) -> None:
    with pytest.raises(UsageError, match="give"):
        write_image(tmp_path / "a.png", pixels)
    assert list(tmp_path.iterdir()) == []


def test_pixels_may_be_a_view(tmp_path: Path) -> None:
    pixels = noise()[::-2, ::3, ::-1]
    assert np.array_equal(read_image(write_image(tmp_path / "a.png", pixels)).pixels, pixels)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError("odd")])
def test_a_failed_write_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    seen: list[Path] = []

    def broken(path: Path, *_: object) -> None:
        path.write_bytes(b"half")
        seen.append(path)
        raise error

    monkeypatch.setattr(image_module, "encode", broken)
    new, old = tmp_path / "new.png", tmp_path / "old.png"
    old.write_bytes(b"before")
    for target in (new, old):
        with pytest.raises(ImageError, match="could not be written") as caught:
            write_image(target, noise())
        assert_one_sentence(caught, target)
    assert [p.name for p in tmp_path.iterdir()] == ["old.png"]
    assert old.read_bytes() == b"before"
    for path in seen:
        assert path.parent == tmp_path
        assert path.name.startswith(".")
        assert str(os.getpid()) in path.name


def test_an_interrupted_write_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(path: Path, *_: object) -> None:
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(image_module, "encode", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_image(tmp_path / "a.png", noise())
    assert list(tmp_path.iterdir()) == []


def test_a_failed_replace_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []

    def replace(*_: object) -> None:
        order.append("replace")
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "fsync", lambda _: order.append("fsync"))
    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(ImageError, match="Permission denied"):
        write_image(tmp_path / "a.png", noise())
    assert order == ["fsync", "replace"]
    assert list(tmp_path.iterdir()) == []


def test_a_saver_error_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # With the limit lifted, libjpeg itself refuses the width: a real error of a real saver.
    monkeypatch.setitem(FORMAT_LIMITS, "jpeg", 10**6)
    path = tmp_path / "a.jpg"
    with pytest.raises(ImageError, match="65500") as caught:
        write_image(path, np.zeros((1, 65501, 1), np.uint8))
    assert_one_sentence(caught, path)
    assert list(tmp_path.iterdir()) == []


def test_permissions_and_links_outlive_a_replacement(tmp_path: Path) -> None:
    real, link = tmp_path / "real.png", tmp_path / "link.png"
    write_image(real, noise(seed=1))
    real.chmod(0o600)
    link.symlink_to(real)
    assert write_image(link, noise(seed=2)) == link
    assert link.is_symlink()
    assert stat.S_IMODE(real.stat().st_mode) == 0o600
    assert np.array_equal(read_image(real).pixels, noise(seed=2))


def test_largest_sides_are_written(tmp_path: Path) -> None:
    for suffix, kind in ((".jpg", "jpeg"), (".webp", "webp")):
        pixels = np.zeros((1, FORMAT_LIMITS[kind], 1), np.uint8)
        back = read_image(write_image(tmp_path / f"a{suffix}", pixels))
        assert back.width == FORMAT_LIMITS[kind]


@pytest.mark.parametrize(
    ("name", "width", "height", "limit"),
    [("a.jpg", 65501, 10, 65500), ("a.JPEG", 10, 70000, 65500), ("a.webp", 16384, 1, 16383)],
)
def test_format_limits(tmp_path: Path, name: str, width: int, height: int, limit: int) -> None:
    with pytest.raises(UsageError, match=f"at most {limit} per side"):
        check_output(tmp_path / name, width, height)
    check_output(tmp_path / name, min(width, limit), min(height, limit))
    check_output(tmp_path / "a.png", width, height)
    check_output(tmp_path / "a.tif", width, height)
    with pytest.raises(UsageError, match=str(limit)):
        check_output(tmp_path / "a.png", width, height, Path(name).suffix[1:])
    assert list(tmp_path.iterdir()) == []


def test_outputs_that_cannot_be(tmp_path: Path) -> None:
    for name in ("a.gif", "a", "a.png.bak"):
        with pytest.raises(UsageError, match=r"\.jpg, \.jpeg, \.png, \.webp, \.tif, \.tiff"):
            check_output(tmp_path / name, 4, 4)
    with pytest.raises(UsageError, match="'bmp' is unknown: use one of jpeg, png, webp, tiff"):
        check_output(tmp_path / "a.png", 4, 4, "bmp")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(UsageError, match="is a folder"):
        check_output(tmp_path / "folder.png", 4, 4)
    with pytest.raises(UsageError, match="not a regular file"):
        check_output(os.devnull, 4, 4, "png")
    (tmp_path / "file").write_text("x")
    with pytest.raises(ImageError, match="file is not a folder"):
        check_output(tmp_path / "file" / "a.png", 4, 4)
    with pytest.raises(UsageError, match="1 to 100"):
        check_output(tmp_path / "a.jpg", 4, 4, quality=500)


def test_check_output_makes_no_folder_and_write_image_does(tmp_path: Path) -> None:
    target = tmp_path / "x" / "y" / "a.png"
    check_output(target, 4, 4)
    assert list(tmp_path.iterdir()) == []
    write_image(target, noise())
    assert target.is_file()


def test_large_tiff_becomes_bigtiff(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # What the saver is told; a real one would take minutes.
    seen: dict[str, object] = {}

    def record(image: pyvips.Image, path: bytes, **options: object) -> None:
        seen.update(options)
        Path(os.fsdecode(path)).touch()

    monkeypatch.setattr(pyvips.Image, "tiffsave", record, raising=False)
    for side, expected in ((1000, False), (65536, True)):
        image = pyvips.Image.black(side, side)
        encode_module.encode(tmp_path / "a.tif", image, encode_module.Recipe("tiff"))
        assert seen["bigtiff"] is expected


def test_names_and_folders(tmp_path: Path) -> None:
    assert is_image_path("a.JPeG")
    assert not is_image_path("a.jpg.txt")
    for name in ("b.png", "a.JPG", "c.txt", ".hidden.png", "sub/d.webp", "sub/.x/e.tif", "z/f.tif"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    assert list_images(tmp_path) == [tmp_path / "a.JPG", tmp_path / "b.png"]
    found = [str(p.relative_to(tmp_path)) for p in list_images(tmp_path, recursive=True)]
    assert found == ["a.JPG", "b.png", "sub/d.webp", "z/f.tif"]
    for wrong in (tmp_path / "none", tmp_path / "c.txt"):
        with pytest.raises(ImageError, match="cannot be listed"):
            list_images(wrong)
