"""A tile of a picture works like a part of it, once it is given the sums over all pixels."""

import functools
import itertools

import pytest
import torch
from torch import Tensor

from pixperts.errors import ModelError
from pixperts.inference.tiles import strips
from pixperts.models.moce_ir.model import MoCEIR
from pixperts.models.moce_ir.statistics import Statistics
from pixperts.ops.windows import Window
from tests.helpers.moce_models import mini, pictures, run

model = functools.cache(mini)


def survey(
    image: Tensor, given: Statistics | None = None, inner: Window | None = None
) -> Statistics:
    with torch.inference_mode():
        found: Statistics = model().survey(image, given, inner)[1]
    return found


def in_tiles(image: Tensor, side: int, context: int, given: Statistics | None = None) -> Statistics:
    total: Statistics | None = None
    size = image.shape[2], image.shape[3]
    for strip in strips(size, size, side, context, multiple=8, align=32):
        for out, (top, bottom, left, right) in strip.tiles:
            inner = Window(out.top - top, out.bottom - top, out.left - left, out.right - left)
            found = survey(image[:, :, top:bottom, left:right], given, inner)
            found = found.to("cpu", torch.float64)
            total = found if total is None else total + found
    assert total is not None
    return total.to("cpu", torch.float32)


def close(a: Tensor, b: Tensor, tolerance: float) -> None:
    assert float((a - b).abs().max()) <= tolerance * float(b.abs().max())


@pytest.mark.parametrize("size", [(96, 128), (90, 101)])
@pytest.mark.slow
def test_the_first_sums_of_tiles_are_those_of_the_whole(size: tuple[int, int]) -> None:
    image = pictures(1, 3, *size)
    whole, tiles = survey(image), in_tiles(image, 40, 8)
    for a, b in zip(tiles.places[0], whole.places[0], strict=True):
        close(a, b, 1e-4)
    for mine, theirs in zip(tiles.places, whole.places, strict=True):
        assert [x.shape for x in mine] == [x.shape for x in theirs]
    # Pixels are counted once, also the mirrored ones beyond an edge.
    totals = [sums[1] for sums in whole.places if len(sums) == 2]
    counted = [sums[1] for sums in tiles.places if len(sums) == 2]
    assert totals
    assert all(map(torch.equal, counted, totals))


def test_sums_of_all_pixels_given_back_change_nothing() -> None:
    image = pictures(1, 3, 44, 52)
    whole = run(model(), image)
    again = run(model(), image, statistics=survey(image))
    torch.testing.assert_close(again.image, whole.image, atol=1e-5, rtol=0)
    for a, b in zip(again.routings, whole.routings, strict=True):
        assert torch.equal(a.experts, b.experts)


def test_sums_and_pinned_routings_go_together() -> None:
    image = pictures(1, 3, 44, 52)
    whole, given = run(model(), image), survey(image)
    again = run(model(), image, statistics=given, pinned=whole.routings)
    torch.testing.assert_close(again.image, whole.image, atol=1e-5, rtol=0)
    assert all(map(torch.equal, *([r.experts for r in o.routings] for o in (again, whole))))


def grid_and_sums(network: MoCEIR, image: Tensor) -> tuple[int, Statistics, Tensor]:
    with torch.inference_mode():
        output, statistics = network.survey(image)
        return network.window_grid(output.routings), statistics, output.image


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.slow
def test_a_tile_with_the_sums_of_the_whole_is_a_part_of_it(seed: int) -> None:
    network = mini(windows=(2, 4, 4, 8))
    image = pictures(1, 3, 229, 203, seed=seed)
    grid, statistics, whole = grid_and_sums(network, image)
    assert grid in (8, 16, 32)
    size = (229, 203)
    routings = []
    for strip in strips(size, size, 64, 96, multiple=8, align=grid):
        for out, (top, bottom, left, right) in strip.tiles:
            tile = run(network, image[:, :, top:bottom, left:right], statistics=statistics)
            inner = tile.image[:, :, out.top - top : out.bottom - top]
            inner = inner[:, :, :, out.left - left : out.right - left]
            expected = whole[:, :, out.top : out.bottom, out.left : out.right]
            torch.testing.assert_close(inner, expected, atol=1e-4, rtol=0)
            routings.append([routing.experts.tolist() for routing in tile.routings])
    assert all(a == b for a, b in itertools.pairwise(routings))


@pytest.mark.slow
def test_a_second_survey_comes_closer() -> None:
    image = pictures(1, 3, 200, 168)
    whole = survey(image)

    def distance(found: Statistics) -> float:
        total = 0.0
        for mine, theirs in zip(found.places, whole.places, strict=True):
            for a, b in zip(mine, theirs, strict=True):
                total += float((a - b).norm() / b.norm())
        return total

    first = in_tiles(image, 64, 32)
    second = in_tiles(image, 64, 32, first)
    third = in_tiles(image, 64, 32, second)
    assert distance(second) < distance(first)
    assert distance(third) <= 1.05 * distance(second)


def test_sums_of_another_network_are_refused() -> None:
    image = pictures(1, 3, 16, 16)
    found = survey(image)
    with pytest.raises(ModelError, match="another network"):
        run(model(), image, statistics=Statistics(found.places[:3]))
