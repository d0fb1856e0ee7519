"""What lies behind the pictures of JPEG files, and animations: kept, or told to be left out."""

import io
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
from PIL import Image, MpoImagePlugin
from PIL.PngImagePlugin import PngInfo

from pixperts.io.containers.behind import read_behind
from pixperts.io.containers.heif_boxes import has_gain_map
from pixperts.io.containers.jpeg_segments import read_segments
from pixperts.io.image import read_image, write_image
from pixperts.io.metadata.losses import losses
from pixperts.io.rows import RowReader, RowWriter
from tests.helpers.jpeg_files import XMP, jpeg_bytes, packet, segment, segments_of, write_jpeg
from tests.helpers.photo_files import gradient, wide_profile

ISO = b"urn:iso:std:iso:ts:21496:-1\0"
VIDEO = struct.pack(">I", 24) + b"ftypmp42\0\0\0\0mp42isom" + bytes(5000)
CAMERA = 'xmlns:GCamera="http://ns.google.com/photos/1.0/camera/"'
CONTAINER = (
    'xmlns:Container="http://ns.google.com/photos/1.0/container/" '
    'xmlns:Item="http://ns.google.com/photos/1.0/container/item/"'
)
GAIN = 'xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/"'
MAP_VALUES = (
    'hdrgm:Version="1.0" hdrgm:GainMapMin="0" hdrgm:GainMapMax="2.5" hdrgm:Gamma="1" '
    'hdrgm:OffsetSDR="0.015625" hdrgm:OffsetHDR="0.015625" hdrgm:HDRCapacityMin="0" '
    'hdrgm:HDRCapacityMax="2.5" hdrgm:BaseRenditionIsHDR="False"'
)


def directory(*items: str) -> str:
    entries = "".join(
        f'<rdf:li rdf:parseType="Resource"><Container:Item {item}/></rdf:li>' for item in items
    )
    return f"<Container:Directory><rdf:Seq>{entries}</rdf:Seq></Container:Directory>"


def gain_map(kind: str, height: int = 8, width: int = 12) -> bytes:
    """A map as a JPEG of its own, brighter to the right."""
    if kind == "iso":
        own = segment(0xE2, ISO + bytes(4) + bytes(range(60)))
    elif kind == "apple":
        own = segment(
            0xE1, XMP + packet('xmlns:H="http://ns.apple.com/HDRGainMap/1.0/"', 'H:V="1"')
        )
    else:
        own = segment(0xE1, XMP + packet(GAIN, MAP_VALUES))
    return jpeg_bytes(own, pixels=gradient(height, width, 1))


def index(first: int, offset: int, second: int, kind: int = 0) -> bytes:
    """An MP index of two pictures (CIPA DC-007)."""
    entries = struct.pack("<IIIHH", 0x030000, first, 0, 0, 0)
    entries += struct.pack("<IIIHH", kind, second, offset, 0, 0)
    table = struct.pack("<H", 3) + struct.pack("<HHI4s", 0xB000, 7, 4, b"0100")
    table += struct.pack("<HHII", 0xB001, 4, 1, 2) + struct.pack("<HHII", 0xB002, 7, 32, 50)
    return segment(0xE2, b"MPF\0II*\0\x08\0\0\0" + table + bytes(4) + entries)


def with_map(path: Path, kind: str, orientation: int = 1, **options: Any) -> Path:
    """A photo with a map behind it, as phones write it."""
    second = gain_map(kind)
    parts = []
    if kind == "adobe":
        items = directory(
            'Item:Semantic="Primary" Item:Mime="image/jpeg"',
            f'Item:Semantic="GainMap" Item:Mime="image/jpeg" Item:Length="{len(second)}"',
        )
        parts.append(
            segment(0xE1, XMP + packet(f"{GAIN} {CONTAINER}", 'hdrgm:Version="1.0"', items))
        )
    elif kind == "iso":
        parts.append(segment(0xE2, ISO + bytes(4)))
    exif = Image.Exif()
    exif[0x112] = orientation
    for _ in range(2):  # the second time with the right places
        first = jpeg_bytes(*parts, exif=exif, **options)
        start = first.find(b"MPF\0") + 4
        made = index(len(first), len(first) - start, len(second))
        parts = [one for one in parts if b"MPF\0" not in one] + [made]
    path.write_bytes(jpeg_bytes(*parts, exif=exif, **options) + second)
    return path


def second_of(path: Path) -> bytes:
    """The second picture of a file by its MP index, read by Pillow and by hand."""
    data = path.read_bytes()
    (own,) = (d for marker, d in segments_of(path) if marker == 0xE2 and d.startswith(b"MPF\0"))
    entries = struct.unpack(">IIIHHIIIHH", own[-32:])
    first, size, offset = entries[1], entries[6], entries[7]
    start = data.index(b"MPF\0") + 4 + offset
    assert start == first
    assert start + size == len(data)
    assert data[first - 2 : first + 2] == b"\xff\xd9\xff\xd8"
    with MpoImagePlugin.MpoImageFile(path) as image:
        assert getattr(image, "n_frames") == 2  # noqa: B009  # not all versions declare it
        image.seek(1)
        with Image.open(io.BytesIO(data[start:])) as alone:
            assert np.array_equal(np.asarray(image), np.asarray(alone))
    return data[start:]


@pytest.mark.parametrize("kind", ["adobe", "iso", "apple"])
def test_gain_maps_go_along_into_jpeg(tmp_path: Path, kind: str) -> None:
    source = with_map(tmp_path / "in.jpg", kind)
    picture = read_image(source)
    assert not picture.notes
    assert b"hdr-gain-map" not in (picture.metadata.xmp or b"")
    larger = picture.pixels.repeat(2, axis=0).repeat(2, axis=1)
    path = write_image(tmp_path / "out.jpg", larger, metadata=picture.metadata, software="s")
    assert second_of(path) == gain_map(kind)
    main = next((d for m, d in segments_of(path) if m == 0xE1 and d.startswith(XMP)), b"")
    assert (b'hdrgm:Version="1.0"' in main) == (kind == "adobe")
    assert (f'Item:Length="{len(gain_map(kind))}"'.encode() in main) == (kind == "adobe")
    assert ((0xE2, ISO + bytes(4)) in segments_of(path)) == (kind == "iso")
    with Image.open(path) as image:
        assert np.abs(np.asarray(image, int) - larger).max() < 4
    assert read_image(path).metadata.gain_map == picture.metadata.gain_map
    again = write_image(tmp_path / "again.jpg", larger, metadata=read_image(path).metadata)
    assert second_of(again) == gain_map(kind)
    for other in ("png", "tiff", "webp", "avif"):
        (loss,) = losses(other, np.dtype(np.uint8), 3, picture.metadata)
        assert "without a gain map" in loss
    bare = write_image(
        tmp_path / "bare.jpg", larger, metadata=picture.metadata, strip_metadata=True
    )
    assert bare.read_bytes().count(b"\xff\xd9") == 1


def test_libvips_reads_the_map_of_a_result(tmp_path: Path) -> None:
    if not pyvips.type_find("VipsOperation", "uhdrload"):
        pytest.skip("this libvips knows no Ultra HDR")
    picture = read_image(with_map(tmp_path / "in.jpg", "adobe"))
    path = write_image(tmp_path / "out.jpg", picture.pixels, metadata=picture.metadata)
    image = pyvips.Image.uhdrload(str(path))
    assert (image.width, image.height) == (48, 32)
    assert image.get("gainmap-max-content-boost")[0] == pytest.approx(2**2.5, rel=1e-3)
    stored = pyvips.Image.jpegload_buffer(image.get("gainmap-data"))
    assert (stored.width, stored.height) == (12, 8)


@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_map_is_turned_with_its_picture(tmp_path: Path, orientation: int) -> None:
    picture = read_image(with_map(tmp_path / "in.jpg", "adobe", orientation))
    path = write_image(tmp_path / "out.jpg", picture.pixels, metadata=picture.metadata)
    second = second_of(path)
    turns: dict[int, Callable[[Any], Any]] = {
        2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud, 5: np.transpose,
        6: lambda a: np.rot90(a, -1), 7: lambda a: np.rot90(a, 2).T, 8: np.rot90,
    }  # fmt: skip
    with Image.open(io.BytesIO(gain_map("adobe"))) as image:
        expected = turns[orientation](np.asarray(image, int))
    with Image.open(io.BytesIO(second)) as image:
        assert image.mode == "L"
        assert np.abs(np.asarray(image, int) - expected).max() < 6
    assert (0xE1, XMP + packet(GAIN, MAP_VALUES)) in segments_of(second)


def test_a_map_does_not_outlive_its_colors(tmp_path: Path) -> None:
    source = with_map(tmp_path / "in.jpg", "adobe", icc_profile=wide_profile())
    assert read_image(source).metadata.gain_map is not None
    picture = read_image(source, color="srgb")
    assert picture.metadata.gain_map is None
    assert any("gain map" in note for note in picture.notes)


def test_a_map_that_is_announced_but_missing(tmp_path: Path) -> None:
    xmp = packet(f"{GAIN} xmlns:q='urn:q/'", 'hdrgm:Version="1.0" q:kept="1"')
    source = write_jpeg(tmp_path / "in.jpg", segment(0xE1, XMP + xmp))
    picture = read_image(source)
    assert "gain map" in picture.notes[0]
    assert b'q:kept="1"' in (picture.metadata.xmp or b"")
    assert b"hdrgm:Version" not in (picture.metadata.xmp or b"")


@pytest.mark.parametrize(
    "tags",
    [
        ('GCamera:MicroVideo="1" GCamera:MicroVideoOffset="5024"', ""),
        ('GCamera:MotionPhoto="1" GCamera:MotionPhotoVersion="1"', directory(
            'Item:Semantic="Primary" Item:Mime="image/jpeg"',
            'Item:Semantic="MotionPhoto" Item:Mime="video/mp4" Item:Length="5024"',
        )),
        ("", "<GCamera:MotionPhoto>1</GCamera:MotionPhoto>"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_motion_photos_become_photos(tmp_path: Path, tags: tuple[str, str], suffix: str) -> None:
    xmp = packet(f"{CAMERA} {CONTAINER} xmlns:q='urn:q/'", f'q:kept="1" {tags[0]}', tags[1])
    if suffix == ".jpg":
        source = write_jpeg(tmp_path / "in.jpg", segment(0xE1, XMP + xmp), behind=VIDEO)
    else:
        texts = PngInfo()
        texts.add_itxt("XML:com.adobe.xmp", xmp.decode())
        source = tmp_path / "in.png"
        Image.fromarray(gradient()).save(source, pnginfo=texts)
    picture = read_image(source)
    assert picture.notes == (
        f"{source} is a motion photo: only the picture was read, its video was left out.",
    )
    path = write_image(tmp_path / "out.jpg", picture.pixels, metadata=picture.metadata)
    data = path.read_bytes()
    assert b'q:kept="1"' in data
    for name in (b":MotionPhoto", b":MicroVideo", b"Container:", b"ftyp"):
        assert name not in data
    assert read_image(path).notes == ()


def test_a_motion_photo_of_samsung_has_no_xmp(tmp_path: Path) -> None:
    trailer = b"\0\0\x30\x0a\x10\0\0\0MotionPhoto_Data" + VIDEO + b"SEFH" + bytes(20) + b"SEFT"
    picture = read_image(write_jpeg(tmp_path / "in.jpg", behind=trailer))
    assert "motion photo" in picture.notes[0]


def test_a_map_and_a_video_in_one_file(tmp_path: Path) -> None:
    source = with_map(tmp_path / "in.jpg", "adobe")
    source.write_bytes(source.read_bytes() + VIDEO)
    picture = read_image(source)
    assert "motion photo" in picture.notes[0]
    write_image(tmp_path / "out.jpg", picture.pixels, metadata=picture.metadata)
    assert second_of(tmp_path / "out.jpg") == gain_map("adobe")


def test_other_bytes_behind_a_picture_are_told(tmp_path: Path) -> None:
    source = write_jpeg(tmp_path / "in.jpg", behind=b"something else")
    assert read_image(source).notes == (
        f"{source} holds 14 bytes after the picture, which were left out.",
    )
    assert read_image(write_jpeg(tmp_path / "in.jpg", behind=bytes(2000))).notes == ()


def test_several_pictures_in_one_file_are_told(tmp_path: Path) -> None:
    frames = [Image.fromarray(gradient()), Image.fromarray(255 - gradient())]
    path = tmp_path / "both.mpo"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    jpeg = path.rename(tmp_path / "both.jpg")
    assert read_image(jpeg).notes == (f"{jpeg} holds 2 pictures: only the main one was read.",)


def test_a_preview_behind_the_picture_is_nothing_to_tell(tmp_path: Path) -> None:
    first = jpeg_bytes(index(0, 0, 0))
    second = jpeg_bytes(pixels=gradient(8, 12))
    start = first.index(b"MPF\0") + 4
    made = jpeg_bytes(index(len(first), len(first) - start, len(second), 0x010001)) + second
    (tmp_path / "in.jpg").write_bytes(made)
    assert read_image(tmp_path / "in.jpg").notes == ()


@pytest.mark.parametrize("suffix", [".png", ".avif", ".gif", ".webp"])
def test_animations_of_every_format_are_told(tmp_path: Path, suffix: str) -> None:
    frames = [Image.fromarray(np.roll(gradient(), 9 * n, 1)) for n in range(3)]
    path = tmp_path / f"in{suffix}"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    picture = read_image(path)
    assert picture.notes == (f"{path} is an animation of 3 frames: only the first was read.",)
    assert np.abs(picture.pixels.astype(int) - gradient()).mean() < 12


def test_a_gain_map_of_avif_is_told(tmp_path: Path) -> None:
    path = tmp_path / "in.avif"
    Image.fromarray(gradient()).save(path)
    assert not has_gain_map(path, "avif")
    data = path.read_bytes()
    # Another item, which is a map, in the list of items.
    entry = struct.pack(">I", 21) + b"infe\2\0\0\0\0\x09\0\0tmap\0"
    at = data.index(b"iinf") - 4
    size = struct.unpack_from(">I", data, at)[0]
    meta = data.index(b"meta") - 4
    made = bytearray(data)
    struct.pack_into(">I", made, at, size + len(entry))
    struct.pack_into(">H", made, at + 12, struct.unpack_from(">H", made, at + 12)[0] + 1)
    struct.pack_into(">I", made, meta, struct.unpack_from(">I", made, meta)[0] + len(entry))
    made[at + size : at + size] = entry
    path.write_bytes(made)
    assert has_gain_map(path, "avif")


def test_maps_and_notes_are_the_same_row_by_row(tmp_path: Path) -> None:
    source = with_map(tmp_path / "in.jpg", "adobe", orientation=6)
    source.write_bytes(source.read_bytes() + VIDEO)
    whole = read_image(source)
    write_image(tmp_path / "a.jpg", whole.pixels, metadata=whole.metadata, software="s")
    with RowReader(source) as reader:
        assert reader.notes == whole.notes
        size = (reader.width, reader.height, reader.bands, reader.dtype)
        with RowWriter(tmp_path / "b.jpg", *size, metadata=reader.metadata, software="s") as writer:
            writer.write(reader.rows(0, reader.height))
    assert (tmp_path / "a.jpg").read_bytes() == (tmp_path / "b.jpg").read_bytes()
    assert len(second_of(tmp_path / "b.jpg")) > 200


def test_no_harm_to_a_file_with_a_map_is_more_than_its_loss(tmp_path: Path) -> None:
    source = with_map(tmp_path / "in.jpg", "adobe")
    data = source.read_bytes()
    random = np.random.default_rng(0)
    for _ in range(300):
        harmed = bytearray(data)
        for at in random.integers(2, len(data), 6):
            harmed[at] = int(random.integers(0, 256))
        source.write_bytes(harmed[: int(random.integers(3, len(data) + 1))])
        with source.open("rb") as handle:
            found = read_segments(handle)
        read_behind(source, found)
        found.xmp(), found.photoshop(), found.comments(), found.extended_xmp(b"0" * 32)
