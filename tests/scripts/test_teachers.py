"""The teacher of the light networks: shapes, and the published outputs where they are at hand."""

import numpy as np
import pytest
import torch

import cache_patches
from teachers.smfanet import SMFANet, load
from tests.helpers.places import SHARED

FOLDER = SHARED / "teachers"
published = pytest.mark.skipif(not FOLDER.is_dir(), reason="the teachers' weights are not here")


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_it_enlarges_by_its_factor(scale: int) -> None:
    torch.manual_seed(0)
    network = SMFANet(scale, channels=8, blocks=2)
    image = network(torch.rand(2, 3, 11, 17))
    assert image.shape == (2, 3, 11 * scale, 17 * scale)
    image.sum().backward()
    assert all(p.grad is not None for p in network.parameters())


@published
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_it_answers_as_published(scale: int) -> None:
    reference = np.load(FOLDER / "smfanet-plus-reference.npz")
    lr = torch.from_numpy(reference["lr"]).float()[None] / 255
    with torch.inference_mode():
        image = load(FOLDER, scale)(lr)[0]
    assert (image - torch.from_numpy(reference[f"x{scale}"])).abs().max() < 1e-4


@published
@pytest.mark.slow
def test_the_team_answers_at_every_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_patches, "fastest_precision", lambda: "float32")
    teach = cache_patches.teacher_team(FOLDER)
    reference = np.load(FOLDER / "smfanet-plus-reference.npz")
    lr = torch.from_numpy(reference["lr"][:, :32, :32]).float()[None] / 255
    with torch.inference_mode():
        answers = {side: teach(lr, side) for side in (42, 64, 80, 96, 128)}
        small = answers[42]
        assert torch.allclose(answers[64], load(FOLDER, 2)(lr).clamp(0, 1), atol=1e-5)
    for side, image in answers.items():
        assert image.shape == (1, 3, side, side)
        again = torch.nn.functional.interpolate(image, size=(32, 32), mode="area")
        assert (again - lr).abs().mean() < 0.03, side
    assert small.dtype == torch.float32
