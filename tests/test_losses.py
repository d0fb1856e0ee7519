"""Gumbel-Softmax, balance, cost, expected and budgeted error, distillation, the spectrum."""

import math

import pytest
import torch

from pixperts.losses import (
    balance_loss,
    budgeted_error,
    distillation_loss,
    expected_cost,
    gumbel_weights,
    spectral_l1,
)
from pixperts.routing import choose


@pytest.mark.parametrize("temperature", [0.1, 1.0, 5.0])
@pytest.mark.parametrize("hard", [False, True])
def test_weights_are_positive_and_sum_to_one(temperature: float, hard: bool) -> None:
    torch.manual_seed(0)
    weights = gumbel_weights(torch.randn(300, 4), temperature, hard=hard)
    assert weights.min() >= 0
    torch.testing.assert_close(weights.sum(-1), torch.ones(300))


def test_hard_weights_are_one_hot_and_still_pass_a_gradient() -> None:
    torch.manual_seed(0)
    logits = torch.randn(50, 3, requires_grad=True)
    weights = gumbel_weights(logits, 1.0, hard=True)
    assert set(weights.flatten().tolist()) == {0.0, 1.0}
    (weights * torch.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert logits.grad is not None
    assert (logits.grad.abs().amax(1) > 0).all()


def test_a_hard_gradient_is_the_soft_one() -> None:
    values = torch.tensor([[1.0, -2.0, 0.5]])
    grads = []
    for hard in (False, True):
        logits = values.clone().requires_grad_()
        noise = torch.Generator().manual_seed(4)
        gumbel_weights(logits, 0.7, hard=hard, generator=noise)[0, 1].backward()
        assert logits.grad is not None
        grads.append(logits.grad)
    assert torch.equal(grads[0], grads[1])


def test_the_generator_alone_decides_the_noise() -> None:
    logits = torch.zeros(20, 4)

    def draw(seed: int) -> torch.Tensor:
        noise = torch.Generator().manual_seed(seed)
        return gumbel_weights(logits, 1.0, hard=False, generator=noise)

    assert torch.equal(draw(1), draw(1))
    assert not torch.equal(draw(1), draw(2))


def test_choices_come_as_often_as_softmax_says() -> None:
    """The Gumbel-max property (Jang et al., equation 1)."""
    logits = torch.tensor([1.0, 0.0, -1.0, 0.5])
    noise = torch.Generator().manual_seed(0)
    draws = gumbel_weights(logits.expand(40000, 4), 1.0, hard=True, generator=noise)
    # Four standard deviations of a share of 0.5 in 40 000 draws are 0.01.
    torch.testing.assert_close(draws.mean(0), logits.softmax(0), atol=0.01, rtol=0)


def test_a_low_temperature_is_nearly_one_hot_and_a_high_one_nearly_flat() -> None:
    logits = torch.tensor([[2.0, 0.0, -1.0]]).expand(200, 3)
    cold, hot = (
        gumbel_weights(logits, t, hard=False, generator=torch.Generator().manual_seed(0))
        for t in (0.01, 1000.0)
    )
    assert cold.amax(1).mean() > 0.99
    assert (hot - 1 / 3).abs().max() < 0.01


def test_extreme_draws_stay_finite() -> None:
    noise = torch.Generator().manual_seed(0)
    weights = gumbel_weights(torch.zeros(1_000_000, 2), 0.1, hard=False, generator=noise)
    assert weights.isfinite().all()


def test_balance_by_hand() -> None:
    p = torch.tensor([[0.9, 0.1], [0.7, 0.3]])  # shares 0.8 and 0.2
    target = torch.tensor([0.6, 0.4])
    assert balance_loss(p, target).item() == pytest.approx(0.04 / 0.6 + 0.04 / 0.4)
    assert balance_loss(p, torch.tensor([0.8, 0.2])).item() == pytest.approx(0.0, abs=1e-12)


def test_balance_with_a_uniform_target_is_the_squared_coefficient_of_variation() -> None:
    """Shazeer et al. (arXiv 1701.06538), equation 7, on the summed gate values."""
    torch.manual_seed(0)
    p = torch.randn(60, 5).softmax(1)
    importance = p.sum(0)
    variation = (importance.var(unbiased=False) / importance.mean() ** 2).item()
    assert balance_loss(p, torch.full((5,), 0.2)).item() == pytest.approx(variation, rel=1e-5)


def test_balance_pulls_towards_the_target() -> None:
    logits = torch.zeros(8, 2, requires_grad=True)
    balance_loss(logits.softmax(1), torch.tensor([0.2, 0.8])).backward()
    assert logits.grad is not None
    assert (logits.grad[:, 0] > 0).all()  # descent lowers the logit of the expert used too much
    assert (logits.grad[:, 1] < 0).all()


def test_expected_cost_by_hand() -> None:
    p = torch.tensor([[0.25, 0.75], [1.0, 0.0]])
    cost = expected_cost(p, torch.tensor([0.2, 1.0]))
    assert cost.item() == pytest.approx((0.25 * 0.2 + 0.75 + 0.2) / 2)


# ---------------------------------------------------------------- budgets

COSTS = torch.tensor([0.1, 0.4, 1.0])


def items(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and errors (60, 3), at random."""
    noise = torch.Generator().manual_seed(seed)
    return torch.randn(60, 3, generator=noise), torch.rand(60, 3, generator=noise)


@pytest.mark.parametrize("price", [0.05, 0.5, 5.0])
def test_the_budgeted_error_by_hand(price: float) -> None:
    """Two experts of equal shifted logits: the mean of both totals."""
    costs = torch.tensor([0.2, 1.0])
    logits = torch.tensor([[0.0, 0.8 * price]])
    loss = budgeted_error(logits, torch.tensor([[3.0, 1.0]]), costs, torch.tensor(price), 0.1)
    assert loss.item() == pytest.approx(0.5 * ((3 + 0.2 * price) + (1 + price)), rel=1e-5)


@pytest.mark.parametrize("price", [0.01, 0.3, 10.0])
def test_descent_raises_the_expert_of_least_error_and_price(price: float) -> None:
    _, errors = items()
    logits = torch.zeros(60, 3, requires_grad=True)
    errors.requires_grad_()
    budgeted_error(logits, errors, COSTS, torch.tensor(price), temperature=10.0).backward()
    assert logits.grad is not None
    assert errors.grad is None  # taken as given
    total = errors.detach() + price * COSTS
    rows = torch.arange(60)
    assert (logits.grad[rows, total.argmin(1)] < 0).all()
    assert (logits.grad[rows, total.argmax(1)] > 0).all()
    torch.testing.assert_close(logits.grad.sum(1), torch.zeros(60), atol=1e-7, rtol=0)


@pytest.mark.parametrize("price", [0.01, 0.3, 10.0])
def test_negative_errors_are_the_best_logits_at_every_price(price: float) -> None:
    others, errors = items()
    best = (errors + price * COSTS).min(dim=1).values.mean().item()
    cold = 1e-7

    def loss(logits: torch.Tensor) -> float:
        return budgeted_error(logits, errors, COSTS, torch.tensor(price), cold).item()

    assert loss(-errors) == pytest.approx(best, rel=1e-4)
    assert loss(others.abs()[:, :1] - errors) == pytest.approx(best, rel=1e-4)  # up to a constant
    assert loss(others) >= best * (1 - 1e-4)
    if price < 1:
        assert loss(others) > 1.5 * best
    # And what `choose` makes of them at a budget is as good as that money buys.
    chosen = choose(-errors, COSTS.tolist(), budget=0.4)
    rows = torch.arange(60)
    for seed in range(20):
        rivals = choose(items(seed)[0], COSTS.tolist(), budget=0.4)
        if COSTS[rivals].sum() <= COSTS[chosen].sum():
            assert errors[rows, chosen].sum() <= errors[rows, rivals].sum()


def test_each_patch_has_a_price_of_its_own() -> None:
    logits, errors = (x.view(4, 15, 3) for x in items())
    prices = torch.tensor([0.02, 0.2, 2.0, 9.0]).view(4, 1, 1)
    together = budgeted_error(logits, errors, COSTS, prices, 0.5)
    alone = [
        budgeted_error(logit, error, COSTS, price, 0.5)
        for logit, error, price in zip(logits, errors, prices, strict=True)
    ]
    torch.testing.assert_close(together, torch.stack(alone).mean())


# ---------------------------------------------------------------- the spectrum


def test_the_spectrum_of_a_constant_is_its_sum() -> None:
    """One of the 4 x 4 coefficients that are kept of 4 x 6, its real part alone: 0.5 * 24 / 32."""
    image = torch.full((2, 3, 4, 6), 0.75)
    assert spectral_l1(image, image - 0.5).item() == pytest.approx(0.375)
    assert spectral_l1(image, image).item() == 0.0


def test_the_spectrum_of_a_wave_is_half_its_sum_on_one_axis() -> None:
    """cos along the width: 24 / 2 in one real part; sin: the same in one imaginary part."""
    angle = torch.arange(6) * (2 * torch.pi / 6)
    for wave in (angle.cos(), -angle.cos(), angle.sin()):
        image = wave.expand(1, 1, 4, 6)
        expected = pytest.approx(12 / 32, abs=1e-6)
        assert spectral_l1(image, torch.zeros_like(image)).item() == expected


def test_the_spectral_loss_is_symmetric_and_computed_in_float32() -> None:
    noise = torch.Generator().manual_seed(0)
    a, b = torch.rand(2, 1, 3, 8, 9, generator=noise)
    torch.testing.assert_close(spectral_l1(a, b), spectral_l1(b, a))
    half = spectral_l1(a.bfloat16(), b.bfloat16())
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, spectral_l1(a, b), rtol=0.02, atol=0)


def test_distillation_by_hand() -> None:
    """Distances 0.25 and 0.04 from the deepest, weighed 1 : 3; two patches averaged."""
    first = torch.tensor([0.5, 0.8, 1.0])[None, :, None].expand(4, 3, 3)
    second = torch.ones(4, 3, 3)  # all agree: only the floor is left
    costs = torch.tensor([0.1, 0.3, 1.0])
    loss = distillation_loss(torch.stack([first, second]), costs, 1e-4)
    far = 0.25 * math.log(0.25 + 1e-4) + 0.75 * math.log(0.04 + 1e-4)
    assert loss.item() == pytest.approx((far + math.log(1e-4)) / 2, rel=1e-5)


def test_the_teacher_does_not_learn_from_its_pupils() -> None:
    colours = torch.rand(2, 5, 3, 3, generator=torch.Generator().manual_seed(0))
    colours.requires_grad_()
    distillation_loss(colours, torch.tensor([0.1, 0.3, 1.0])).backward()
    assert colours.grad is not None
    assert not colours.grad[:, :, -1].any()
    assert colours.grad[:, :, :-1].all()
