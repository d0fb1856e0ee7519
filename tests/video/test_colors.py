"""RGB to the colors of a video and back, for every matrix and both ranges."""

import itertools

import av
import numpy as np
import pytest

from pixperts.ops.pixels import Pixels
from pixperts.video.colors import Colors, colors_of, from_rgb, to_rgb

PRIMARY = list(itertools.product((0, 90, 255), repeat=3))


def patches(deep: bool) -> Pixels:
    """Squares of 16 pixels: colors at half the resolution do not mix in their middles."""
    colors = np.array(PRIMARY, np.uint16).reshape(3, 9, 3)
    large = np.kron(colors, np.ones((16, 16, 1), np.uint16))
    return large * np.uint16(257) if deep else large.astype(np.uint8)


@pytest.mark.parametrize("matrix", [1, 5, 6, 7, 9])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("deep", [False, True])
def test_colors_come_back(matrix: int, full: bool, deep: bool) -> None:
    colors = Colors(matrix, full, 2, 2)
    pixels = patches(deep)
    frame = from_rgb(pixels, colors, "yuv420p10le" if deep else "yuv420p")
    assert (int(frame.colorspace), int(frame.color_range)) == (matrix, 2 if full else 1)
    back = to_rgb(frame, colors, deep)
    assert back.dtype == pixels.dtype
    middle = (slice(8, None, 16), slice(8, None, 16))
    off = np.abs(back[middle].astype(int) - pixels[middle].astype(int)).max()
    # One code of brightness and one of each difference, as far as the matrix magnifies them.
    assert off <= (400 if deep else 4)
    codes = frame.to_ndarray()[: pixels.shape[0]]
    low, high = ((0, 1023) if full else (64, 940)) if deep else ((0, 255) if full else (16, 235))
    assert abs(int(codes.max()) - high) <= (3 if deep else 0)  # FFmpeg's white of 16 bits is 65283
    assert codes.min() == low


@pytest.mark.parametrize(
    ("pixel_format", "low", "high"), [("yuv420p", 16, 235), ("yuv420p10le", 64, 940)]
)
def test_what_was_stored_comes_back(pixel_format: str, low: int, high: int) -> None:
    """Every gray to the code: nothing drifts between reading and writing."""
    frame = av.VideoFrame(64, 16, pixel_format)
    kind = np.uint8 if high < 256 else np.uint16
    ramp = np.linspace(low, high, 64).round().astype(kind)
    middle = 128 if high < 256 else 512  # no color
    for plane, value in zip(frame.planes, (ramp, middle, middle), strict=True):
        rows = np.zeros((plane.height, plane.line_size // ramp.itemsize), kind)
        rows[:, : plane.width] = value
        plane.update(rows.tobytes())
    colors = Colors(1, False, 2, 2)
    deep = high > 255
    again = from_rgb(to_rgb(frame, colors, deep), colors, pixel_format)
    assert np.array_equal(again.to_ndarray(), frame.to_ndarray())


def test_a_wrong_matrix_would_show() -> None:
    frame = from_rgb(patches(False), Colors(1, False, 2, 2), "yuv420p")
    wrong = to_rgb(frame, Colors(6, False, 2, 2), False)
    assert np.abs(wrong[8::16, 8::16].astype(int) - patches(False)[8::16, 8::16]).max() > 20


def test_odd_sides_are_padded() -> None:
    pixels = patches(False)[:31, :33]
    frame = from_rgb(pixels, Colors(6, False, 2, 2), "yuv420p")
    assert (frame.width, frame.height) == (34, 32)
    luma = frame.to_ndarray()[:32, :34]
    assert np.array_equal(luma[31], luma[30])
    assert np.array_equal(luma[:, 33], luma[:, 32])


@pytest.mark.parametrize(("height", "matrix"), [(480, 6), (576, 6), (578, 1), (720, 1)])
def test_what_a_file_does_not_name_follows_its_size(height: int, matrix: int) -> None:
    assert colors_of(av.VideoFrame(720, height, "yuv420p")).matrix == matrix


def test_rgb_and_full_range() -> None:
    assert colors_of(av.VideoFrame(64, 48, "gbrp")) == Colors(1, False, 2, 2)
    assert colors_of(av.VideoFrame(64, 48, "yuvj420p")).full
