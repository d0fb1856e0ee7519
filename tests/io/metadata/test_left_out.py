"""Parts that only their makers know: told, and never kept in a form that is wrong."""

import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image, TiffImagePlugin

from pixperts.io.image import read_image, write_image
from tests.helpers.jpeg_files import segment, write_jpeg
from tests.helpers.photo_files import gradient, write_photo


def test_segments_of_makers_are_named(tmp_path: Path) -> None:
    parts = [segment(0xE1, b"FLIR\0\1\0\3"), segment(0xE1, b"FLIR\0\1\1\3"), segment(0xE7, b"\1\2")]
    source = write_jpeg(tmp_path / "in.jpg", *parts)
    assert read_image(source).notes == (
        f"{source} has segments that only their maker understands, which were left out: "
        "APP1 FLIR, APP7.",
    )


def test_ordinary_photos_get_no_remark(tmp_path: Path) -> None:
    photo = read_image(write_photo(tmp_path / "photo.jpg"))
    assert photo.notes == ()
    for suffix in (".jpg", ".png", ".webp", ".tif", ".avif"):
        path = write_image(
            tmp_path / f"a{suffix}", photo.pixels, metadata=photo.metadata, software="s"
        )
        private = f"{path} has tags that were left out: 65000."  # of the photo's EXIF
        assert read_image(path).notes == ((private,) if suffix == ".tif" else ())
    Image.fromarray(gradient()).convert("CMYK").save(tmp_path / "cmyk.jpg")
    (note,) = read_image(tmp_path / "cmyk.jpg").notes
    assert "was converted to sRGB" in note


def test_tags_of_tiff_are_named(tmp_path: Path) -> None:
    directory = TiffImagePlugin.ImageFileDirectory_v2()
    for tag, value in {50839: b"IJIJ", 65000: b"own", 33432: "Somebody"}.items():
        directory[tag] = value
        directory.tagtype[tag] = 2 if isinstance(value, str) else 7
    source = tmp_path / "in.tif"
    Image.fromarray(gradient()).save(source, tiffinfo=directory, compression="tiff_lzw")
    picture = read_image(source)
    assert picture.notes == (f"{source} has tags that were left out: 50839, 65000.",)
    path = write_image(tmp_path / "out.tif", picture.pixels, metadata=picture.metadata)
    with Image.open(path) as image:
        tags = image.tag_v2  # type: ignore[attr-defined]
        assert tags[33432] == "Somebody"
        assert not {50839, 65000} & set(tags)
    assert read_image(path).notes == ()


def credentials(path: Path) -> Path:
    """A picture that claims to carry a manifest, in the place of its format."""
    manifest = b"\0\0\0\x20jumb" + bytes(8) + b"c2pa" + bytes(12)
    if path.suffix == ".jpg":
        return write_jpeg(path, segment(0xEB, b"JP\0\1\0\0\0\1" + manifest))
    Image.fromarray(gradient()).save(path)
    data = path.read_bytes()
    if path.suffix == ".png":
        body = b"caBX" + manifest
        chunk = struct.pack(">I", len(manifest)) + body + struct.pack(">I", zlib.crc32(body))
        data = data[:33] + chunk + data[33:]
    elif path.suffix == ".webp":
        data += b"C2PA" + struct.pack("<I", len(manifest)) + manifest
        data = data[:4] + struct.pack("<I", len(data) - 8) + data[8:]
    else:
        name = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
        data += struct.pack(">I", 24 + len(manifest)) + b"uuid" + name + manifest
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".avif"])
def test_credentials_end_with_the_pixels_that_they_are_of(tmp_path: Path, suffix: str) -> None:
    source = credentials(tmp_path / f"in{suffix}")
    picture = read_image(source)
    assert picture.notes == (
        f"The Content Credentials (C2PA) of {source} are only valid for its own pixels and were "
        "left out.",
    )
    path = write_image(tmp_path / f"out{suffix}", picture.pixels, metadata=picture.metadata)
    assert b"c2pa" not in path.read_bytes()
    assert read_image(path).notes == ()
