import io
import struct
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
from PIL import Image, ImageFile, IptcImagePlugin
from PIL.PngImagePlugin import PngInfo

from pixperts.errors import ImageError, UsageError
from pixperts.io.image import read_image, write_image
from pixperts.io.metadata import exif as exif_module
from pixperts.io.metadata.losses import losses
from pixperts.io.metadata.metadata import Metadata
from pixperts.io.metadata.photoshop import iptc_record
from tests.helpers import photo_files as files
from tests.helpers.image_files import noise

SUFFIXES = (".jpg", ".png", ".webp", ".tif", ".avif")
WITH_IPTC = (".jpg", ".png", ".tif")


def opened(path: Path) -> ImageFile.ImageFile:
    with Image.open(path) as image:
        image.load()
        return image


def xmp_of(image: ImageFile.ImageFile) -> bytes:
    found: Any = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    return found.encode() if isinstance(found, str) else bytes(found)


def iptc_of(image: ImageFile.ImageFile) -> Any:
    if image.format == "PNG":
        text: Any = image.info["Raw profile type iptc"]
        assert int(text.split()[1]) == len(bytes.fromhex("".join(text.split()[2:])))
        block = bytes.fromhex("".join(text.split()[2:]))
        assert block.startswith(b"8BIM\x04\x04")
        return block[12 : 12 + len(files.IPTC)]
    return IptcImagePlugin.getiptcinfo(image)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_everything_arrives_in_every_format(tmp_path: Path, suffix: str) -> None:
    photo = read_image(files.write_photo(tmp_path / "photo.jpg"))
    assert photo.pixels.shape == (48, 32, 3)  # stood upright
    assert photo.metadata.dpi == pytest.approx((300, 240))
    assert not photo.notes
    larger = photo.pixels.repeat(2, axis=0).repeat(2, axis=1)  # (96, 64, 3)
    path = write_image(
        tmp_path / f"out{suffix}", larger, metadata=photo.metadata, software="pixperts 0.1 x2"
    )
    image = opened(path)
    tags = image.getexif()
    assert tags[0x112 if suffix != ".tif" else 0x10F] == (1 if suffix != ".tif" else "Maker")
    assert tags.get(0x112, 1) == 1
    assert (tags[0x10F], tags[0x110], tags[0x8298]) == ("Maker", "Model X", "Somebody")
    assert (tags[0x100], tags[0x101]) == (64, 96)
    assert tags[0x131] == "pixperts 0.1 x2"
    assert tags[0xFDE8] == "private"
    inner = tags.get_ifd(files.EXIF_IFD)
    assert inner[0x9003] == "2024:01:02 03:04:05"
    assert (inner[0xA002], inner[0xA003]) == (64, 96)
    assert inner[0x927C] == files.MAKER_NOTE
    assert inner[0x829A] == pytest.approx(0.004)
    assert inner[0xFE00] == "inside"
    place = tags.get_ifd(files.GPS_IFD)
    assert (place[1], place[2], place[4]) == ("N", (48.0, 8.0, 1.5), (11.0, 34.0, 2.0))
    resolution: Any = tags[0x11A], tags[0x11B]
    assert resolution == pytest.approx((300, 240), abs=0.02)
    assert image.info["icc_profile"] == files.srgb_profile()
    packet = xmp_of(image)
    assert b'xmp:Rating="4"' in packet
    assert b'tiff:Orientation="1"' in packet
    assert b"<exif:PixelXDimension>64<" in packet
    if suffix in WITH_IPTC:
        expected = {(2, 0): b"\x00\x04", (2, 120): b"Caption", (2, 25): b"key1"}
        assert iptc_of(image) == (files.IPTC if suffix == ".png" else expected)
    if suffix == ".png":
        assert image.info["Software"] == "pixperts 0.1 x2"
    # And what we read ourselves is what we wrote, from file to file without loss.
    back = read_image(path)
    private = f"{path} has tags that were left out: 65000."
    assert back.notes == ((private,) if suffix == ".tif" else ())
    assert back.metadata.icc == photo.metadata.icc
    assert back.metadata.iptc == (files.IPTC if suffix in WITH_IPTC else None)
    assert back.metadata.dpi == pytest.approx((300, 240), abs=0.02)
    assert back.pixels.shape == larger.shape
    again = write_image(tmp_path / "again.jpg", back.pixels, metadata=back.metadata)
    inner = opened(again).getexif().get_ifd(files.EXIF_IFD)
    assert inner[0x927C] == files.MAKER_NOTE
    assert opened(again).getexif()[0x10F] == "Maker"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_stripped_files_hold_the_profile_alone(tmp_path: Path, suffix: str) -> None:
    photo = read_image(files.write_photo(tmp_path / "photo.jpg"))
    path = tmp_path / f"out{suffix}"
    write_image(
        path, photo.pixels, metadata=photo.metadata, software="pixperts", strip_metadata=True
    )
    assert read_image(path).metadata == Metadata(
        icc=photo.metadata.icc,
        dpi=read_image(path).metadata.dpi if suffix in (".png", ".tif") else None,
    )
    data = path.read_bytes()
    for word in (b"Maker", b"SONY", b"Rating", b"Caption", b"pixperts", b"private", b"2024"):
        assert word not in data
    assert opened(path).info["icc_profile"] == files.srgb_profile()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_without_metadata_nothing_is_made_up_but_the_software(tmp_path: Path, suffix: str) -> None:
    pixels = files.gradient()
    plain = opened(write_image(tmp_path / f"plain{suffix}", pixels))
    assert 0x131 not in plain.getexif()
    assert "icc_profile" not in plain.info
    named = opened(write_image(tmp_path / f"named{suffix}", pixels, software="pixpérts x2"))
    if suffix == ".png":
        assert named.info["Software"] == "pixpérts x2"
    else:
        assert named.getexif()[0x131] == "pixp?rts x2"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_resolution_survives_alone(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    write_image(path, files.gradient(), metadata=Metadata(dpi=(300.0, 150.5)))
    assert read_image(path).metadata.dpi == pytest.approx((300, 150.5), abs=0.02)
    silent = write_image(tmp_path / f"b{suffix}", files.gradient())
    assert read_image(silent).metadata.dpi in (None, pytest.approx((72, 72), abs=0.01))


def test_the_thumbnail_is_gone(tmp_path: Path) -> None:
    source = files.write_photo(tmp_path / "photo.jpg")
    assert source.read_bytes().count(b"\xff\xd8\xff") == 2
    assert pyvips.Image.new_from_file(str(source)).get_typeof("jpeg-thumbnail-data")
    photo = read_image(source)
    for suffix in SUFFIXES:
        path = write_image(tmp_path / f"o{suffix}", photo.pixels, metadata=photo.metadata)
        assert path.read_bytes().count(b"\xff\xd8\xff") == (1 if suffix == ".jpg" else 0)
        if suffix != ".tif":
            found = pyvips.Image.new_from_file(str(path))
            assert found.get_typeof("exif-ifd0-Make")
            assert not found.get_typeof("jpeg-thumbnail-data")


def test_a_thumbnail_in_the_middle_becomes_zeros() -> None:
    block = files.exif(6, thumbnail=True)[6:]
    start = block.index(b"\xff\xd8\xff")
    updated = exif_module.updated(block + b"values behind it", 9, 8)
    assert b"\xff\xd8\xff" not in updated
    assert updated[len(block) :].startswith(b"values behind it")
    assert len(exif_module.updated(block, 9, 8)) < start + 300


def test_bytes_do_not_move_within_exif() -> None:
    # A camera's notes hold offsets from the beginning of the block.
    block = files.exif(6)[6:]
    updated = exif_module.updated(block, 4000, 3000, "pixperts with quite a long name")
    for part in (files.MAKER_NOTE, b"2024:01:02", b"Somebody"):
        assert updated.index(part) == block.index(part)
    again = exif_module.updated(updated, 4000, 3000, "short")
    tags = Image.Exif()
    tags.load(b"Exif\0\0" + again)
    assert tags[0x131] == "short"
    assert tags.get_ifd(files.EXIF_IFD)[0xA002] == 4000


@pytest.mark.parametrize("order", ["<", ">"])
def test_both_byte_orders(tmp_path: Path, order: str) -> None:
    tags = Image.Exif()
    tags.endian = order
    tags[0x10F], tags[0x112], tags[0x11A] = "Maker", 3, 300.0
    tags[0x11B], tags[0x128] = 300.0, 3
    tags.get_ifd(files.EXIF_IFD)[0xA002] = 48
    block = tags.tobytes()[6:]
    block = {"<": b"II", ">": b"MM"}[order] + block[2:] if block[:2] == b"" else block
    assert block[:2] == {"<": b"II", ">": b"MM"}[order]
    assert exif_module.dots_per_inch(block) == pytest.approx((762, 762))
    path = write_image(tmp_path / "a.tif", files.gradient(), metadata=Metadata(exif=block))
    image = opened(path)
    assert image.getexif()[0x10F] == "Maker"
    assert image.getexif().get_ifd(files.EXIF_IFD)[0xA002] == 48
    assert np.array_equal(read_image(path).pixels, files.gradient())


def test_damaged_exif_is_left_out_with_a_note(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    for block in (b"Exif\0\0rubbish", b"Exif\0\0II*\0\xff\xff\0\0", files.exif()[:40]):
        Image.fromarray(files.gradient()).save(path, exif=block)
        picture = read_image(path)
        assert picture.metadata.exif is None
        assert picture.notes == (f"The EXIF data of {path} is damaged and was left out.",)


@pytest.mark.parametrize("cut", range(8, 260, 7))
def test_no_cut_of_exif_is_more_than_a_note(cut: int) -> None:
    block = files.exif(6, thumbnail=True)[6:]
    for damaged in (block[:cut], block[: cut - 2] + b"\xff\xff" + block[cut:]):
        try:
            result = exif_module.updated(damaged, 4, 4, "x", (72, 72))
        except exif_module.BROKEN:
            continue
        assert exif_module.parse(result)[1][0x131]


def test_exif_over_the_limit_loses_the_cameras_notes_alone(tmp_path: Path) -> None:
    tags = Image.Exif()
    tags[0x10F] = "Maker"
    tags.get_ifd(files.EXIF_IFD)[0x927C] = bytes(70000)
    metadata = Metadata(exif=tags.tobytes()[6:])
    found = opened(write_image(tmp_path / "a.jpg", files.gradient(), metadata=metadata)).getexif()
    assert found[0x10F] == "Maker"
    assert 0x927C not in found.get_ifd(files.EXIF_IFD)
    tags[0x10E] = "d" * 70000
    with pytest.raises(ImageError, match=r"EXIF data has \d+ bytes, over 64000"):
        write_image(
            tmp_path / "b.jpg", files.gradient(), metadata=Metadata(exif=tags.tobytes()[6:])
        )
    assert not (tmp_path / "b.jpg").exists()
    kept = write_image(
        tmp_path / "b.tif", files.gradient(), metadata=Metadata(exif=tags.tobytes()[6:])
    )
    assert opened(kept).getexif()[0x10E] == "d" * 70000


def test_tiff_tags_of_other_writers_are_read(tmp_path: Path) -> None:
    tags: dict[int, Any] = {270: "A view", 271: "Maker", 306: "2024:01:02 03:04:05", 315: "Me"}
    for name, big in (("a.tif", False), ("b.tif", True)):
        path = tmp_path / name
        Image.fromarray(files.gradient()).save(path, tiffinfo=tags, big_tiff=big, dpi=(200, 200))
        picture = read_image(path)
        assert picture.metadata.dpi == pytest.approx((200, 200))
        out = write_image(tmp_path / "o.jpg", picture.pixels, metadata=picture.metadata)
        found = opened(out).getexif()
        assert {tag: found[tag] for tag in tags} == tags
    plain = tmp_path / "c.tif"
    Image.fromarray(files.gradient()).save(plain)
    assert read_image(plain).metadata.exif is None


def test_iptc_of_every_wrapping() -> None:
    swapped = b"".join(
        (files.IPTC + bytes(-len(files.IPTC) % 4))[i : i + 4][::-1]
        for i in range(0, len(files.IPTC), 4)
    )
    assert iptc_record(files.IPTC) == files.IPTC
    assert iptc_record(files.photoshop()[4:]) == files.IPTC
    assert (iptc_record(swapped) or b"")[: len(files.IPTC)] == files.IPTC
    for nothing in (b"", b"Photoshop 3.0\0", b"Photoshop 3.0\x008BIM", b"8BIM\x04\x04", b"text"):
        assert iptc_record(nothing) is None


def test_png_texts_survive_between_pngs(tmp_path: Path) -> None:
    from PIL import PngImagePlugin

    texts = PngImagePlugin.PngInfo()
    texts.add_text("Title", "A view")
    texts.add_text("Creation Time", "morning, früh")
    texts.add_text("Long", "words " * 500, zip=True)
    texts.add_itxt("Author", "Łukasz", zip=True)
    texts.add_text("Software", "Before")
    Image.fromarray(files.gradient()).save(tmp_path / "a.png", pnginfo=texts)
    picture = read_image(tmp_path / "a.png")
    expected = {"Title": "A view", "Creation Time": "morning, früh", "Author": "Łukasz"}
    expected |= {"Long": "words " * 500, "Software": "Before"}
    assert dict(picture.metadata.texts) == expected
    out = tmp_path / "b.png"
    write_image(out, picture.pixels, metadata=picture.metadata, software="After")
    assert {key: opened(out).info[key] for key in expected} == expected | {"Software": "After"}
    assert dict(read_image(out).metadata.texts) == expected | {"Software": "After"}
    write_image(out, picture.pixels, metadata=picture.metadata)
    assert opened(out).info["Software"] == "Before"


@pytest.mark.parametrize(
    ("mode", "color"),
    [("L", 40), ("RGB", (9, 200, 31)), ("P", 3), ("RGBA", (1, 2, 3)), ("I;16", 40000)],
)
def test_the_background_of_png_survives_between_pngs(tmp_path: Path, mode: str, color: Any) -> None:
    size = (12, 8)
    if mode == "I;16":
        image = Image.fromarray(np.arange(96, dtype=np.uint16).reshape(8, 12))
    else:
        image = Image.fromarray(noise(4, height=8, width=12), "RGBA").convert(mode)
    chunks = PngInfo()
    packed = bytes([color]) if mode == "P" else np.atleast_1d(color).astype(">u2").tobytes()
    chunks.add(b"tIME", bytes([7, 232, 1, 2, 3, 4, 5]))
    image.save(tmp_path / "a.png", pnginfo=chunks)
    data = (tmp_path / "a.png").read_bytes()
    at = data.index(b"IDAT") - 4
    chunk = b"bKGD" + packed
    chunk = struct.pack(">I", len(packed)) + chunk + struct.pack(">I", zlib.crc32(chunk))
    (tmp_path / "a.png").write_bytes(data[:at] + chunk + data[at:])
    source = read_image(tmp_path / "a.png")
    assert source.notes == ()
    path = write_image(tmp_path / "b.png", source.pixels, metadata=source.metadata)
    expected = packed
    if mode == "P":
        shown = np.reshape(image.getpalette() or [], (-1, 3))[color]
        expected = shown.astype(">u2").tobytes()
    written = path.read_bytes()
    start = written.index(b"bKGD")
    assert written[start + 4 : start + 4 + len(expected)] == expected
    assert opened(path).size == size
    opened(path).load()  # Pillow checks the checksums
    assert b"tIME" not in written
    assert read_image(path).metadata.background == source.metadata.background
    assert losses("webp", np.dtype(np.uint8), 3, source.metadata) == (
        "WebP cannot store a background color, so it was left out.",
    )
    write_image(path, source.pixels, metadata=source.metadata, strip_metadata=True)
    assert b"bKGD" not in path.read_bytes()


def test_metadata_is_a_value() -> None:
    one = Metadata(icc=b"profile", xmp=b"packet", dpi=(72, 72))
    assert one == replace(one)
    assert one.stripped() == Metadata(icc=b"profile")
    assert "profile" not in repr(one)
    with pytest.raises(AttributeError):
        one.icc = None  # type: ignore[misc]


def test_losses_are_told() -> None:
    deep, whole = np.dtype(np.uint16), Metadata(iptc=b"x", exif=b"x")
    assert losses("tiff", np.dtype(np.float32), 4, whole) == ()
    assert losses("png", deep, 4, whole) == ()
    assert losses("avif", deep, 3, whole) == (
        "AVIF has 12 bits per channel, so finer steps are rounded.",
        "AVIF cannot store IPTC, so it was left out.",
    )
    assert len(losses("jpeg", deep, 4)) == 2
    assert losses("heic", deep, 3, Metadata(), 10) == ()
    assert losses("heic", deep, 3) == ("HEIC has 10 bits per channel, so finer steps are rounded.",)
    assert len(losses("jp2", np.dtype(np.float32), 3, whole)) == 2


def test_formats_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="GIF cannot be written"):
        write_image(tmp_path / "a.gif", files.gradient(), format="gif")
    for start in (b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n"):
        (tmp_path / "b.jxl").write_bytes(start + bytes(60))
        with pytest.raises(
            ImageError, match=r"b\.jxl (is JPEG XL, which .* cannot read|.*as JPEG XL)"
        ):
            read_image(tmp_path / "b.jxl")


def test_exif_of_a_stream() -> None:
    # The block is a file of its own: Pillow reads it as a TIFF header without a picture.
    block = exif_module.updated(None, 4, 5, "name", (96, 96))
    assert exif_module.dots_per_inch(block) == (96, 96)
    assert io.BytesIO(block).read(4) == b"II*\0"


def test_a_profile_of_other_channels_is_told() -> None:
    told = losses("png", np.dtype(np.uint8), 1, Metadata(icc=files.srgb_profile()))
    assert told == ("PNG cannot have a profile of RGB for these channels, so it was left out.",)
    assert losses("png", np.dtype(np.uint8), 3, Metadata(icc=files.srgb_profile())) == ()


def test_values_that_lie_over_one_another_do_not_fill_the_memory() -> None:
    # 4000 tags of 4 MB, all at the same place of a file of 4 MB.
    size = 1 << 22
    rows = b"".join(struct.pack("<HHII", tag, 7, size, 0) for tag in range(40000, 44000))
    block = b"II*\0" + struct.pack("<IH", 8, 4000) + rows + bytes(size)
    with pytest.raises(ValueError, match="impossible size"):
        exif_module.parse(block)
