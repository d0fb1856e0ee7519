"""Losses of the mixtures: reconstruction, balance between the experts, expected cost."""

import torch
from torch import Tensor


def gumbel_weights(
    logits: Tensor, temperature: float, *, hard: bool, generator: torch.Generator | None = None
) -> Tensor:
    """Gumbel-Softmax (Jang et al., arXiv 1611.01144): differentiable samples of a choice.

    Args:
        logits: (..., J).
        temperature: above 0; the lower, the closer to one-hot.
        hard: one-hot in the forward pass, soft in the backward pass (straight-through).
        generator: source of the noise, for runs that can be repeated.

    Returns:
        (..., J) weights that sum to 1.
    """
    uniform = torch.rand(logits.shape, generator=generator, device=logits.device)
    noise = -torch.log(-torch.log(uniform.clamp(1e-20, 1 - 1e-7)))
    soft = ((logits + noise) / temperature).softmax(dim=-1)
    if not hard:
        return soft
    one_hot = torch.zeros_like(soft).scatter_(-1, soft.argmax(-1, keepdim=True), 1.0)
    return one_hot + (soft - soft.detach())  # the bracket is exactly zero


def balance_loss(probabilities: Tensor, target: Tensor) -> Tensor:
    """Distance of the experts' mean share from a target distribution (Pearson's chi-squared).

    sum_j (share_j - target_j)^2 / target_j; for a uniform target this is the squared coefficient
    of variation of Shazeer et al. (arXiv 1701.06538, equation 7).

    Args:
        probabilities: (N, J), rows sum to 1.
        target: (J,), positive, sums to 1.

    Returns:
        A scalar, 0 when the shares meet the target.

    Example:
        >>> p = torch.tensor([[1.0, 0.0], [0.5, 0.5]])  # shares 0.75 and 0.25
        >>> balance_loss(p, torch.tensor([0.5, 0.5]))  # 0.0625 / 0.5 + 0.0625 / 0.5
        tensor(0.2500)
    """
    share = probabilities.mean(dim=0)
    return ((share - target).square() / target).sum()


def expected_cost(probabilities: Tensor, costs: Tensor) -> Tensor:
    """Mean cost of an item when experts are drawn from `probabilities`.

    Example:
        >>> expected_cost(torch.tensor([[0.5, 0.5], [1.0, 0.0]]), torch.tensor([0.2, 1.0]))
        tensor(0.4000)
    """
    return (probabilities @ costs).mean()


def expected_error(probabilities: Tensor, errors: Tensor) -> Tensor:
    """Mean error when experts are drawn from `probabilities`, relative to drawing evenly.

    The exact expectation that Gumbel-Softmax samples: with every expert's error at hand it needs
    no noise. Errors are taken as given (no gradient), so that only the router learns from it.

    Args:
        probabilities: (N, J), rows sum to 1.
        errors: (N, J), not negative.

    Returns:
        A scalar; 1 for even shares, below 1 where the better experts are drawn more often.

    Example:
        >>> p = torch.tensor([[0.75, 0.25]])
        >>> expected_error(p, torch.tensor([[1.0, 3.0]]))  # (0.75 + 0.75) / 2
        tensor(0.7500)
    """
    errors = errors.detach()
    return (probabilities * errors).sum(dim=1).mean() / errors.mean().clamp_min(1e-12)
