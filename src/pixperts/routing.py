"""Route, dispatch, combine: which expert serves which item, for images and for pixels alike.

An item is whatever the router decides about: a picture (MoCE-IR, arXiv 2411.18466) or an output
pixel (MoEISR, arXiv 2311.12077). Deciding (`choose`) and running (`run_experts`) are separate
steps, so that a decision made once can be pinned for many tiles.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pixperts.errors import UsageError


@dataclass(frozen=True)
class Routing:
    """The experts chosen in one forward pass.

    Attributes:
        experts: index of the expert of each item; (B, H, W) uint8 for pixels, (B, k) int64 for
            pictures, the best first.
        costs: multiply-adds of each expert relative to the most expensive one (1.0).
        probabilities: softmax of the logits, (B, J, H, W) when requested, (B, J) for pictures.
        gates: weight of each chosen expert, (B, k); pictures only, as what follows.
        logits: (B, J) as the router gave them.
        noisy_logits: (B, J) with the noise of training, by which the experts were chosen.
        pooled: (B, C) the mean over all pixels of the features that the router looked at.
        motion: (B, 3) length in pixels, angle in degrees and probability of none, of the motion
            blur that was looked for before the first block; recorded with that block.
        marks: (B,) share of the pixels from which dust or scratches were removed before the first
            block, if that was wanted; recorded with that block.
        idle: (B,) whether neither experts nor what they share ran for a picture.
        name: the block that was routed.
    """

    experts: Tensor
    costs: tuple[float, ...]
    probabilities: Tensor | None = None
    gates: Tensor | None = None
    logits: Tensor | None = None
    noisy_logits: Tensor | None = None
    pooled: Tensor | None = None
    motion: Tensor | None = None
    marks: Tensor | None = None
    idle: Tensor | None = None
    name: str = ""

    @property
    def tally(self) -> "Tally":
        """How many items each expert serves."""
        counts = torch.bincount(self.experts.flatten().long(), minlength=len(self.costs))
        return Tally(tuple(counts.tolist()), self.costs)

    @property
    def shares(self) -> tuple[float, ...]:
        """Share of the items that each expert serves; sums to 1."""
        return self.tally.shares

    @property
    def mean_cost(self) -> float:
        """Mean cost of an item relative to the most expensive expert, in (0, 1]."""
        return self.tally.mean_cost


@dataclass(frozen=True)
class Tally:
    """How many items each expert served, where it does not matter which.

    Example:
        >>> tally = Tally((1, 1), (0.5, 1.0)) + Tally((2, 0), (0.5, 1.0))
        >>> tally.shares, tally.mean_cost
        ((0.75, 0.25), 0.625)
    """

    counts: tuple[int, ...]
    costs: tuple[float, ...]

    def __add__(self, other: "Tally") -> "Tally":
        counts = zip(self.counts, other.counts, strict=True)
        return Tally(tuple(a + b for a, b in counts), self.costs)

    @property
    def shares(self) -> tuple[float, ...]:
        """Share of the items that each expert served; sums to 1, or to 0 where there are none."""
        if not any(self.counts):
            return (0.0,) * len(self.counts)
        return tuple(count / sum(self.counts) for count in self.counts)

    @property
    def mean_cost(self) -> float:
        """Mean cost of an item relative to the most expensive expert, in (0, 1]."""
        return sum(share * cost for share, cost in zip(self.shares, self.costs, strict=True))


def run_experts(
    choice: Tensor, experts: Sequence[Callable[[Tensor], Tensor]], *, out: Tensor
) -> Tensor:
    """Give each item to its own expert only: gather, run, scatter.

    Args:
        choice: (N,) integer, the expert of each item.
        experts: functions from item numbers (M,) to results (M, ...); an expert that no item
            chose is not called.
        out: (N, ...) tensor that receives the results in the order of the items.

    Returns:
        `out`.
    """
    for number, expert in enumerate(experts):
        items = torch.nonzero(choice == number).squeeze(1)  # (M,)
        if len(items):
            out.index_copy_(0, items, expert(items).to(out.dtype))
    return out


def run_experts_masked(
    choice: Tensor, experts: Sequence[Callable[[Tensor], Tensor]], *, out: Tensor
) -> Tensor:
    """The plain form of `run_experts`: every expert sees every item, a mask keeps the right one.

    Costs as much as all experts together; it is the oracle of the tests.
    """
    every = torch.arange(len(choice), device=choice.device)
    total = torch.zeros_like(out)
    for number, expert in enumerate(experts):
        mask = (choice == number).view(-1, *[1] * (out.dim() - 1))
        total += expert(every).to(out.dtype) * mask
    return out.copy_(total)


def choose(logits: Tensor, costs: Sequence[float], budget: float | None = None) -> Tensor:
    """The expert of each item: argmax of the logits, shifted so that the mean cost meets a budget.

    With a budget, beta is solved for in argmax_j(logits_j - beta * cost_j) such that the mean
    cost of *these* items is c_min + budget * (c_max - c_min). Where many items switch at the same
    beta (a flat picture), only as many of them switch as the budget pays for, in item order.

    Args:
        logits: (N, J) float; row = item, column = expert.
        costs: cost of each expert, length J.
        budget: 0 (always the cheapest) to 1 (always the most expensive); None = the plain argmax.

    Returns:
        (N,) int64 expert numbers. Deterministic; the mean cost never falls as `budget` grows.

    Raises:
        UsageError: if the budget is outside 0..1.

    Example:
        >>> logits = torch.tensor([[2.0, 0.0], [2.0, 1.0]])  # both items prefer expert 0
        >>> choose(logits, (0.2, 1.0)).tolist()
        [0, 0]
        >>> choose(logits, (0.2, 1.0), budget=0.5).tolist()  # one of two may cost more
        [0, 1]
    """
    if budget is None:
        return logits.argmax(dim=1)
    _check_budget(budget)
    cost = torch.tensor(costs, dtype=torch.float64)  # on the CPU: some accelerators lack float64
    cheapest, costliest = int(cost.argmin()), int(cost.argmax())
    if budget in (0.0, 1.0):
        fixed = costliest if budget == 1.0 else cheapest
        return torch.full((len(logits),), fixed, dtype=torch.int64, device=logits.device)
    target = float(cost.min() + budget * (cost.max() - cost.min()))
    cheap, costly, _ = _bracket(logits.float(), cost, target)
    # What is left between the two assignments are ties at the solved beta: upgrade items in order
    # while the budget lasts. Assignments are nested, so the result is monotone in the budget.
    items = torch.nonzero(cheap != costly).squeeze(1)  # (M,)
    gain = cost[costly[items].cpu()] - cost[cheap[items].cpu()]
    spent = _total(cheap, cost) + gain.cumsum(0)
    affordable = items[(spent <= target * len(logits) * (1 + 1e-12)).to(items.device)]
    cheap[affordable] = costly[affordable]
    return cheap


def price_of(logits: Tensor, costs: Sequence[float], budget: float) -> float:
    """The price of a unit of cost at which `at_price` meets a budget on these items, or less.

    It is the Lagrange multiplier of the mean cost.

    For pictures in tiles: a price found on samples of all tiles decides each pixel by itself.

    Args:
        logits: (N, J) float.
        costs: cost of each expert, length J.
        budget: 0 to 1 as in `choose`.

    Raises:
        UsageError: if the budget is outside 0..1.
    """
    _check_budget(budget)
    cost = torch.tensor(costs, dtype=torch.float64)
    target = float(cost.min() + budget * (cost.max() - cost.min()))
    return _bracket(logits.float(), cost, target)[2]


def at_price(logits: Tensor, costs: Sequence[float], price: float) -> Tensor:
    """The expert of each item: argmax_j(logits_j - price * cost_j), (N, J) -> (N,) int64.

    Example:
        >>> at_price(torch.tensor([[2.0, 2.5]]), (0.5, 1.0), price=2.0).tolist()
        [0]
    """
    return _assign(logits.float().t().contiguous(), costs, price)


def choose_each(
    logits: Tensor,
    costs: Sequence[float],
    budget: float | None,
    price: float | Sequence[float] | None,
) -> Tensor:
    """The expert of each item of several pictures: by a budget of each, or by a price.

    Args:
        logits: (B, J, h, w).
        costs: cost of each expert, length J.
        budget: as in `choose`, spent on each picture by itself; None = by the price.
        price: as in `prices_for`.

    Returns:
        (B, h, w) int64.
    """
    batch, experts, height, width = logits.shape
    rows = logits.permute(0, 2, 3, 1).reshape(batch, height * width, experts)
    if budget is None:
        pairs = zip(rows, prices_for(price, batch), strict=True)
        chosen = [at_price(picture, costs, own) for picture, own in pairs]
    else:
        chosen = [choose(picture, costs, budget) for picture in rows]
    return torch.stack(chosen).view(batch, height, width)


def prices_for(price: float | Sequence[float] | None, batch: int) -> Sequence[float]:
    """One price for each picture of a batch; None = 0, the plain argmax.

    Raises:
        UsageError: if they are not as many as the pictures.
    """
    if price is None or isinstance(price, int | float):
        return [price or 0.0] * batch
    if len(price) != batch:
        raise UsageError(f"{len(price)} prices are given, but there are {batch} pictures.")
    return price


def _check_budget(budget: float) -> None:
    if not 0.0 <= budget <= 1.0:
        raise UsageError(f"budget is {budget:g}, but must be between 0 (cheapest) and 1 (best).")


def _assign(columns: Tensor, costs: Sequence[float], beta: float) -> Tensor:
    """`at_price` on (J, N): one pass per expert is faster than N short argmaxes."""
    best = columns[0] - beta * float(costs[0])
    choice = torch.zeros_like(best, dtype=torch.int64)
    for number in range(1, len(costs)):
        value = columns[number] - beta * float(costs[number])
        choice.masked_fill_(value > best, number)  # the first of equals wins, as in argmax
        best = torch.maximum(best, value)
    return choice


def _total(choice: Tensor, cost: Tensor) -> float:
    """Summed cost of a choice, in double precision and in an order that never changes."""
    counts = torch.bincount(choice, minlength=len(cost)).cpu().double()
    return float(counts @ cost)


def _bracket(logits: Tensor, cost: Tensor, target: float) -> tuple[Tensor, Tensor, float]:
    """Assignments just below and just above the target mean cost, and the first one's beta."""
    columns, costs = logits.t().contiguous(), cost.tolist()  # (J, N)
    # Beyond this beta the cheapest (or, negated, the most expensive) expert wins everywhere.
    distinct = torch.unique(cost)
    gap = float((distinct[1:] - distinct[:-1]).min()) if len(distinct) > 1 else 1.0
    reach = (float(logits.max() - logits.min()) + 1.0) / gap
    low, high = -reach, reach
    costly, cheap = _assign(columns, costs, low), _assign(columns, costs, high)
    above, below = _total(costly, cost), _total(cheap, cost)
    for _ in range(60):
        middle = 0.5 * (low + high)
        if middle in (low, high) or above - below <= float(cost.max() - cost.min()):
            break  # nothing, or a single item's choice, is left to decide
        choice = _assign(columns, costs, middle)
        total = _total(choice, cost)
        if total > target * len(logits):
            low, costly, above = middle, choice, total
        else:
            high, cheap, below = middle, choice, total
    return cheap, costly, high
