"""Maps worked on in bands of rows: the same result, whatever the bands."""

import pytest
import torch
from torch import Tensor

from pixperts.models.moce_ir import bands as module
from pixperts.models.moce_ir.bands import bands, in_bands
from pixperts.ops.windows import Window
from tests.helpers.moce_models import mini, pictures, run


@pytest.mark.parametrize(("height", "width", "unit"), [(1, 5, 1), (40, 3, 1), (97, 700, 8)])
@pytest.mark.parametrize("halo", [0, 1, 3])
def test_bands_cover_every_row_once(height: int, width: int, unit: int, halo: int) -> None:
    with torch.no_grad():
        found = list(bands(torch.zeros(1, 1, height, width), halo, unit))
    rows = [row for band in found for row in range(band.top, band.bottom)]
    assert rows == list(range(height))
    for band in found:
        assert band.top % unit == 0
        assert (band.low, band.high) == (max(band.top - halo, 0), min(band.bottom + halo, height))
    assert len(list(bands(torch.zeros(1, 1, height, width, requires_grad=True), halo))) == 1


def test_a_convolution_in_bands_is_the_convolution(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BAND", 1)
    convolution = torch.nn.Conv2d(3, 5, 3, padding=1)
    x = torch.randn(2, 3, 70, 9)
    with torch.no_grad():
        torch.testing.assert_close(in_bands(convolution, x, halo=1), convolution(x))
        assert (in_bands(convolution, x, halo=0) - convolution(x)).abs().max() > 0.01
    heights: list[int] = []

    def note(part: Tensor) -> Tensor:
        heights.append(part.shape[2])
        return part

    with torch.no_grad():
        in_bands(note, x, halo=0)
    assert max(heights) == 16
    assert sum(heights) == 70


@pytest.mark.parametrize("options", [{}, {"top_k": 2}, {"expert_depth": 2}, {"fourier": "matrix"}])
@pytest.mark.parametrize("size", [(2, 3, 150, 40), (1, 3, 69, 133)])
@pytest.mark.slow
def test_the_network_in_bands_is_the_network(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, object], size: tuple[int, ...]
) -> None:
    model, image = mini(**options), pictures(*size)
    whole = run(model, image)
    monkeypatch.setattr(module, "BAND", 1)
    banded = run(model, image)
    for a, b in zip(whole.routings, banded.routings, strict=True):
        assert torch.equal(a.experts, b.experts)
    assert (whole.image - banded.image).abs().max() < 1e-5 * whole.image.std()
    masked = run(model, image, masked=True)
    assert (masked.image - banded.image).abs().max() < 1e-5 * whole.image.std()


def test_a_survey_in_bands_counts_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    model, image = mini(), pictures(1, 3, 160, 72)
    inner = Window(24, 136, 8, 64)
    with torch.inference_mode():
        output, whole = model.survey(image, inner=inner)
        monkeypatch.setattr(module, "BAND", 1)
        banded_output, banded = model.survey(image, inner=inner)
        torch.testing.assert_close(banded_output.image, output.image, atol=1e-5, rtol=0)
        for a, b in zip(whole.places, banded.places, strict=True):
            for one, other in zip(a, b, strict=True):
                scale = float(one.abs().max())
                torch.testing.assert_close(other, one, atol=1e-5 * scale, rtol=1e-4)
        given = run(model, image, statistics=whole)
        monkeypatch.setattr(module, "BAND", 1 << 30)
        torch.testing.assert_close(
            run(model, image, statistics=whole).image, given.image, atol=1e-5, rtol=0
        )
