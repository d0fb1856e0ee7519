"""The plainest of TIFF files, into which rows are written one behind the other."""

import struct
from typing import Any

import numpy as np


def plain_header(width: int, height: int, dtype: np.dtype[Any], bands: int) -> bytes:
    """The head of an uncompressed BigTIFF file behind which rows follow one another."""
    row = width * bands * dtype.itemsize
    depth = max(1, min(height, (1 << 18) // row))  # rows per strip
    strips = -(-height // depth)
    extra = 1 if bands in (2, 4) else 0
    entries = {
        256: (4, [width]),
        257: (4, [height]),
        258: (3, [8 * dtype.itemsize] * bands),
        259: (3, [1]),  # not compressed
        262: (3, [2 if bands >= 3 else 1]),  # RGB, or gray with black as 0
        277: (3, [bands]),
        278: (4, [depth]),
        284: (3, [1]),  # channels beside one another
        338: (3, [2] * extra),  # straight alpha
        339: (3, [3 if dtype == np.float32 else 1] * bands),
    }
    entries = {tag: entry for tag, entry in entries.items() if entry[1]}
    pixels = 16 + 8 + 20 * (len(entries) + 2) + 8 + 16 * strips
    starts = [pixels + number * depth * row for number in range(strips)]
    sizes = [min(depth, height - number * depth) * row for number in range(strips)]
    entries |= {273: (16, starts), 279: (16, sizes)}
    table, values = b"", b""
    at = pixels - 16 * strips
    for tag, (kind, numbers) in sorted(entries.items()):
        data = struct.pack(f"<{len(numbers)}{ {3: 'H', 4: 'I', 16: 'Q'}[kind] }", *numbers)
        field = data
        if len(data) > 8:
            field = struct.pack("<Q", at + len(values))
            values += data
        table += struct.pack("<HHQ", tag, kind, len(numbers)) + field.ljust(8, b"\0")
    head = b"II+\0" + struct.pack("<HHQQ", 8, 0, 16, len(entries)) + table + bytes(8)
    return (head + values).ljust(pixels, b"\0")
