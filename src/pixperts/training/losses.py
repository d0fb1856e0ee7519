"""Losses: of routers (balance, cost, error), of experts and of pictures."""

import torch
import torch.nn.functional as F
from torch import Tensor


def gumbel_weights(
    logits: Tensor,
    temperature: float,
    *,
    hard: bool,
    generator: torch.Generator | None = None,
    uniform: Tensor | None = None,
) -> Tensor:
    """Gumbel-Softmax (Jang et al., arXiv 1611.01144): differentiable samples of a choice.

    Args:
        logits: (..., J) of J choices.
        temperature: above 0; the lower, the closer to one-hot.
        hard: one-hot in the forward pass, soft in the backward pass (straight-through).
        generator: source of the noise, for runs that can be repeated.
        uniform: (..., J) uniform random numbers in [0, 1) to make the noise from, instead of
            drawing them.

    Returns:
        (..., J) weights that sum to 1.
    """
    if uniform is None:
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
        probabilities: (N, J) of J experts; each row sums to 1.
        target: (J,), the wanted shares; positive, with sum 1.

    Returns:
        A scalar; 0 if the shares are those of the target.

    Example:
        >>> p = torch.tensor([[1.0, 0.0], [0.5, 0.5]])  # shares 0.75 and 0.25
        >>> balance_loss(p, torch.tensor([0.5, 0.5]))  # 0.0625 / 0.5 + 0.0625 / 0.5
        tensor(0.2500)
    """
    share = probabilities.mean(dim=0)
    return ((share - target).square() / target).sum()


def expected_cost(probabilities: Tensor, costs: Tensor) -> Tensor:
    """Mean cost of an item if experts are drawn with the given probabilities.

    Args:
        probabilities: (N, J) of J experts; each row sums to 1.
        costs: (J,) of the experts.

    Returns:
        A scalar, in the unit of the costs.

    Example:
        >>> expected_cost(torch.tensor([[0.5, 0.5], [1.0, 0.0]]), torch.tensor([0.2, 1.0]))
        tensor(0.4000)
    """
    return (probabilities @ costs).mean()


def expected_error(probabilities: Tensor, errors: Tensor) -> Tensor:
    """Mean error if experts are drawn with the given probabilities, relative to equal ones.

    Gumbel-Softmax estimates this mean from samples. If the error of every expert is known, as here,
    it can be computed without noise. The errors get no gradient, so only the router learns.

    Args:
        probabilities: (N, J) of J experts; each row sums to 1.
        errors: (N, J), not negative.

    Returns:
        A scalar; 1 for equal shares, below 1 if the better experts are drawn more often.

    Example:
        >>> p = torch.tensor([[0.75, 0.25]])
        >>> expected_error(p, torch.tensor([[1.0, 3.0]]))  # (0.75 + 0.75) / 2
        tensor(0.7500)
    """
    errors = errors.detach()
    return (probabilities * errors).sum(dim=1).mean() / errors.mean().clamp_min(1e-12)


def predicted_error_loss(logits: Tensor, errors: Tensor, width: float = 0.02) -> Tensor:
    """Teaches a mapper to predict the error of each expert, so that it is good for all budgets.

    `routing.choose` keeps to a budget by argmax(logits - beta * cost). For every beta, this is the
    best choice if the logits are the negative expected errors, plus any constant per item. Here,
    the constant is the logit l_J of the last expert, which is drawn to 0. The predicted error of
    expert j is m = width * softplus((l_J - l_j) / width), which is never negative. The loss
    error / m + ln m is the negative logarithm of an exponential distribution, so it is lowest if m
    is the mean of the error, and large errors do not outweigh small ones. (Squared differences of
    the predictions would depend on the few hardest items; see LAB.md.)

    Args:
        logits: (..., J), the most expensive expert last.
        errors: (..., J), not negative; they get no gradient, and those of the last expert are not
            used.
        width: in units of the errors; predictions below about this are kept positive smoothly.

    Returns:
        A scalar: the mean of error / m + ln m, plus the mean of the squared l_J.

    Example:
        >>> logits = torch.tensor([[-2.0, 0.0]])  # predicts 2
        >>> predicted_error_loss(logits, torch.tensor([[4.0, 0.0]]))  # 4 / 2 + ln 2
        tensor(2.6931)
    """
    gap = (logits[..., -1:] - logits[..., :-1]) / width
    predicted = width * F.softplus(gap) + 1e-4
    fit = errors[..., :-1].detach() / predicted + predicted.log()
    return fit.mean() + logits[..., -1].square().mean()


def distillation_loss(colors: Tensor, costs: Tensor, floor: float = 1e-6) -> Tensor:
    """Logarithm of the distance of each expert's colors from those of the last one, the teacher.

    By the logarithm, patches with small distances count as much as others. The weight of an expert
    is proportional to its cost, so that the more expensive ones decide about the layers that all
    share. The teacher gets no gradient (Hinton et al., arXiv 1503.02531, with colors in place of
    classes).

    Args:
        colors: (B, Q, J, 3) in [0, 1] of every expert, the most expensive one last.
        costs: (J,) of the experts.
        floor: added to the mean squared distance of each patch; 1e-6 is 60 dB.

    Returns:
        A scalar: the mean over patches of sum_j w_j ln(distance_j + floor).

    Example:
        >>> colors = torch.tensor([0.5, 0.5, 1.0])[None, None, :, None].expand(1, 4, 3, 3)
        >>> distillation_loss(colors, torch.tensor([0.1, 0.3, 1.0]), 0.0)  # ln 0.25
        tensor(-1.3863)
    """
    distance = (colors[:, :, :-1] - colors[:, :, -1:].detach()).square().mean(dim=(1, 3))
    weights = costs[:-1] / costs[:-1].sum()
    return ((distance + floor).log() * weights).sum(dim=1).mean()


def picture_weights(image: Tensor, target: Tensor, level: float) -> Tensor:
    """Weights for the L1 errors e of pictures, which make small errors count as much as large ones.

    With them, the sum of the errors has the gradient of the sum of 2 * level * ln(e + level).

    Args:
        image: (B, C, H, W).
        target: (B, C, H, W).
        level: the error for which the weight is 1, above 0.

    Returns:
        (B,) 2 * level / (e + level), without gradient.

    Example:
        >>> image = torch.tensor([0.0, 0.06])[:, None, None, None]
        >>> picture_weights(image, torch.zeros(2, 1, 1, 1), 0.02)
        tensor([2.0000, 0.5000])
    """
    errors = (image - target).detach().abs().flatten(1).mean(dim=1)
    return 2 * level / (errors + level)


def spectral_l1(image: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference of the real and imaginary parts of the Fourier transforms.

    This is equation 4 of MIMO-UNet (Cho et al., arXiv 2108.05054) with the transform not scaled,
    as in the code of MoCE-IR, where its weight is 0.1.

    Args:
        image: (B, C, H, W).
        target: (B, C, H, W).

    Returns:
        A scalar, in float32.

    Example:
        >>> a, b = torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2)
        >>> a[0, 0, 0, 0] = 0.5  # a point: every one of the 4 coefficients is 0.5 + 0 i
        >>> spectral_l1(a, b)
        tensor(0.2500)
    """
    spectrum = torch.fft.rfft2((image - target).float())
    return torch.view_as_real(spectrum).abs().mean()
