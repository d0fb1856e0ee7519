"""scripts/grow.py: more blocks that change nothing at first."""

from pathlib import Path

import pytest
import torch

from grow import grow
from pixperts.errors import UsageError
from pixperts.models.moce_ir.model import MoCEIR
from pixperts.weights import store
from tests.helpers.moce_models import MINI, mini, pictures


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    path = tmp_path / "small.safetensors"
    model = mini()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.01)
    store.save(path, model, store.Card("small", {}, license="CC0", data="none"))
    return path


@pytest.mark.slow
def test_a_grown_network_does_what_it_did_and_can_learn_more(trained: Path, tmp_path: Path) -> None:
    target = tmp_path / "large.safetensors"
    grow(str(trained), target, latent_blocks=3, refinement_blocks=2)
    small, _ = store.load(trained)
    large, card = store.load(target)
    assert isinstance(small, MoCEIR)
    assert isinstance(large, MoCEIR)
    assert (large.config.latent_blocks, large.config.refinement_blocks) == (3, 2)
    assert (MINI.latent_blocks, MINI.refinement_blocks) == (1, 1)
    assert (card.license, card.data) == ("CC0", "none")
    image = pictures(2, 3, 24, 40)
    with torch.inference_mode():
        assert torch.equal(small.eval()(image).image, large.eval()(image).image)
    # Not dead: the zero projections get gradients, and what lies behind them after a step.
    new = [p for name, p in large.named_parameters() if name not in small.state_dict()]
    assert len(new) == 3 * 17
    for _ in range(2):
        large.zero_grad()
        large(image).image.square().sum().backward()
        with torch.no_grad():
            for parameter in new:
                assert parameter.grad is not None
                parameter.sub_(parameter.grad, alpha=1e-4)
    assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in new)


def test_fewer_blocks_are_refused(trained: Path, tmp_path: Path) -> None:
    expected = "has 1 latent and 1 refinement blocks already: give as many or more"
    with pytest.raises(UsageError, match=expected):
        grow(str(trained), tmp_path / "x.safetensors", latent_blocks=0, refinement_blocks=1)
    assert not (tmp_path / "x.safetensors").exists()
