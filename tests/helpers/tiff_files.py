"""TIFF files put together by hand, of kinds that no library at hand writes."""

import struct
import zlib
from pathlib import Path

import numpy as np

from pixperts.ops.pixels import Pixels

_CODES = {1: "B", 3: "H", 4: "I", 5: "I"}
SHORT, LONG, RATIONAL = 3, 4, 5
Tags = dict[int, tuple[int, list[int]]]


def tags(width: int, height: int, photometric: int, samples: int = 3, bits: int = 8) -> Tags:
    """The tags that every page has, uncompressed in one strip."""
    return {
        256: (LONG, [width]),
        257: (LONG, [height]),
        258: (SHORT, [bits] * samples),
        259: (SHORT, [1]),
        262: (SHORT, [photometric]),
        277: (SHORT, [samples]),
        278: (LONG, [height]),
        284: (SHORT, [1]),
    }


def build(path: Path, entries: Tags, parts: list[bytes], order: str = "<") -> Path:
    """A file of one page whose strips or tiles are `parts`."""
    tiled = 322 in entries
    entries = {k: v for k, v in entries.items() if not (tiled and k == 278)}
    places = (324, 325) if tiled else (273, 279)
    entries[places[1]] = (LONG, [len(part) for part in parts])
    start = len(_page(entries | {places[0]: (LONG, [0] * len(parts))}, order))
    offsets = [start + sum(map(len, parts[:number])) for number in range(len(parts))]
    head = _page(entries | {places[0]: (LONG, offsets)}, order)
    path.write_bytes(head + b"".join(parts))
    return path


def _page(entries: Tags, order: str) -> bytes:
    at, values, rows = 8 + 2 + 12 * len(entries) + 4, b"", b""
    for tag, (kind, numbers) in sorted(entries.items()):
        count = len(numbers) // (2 if kind == RATIONAL else 1)
        data = struct.pack(f"{order}{len(numbers)}{_CODES[kind]}", *numbers)
        field = data.ljust(4, b"\0")
        if len(data) > 4:
            field = struct.pack(f"{order}I", at + len(values))
            values += data + bytes(len(data) % 2)
        rows += struct.pack(f"{order}HHI", tag, kind, count) + field
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8)
    return head + struct.pack(f"{order}H", len(entries)) + rows + bytes(4) + values


def subsampled(pixels: Pixels, across: int, down: int) -> Pixels:
    """YCbCr (H, W, 3) as blocks (H / down, W / across, across * down + 2), TIFF 6.0, section 21."""
    height, width = pixels.shape[0] // down, pixels.shape[1] // across
    luma = pixels[..., 0].reshape(height, down, width, across).swapaxes(1, 2)
    chroma = pixels[::down, ::across, 1:]
    return np.concatenate([luma.reshape(height, width, -1), chroma], -1)


def in_tiles(blocks: Pixels, height: int, width: int) -> list[bytes]:
    """Deflated tiles of this size of an array whose sides are multiples of it."""
    return [
        zlib.compress(np.ascontiguousarray(blocks[y : y + height, x : x + width]).tobytes())
        for y in range(0, blocks.shape[0], height)
        for x in range(0, blocks.shape[1], width)
    ]
