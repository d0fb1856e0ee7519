"""Dispatch, budgets and the facts of a routing."""

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pixperts.errors import UsageError
from pixperts.routing import Routing, choose, run_experts, run_experts_masked

COSTS = (0.05, 0.2, 0.5, 1.0)


def expert(number: int, items: Tensor) -> Callable[[Tensor], Tensor]:
    """A function of item numbers whose results differ between experts and items."""
    return lambda numbers: (items[numbers] + number) * torch.tensor([1.0, 10.0, -3.0])


@given(choice=st.lists(st.integers(0, 3), min_size=1, max_size=40))
@settings(deadline=None, max_examples=50)
def test_gathering_equals_masking_and_gives_each_item_its_own_expert(choice: list[int]) -> None:
    chosen = torch.tensor(choice)
    items = torch.rand(len(choice), 1)
    experts = [expert(j, items) for j in range(4)]
    gathered = run_experts(chosen, experts, out=torch.full((len(choice), 3), torch.nan))
    masked = run_experts_masked(chosen, experts, out=torch.full((len(choice), 3), torch.nan))
    expected = (items + chosen[:, None]) * torch.tensor([1.0, 10.0, -3.0])
    assert torch.equal(gathered, expected)
    assert torch.equal(masked, expected)


def test_an_unused_expert_is_never_called() -> None:
    called: list[list[int]] = []

    def record(numbers: Tensor) -> Tensor:
        called.append(numbers.tolist())
        return numbers[:, None].float()

    def refuse(numbers: Tensor) -> Tensor:
        raise AssertionError("an expert that nobody chose was called")

    out = run_experts(torch.tensor([2, 0, 2]), [record, refuse, record], out=torch.empty(3, 1))
    assert called == [[1], [0, 2]]
    assert out[:, 0].tolist() == [0.0, 1.0, 2.0]


def test_results_take_the_type_of_the_output() -> None:
    out = torch.empty(2, 1, dtype=torch.float64)
    run_experts(torch.tensor([0, 0]), [lambda numbers: numbers[:, None].half()], out=out)
    assert out[:, 0].tolist() == [0.0, 1.0]


# ---------------------------------------------------------------- budgets


def share_of_range(choice: Tensor, costs: tuple[float, ...] = COSTS) -> float:
    """(mean - min) / (max - min) of the costs: what a budget asks for."""
    cost = torch.tensor(costs, dtype=torch.float64)
    return float((cost[choice].mean() - cost.min()) / (cost.max() - cost.min()))


@pytest.mark.parametrize("budget", [0.013, 0.1, 0.37, 0.5, 0.73, 0.99])
@pytest.mark.parametrize("spread", [0.0, 1e-3, 1.0, 50.0])
def test_a_budget_is_met(budget: float, spread: float) -> None:
    """On any logits; a spread of 0 is a flat picture, where every item ties."""
    torch.manual_seed(0)
    logits = torch.randn(5000, 4) * spread
    assert share_of_range(choose(logits, COSTS, budget)) == pytest.approx(budget, abs=0.02)


@pytest.mark.parametrize("logits", [[0.0, 0, 0, 0], [3.0, 1, 0, -2], [-2.0, 0, 1, 3]])
def test_a_budget_is_met_where_all_items_are_alike(logits: list[float]) -> None:
    same = torch.tensor([logits]).expand(1000, 4)
    for budget in (0.2, 0.5, 0.9):
        assert share_of_range(choose(same, COSTS, budget)) == pytest.approx(budget, abs=0.002)


def test_the_ends_of_the_budget_are_exactly_the_cheapest_and_the_dearest() -> None:
    logits = torch.randn(200, 3) * 100
    costs = (0.7, 0.1, 1.0)  # the cheapest need not come first
    assert choose(logits, costs, 0.0).unique().tolist() == [1]
    assert choose(logits, costs, 1.0).unique().tolist() == [2]


def test_without_a_budget_the_largest_logit_wins() -> None:
    logits = torch.tensor([[1.0, 3.0, 2.0], [0.5, 0.1, -1.0]])
    assert choose(logits, (0.1, 0.5, 1.0)).tolist() == [1, 0]


def test_the_keenest_items_get_the_dear_expert() -> None:
    keenness = torch.tensor([0.3, 2.0, -1.0, 1.0])
    logits = torch.stack([torch.zeros(4), keenness], dim=1)
    assert choose(logits, (0.5, 1.0), 0.25).tolist() == [0, 1, 0, 0]
    assert choose(logits, (0.5, 1.0), 0.5).tolist() == [0, 1, 0, 1]
    assert choose(logits, (0.5, 1.0), 0.75).tolist() == [1, 1, 0, 1]


@given(
    values=st.lists(st.tuples(*[st.floats(-20, 20, width=32)] * 4), min_size=1, max_size=30),
    budgets=st.lists(st.floats(0, 1), min_size=2, max_size=6),
    copies=st.sampled_from([1, 7]),
)
@settings(deadline=None, max_examples=60)
@pytest.mark.slow
def test_the_mean_cost_never_falls_as_the_budget_grows(
    values: list[tuple[float, ...]], budgets: list[float], copies: int
) -> None:
    logits = torch.tensor(values).repeat(copies, 1)
    shares = [share_of_range(choose(logits, COSTS, b)) for b in sorted(budgets)]
    assert all(low <= high + 1e-12 for low, high in pairwise(shares)), shares
    # Never above what was asked for, and never more than one item's step below it.
    for asked, got in zip(sorted(budgets), shares, strict=True):
        assert asked - 1 / len(logits) - 1e-9 <= got <= asked + 1e-9


def test_the_choice_is_the_same_every_time() -> None:
    logits = torch.randn(500, 4).round()  # many ties
    assert torch.equal(choose(logits, COSTS, 0.4), choose(logits.clone(), COSTS, 0.4))


@pytest.mark.parametrize("budget", [-0.01, 1.01, float("nan"), float("inf")])
def test_a_budget_outside_its_range_is_refused(budget: float) -> None:
    with pytest.raises(UsageError, match="between 0"):
        choose(torch.zeros(2, 2), (0.5, 1.0), budget)


# ---------------------------------------------------------------- facts


def test_shares_and_mean_cost_by_hand() -> None:
    routing = Routing(torch.tensor([[[0, 1], [1, 1]]], dtype=torch.uint8), (0.2, 0.6, 1.0))
    assert routing.shares == (0.25, 0.75, 0.0)
    assert routing.mean_cost == pytest.approx(0.25 * 0.2 + 0.75 * 0.6)
