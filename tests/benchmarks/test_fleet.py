"""The simulation of many machines: what must hold whatever the numbers are."""

from dataclasses import replace

import pytest

from fleet import Assumptions, blocks, shards, simulate

STEADY = Assumptions(seconds=2.0, start=0.0, spread=0.0, slow=0.0, failing=0.0)


def test_without_trouble_it_is_a_division() -> None:
    run = simulate(blocks(1200, 1), 4, STEADY, seed=0)
    assert run.hours == pytest.approx(1200 * 2 / 4 / 3600)
    assert run.cost == pytest.approx(run.hours * 4 * 0.04)
    assert (run.done, run.repeated, run.deaths) == (1200, 0, 0)
    assert run.busy == pytest.approx(1)
    assert run.hours == pytest.approx(run.ideal)


def test_the_same_seed_gives_the_same_run() -> None:
    rough = Assumptions(seconds=2.0, start=3.0, failing=0.5)
    first, again, other = (simulate(blocks(5000, 8), 20, rough, seed) for seed in (1, 1, 2))
    assert first == again != other
    assert first.deaths > 0


def test_start_up_counts_once_a_worker_or_once_a_block() -> None:
    once = simulate(blocks(100, 10), 1, replace(STEADY, start=5.0), seed=0)
    each = simulate(blocks(100, 10), 1, replace(STEADY, start=5.0, unit_start=5.0), seed=0)
    assert once.hours * 3600 == pytest.approx(205)
    assert each.hours * 3600 == pytest.approx(255)


def test_slow_workers_cost_less_with_small_blocks() -> None:
    half = replace(STEADY, slow=0.5, slowdown=4.0)
    fine, coarse = (simulate(blocks(8000, size), 40, half, seed=3) for size in (1, 200))
    assert fine.ideal < fine.hours < coarse.hours


def test_every_worker_dies_once_and_nothing_is_lost() -> None:
    deadly = replace(STEADY, failing=1.0, replaced=30.0, start=1.0)
    run = simulate(blocks(4000, 5), 10, deadly, seed=4)
    assert run.done == 4000
    assert run.deaths == 10
    assert run.repeated <= 10
    assert run.hours > run.ideal
    assert run.busy < 1


def test_shards_hold_every_picture_once() -> None:
    sizes = shards(100_000, 16, seed=0)
    assert sum(sizes) == 100_000
    assert len(sizes) == 16
    assert max(sizes) < 1.05 * 100_000 / 16  # as docs/scale_out.md says: about 2 %


def test_what_makes_no_sense_is_refused() -> None:
    for change in ({"seconds": 0}, {"slow": 1.5}, {"start": -1}, {"slowdown": 0.5}):
        with pytest.raises(ValueError, match="makes no sense"):
            replace(STEADY, **change)
