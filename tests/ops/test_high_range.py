"""Compressing values of high dynamic range, and back."""

import numpy as np
import pytest

from pixperts.ops.high_range import LightCurve, RangeCurve


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.2), (-0.5, 1.0), (-3.0, 1e4), (0.0, 65504.0)])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_there_and_back(low: float, high: float, channels: int) -> None:
    rng = np.random.default_rng(0)
    pixels = (low + (high - low) * rng.random((9, 7, channels)) ** 4).astype(np.float32)
    pixels[0, 0, 0], pixels[0, 1, 0] = low, high
    if channels in (2, 4):
        pixels[..., -1] = rng.random((9, 7))
    curve = RangeCurve.of(low, high)
    assert curve is not None
    unit = curve.compress(pixels)
    assert unit.dtype == np.float32
    assert (unit.min(), unit.max()) == (0, 1)
    back = curve.expand(unit)
    assert back.dtype == np.float32
    # Steps of float32 near 1, which the curve widens.
    np.testing.assert_allclose(back, pixels, rtol=2e-6, atol=2e-6 * (1 + abs(low)))
    if channels in (2, 4):
        assert np.array_equal(unit[..., -1], pixels[..., -1])


def test_usual_values_need_no_curve() -> None:
    assert RangeCurve.of(0.0, 1.0) is RangeCurve.of(-0.001, 1.001) is None
    assert RangeCurve.of(0.2, 1.01) == RangeCurve(0.0, 1.01)
    assert RangeCurve.of(-0.01, 0.5) == RangeCurve(-0.01, 1.0)


@pytest.mark.parametrize(
    ("low", "high"),
    [(0.0, 1.0), (0.0, 0.01), (-0.1, 1.2), (-3.0, 1e4), (0.0, 65504.0), (-2.0, -1.0)],
)
@pytest.mark.parametrize("channels", [1, 4])
def test_light_there_and_back(low: float, high: float, channels: int) -> None:
    rng = np.random.default_rng(0)
    pixels = (low + (high - low) * rng.random((9, 7, channels)) ** 4).astype(np.float32)
    pixels[0, 0, 0], pixels[0, 1, 0] = low, high
    curve = LightCurve.of(low, high)
    unit = curve.compress(pixels)
    assert unit.dtype == np.float32
    assert (unit.min(), unit.max()) == (0, 1) or channels == 4 or high < 0
    back = curve.expand(unit)
    np.testing.assert_allclose(back, pixels, rtol=3e-6, atol=3e-7 * max(abs(low), min(high, 1)))
    order = np.argsort(pixels[..., 0].ravel())
    assert np.all(np.diff(unit[..., 0].ravel()[order]) >= 0)
    if channels == 4:
        np.testing.assert_array_equal(unit[..., 3], pixels[..., 3])


def test_light_up_to_white_is_srgb() -> None:
    light = np.array([0, 0.001, 0.0031308, 0.18, 0.5, 1], np.float32).reshape(1, 6, 1)
    codes = LightCurve.of(0, 1).compress(light).ravel()
    np.testing.assert_allclose(codes, [0, 0.01292, 0.04045, 0.46136, 0.73536, 1], atol=2e-5)
    # Where there is more than white the same curve is scaled down.
    brighter = LightCurve.of(0, 16).compress(light).ravel()
    np.testing.assert_allclose(brighter, codes * brighter[-1], atol=2e-6)
    # Where all is dark, as if exposed longer.
    dark = LightCurve.of(0, 0.25).compress(light / 4).ravel()
    np.testing.assert_allclose(dark, codes, atol=2e-6)
    black = np.zeros((2, 2, 3), np.float32)
    curve = LightCurve.of(0, 0)
    np.testing.assert_array_equal(curve.expand(curve.compress(black)), black)
