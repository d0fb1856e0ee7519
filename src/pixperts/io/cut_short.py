"""JPEG and PNG files that end too early: the rows that are there, where few are missing."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pixperts.io.vips import libvips

_MOST_MISSING = 1 / 8  # of the rows
_BLOCK_ROWS = 17  # that JPEG decodes together: two blocks of 8, and one row that is blended in
_STEP = 8  # rows, as libvips decodes them
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")  # in compressed data, ITU-T T.81, B.1.1.5
_END = b"\xff\xd9"
_FILL = b"\x5a\xc3" * 32768
_BASELINE = (0xC0, 0xC1)
_PROGRESSIVE = 0xC2


@dataclass(frozen=True, eq=False)
class Remains:
    """What a file that ends too early still holds; `source` is memory that the image needs."""

    image: Any
    source: Any
    note: str


def remains_of(path: Path, kind: str) -> Remains | None:
    """A picture that is whole but for its end, None where a file is whole or too much is missing.

    Decodes the picture once where the file ends too early.
    """
    if kind == "jpeg":
        return _remains_of_jpeg(path)
    return _remains_of_png(path) if kind == "png" else None


def _remains_of_jpeg(path: Path) -> Remains | None:
    with path.open("rb") as handle:
        handle.seek(0, 2)
        handle.seek(max(0, handle.tell() - 2))
        if handle.read() == _END:
            return None
        handle.seek(0)
        data = handle.read()
    scans = _scans(data)
    if scans is None:
        return None
    image, source = _load("jpeg", data + _END, "error")
    good = _rows_of_jpeg(data)
    if good == image.height and scans.complete:
        return Remains(image, source, f"{path} lacks its end mark; all of its rows are there.")
    if scans.frame == _PROGRESSIVE:
        if not scans.refining:
            return None
        note = f"{path} is cut short: the finest details of its lower part may be missing."
        return Remains(image, source, note)
    return _with_rows_missing(path, image, source, good, "gray")


def _remains_of_png(path: Path) -> Remains | None:
    with path.open("rb") as handle:
        end, at = handle.seek(0, 2), 8
        while at + 12 <= end:
            handle.seek(at)
            head = handle.read(8)
            if head[4:] == b"IEND":
                return None
            at += 12 + int.from_bytes(head[:4], "big")
        handle.seek(0)
        data = handle.read()
    good = _rows_of_png(data)
    image, source = _load("png", data, "error")
    if good == image.height or not good:
        return None  # libvips needs no end mark
    height = image.height
    filled = image.crop(0, 0, image.width, good).embed(0, 0, image.width, height, extend="black")
    return _with_rows_missing(path, filled, source, good, "black")


def _rows_of_jpeg(data: bytes) -> int:
    """The rows from the top that do not depend on what would follow the data."""
    data = data.rstrip(b"\xff")
    one, memory = _load("jpeg", data + _END, "none")
    other, more = _load("jpeg", data + _FILL + _END, "none")
    regions = [libvips().Region.new(image) for image in (one, other)]
    size = one.width * one.bands
    try:
        for top in range(0, one.height, _STEP):
            depth = min(_STEP, one.height - top)
            found = [bytes(region.fetch(0, top, one.width, depth)) for region in regions]
            for row in range(depth):
                begin = row * size
                if found[0][begin : begin + size] != found[1][begin : begin + size]:
                    return int(top + row)
        return int(one.height)
    except libvips().Error:
        return 0
    finally:
        del memory, more


def _with_rows_missing(path: Path, image: Any, source: Any, good: int, fill: str) -> Remains | None:
    missing = image.height - good
    if missing > max(_MOST_MISSING * image.height, _BLOCK_ROWS) or not good:
        return None
    note = (
        f"{path} is cut short: up to {missing} of its {image.height} rows are missing at the "
        f"bottom and were filled with {fill}."
    )
    return Remains(image, source, note)


def _load(kind: str, data: bytes, fail_on: str) -> tuple[Any, Any]:
    source = libvips().Source.new_from_memory(data)
    load = getattr(libvips().Image, f"{kind}load_source")
    return load(source, access="sequential", fail_on=fail_on, revalidate=True), (source, data)


def _rows_of_png(data: bytes) -> int:
    """The rows from the top before libvips reports the end."""
    memory = None
    try:
        image, memory = _load("png", data, "error")
        region = libvips().Region.new(image)
        for top in range(0, image.height, _STEP):
            try:
                region.fetch(0, top, image.width, min(_STEP, image.height - top))
            except libvips().Error:
                return top
        return int(image.height)
    except libvips().Error:
        return 0
    finally:
        del memory


@dataclass(frozen=True)
class _Scans:
    """The scans of a JPEG without an end mark.

    `complete`: whether all together give each coefficient to its last bit; `refining`: whether the
    last one would do so, and only adds to coefficients that are there.
    """

    frame: int
    complete: bool
    refining: bool


def _scans(data: bytes) -> _Scans | None:
    """None where the file is whole, or its structure is not understood (ITU-T T.81, annex B)."""
    at, frame, components = 2, 0, 0
    begun: dict[int, set[int]] = {}  # coefficients of each component before the last scan
    exact: dict[int, set[int]] = {}  # those of which the last bit was sent
    last: list[tuple[int, set[int]]] = []
    while (found := _MARKER.search(data, at)) is not None:
        at = found.end()
        marker = data[at - 1]
        if marker == 0xD9:
            return None
        length = int.from_bytes(data[at : at + 2], "big")
        body = data[at + 2 : at + length]
        if len(body) < length - 2 or length < 2:
            break
        at += length
        if marker in (*_BASELINE, _PROGRESSIVE) and len(body) > 5:
            frame, components = marker, body[5]
        elif marker == 0xDA and body and len(body) >= 4 + 2 * body[0]:
            for component, coefficients in last:
                begun.setdefault(component, set()).update(coefficients)
            first, final, bits = body[1 + 2 * body[0] :][:3]
            sent = set(range(first, final + 1))
            last = [(body[1 + 2 * number], sent) for number in range(body[0])]
            if not bits & 15:
                for component, coefficients in last:
                    exact.setdefault(component, set()).update(coefficients)
    if not frame or not last:
        return None
    everything = set(range(64))
    begins, complete = (
        len(sets) == components and all(found >= everything for found in sets.values())
        for sets in (begun, exact)
    )
    return _Scans(frame, complete, complete and begins)
