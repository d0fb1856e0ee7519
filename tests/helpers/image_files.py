"""Pixels, and what an error must look like, for the tests of picture files."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import pyvips

from pixperts.ops.pixels import Pixels

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


def png(width: int, height: int, depth: int, colour: int, rows: bytes, extra: bytes = b"") -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    palette = chunk(b"PLTE", extra) if extra else b""
    body = chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + header + palette + body + chunk(b"IEND", b"")
