"""Parts of files that no output gets, because only their makers know what they mean."""

import re
from collections.abc import Iterator
from pathlib import Path

from pixperts.io.containers.heif_boxes import BROKEN, top_level
from pixperts.io.containers.jpeg_segments import Jpeg
from pixperts.io.metadata import exif

_MOST = 8  # names in a sentence
# Segments that are kept, written anew, or say only how the pixels are stored.
_ORDINARY = (
    *(b"JFIF\0", b"JFXX\0", b"Exif\0", b"http://ns.adobe.com/", b"ICC_PROFILE\0", b"MPF\0"),
    *(b"urn:iso:std:iso:ts:21496:-1\0", b"Photoshop 3.0\0", b"Adobe", b"Ducky", b"AROT"),
)
_COMMENT, _APP0, _APP11 = 0xFE, 0xE0, 0xEB
_CREDENTIALS = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")  # C2PA 2.1, A.5.1


def left_out_by_name(
    path: Path, kind: str, jpeg: Jpeg | None, directory: int | None
) -> Iterator[str]:
    """A sentence for each sort of such parts.

    `jpeg` are the segments of a JPEG, `directory` is the place of the page in a TIFF file.
    """
    if _has_credentials(path, kind, jpeg):
        yield (
            f"The Content Credentials (C2PA) of {path} are only valid for its own pixels and were "
            "left out."
        )
    if jpeg is not None and (names := _segment_names(jpeg)):
        yield (
            f"{path} has segments that only their maker understands, which were left out: {names}."
        )
    if kind == "tiff" and (tags := exif.left_out_tags(path, directory)):
        yield f"{path} has tags that were left out: {_listed(map(str, tags))}."


def _segment_names(jpeg: Jpeg) -> str:
    names = []
    for marker, data in jpeg.segments:
        if marker in (_COMMENT, _APP11) or data.startswith(_ORDINARY) or not data.strip(b"\0"):
            continue
        found = re.match(rb"[\x21-\x7e]{2,16}", data)
        name = f" {found[0].decode()}" if found else ""
        names.append(f"APP{marker - _APP0}{name}")
    return _listed(dict.fromkeys(names))


def _listed(names: "Iterator[str] | dict[str, None]") -> str:
    every = list(names)
    more = [] if len(every) <= _MOST else [f"{len(every) - _MOST} more"]
    return ", ".join([*every[:_MOST], *more])


def _has_credentials(path: Path, kind: str, jpeg: Jpeg | None) -> bool:
    """Whether a file says in a signed way where it comes from (C2PA 2.1, annex A)."""
    if jpeg is not None:
        return any(marker == _APP11 and b"c2pa" in data for marker, data in jpeg.segments)
    try:
        with path.open("rb") as handle:
            if kind in ("avif", "heic"):
                for box in top_level(handle):
                    handle.seek(box.body)
                    if box.name == b"uuid" and handle.read(16) == _CREDENTIALS:
                        return True
            if kind == "png":
                return b"caBX" in handle.read(1 << 16)
            if kind == "webp":
                handle.seek(12)
                while len(head := handle.read(8)) == 8:
                    if head[:4] == b"C2PA":
                        return True
                    size = int.from_bytes(head[4:], "little")
                    handle.seek(size + size % 2, 1)
    except BROKEN:
        return False
    return False
