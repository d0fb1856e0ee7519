"""Experts that ask the nearest LR pixel only."""

from dataclasses import asdict
from typing import Any

import pytest
import torch

from pixperts.errors import ModelError
from pixperts.models.moeisr.config import MoEISRConfig
from pixperts.models.moeisr.model import MoEISR
from pixperts.models.moeisr.queries import axis_neighbors, make_queries
from pixperts.models.presets import build, create_model
from tests.helpers.tiny_models import decoders, picture, run, tiny

NEAREST: dict[str, Any] = {"neighbors": (1, 1, 4)}


def test_the_nearest_neighbor_is_the_heaviest_with_all_the_weight() -> None:
    rows = axis_neighbors(torch.arange(5), 5, 2)
    columns = axis_neighbors(torch.arange(5), 5, 3)
    queries = make_queries(rows, columns, 0, 3)
    near = queries.nearest()
    assert near.index.shape == (1, 5)
    assert near.offset.shape == (1, 5, 2)
    assert near.weight.tolist() == [[1.0] * 5]
    assert (near.offset.abs() <= 1).all()  # within half an LR pixel, in units of half a pixel
    # Pixel 1: 1.5 * 2 / 5 - 0.5 = 0.1 and 1.5 * 3 / 5 - 0.5 = 0.4: row 0, column 0.
    assert int(near.index[0, 1]) == 0
    # Pixel 4: 4.5 * 2 / 5 - 0.5 = 1.3 and 4.5 * 3 / 5 - 0.5 = 2.2: row 1, column 2.
    assert int(near.index[0, 4]) == 1 * 3 + 2
    assert near.offset[0, 4].tolist() == pytest.approx([0.6, 0.4])


@decoders
def test_at_scale_one_the_nearest_is_everything(decoder: str) -> None:
    """At equal size each query lies on its LR pixel, whose weight in the ensemble is 1."""
    near, lr = tiny(decoder, neighbors=(1, 1, 1)), picture(1, 3, 6, 5)
    both = tiny(decoder, neighbors=(4, 4, 4))
    both.load_state_dict(near.state_dict())
    for budget in (0.0, 1.0):
        first, second = (run(model, lr, (6, 5), budget=budget) for model in (near, both))
        assert (first - second).abs().max() < 1e-5
        assert (run(near, lr, (9, 9), budget=budget) - run(both, lr, (9, 9), budget=budget)).any()


def test_one_neighbor_costs_a_quarter() -> None:
    config = MoEISRConfig(depths=(3, 3), widths=(256, 256), neighbors=(1, 4))
    with torch.device("meta"):
        model = MoEISR(config)
    assert model.costs == (0.25, 1.0)


def test_a_single_expert_may_ask_the_nearest_too() -> None:
    model = tiny(depths=(2,), widths=(8,), neighbors=(1,))
    assert run(model, picture(1, 3, 4, 4), (9, 10)).shape == (1, 3, 9, 10)


@pytest.mark.parametrize("neighbors", [(1,), (1, 2), (4, 4, 4), 4])
def test_other_numbers_are_refused(neighbors: Any) -> None:
    with pytest.raises(ModelError, match=r"neighbors is .* 4 or 1 for each expert"):
        MoEISRConfig(depths=(0, 1), widths=(8, 8), neighbors=neighbors)


def test_files_that_spell_it_otherwise_are_read() -> None:
    stored = asdict(create_model("moeisr-liif-edsr", width=8, light_width=8).config)
    old = {{"neighbors": "neighbours"}.get(key, key): value for key, value in stored.items()}
    assert asdict(build(old).config) == stored
    assert stored["neighbors"] == (1, 1, 1, 4)
