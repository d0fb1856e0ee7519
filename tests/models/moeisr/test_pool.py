"""What holds for a pool of experts, whether it has a neck or experts that ask one pixel only."""

from typing import Any

import pytest
import torch

from tests.helpers.tiny_models import decoders, experts_of, picture, run, tiny

pools = pytest.mark.parametrize(
    "options",
    [{"neck": 2, "light_width": 10, "neighbors": (1, 4, 4)}, {"neighbors": (1, 1, 4)}],
    ids=["neck", "nearest"],
)


@pools
@decoders
def test_routed_equals_masked(decoder: str, options: dict[str, Any]) -> None:
    model, lr = tiny(decoder, **options), picture(2, 3, 9, 7)
    used = experts_of(model, lr, (23, 16), budget=0.5).unique()
    assert len(used) > 1
    for budget in (None, 0.5):
        routed = run(model, lr, (23, 16), budget=budget)
        assert (routed - run(model, lr, (23, 16), budget=budget, masked=True)).abs().max() < 1e-5


@pools
@decoders
def test_bands_change_nothing(decoder: str, options: dict[str, Any]) -> None:
    model, lr = tiny(decoder, **options), picture(1, 3, 40, 30)
    whole = run(model, lr, (81, 60), budget=0.5)
    model.max_pixels = 17
    assert (run(model, lr, (81, 60), budget=0.5) - whole).abs().max() < 1e-5


@pools
@decoders
def test_query_equals_forward(decoder: str, options: dict[str, Any]) -> None:
    model, lr = tiny(decoder, **options), picture(1, 3, 6, 5)
    size = (13, 11)
    number = torch.arange(13 * 11)
    positions = torch.stack([number // 11, number % 11], dim=1)[None]
    with torch.inference_mode():
        colours, _ = model.query(lr, positions, torch.tensor([size]))
    for expert, budget in ((0, 0.0), (-1, 1.0)):
        image = run(model, lr, size, budget=budget)[0].permute(1, 2, 0).reshape(-1, 3)
        assert (colours[0, :, expert] - image).abs().max() < 1e-5
