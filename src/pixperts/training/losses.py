"""Losses of the mixtures: reconstruction, balance between the experts, expected cost."""

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
        logits: (..., J).
        temperature: above 0; the lower, the closer to one-hot.
        hard: one-hot in the forward pass, soft in the backward pass (straight-through).
        generator: source of the noise, for runs that can be repeated.
        uniform: (..., J) in [0, 1), the noise itself before it is bent, instead.

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


def predicted_error_loss(logits: Tensor, errors: Tensor, width: float = 0.02) -> Tensor:
    """Teach a mapper to say how much each expert errs, so that any budget can be met well.

    `routing.choose` meets a budget by argmax(logits - beta * cost), which is best for every beta
    where -logits are the expected errors, up to a constant an item. The deepest expert's logit is
    that constant; for the others m = softplus((l_J - l_j) / width) * width is the predicted error,
    and error / m + ln m is minimal where m is the mean of an error that is spread exponentially,
    whatever its size. (The error of squared differences would follow the few hardest items, and
    a softmax over priced experts saturates: see LAB.md.)

    Args:
        logits: (..., J), the deepest expert last.
        errors: (..., J), not negative, taken as given; the deepest's own is not used.
        width: of the bend that keeps predictions positive, in units of the errors.

    Returns:
        A scalar: the mean of error / m + ln m, plus that of the squared logit of the deepest.

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
    """How far each expert is from the deepest, as a logarithm, so that hard patches do not drown.

    Experts weigh in proportion to their cost: the more expensive ones shape what they share. The
    deepest, the teacher, is taken as given (Hinton et al., arXiv 1503.02531, with colors for
    classes).

    Args:
        colors: (B, Q, J, 3) of every expert, the deepest last.
        costs: (J,).
        floor: added to each patch's mean squared distance; 1e-6 is 60 dB.

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
    """Weights that make the sum of L1 errors e_b behave like that of level * ln(e_b + level) * 2.

    Args:
        image: (B, C, H, W).
        target: alike.
        level: the error at which a weight is 1, above 0.

    Returns:
        (B,) 2 * level / (e_b + level), without gradient.

    Example:
        >>> image = torch.tensor([0.0, 0.06])[:, None, None, None]
        >>> picture_weights(image, torch.zeros(2, 1, 1, 1), 0.02)
        tensor([2.0000, 0.5000])
    """
    errors = (image - target).detach().abs().flatten(1).mean(dim=1)
    return 2 * level / (errors + level)


def spectral_l1(image: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference of the real and imaginary parts of the Fourier transforms.

    Cho et al. (MIMO-UNet, arXiv 2108.05054, equation 4), with the transform unscaled, as MoCE-IR
    takes it with weight 0.1.

    Args:
        image: (B, C, H, W).
        target: alike.

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
