"""Laws of tiles: they cover a result once, hold what they need, and blend without a trace."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pixperts.inference.tiles import Blend, Strip, best_tile, fade_in, spread, strips
from pixperts.models.moeisr.queries import axis_neighbors
from pixperts.ops.windows import Window

sides = st.integers(1, 600)
tiles = st.integers(1, 700)
scales = st.one_of(st.just(2.7), st.floats(0.2, 5.0))
contexts = st.integers(0, 40)
grids = st.sampled_from([1, 8])


def spans(plan: list[Strip]) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    rows = [strip.tiles[0].out[:2] for strip in plan]
    return rows, [tile.out[2:] for tile in plan[0].tiles]


@settings(max_examples=150, deadline=None)
@given(height=sides, width=sides, tile=tiles, scale=scales, context=contexts, grid=grids)
@pytest.mark.slow
def test_tiles_cover_the_result_exactly_once(
    height: int, width: int, tile: int, scale: float, context: int, grid: int
) -> None:
    size = max(1, round(height * scale)), max(1, round(width * scale))
    plan = list(strips((height, width), size, tile, context, multiple=grid, align=grid))
    rows, columns = spans(plan)
    for found, length in ((rows, size[0]), (columns, size[1])):
        assert found[0][0] == 0
        assert found[-1][1] == length
        assert all(first < last for first, last in found)
        assert all(a[1] == b[0] for a, b in itertools.pairwise(found))
    for strip, (top, bottom) in zip(plan, rows, strict=True):
        assert [one.out for one in strip.tiles] == [Window(top, bottom, *c) for c in columns]
        assert {one.source[:2] for one in strip.tiles} == {strip.source_rows}
        assert strip.end - strip.start <= -(-tile // grid) * grid
    assert plan[-1].end == height


@settings(max_examples=150, deadline=None)
@given(length=sides, tile=tiles, scale=scales, context=contexts, grid=grids)
@pytest.mark.slow
def test_a_tile_is_given_what_its_results_need(
    length: int, tile: int, scale: float, context: int, grid: int
) -> None:
    result = max(1, round(length * scale))
    for strip in strips((length, 1), (result, 1), tile, context, multiple=grid, align=grid):
        (top, bottom, *_), (first, last, *_) = strip.tiles[0]
        needed = axis_neighbors(torch.arange(top, bottom), result, length).index
        assert first <= max(0, int(needed.min()) - context)
        assert last >= min(length, int(needed.max()) + 1 + context)
        assert first % grid == 0
        assert last % grid == 0 or last == length


@settings(max_examples=50, deadline=None)
@given(height=st.integers(60, 600), tile=st.integers(30, 300), smaller=st.integers(8, 100))
def test_smaller_tiles_go_on_where_others_stopped(height: int, tile: int, smaller: int) -> None:
    size = (round(2.7 * height), 5)
    before = next(strips((height, 5), size, tile, 3))
    if before.end < height:
        after = list(strips((height, 5), size, smaller, 3, start=before.end))
        assert after[0].tiles[0].out.top == before.tiles[0].out.bottom
        assert after[-1].tiles[0].out.bottom == size[0]


@settings(max_examples=40, deadline=None)
@given(height=sides, width=sides, tile=st.integers(64, 400), reach=st.sampled_from([1, 5, 16]))
def test_pieces_of_one_picture_blend_into_it(
    height: int, width: int, tile: int, reach: int
) -> None:
    picture = torch.rand(1, 1, height, width, generator=torch.Generator().manual_seed(tile))
    blend, done = Blend(height, width, reach), []
    plan = strips(
        (height, width), (height, width), tile, 2 * reach, multiple=8, align=8, least=2 * reach
    )
    for strip in plan:
        for core, source in strip.tiles:
            window = blend.widened(core)
            assert source.top <= window.top
            assert window.bottom <= source.bottom
            top, bottom, left, right = window
            blend.add(picture[:, :, top:bottom, left:right], window, core)
        done.append(blend.finish(strip.end))
    torch.testing.assert_close(torch.cat(done, dim=2), picture, atol=1e-6, rtol=0)


def test_a_strip_that_failed_is_forgotten() -> None:
    picture = torch.rand(1, 3, 96, 40)
    blend = Blend(96, 40, 4)
    first, second = Window(0, 48, 0, 40), Window(48, 96, 0, 40)
    blend.add(picture[:, :, :52], blend.widened(first), first)
    done = [blend.finish(48)]
    kept = blend.kept()
    blend.add(torch.ones(1, 3, 52, 40), blend.widened(second), second)
    blend.forget(kept)
    blend.add(picture[:, :, 44:], blend.widened(second), second)
    done.append(blend.finish(96))
    torch.testing.assert_close(torch.cat(done, dim=2), picture, atol=1e-6, rtol=0)


@given(reach=st.integers(1, 64))
def test_fades_are_a_partition_of_unity(reach: int) -> None:
    weights = fade_in(reach)
    torch.testing.assert_close(weights + weights.flip(0), torch.ones(2 * reach))
    assert bool((weights.diff() > 0).all())
    assert 0 < weights[0] < weights[-1] < 1


@given(
    pixel=st.floats(1, 1e5),
    memory=st.floats(0, 1e11),
    context=st.integers(0, 128),
    row=st.floats(0, 1e7),
)
def test_the_best_tile_fits_and_none_larger_would(
    pixel: float, memory: float, context: int, row: float
) -> None:
    side = best_tile(pixel, memory, context, multiple=8, row_bytes=row)
    assert side >= 64
    assert side % 8 == 0
    whole = side + 2 * context
    if side > 64:
        assert pixel * whole**2 + row * whole <= memory * (1 + 1e-9)
    whole += 9
    assert pixel * whole**2 + row * whole >= memory * (1 - 1e-9)


@given(count=st.integers(1, 3000), wanted=st.integers(1, 3000))
def test_samples_are_spread_evenly(count: int, wanted: int) -> None:
    chosen = spread(count, wanted)
    assert chosen == sorted(set(chosen))
    assert chosen[0] == 0
    assert chosen[-1] < count
    assert len(chosen) == pytest.approx(min(count, wanted), abs=5)
