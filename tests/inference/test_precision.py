"""`precision="auto"` is bfloat16 where both the network and the processor are faster in it."""

import pytest
import torch

import pixperts.inference.predictor as predictor
from pixperts.errors import UsageError
from pixperts.inference.upscaler import Upscaler
from pixperts.models.interfaces import Network
from pixperts.models.presets import create_model
from pixperts.weights import store


def small(name: str) -> Network:
    torch.manual_seed(0)
    if name == "moeisr-light":
        options = {"channels": 16, "blocks": 1, "shared_width": 16, "widths": (0, 8, 8, 8)}
        return create_model(name, **options)
    return create_model(name, encoder_options={"channels": 8, "blocks": 1}, width=8)


def loaded(name: str, precision: str = "auto") -> Upscaler:
    model = small(name)
    return Upscaler(model, store.Card(name=name, config={}), device="cpu", precision=precision)


@pytest.mark.parametrize("fastest", ["float32", "bfloat16"])
def test_auto_is_what_is_faster_here(monkeypatch: pytest.MonkeyPatch, fastest: str) -> None:
    monkeypatch.setattr(predictor, "fastest_precision", lambda device="cpu": fastest)
    assert loaded("moeisr-light").precision == fastest
    assert loaded("moeisr-tiny").precision == "float32"
    assert not loaded("moeisr-light").slow_precision
    assert loaded("moeisr-light", "bfloat16").slow_precision == (fastest == "float32")
    assert loaded("moeisr-tiny", "bfloat16").slow_precision


def test_both_forms_give_the_same_picture_to_eight_bits() -> None:
    image = torch.rand(3, 24, 20, generator=torch.Generator().manual_seed(1))
    exact, half = (loaded("moeisr-light", p).upscale(image, scale=2, budget=1.0)
                   for p in ("float32", "bfloat16"))  # fmt: skip
    difference = (exact - half).abs()
    assert 0 < float(difference.max()) < 8 / 255  # bfloat16 keeps 8 bits
    assert float(difference.mean()) < 1 / 255


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(UsageError, match="auto or one of"):
        loaded("moeisr-light", "float64")


def test_kernels_lie_as_the_features_do() -> None:
    """Otherwise each convolution lays them out anew, and bfloat16 takes three times as long."""
    model = loaded("moeisr-light").model
    kernels = [p for p in model.parameters() if p.dim() == 4 and p.shape[2] > 1]
    assert kernels
    assert all(k.is_contiguous(memory_format=torch.channels_last) for k in kernels)
