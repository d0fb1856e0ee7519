"""The complexity-aware balance of MoCE-IR's routers (arXiv 2411.18466, section 3.3).

In two forms: `shazeer` is that of the paper it cites; `published` is what MoCE-IR's release
computes, with the load of V-MoE (Riquelme et al., arXiv 2106.05974, appendix A).
"""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

from pixperts.errors import UsageError
from pixperts.routing import Routing

Balance = Literal["shazeer", "published"]
BALANCES: tuple[str, ...] = get_args(Balance)


def squared_variation(values: Tensor, *, sample: bool = False) -> Tensor:
    """CV^2 = variance / mean^2 (Shazeer et al., arXiv 1701.06538, equation 7); a scalar.

    Args:
        values: (J,).
        sample: divide the squares by J - 1 instead of J.

    Example:
        >>> squared_variation(torch.tensor([1.0, 3.0]))  # variance 1, mean 2
        tensor(0.2500)
    """
    mean = values.mean()
    return values.var(correction=int(sample and len(values) > 1)) / (mean.square() + 1e-10)


def expected_load(logits: Tensor, noisy_logits: Tensor, top_k: int, sigma: float) -> Tensor:
    """Pictures that each expert would be given if its noise alone were drawn again.

    sum over the batch of Phi((logits_j - t_j) / sigma), where t_j is the k-th greatest noisy
    logit of the *other* experts (Shazeer et al., equations 8 to 10). Differentiable in the logits.

    Args:
        logits: (B, J).
        noisy_logits: (B, J), by which the experts were chosen.
        top_k: experts per picture.
        sigma: standard deviation of the noise, above 0.

    Returns:
        (J,).

    Example:
        >>> expected_load(torch.tensor([[1.0, 1.0]]), torch.tensor([[1.5, 1.0]]), 1, 0.5)
        tensor([0.5000, 0.1587])
    """
    batch, experts = logits.shape
    if top_k >= experts:
        return torch.full((experts,), float(batch), device=logits.device)
    best = noisy_logits.topk(top_k + 1, dim=-1).values  # (B, k + 1), falling
    last_in, first_out = best[:, -2:-1], best[:, -1:]
    threshold = torch.where(noisy_logits >= last_in, first_out, last_in)  # (B, J)
    chosen: Tensor = torch.special.ndtr((logits - threshold) / sigma)
    return chosen.sum(dim=0)


def published_load(logits: Tensor, noisy_logits: Tensor, top_k: int, sigma: float) -> Tensor:
    """`expected_load` with one threshold an image: the k-th greatest of *all* noisy logits.

    An expert that was chosen is then compared with itself or a better one, not with the best that
    was not chosen, so its load is lower.

    Args:
        logits: (B, J).
        noisy_logits: (B, J), by which the experts were chosen.
        top_k: experts per picture.
        sigma: standard deviation of the noise, above 0.

    Returns:
        (J,).

    Example:
        >>> published_load(torch.tensor([[1.0, 1.0]]), torch.tensor([[1.5, 1.0]]), 1, 0.5)
        tensor([0.1587, 0.1587])
    """
    threshold = noisy_logits.topk(top_k, dim=-1).values[:, -1:]  # (B, 1)
    chosen: Tensor = torch.special.ndtr((logits - threshold) / sigma)
    return chosen.sum(dim=0)


def router_loss(
    logits: Tensor,
    noisy_logits: Tensor,
    complexity: Tensor,
    top_k: int,
    sigma: float,
    form: Balance = "shazeer",
) -> Tensor:
    """0.5 CV^2(importance) + 0.5 CV^2(load) of one decoder block's router.

    importance_j = b_j * sum over the batch of softmax(logits)_j, so that balance means equal cost
    and the router prefers the cheaper of two experts that serve alike.

    Args:
        logits: (B, J).
        noisy_logits: (B, J), by which the experts were chosen.
        complexity: (J,) b_j, parameters of each expert relative to the largest.
        top_k: experts per picture.
        sigma: standard deviation of the router's noise, above 0.
        form: "published" takes the variance of a sample and `published_load`.

    Returns:
        A scalar, 0 at balance.

    Example:
        >>> logits = torch.tensor([[2.0, 0.0], [0.0, 2.0]])  # importance sums to 1 an expert
        >>> router_loss(logits, logits, torch.tensor([0.5, 1.0]), 1, 0.25)  # 0.5 * 0.0625 / 0.5625
        tensor(0.0556)
    """
    importance = logits.softmax(dim=-1).sum(dim=0) * complexity
    published = form == "published"
    load = (published_load if published else expected_load)(logits, noisy_logits, top_k, sigma)
    variation = [squared_variation(values, sample=published) for values in (importance, load)]
    return 0.5 * variation[0] + 0.5 * variation[1]


def auxiliary_loss(
    routings: Sequence[Routing],
    complexities: Sequence[Sequence[float]],
    sigma: float,
    form: Balance = "shazeer",
) -> Tensor:
    """Mean of `router_loss` over the decoder blocks; weighted 0.01 in the paper's total.

    Args:
        routings: of one forward pass, not pinned.
        complexities: b_j of each block, as `MoCEIR.complexities`.
        sigma: standard deviation of the router's noise, `MoCEIRConfig.router_noise`.
        form: see `router_loss`.

    Returns:
        A scalar with gradients to the routers.

    Raises:
        UsageError: if the routings hold no logits (pinned), or their number does not fit.
    """
    if not routings or len(routings) != len(complexities):
        raise UsageError(f"{len(routings)} routings do not fit {len(complexities)} routers.")
    losses = []
    for routing, complexity in zip(routings, complexities, strict=True):
        if routing.logits is None or routing.noisy_logits is None:
            raise UsageError("pinned routings have no logits, so no auxiliary loss: route again.")
        weight = torch.tensor(complexity, device=routing.logits.device)
        top_k = routing.experts.shape[1]
        logits = routing.logits, routing.noisy_logits
        losses.append(router_loss(*logits, weight, top_k, sigma, form))
    return torch.stack(losses).mean()
