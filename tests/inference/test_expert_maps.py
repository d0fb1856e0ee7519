"""Pictures of routing."""

import numpy as np
import pytest
import torch

from pixperts.inference.expert_maps import draw, palette
from pixperts.routing import Routing


def routing(experts: torch.Tensor, count: int = 4) -> Routing:
    return Routing(experts.to(torch.uint8), tuple(np.linspace(0.25, 1, count).tolist()))


@pytest.mark.parametrize("experts", [1, 2, 3, 4, 9, 64])
def test_colours_differ_and_brighten_with_the_cost(experts: int) -> None:
    colours = palette(experts)
    assert colours.shape == (experts, 3)
    assert colours.dtype == np.uint8
    assert len(np.unique(colours, axis=0)) == experts
    luma = colours @ np.array([0.299, 0.587, 0.114])
    assert (np.diff(luma) > 0).all()


def test_each_pixel_has_the_colour_of_its_expert() -> None:
    experts = torch.tensor([[[0, 1, 2], [3, 3, 0]]])
    picture = draw(routing(experts), legend=False)
    assert picture.shape == (2, 3, 3)
    assert np.array_equal(picture, palette(4)[experts[0].numpy()])


@pytest.mark.parametrize("width", [1, 8, 40, 159, 160, 400])
def test_the_legend_lies_below_and_its_bar_shows_the_shares(width: int) -> None:
    """Three of eight parts of expert 0, the rest of expert 2."""
    split = 3 * width // 8
    experts = torch.full((1, 20, width), 2)
    experts[..., :split] = 0
    picture = draw(routing(experts))
    assert np.array_equal(picture[:20], draw(routing(experts), legend=False))
    bar = picture[20]
    assert (bar[:split] == palette(4)[0]).all()
    assert (bar[split:] == palette(4)[2]).all()


def test_a_wide_legend_names_every_expert_in_its_colour() -> None:
    experts = torch.zeros(1, 30, 300, dtype=torch.uint8)
    legend = draw(routing(experts))[30:]
    bar = max(4, min(24, 300 // 20))
    text = legend[bar:]
    for colour in palette(4):
        assert (text == colour).all(-1).sum() >= 49  # its swatch
    bright = (text.min(-1) > 128) & (text.max(-1) - text.min(-1) < 8)
    assert bright.sum() > 200  # letters


def test_the_legend_is_that_of_the_picture_that_is_drawn() -> None:
    first, second = torch.zeros(1, 4, 30), torch.full((1, 4, 30), 3)
    both = draw(routing(torch.cat([first, second])))
    assert np.array_equal(both, draw(routing(first)))
