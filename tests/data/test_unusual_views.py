"""Views that must stay: of all kinds, in range, and what their kind says."""

import numpy as np
import pytest
import torch
from torch import Tensor

from pixperts.data import unusual_views
from pixperts.data.unusual_views import unusual


def view() -> Tensor:
    random = np.random.default_rng(0)
    coarse = torch.from_numpy(random.random((1, 3, 12, 12))).float()
    return torch.nn.functional.interpolate(coarse, size=(64, 64), mode="bicubic")[0].clamp(0, 1)


@pytest.mark.parametrize("kind", range(len(unusual_views._KINDS)))
def test_each_kind(kind: int, monkeypatch: pytest.MonkeyPatch) -> None:
    shares = tuple(float(number == kind) for number in range(len(unusual_views._KINDS)))
    monkeypatch.setattr(unusual_views, "_SHARES", shares)
    made = [unusual(view(), np.random.default_rng(seed)) for seed in range(12)]
    for one in made:
        assert one.shape == (3, 64, 64)
        assert one.dtype == torch.float32
        assert 0 <= float(one.min()) <= float(one.max()) <= 1
        assert torch.allclose((one * 255).round() / 255, one, atol=1e-6)
    assert len({one.numpy().tobytes() for one in made}) == len(made)
    again = unusual(view(), np.random.default_rng(3))
    assert torch.equal(again, made[3])
    name = unusual_views._KINDS[kind].__name__
    if name == "_on_black":
        assert all(float(one[:, 0, 0].max()) < 0.07 for one in made)  # a corner
    elif name == "_sketch":
        assert all(float(one.mean()) > 0.3 for one in made)
        assert all(float(one.std(dim=0).mean()) < 0.06 for one in made)  # hardly any color
    elif name == "_framed":
        assert all(float(one[:, 0, 0].std()) < 1e-6 for one in made)
