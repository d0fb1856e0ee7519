"""Compressing values of high dynamic range, and back."""

import numpy as np
import pytest

from pixperts.ops.high_range import RangeCurve


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
