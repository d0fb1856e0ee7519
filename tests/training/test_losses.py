"""Gumbel-Softmax, balance, cost, expected and predicted error, distillation, the spectrum."""

import math

import pytest
import torch

from pixperts.routing import choose
from pixperts.training.losses import (
    balance_loss,
    distillation_loss,
    expected_cost,
    gumbel_weights,
    predicted_error_loss,
    spectral_l1,
)


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


def test_the_predicted_error_by_hand() -> None:
    """Predictions 2 and 0.5 (far above the bend) for errors 4 and 1; the deepest's logit is 1."""
    logits = torch.tensor([[-1.0, 0.5, 1.0]])
    loss = predicted_error_loss(logits, torch.tensor([[4.0, 1.0, 9.0]]), width=0.01)
    fits = (4 / 2 + math.log(2) + 1 / 0.5 + math.log(0.5)) / 2
    assert loss.item() == pytest.approx(fits + 1, rel=1e-3)


def test_the_best_prediction_is_the_mean_error() -> None:
    """Items that look alike and err by 0.1 or 0.5: descent ends at 0.3."""
    gap = torch.tensor(1.0, requires_grad=True)
    errors = torch.tensor([[0.1, 0.0], [0.5, 0.0]])
    optimizer = torch.optim.Adam([gap], lr=0.02)
    for _ in range(400):
        loss = predicted_error_loss(torch.stack([-gap, 0 * gap]).expand(2, 2), errors)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert gap.item() == pytest.approx(0.3, abs=0.01)


def test_errors_are_taken_as_given_and_predictions_stay_positive() -> None:
    logits, errors = items()
    logits.requires_grad_()
    errors.requires_grad_()
    predicted_error_loss(logits, errors).backward()
    assert errors.grad is None
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_negative_errors_are_the_best_logits_at_every_budget() -> None:
    """What `choose` makes of them at a budget is as good as that money buys."""
    _, errors = items()
    rows = torch.arange(60)
    chosen = choose(-errors, COSTS.tolist(), budget=0.4)
    for seed in range(20):
        rivals = choose(items(seed)[0], COSTS.tolist(), budget=0.4)
        if COSTS[rivals].sum() <= COSTS[chosen].sum():
            assert errors[rows, chosen].sum() <= errors[rows, rivals].sum()


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
