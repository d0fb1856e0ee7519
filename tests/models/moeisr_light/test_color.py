"""Colors that the input does not have nearby do not come out."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from pixperts.models.moeisr_light.color import RADIUS, bound_color
from pixperts.models.moeisr_light.config import MoEISRLightConfig
from pixperts.models.moeisr_light.model import MoEISRLight
from pixperts.ops.windows import Part, Window

CONFIG = MoEISRLightConfig(channels=16, blocks=1, depths=(0,), widths=(0,), bounded_color=True)
LUMA = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)


def network(bounded_color: bool = True) -> MoEISRLight:
    """Random weights that change colors strongly."""
    torch.manual_seed(0)
    model = MoEISRLight(replace(CONFIG, bounded_color=bounded_color)).eval()
    with torch.no_grad():
        model.field.coefficients.weight.mul_(10)
    return model


def luma(image: Tensor) -> Tensor:
    return (image * LUMA).sum(dim=1, keepdim=True)


def random(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("size", [(26, 34), (13, 17), (31, 40)])
def test_gray_stays_gray_and_luma_is_the_networks(size: tuple[int, int]) -> None:
    gray = random(2, 1, 13, 17).expand(2, 3, 13, 17)
    with torch.no_grad():
        bounded = network()(gray, size).image
        free = network(bounded_color=False)(gray, size).image
    assert float((free - luma(free)).abs().max()) > 0.05
    assert float((bounded - luma(bounded)).abs().max()) < 1e-6
    torch.testing.assert_close(luma(bounded), luma(free), rtol=0, atol=1e-6)


def test_colors_between_those_nearby_are_free() -> None:
    lr = random(1, 3, 9, 11)
    rows, columns = torch.arange(18) // 2, torch.arange(22) // 2
    image = lr.repeat_interleave(2, 2).repeat_interleave(2, 3)
    torch.testing.assert_close(bound_color(image, lr, rows, columns), image, rtol=0, atol=1e-6)


def test_a_color_is_known_as_far_as_two_pixels() -> None:
    lr = torch.full((1, 3, 1, 12), 0.5)
    lr[0, :, 0, 5] = torch.tensor([0.9, 0.1, 0.2])
    image = lr[:, :, :, 5:6].expand(1, 3, 1, 12)
    found = bound_color(image, lr, torch.zeros(1, dtype=torch.long), torch.arange(12))
    colored = (found - luma(found)).abs().amax(dim=1)[0, 0] > 0.01
    assert colored.tolist() == [abs(x - 5) <= RADIUS for x in range(12)]


@pytest.mark.parametrize("size", [(52, 60), (70, 77)])
def test_tiles_equal_the_whole(size: tuple[int, int]) -> None:
    model, lr = network(), random(1, 3, 26, 30)
    reach = model.context
    out = Window(size[0] // 3, size[0], size[1] // 4, size[1] - 9)
    window = Window(
        max(0, out.top * 26 // size[0] - reach),
        min(26, -(-out.bottom * 26 // size[0]) + reach),
        max(0, out.left * 30 // size[1] - reach),
        min(30, -(-out.right * 30 // size[1]) + reach),
    )
    tile = lr[:, :, window.top : window.bottom, window.left : window.right]
    with torch.no_grad():
        whole = model(lr, size).image
        part = model(tile, size, part=Part(out, window, (26, 30))).image
    expected = whole[:, :, out.top : out.bottom, out.left : out.right]
    torch.testing.assert_close(part, expected, rtol=0, atol=1e-5)
