"""What JPEG files hold that libvips drops: long XMP, comments, Photoshop's resources."""

import hashlib
import io
import re
import struct
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from pixperts.io.image import read_image, write_image
from pixperts.io.metadata.losses import losses
from pixperts.io.metadata.metadata import Metadata
from pixperts.io.metadata.photoshop import read_resources
from pixperts.io.rows import RowReader, RowWriter
from tests.helpers.jpeg_files import (
    EXTENDED,
    XMP,
    extended_segments,
    packet,
    resource,
    segment,
    segments_of,
    write_jpeg,
)
from tests.helpers.limits import bounded
from tests.helpers.photo_files import IPTC, gradient, photoshop

UINT8 = np.dtype(np.uint8)
NOTE = "{http://ns.adobe.com/xmp/note/}HasExtendedXMP"
PHOTOSHOP = b"Photoshop 3.0\0"


def properties(xmp: bytes) -> dict[str, str]:
    """All attributes and texts of a packet by name with its namespace."""
    found: dict[str, str] = {}
    for element in ElementTree.fromstring(xmp.strip(b"\0 ")).iter():
        found |= {key: value for key, value in element.attrib.items() if "about" not in key}
        if element.text and element.text.strip():
            found[element.tag] = element.text
    return found


def xmp_of(path: Path) -> tuple[bytes, bytes | None]:
    """Main packet and extension of a JPEG, with its name, its length and its parts checked."""
    found = segments_of(path)
    (main,) = (
        data[len(XMP) :] for marker, data in found if marker == 0xE1 and data.startswith(XMP)
    )
    parts = [data[len(EXTENDED) :] for m, data in found if m == 0xE1 and data.startswith(EXTENDED)]
    if not parts:
        return main, None
    whole = b""
    for part in parts:
        guid, total, offset = struct.unpack_from(">32sII", part)
        assert offset == len(whole)
        whole += part[40:]
    assert total == len(whole)
    assert guid.decode() == hashlib.md5(whole).hexdigest().upper() == properties(main)[NOTE]
    return main, whole


def test_extended_xmp_stays_whole(tmp_path: Path) -> None:
    data = "QUJD" * 40000  # 160 kB
    long = packet('xmlns:GImage="http://ns.google.com/photos/1.0/image/"', f'GImage:Data="{data}"')
    main = packet(
        'xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:n="http://ns.adobe.com/xmp/note/"',
        f'xmp:Rating="4" n:HasExtendedXMP="{hashlib.md5(long).hexdigest().upper()}"',
    )
    source = write_jpeg(tmp_path / "in.jpg", segment(0xE1, XMP + main), *extended_segments(long))
    picture = read_image(source)
    assert not picture.notes
    expected = {
        "{http://ns.adobe.com/xap/1.0/}Rating": "4",
        "{http://ns.google.com/photos/1.0/image/}Data": data,
    }
    assert picture.metadata.xmp is not None
    assert properties(picture.metadata.xmp) == expected
    for suffix in (".jpg", ".png", ".webp", ".tif", ".avif"):
        path = write_image(tmp_path / f"out{suffix}", picture.pixels, metadata=picture.metadata)
        assert not losses(suffix[1:], UINT8, 3, picture.metadata)
        assert properties(read_image(path).metadata.xmp or b"") == expected
        with Image.open(path) as image:
            image.load()
            if suffix != ".jpg":
                stored = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
                stored = stored.encode() if isinstance(stored, str) else stored
                assert properties(bytes(stored or b"")) == expected
    short, extension = xmp_of(tmp_path / "out.jpg")
    assert properties(short)["{http://ns.adobe.com/xap/1.0/}Rating"] == "4"  # for simple readers
    assert extension is not None
    assert properties(extension)["{http://ns.google.com/photos/1.0/image/}Data"] == data


def test_long_xmp_of_other_formats_is_split_by_size(tmp_path: Path) -> None:
    text = "<dc:a>" + "x" * 50000 + "</dc:a><dc:b>" + "y" * 30000 + "</dc:b><dc:c>z</dc:c>"
    long = packet('xmlns:dc="urn:dc/" xmlns:q="urn:q/"', 'q:small="1"', text)
    write_image(tmp_path / "in.png", gradient(), metadata=Metadata(xmp=long))
    picture = read_image(tmp_path / "in.png")
    path = write_image(tmp_path / "out.jpg", picture.pixels, metadata=picture.metadata)
    main, extension = xmp_of(path)
    assert extension is not None
    assert set(properties(extension)) == {"{urn:dc/}a"}
    assert {"{urn:dc/}b", "{urn:dc/}c", "{urn:q/}small"} < set(properties(main))
    assert properties(read_image(path).metadata.xmp or b"") == properties(long)


def test_padding_is_no_reason_to_split(tmp_path: Path) -> None:
    padded = packet('xmlns:q="urn:q/"', 'q:a="1"').replace(
        b"<?xpacket end", b" " * 70000 + b"<?xpacket end"
    )
    path = write_image(tmp_path / "out.jpg", gradient(), metadata=Metadata(xmp=padded))
    main, extension = xmp_of(path)
    assert extension is None
    assert properties(main) == {"{urn:q/}a": "1"}


def test_xmp_that_cannot_be_split_is_told(tmp_path: Path) -> None:
    metadata = Metadata(xmp=b"<broken" + b" " * 70000)
    (loss,) = losses("jpeg", UINT8, 3, metadata)
    assert loss == "JPEG cannot store 70007 bytes of XMP, so it was left out."
    write_image(tmp_path / "out.jpg", gradient(), metadata=metadata)
    assert read_image(tmp_path / "out.jpg").metadata.xmp is None


@pytest.mark.parametrize("harm", ["missing", "cut", "other name", "no xml"])
def test_a_lost_extension_takes_its_name_along(tmp_path: Path, harm: str) -> None:
    long = b"no xml" * 20000 if harm == "no xml" else packet('xmlns:q="urn:q/"', 'q:a="1"')
    guid = hashlib.md5(long).hexdigest()
    main = packet(
        'xmlns:q="urn:q/" xmlns:xmpNote="http://ns.adobe.com/xmp/note/"',
        f'q:b="2" xmpNote:HasExtendedXMP="{guid.upper()}"',
    )
    parts = extended_segments(long)
    if harm == "missing":
        parts = []
    elif harm == "cut":
        parts = [segment(0xE1, parts[0][4:-9])]
    elif harm == "other name":
        parts = extended_segments(long, b"0" * 32)
    picture = read_image(write_jpeg(tmp_path / "in.jpg", segment(0xE1, XMP + main), *parts))
    assert picture.notes == (
        f"The second part of the XMP of {tmp_path / 'in.jpg'} is damaged and was left out.",
    )
    write_image(tmp_path / "out.jpg", picture.pixels, metadata=picture.metadata)
    stored, extension = xmp_of(tmp_path / "out.jpg")
    assert (properties(stored), extension) == ({"{urn:q/}b": "2"}, None)


def test_comments_stay(tmp_path: Path) -> None:
    texts = [b"Gr\xfc\xdfe", "Grüße".encode(), b"c" * 70000]
    comments = [segment(0xFE, text) for text in texts[:2]]
    picture = read_image(write_jpeg(tmp_path / "in.jpg", *comments))
    assert picture.metadata.comments == tuple(texts[:2])
    write_image(tmp_path / "out.jpg", picture.pixels, metadata=picture.metadata)
    assert [data for marker, data in segments_of(tmp_path / "out.jpg") if marker == 0xFE] == texts[
        :2
    ]
    write_image(tmp_path / "long.jpg", gradient(), metadata=Metadata(comments=(texts[2],)))
    parts = [data for marker, data in segments_of(tmp_path / "long.jpg") if marker == 0xFE]
    assert b"".join(parts) == texts[2]
    write_image(tmp_path / "out.png", picture.pixels, metadata=Metadata(comments=(texts[1],)))
    with Image.open(tmp_path / "out.png") as image:
        image.load()
        assert image.info["Comment"] == "Grüße"
    back = read_image(tmp_path / "out.png")
    write_image(tmp_path / "back.jpg", back.pixels, metadata=back.metadata)
    with Image.open(tmp_path / "back.jpg") as image:
        assert image.info["comment"] == texts[1]
    for kind in ("webp", "avif", "tiff"):
        assert "comments, so they were left out" in losses(kind, UINT8, 3, picture.metadata)[0]


def test_texts_that_have_no_place_are_named() -> None:
    metadata = Metadata(texts=(("Author", "A"), ("Software", "S"), ("Comment", "C")))
    assert losses("png", UINT8, 3, metadata) == ()
    (loss,) = losses("jpeg", UINT8, 3, metadata)
    assert loss == "JPEG cannot store texts as in PNG, so these were left out: Author."


def test_photoshops_resources_stay_but_for_those_of_the_former_picture(tmp_path: Path) -> None:
    rights, link = resource(0x040A, b"\1", b"abc"), resource(0x040B, b"http://x.example")
    path = resource(0x07D0, bytes(26), b"Path 1")
    thumbnail, guides = resource(0x040C, bytes(40)), resource(0x0408, bytes(16))
    iptc = resource(0x0404, IPTC)
    data = PHOTOSHOP + rights + thumbnail + guides + iptc + link + path
    picture = read_image(write_jpeg(tmp_path / "in.jpg", segment(0xED, data)))
    assert not picture.notes
    assert picture.metadata.iptc == IPTC
    assert picture.metadata.photoshop == rights + link + path
    for suffix in (".jpg", ".tif", ".png"):
        out = write_image(tmp_path / f"out{suffix}", picture.pixels, metadata=picture.metadata)
        back = read_image(out).metadata
        assert (back.iptc, back.photoshop) == (IPTC, rights + link + path)
    with Image.open(tmp_path / "out.jpg") as image:
        stored = image.info["photoshop"]
        assert stored[0x0404] == IPTC
        assert (stored[0x040A], stored[0x040B]) == (b"\1", b"http://x.example")
    with Image.open(tmp_path / "out.tif") as image:
        tags = image.tag_v2  # type: ignore[attr-defined]
        assert bytes(tags[34377]) == rights + link + path
        assert bytes(tags[33723])[: len(IPTC)] == IPTC
    for kind in ("webp", "avif"):
        assert any("Photoshop" in loss for loss in losses(kind, UINT8, 3, picture.metadata))


def test_resources_of_any_length_and_in_several_segments(tmp_path: Path) -> None:
    data = PHOTOSHOP + resource(0x0BB8, bytes(range(250)) * 400) + resource(0x0404, IPTC)
    parts = [segment(0xED, data[:60000]), segment(0xED, PHOTOSHOP + data[60000:])]
    picture = read_image(write_jpeg(tmp_path / "in.jpg", *parts))
    assert picture.metadata.photoshop == resource(0x0BB8, bytes(range(250)) * 400)
    write_image(tmp_path / "out.jpg", picture.pixels, metadata=picture.metadata)
    assert read_image(tmp_path / "out.jpg").metadata == picture.metadata
    stored = [d for m, d in segments_of(tmp_path / "out.jpg") if m == 0xED]
    assert len(stored) == 2
    assert all(part.startswith(PHOTOSHOP) for part in stored)


def test_resources_without_iptc_are_no_damage(tmp_path: Path) -> None:
    for data in (resource(0x040A, b"\1"), resource(0x0404, b"")):
        picture = read_image(write_jpeg(tmp_path / "in.jpg", segment(0xED, PHOTOSHOP + data)))
        assert not picture.notes
        assert picture.metadata.iptc is None
    harmed = segment(0xED, PHOTOSHOP + resource(0x0404, b"nonsense"))
    assert "IPTC" in read_image(write_jpeg(tmp_path / "in.jpg", harmed)).notes[0]
    assert read_resources(b"").damaged is False


def test_paths_of_a_turned_picture_are_left_out_with_a_note(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x112] = 6
    rights = resource(0x040A, b"\1")
    data = PHOTOSHOP + resource(0x07D0, bytes(26)) + rights
    source = write_jpeg(tmp_path / "in.jpg", segment(0xED, data), exif=exif)
    picture = read_image(source)
    assert picture.metadata.photoshop == rights
    assert picture.notes == (
        f"The clipping paths of {source} were left out, because it was turned upright.",
    )


def test_parts_are_the_same_row_by_row(tmp_path: Path) -> None:
    long = packet('xmlns:q="urn:q/"', f'q:a="{"1" * 100000}"')
    guid = hashlib.md5(long).hexdigest().upper()
    main = packet(
        'xmlns:xmpNote="http://ns.adobe.com/xmp/note/"', f'xmpNote:HasExtendedXMP="{guid}"'
    )
    parts = [segment(0xE1, XMP + main), *extended_segments(long), segment(0xFE, b"hello")]
    source = write_jpeg(tmp_path / "in.jpg", *parts, photoshop())
    whole = read_image(source)
    write_image(tmp_path / "a.jpg", whole.pixels, metadata=whole.metadata, software="s")
    with RowReader(source) as reader:
        size = (reader.width, reader.height, reader.bands, reader.dtype)
        with RowWriter(tmp_path / "b.jpg", *size, metadata=reader.metadata, software="s") as writer:
            writer.write(reader.rows(0, reader.height))
    assert (tmp_path / "a.jpg").read_bytes() == (tmp_path / "b.jpg").read_bytes()
    markers = [marker for marker, _ in segments_of(tmp_path / "a.jpg")]
    assert markers.count(0xFE) == 1
    assert len(re.findall(b"xmp/extension", (tmp_path / "a.jpg").read_bytes())) == 2
    with Image.open(io.BytesIO((tmp_path / "a.jpg").read_bytes())) as image:
        assert image.getexif()[0x131] == "s"
        assert np.abs(np.asarray(image, int) - whole.pixels).max() < 4


@pytest.mark.parametrize("where", ["main", "extended"])
@pytest.mark.parametrize("harm", ["deep", "definitions", "endless"])
def test_hostile_packets_do_no_harm(tmp_path: Path, where: str, harm: str) -> None:
    deep = "<a>" * 20000 + "</a>" * 20000
    gain = 'xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" hdrgm:Version="1.0"'
    bad = packet(gain, "", deep)
    if harm == "definitions":
        laughs = "".join(f'<!ENTITY l{n + 1} "{f"&l{n};" * 10}">' for n in range(9))
        bad = f'<!DOCTYPE x [<!ENTITY l0 "ha">{laughs}]>'.encode() + packet(gain, "", "&l9;")
    elif harm == "endless":
        bad = packet(gain)[:-60] + b" " * 50000
    if where == "main":
        source = write_jpeg(tmp_path / "in.jpg", *long_segments(bad))
    else:
        guid = hashlib.md5(bad).hexdigest()
        main = packet(
            'xmlns:xmpNote="http://ns.adobe.com/xmp/note/"', f'xmpNote:HasExtendedXMP="{guid}"'
        )
        parts = extended_segments(bad)
        source = write_jpeg(tmp_path / "in.jpg", segment(0xE1, XMP + main), *parts)
    with bounded():
        picture = read_image(source)
        losses("jpeg", UINT8, 3, picture.metadata)
        write_image(tmp_path / "out.jpg", picture.pixels, metadata=picture.metadata)
    assert np.array_equal(picture.pixels, read_image(source).pixels)
    if where == "extended":
        assert b"HasExtendedXMP" not in (tmp_path / "out.jpg").read_bytes()


def long_segments(data: bytes) -> list[bytes]:
    """A main packet, if it fits; else one that is cut."""
    return [segment(0xE1, XMP + data[:65000])]
