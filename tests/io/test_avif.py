"""Depth and range of AVIF, held against libavif by way of Pillow and against known codes."""

import base64
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from pixperts.io.image import read_image
from pixperts.io.metadata.losses import losses

# 32 x 16 gray, eight steps of four columns from black to white of the limited range.
_HEAD = (
    "AAAAHGZ0eXBhdmlmAAAAAGF2aWZtaWYxbWlhZgAAAOltZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAA"
    "AAAAAAAAAAAAAA5waXRtAAAAAAABAAAAHmlsb2MAAAAARAAAAQABAAAAAQAAAQ0AAAA{}AAAAKGlpbmYAAAAAAAEAAAA"
    "aaW5mZQIAAAAAAQAAYXYwMUNvbG9yAAAAAGhpcHJwAAAASWlwY28AAAAUaXNwZQAAAAAAAAAgAAAAEAAAAA5waXhpAAAA"
    "AAE"
)
_GRAY = {
    10: _HEAD.format("j")
    + "KAAAADGF2MUOBAFwAAAAAE2NvbHJuY2x4AAIAAgACgAAAABdpcG1hAAAAAAAAAAEAAQQBAoMEAAAAK21kYXQSAAoFGB"
    "D/7GoyGEQAAN5BS9h4zyBrh1x2d1c12ITnYJEE2A==",
    12: _HEAD.format("l")
    + "MAAAADGF2MUOBQHwAAAAAE2NvbHJuY2x4AAIAAgACgAAAABdpcG1hAAAAAAAAAAEAAQQBAoMEAAAALW1kYXQSAAoFWB"
    "D/7HUyGkQAAN5BS5kpyXyva4dcdndXKN4EFgpQkQTY",
}


@pytest.mark.parametrize("bits", [10, 12])
@pytest.mark.parametrize("limited", [False, True])
def test_deep_gray_of_either_range(tmp_path: Path, bits: int, limited: bool) -> None:
    data = bytearray(base64.b64decode(_GRAY[bits]))
    if limited:
        data[data.index(b"colrnclx") + 14] = 0
    path = tmp_path / "a.avif"
    path.write_bytes(data)
    black, white = 16 << (bits - 8), 235 << (bits - 8)
    codes = np.linspace(black, white, 8).round()
    low, high = (black, white) if limited else (0, (1 << bits) - 1)
    expected = (codes - low) / (high - low) * 65535
    picture = read_image(path)
    assert picture.pixels.shape == (16, 32, 1)
    assert picture.bits == bits
    steps = picture.pixels.reshape(16, 8, 4)
    assert np.abs(steps - expected[:, None]).max() <= 0.51


@pytest.mark.skipif(not features.check("avif"), reason="This Pillow does not write AVIF.")
@pytest.mark.parametrize("subsampling", ["4:0:0", "4:4:4"])
@pytest.mark.parametrize("span", ["full", "limited"])
@pytest.mark.parametrize("silent", [False, True])
def test_both_ranges_look_the_same(
    tmp_path: Path, subsampling: str, span: str, silent: bool
) -> None:
    ramp = np.tile(np.linspace(0, 255, 128).round().astype(np.uint8), (96, 1))
    image = Image.fromarray(ramp)
    path = tmp_path / "a.avif"
    if subsampling == "4:4:4":
        image = image.convert("RGB")
    image.save(path, quality=100, subsampling=subsampling, range=span)
    if silent:  # then the header of the picture's data counts
        path.write_bytes(path.read_bytes().replace(b"colrnclx", b"freenclx"))
    with Image.open(path) as stored:
        expected = np.asarray(stored.convert("L")).astype(int)
    got = read_image(path).pixels
    assert got.shape[2] == (1 if subsampling == "4:0:0" else 3)
    assert np.abs(got - expected[..., None]).max() <= 1
    assert (got.min(), got.max()) == (0, 255)


def test_ten_bits_lose_nothing_in_twelve() -> None:
    deep = np.dtype(np.uint16)
    assert losses("avif", deep, 3, bits=10) == ()
    assert losses("avif", deep, 3, bits=12) == ()
    assert losses("avif", deep, 3, bits=16) == losses("avif", deep, 3) != ()
    assert losses("jpeg", deep, 3, bits=10) != ()
