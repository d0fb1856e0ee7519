import math
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from pixperts.errors import DataError, MissingExtraError, UsageError
from pixperts.evaluation.metrics import PROTOCOLS, Protocol, find_protocol, luma, psnr, ssim


@pytest.fixture
def pictures() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    target = torch.rand(3, 40, 48, generator=generator)
    noise = torch.randn(3, 40, 48, generator=generator)
    return (target + 0.05 * noise).clamp(0, 1), target


def test_luma_of_the_primaries() -> None:
    primaries = torch.eye(3, dtype=torch.float64)[:, None, :]  # (3, 1, 3): one pixel each
    levels = luma(primaries).mul(255).flatten()
    assert levels.tolist() == pytest.approx([81.481, 144.553, 40.966])
    assert luma(torch.zeros(2, 4, 3, 5, 6)).shape == (2, 4, 1, 5, 6)


def test_luma_refuses_other_channels() -> None:
    with pytest.raises(UsageError, match="3, H, W"):
        luma(torch.zeros(1, 4, 4))


@pytest.mark.parametrize("scale", [2, 2.5, 4])
def test_luma_psnr_equals_liif_formula(pictures: tuple[Tensor, Tensor], scale: float) -> None:
    prediction, target = (picture.double() for picture in pictures)
    weights = torch.tensor([65.738, 129.057, 25.064], dtype=torch.float64) / 256
    cut = math.ceil(scale)
    gray = ((prediction - target) * weights[:, None, None]).sum(0)[cut:-cut, cut:-cut]
    expected = -10 * math.log10(gray.square().mean().item())
    assert psnr(prediction, target, "y-shave", scale) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(("protocol", "scale", "cut"), [("rgb", None, 0), ("rgb-shave", 3, 9)])
def test_rgb_psnr_equals_torchmetrics(
    pictures: tuple[Tensor, Tensor], protocol: str, scale: float | None, cut: int
) -> None:
    from torchmetrics.functional.image import peak_signal_noise_ratio

    prediction, target = (p[:, cut : 40 - cut, cut : 48 - cut] for p in pictures)
    expected = peak_signal_noise_ratio(prediction, target, data_range=1.0).item()
    assert psnr(*pictures, protocol, scale) == pytest.approx(expected, abs=1e-4)


def test_ssim_equals_the_definition(pictures: tuple[Tensor, Tensor]) -> None:
    """Wang et al. 2004, eq. 13, window by window."""
    offsets = np.arange(11) - 5
    line = np.exp(-(offsets**2) / (2 * 1.5**2))
    window = np.outer(line, line) / line.sum() ** 2
    prediction, target = (luma(p)[0, 2:-2, 2:-2].double().numpy() for p in pictures)
    values = []
    for top in range(prediction.shape[0] - 10):
        for left in range(prediction.shape[1] - 10):
            x = prediction[top : top + 11, left : left + 11]
            y = target[top : top + 11, left : left + 11]
            mx, my = (window * x).sum(), (window * y).sum()
            vx, vy = (window * (x - mx) ** 2).sum(), (window * (y - my) ** 2).sum()
            cov = (window * (x - mx) * (y - my)).sum()
            values.append(
                (2 * mx * my + 1e-4)
                * (2 * cov + 9e-4)
                / ((mx**2 + my**2 + 1e-4) * (vx + vy + 9e-4))
            )
    assert ssim(*pictures, "y-shave", scale=2) == pytest.approx(float(np.mean(values)), abs=1e-5)


def test_equal_pictures(pictures: tuple[Tensor, Tensor]) -> None:
    _, target = pictures
    assert psnr(target, target, "rgb") == math.inf
    assert ssim(target, target, "rgb") == pytest.approx(1.0, abs=1e-6)


def test_prediction_is_clamped_but_not_rounded() -> None:
    white = torch.ones(3, 20, 20)
    assert psnr(white + 0.3, white, "rgb") == math.inf
    assert psnr(white - 0.001, white, "rgb") == pytest.approx(60.0, abs=1e-3)


@pytest.mark.parametrize(("protocol", "border"), [("y-shave", 2), ("rgb-shave", 8)])
def test_the_border_does_not_count(protocol: str, border: int) -> None:
    target = torch.full((3, 40, 40), 0.5)
    prediction = torch.rand(3, 40, 40)
    prediction[:, border:-border, border:-border] = 0.5
    assert psnr(prediction, target, protocol, scale=2) == math.inf
    prediction[:, border, 20] = 0.9
    assert psnr(prediction, target, protocol, scale=2) < 60


def test_too_small_within_the_border() -> None:
    small = torch.zeros(3, 8, 30)
    assert psnr(small, small, "y-shave", scale=3) == math.inf
    with pytest.raises(DataError, match="30x8 pixels is too small for protocol 'y-shave'"):
        psnr(small, small, "y-shave", scale=4)
    with pytest.raises(DataError, match="less than 11x11"):
        ssim(small, small, "rgb")


@pytest.mark.parametrize("measure", [psnr, ssim])
@pytest.mark.parametrize("shape", [(3, 20, 21), (1, 20, 20), (1, 3, 20, 20)])
def test_shapes_must_agree(measure: Callable[..., float], shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="must both have the shape"):
        measure(torch.zeros(shape), torch.zeros(3, 20, 20), "rgb")


def test_protocols() -> None:
    assert list(PROTOCOLS) == ["y-shave", "rgb-shave", "rgb"]
    assert [PROTOCOLS["y-shave"].cut(s) for s in (2, 2.5, 4)] == [2, 3, 4]
    assert [PROTOCOLS["rgb-shave"].cut(s) for s in (2, 2.5, 12)] == [8, 9, 18]
    own = Protocol("own", "RGB, 5 pixels cut", luma=False, border=5)
    assert find_protocol(own) is own
    assert own.cut() == 5
    with pytest.raises(UsageError, match="y-shave, rgb-shave, rgb"):
        find_protocol("ycbcr")
    for scale in (None, 0.5, math.inf):
        with pytest.raises(UsageError, match="depends on the scale"):
            PROTOCOLS["y-shave"].cut(scale)


def test_ssim_without_torchmetrics_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchmetrics.functional.image", None)
    flat = torch.zeros(3, 20, 20)
    with pytest.raises(MissingExtraError, match=r"pixperts\[evaluate\]"):
        ssim(flat, flat, "rgb")
    assert psnr(flat, flat, "rgb") == math.inf


@pytest.mark.slow
def test_torchmetrics_is_imported_late_and_silently() -> None:
    code = (
        "import sys; from pixperts.evaluation import metrics; "
        "assert 'torchmetrics' not in sys.modules; "
        "metrics.load_ssim(); assert 'torchmetrics' in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
