"""Gumbel-Softmax, the balance loss and the expected cost."""

import pytest
import torch

from pixperts.losses import balance_loss, expected_cost, gumbel_weights


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
