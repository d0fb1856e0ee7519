"""Neighbors in whole numbers against the published rule in floats."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pixperts.models.moeisr.queries import Axis, axis_neighbors, make_queries
from tests.helpers.plain_models import CORNERS, axis_centres, centres, nearest, shifted

SIZES = [(1, 1), (1, 7), (2, 1), (3, 3), (4, 8), (5, 4), (7, 3), (24, 56), (32, 79), (48, 48)]
SIZES += [(13, 101), (50, 200), (64, 500), (100, 37), (33, 66), (17, 289)]


def axis(size_in: int, size_out: int) -> Axis:
    return axis_neighbors(torch.arange(size_out), size_out, size_in)


@pytest.mark.parametrize(("size_in", "size_out"), SIZES)
def test_neighbours_are_those_of_the_published_float_rule(size_in: int, size_out: int) -> None:
    ours = axis(size_in, size_out)
    queries = torch.stack([axis_centres(size_out), torch.zeros(size_out)], dim=1)[None]
    numbers = torch.arange(size_in).float().view(1, 1, size_in, 1)
    for side, corner in enumerate(((-1, 0), (1, 0))):
        theirs = nearest(numbers, shifted(queries, corner, size_in, 1))
        assert ours.index[side].tolist() == theirs.flatten().long().tolist()


@pytest.mark.parametrize(("size_in", "size_out"), SIZES)
def test_offsets_are_the_published_ones(size_in: int, size_out: int) -> None:
    ours = axis(size_in, size_out)
    place, query = (axis_centres(n, torch.float64) for n in (size_in, size_out))
    theirs = (query - place[ours.index]) * size_in
    torch.testing.assert_close(ours.offset.double(), theirs, atol=1e-7, rtol=1e-7)


@given(n_in=st.integers(1, 300), n_out=st.integers(1, 900))
@settings(deadline=None, max_examples=100)
def test_laws_of_an_axis(n_in: int, n_out: int) -> None:
    ours = axis(n_in, n_out)
    assert ours.index.min() >= 0
    assert ours.index.max() < n_in
    assert ((ours.index[1] - ours.index[0]) <= 1).all()
    assert (ours.index.diff(dim=1) >= 0).all()
    assert ours.weight.min() >= 0
    torch.testing.assert_close(ours.weight.sum(0), torch.ones(n_out))
    # Where neither neighbor is clamped, the weighted offsets cancel: the query lies between.
    inside = ours.index[1] > ours.index[0]
    mean = (ours.offset * ours.weight).sum(0)[inside]
    torch.testing.assert_close(mean, torch.zeros_like(mean), atol=1e-6, rtol=0)
    # The picture mirrored is the same rule mirrored, but for exact ties.
    tie = ours.weight[0] == 1
    mirrored = (n_in - 1 - ours.index).flip(0, 1)
    assert torch.equal(ours.index[:, ~tie & ~tie.flip(0)], mirrored[:, ~tie & ~tie.flip(0)])


def test_offsets_and_weights_are_exact_for_very_long_sides() -> None:
    n_in, n_out = 250_000, 1_000_000
    position = torch.tensor([0, 1, 499_999, n_out - 1])
    ours = axis_neighbors(position, n_out, n_in)
    assert ours.offset.tolist() == [
        [-0.75, -0.25, 0.75, 0.75],
        [-0.75, -0.25, -1.25, 0.75],
    ]
    assert ours.weight[1].tolist() == [0.625, 0.875, 0.375, 0.375]


@pytest.mark.parametrize(("lr", "hr"), [((1, 1), (3, 2)), ((4, 5), (9, 13)), ((6, 3), (4, 3))])
def test_weights_are_the_areas_with_the_corners_swapped(
    lr: tuple[int, int], hr: tuple[int, int]
) -> None:
    rows, columns = axis(lr[0], hr[0]), axis(lr[1], hr[1])
    y, x = (t.flatten() for t in torch.meshgrid(*map(torch.arange, hr), indexing="ij"))
    queries = make_queries(rows.at(y), columns.at(x), 0, lr[1])
    assert len(queries) == hr[0] * hr[1]
    grid = centres(*hr, torch.float64).view(1, -1, 2)
    places = centres(*lr, torch.float64).permute(2, 0, 1)[None]
    numbers = torch.arange(lr[0] * lr[1], dtype=torch.float64).view(1, 1, *lr)
    size = torch.tensor(lr, dtype=torch.float64)
    areas = []
    for corner, index in zip(CORNERS, queries.index, strict=True):
        at = shifted(grid, corner, *lr)
        assert index.tolist() == nearest(numbers, at).flatten().long().tolist()
        areas.append(((grid - nearest(places, at)) * size).prod(-1).abs()[0] + 1e-9)
    area = torch.stack(areas)  # (4, N)
    swapped = area.flip(0) / area.sum(0)
    # At the border both neighbors are the same pixel; there only their common weight is defined.
    same_row, same_column = rows.index[0] == rows.index[1], columns.index[0] == columns.index[1]
    inside = ~(same_row[y] | same_column[x])
    ours = queries.weight.double()
    torch.testing.assert_close(ours[:, inside], swapped[:, inside], atol=1e-6, rtol=0)
    torch.testing.assert_close(queries.weight.sum(0), torch.ones(len(queries)))


def test_each_sample_may_have_its_own_size() -> None:
    sizes = torch.tensor([[4], [7], [20]])
    positions = torch.tensor([[0, 3, 1], [6, 2, 0], [19, 10, 4]])
    together = axis_neighbors(positions, sizes, 5)
    for i in range(3):
        alone = axis_neighbors(positions[i], int(sizes[i]), 5)
        for name in ("index", "offset", "weight"):
            assert torch.equal(getattr(together, name)[:, i], getattr(alone, name))


def test_queries_are_taken_and_interpolated_by_hand() -> None:
    # Output pixel 1 of 4 on 2 LR pixels lies a quarter of the way from pixel 0 to pixel 1.
    one = axis_neighbors(torch.tensor([1, 0]), 4, 2)
    queries = make_queries(one, one, torch.tensor([0, 4]), 2)
    table = torch.arange(8.0)[:, None] ** 2
    first = 0.75 * (0.75 * 0 + 0.25 * 1) + 0.25 * (0.75 * 4 + 0.25 * 9)
    assert queries.interpolate(table)[:, 0].tolist() == [first, 16.0]  # second: the corner itself
    second = queries.take(torch.tensor([1]))
    assert second.index.tolist() == [[4], [4], [4], [4]]
    assert second.interpolate(table).tolist() == [[16.0]]


def test_bands_count_from_their_first_row() -> None:
    whole = axis(10, 30)
    band = whole.at(slice(12, 18))
    first = int(band.index.min())
    assert torch.equal(band.counted_from(first).index + first, whole.index[:, 12:18])
    assert torch.equal(band.counted_from(first).offset, whole.offset[:, 12:18])


def test_positions_flatten_in_order() -> None:
    grid = axis_neighbors(torch.tensor([[0, 1], [2, 3]]), 4, 3)
    flat = axis_neighbors(torch.tensor([0, 1, 2, 3]), 4, 3)
    assert torch.equal(grid.flatten().index, flat.index)
    assert torch.equal(grid.flatten().weight, flat.weight)
