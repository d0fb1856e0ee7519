"""Optimizers by name: Adam, AdamW, and Muon for the hidden convolutions of a network."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pixperts.errors import UsageError

# Coefficients of the iteration (Jordan et al.). It is steep at zero, so small singular values grow
# fast.
_A, _B, _C = 3.4445, -4.7750, 2.0315


class Muon(torch.optim.Optimizer):
    """Muon for weights that are matrices, Adam for all others, as one optimizer.

    Muon (Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024,
    https://kellerjordan.github.io/posts/muon/) replaces each update by the nearest matrix whose
    singular values are all about 1. So a layer learns at the same speed in all directions. A kernel
    (out, in, 3, 3) counts as the matrix (out, 9 in). On convolutional U-Nets, the final loss was
    18 % lower than with AdamW (arXiv 2510.19376).

    torch.optim.Muon (torch 2.9) is not used here: it accepts two-dimensional parameters only and
    rounds to bfloat16. It also needs a second optimizer for the other parameters, which Lightning
    does not step by itself.

    Args:
        matrices: weights with two or more dimensions.
        others: all other parameters.
        matrix_rate: learning rate of the matrices: an update has singular values of about this
            size. 0.01 is a good start.
        rate: learning rate of the others, by Adam.
        momentum: of the matrices, in Nesterov's form.
        betas: decay rates of Adam's moments.
        weight_decay: of the matrices, decoupled (w *= 1 - matrix_rate * weight_decay). Without it,
            their norms grow with every step.
    """

    def __init__(
        self,
        matrices: Iterable[nn.Parameter],
        others: Iterable[nn.Parameter],
        *,
        matrix_rate: float,
        rate: float,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
    ) -> None:
        groups = [
            {
                "params": list(matrices),
                "lr": matrix_rate,
                "weight_decay": weight_decay,
                "orthogonal": True,
            },
            {"params": list(others), "lr": rate, "weight_decay": 0.0, "orthogonal": False},
        ]
        defaults = {"momentum": momentum, "betas": betas, "eps": 1e-8}
        super().__init__([group for group in groups if group["params"]], defaults)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step; parameters without a gradient stay as they are, and so do their moments.

        Args:
            closure: computes the loss and the gradients again, as for every optimizer of torch.

        Returns:
            The loss of `closure`, or None without one.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        with torch.no_grad():
            for group in self.param_groups:
                step = _muon_step if group["orthogonal"] else _adam_step
                for parameter in group["params"]:
                    if parameter.grad is not None:
                        parameter.mul_(1 - group["lr"] * group["weight_decay"])
                        step(parameter, parameter.grad, self.state[parameter], group)
        return loss


def _muon_step(
    parameter: Tensor, gradient: Tensor, state: dict[str, Any], group: dict[str, Any]
) -> None:
    # All zeros if no sample chose an expert. Its momentum holds old gradients only, and would be
    # scaled to a full update.
    if not bool(gradient.any()):
        return
    if "momentum" not in state:
        state["momentum"] = torch.zeros_like(parameter)
    state["momentum"].lerp_(gradient, 1 - group["momentum"])
    update = orthogonalized(gradient.lerp(state["momentum"], group["momentum"]))
    height = update.shape[0]
    # A matrix with more rows than columns has fewer singular values. With this factor, updates of
    # all shapes change the output by about as much.
    scale = max(1.0, height / (update.numel() / height)) ** 0.5
    parameter.add_(update, alpha=-group["lr"] * scale)


def _adam_step(
    parameter: Tensor, gradient: Tensor, state: dict[str, Any], group: dict[str, Any]
) -> None:
    if "step" not in state:
        state["step"] = torch.zeros(())
        state["mean"], state["square"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
    state["step"] += 1
    first, second = group["betas"]
    count = float(state["step"])
    state["mean"].lerp_(gradient, 1 - first)
    state["square"].mul_(second).addcmul_(gradient, gradient, value=1 - second)
    spread = (state["square"] / (1 - second**count)).sqrt_().add_(group["eps"])
    parameter.addcdiv_(state["mean"], spread, value=-group["lr"] / (1 - first**count))


def orthogonalized(update: Tensor, steps: int = 5) -> Tensor:
    """Bring all singular values of an update near 1, by Newton-Schulz iterations in float32.

    Args:
        update: (out, ...), treated as a matrix of `out` rows.
        steps: of the iteration; after five, the values lie between about 0.7 and 1.2.

    Returns:
        A tensor of the same shape and type, with the singular vectors of the update.

    Example:
        >>> orthogonalized(torch.tensor([[3.0, 0.0], [0.0, 0.5]])).round(decimals=1)
        tensor([[0.7000, 0.0000],
                [0.0000, 1.0000]])
    """
    matrix = update.float().reshape(update.shape[0], -1)
    tall = matrix.shape[0] > matrix.shape[1]
    matrix = matrix.t() if tall else matrix
    matrix = matrix / (matrix.norm() + 1e-7)
    # Each iteration multiplies X by q = a + b G + c G^2 with G = X X^T. All q commute with G. So
    # their product is computed first, on matrices of the shorter side, and X is multiplied once.
    gram = matrix @ matrix.t()
    identity = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    product = identity
    for _ in range(steps):
        factor = _A * identity + _B * gram + _C * gram @ gram
        product = factor @ product
        gram = factor @ gram @ factor
    matrix = product @ matrix
    matrix = matrix.t() if tall else matrix
    result: Tensor = matrix.reshape(update.shape).to(update.dtype)
    return result


def hidden_matrices(model: nn.Module) -> list[nn.Parameter]:
    """The weights that Muon trains: those of the layers that the network names `hidden_layers`.

    Args:
        model: a network; only weights that require a gradient are returned.

    Raises:
        UsageError: the network names no such layers, or all of them are frozen.
    """
    prefixes: Sequence[str] = getattr(model, "hidden_layers", ())
    found = [
        parameter
        for name, parameter in model.named_parameters()
        if parameter.dim() > 1 and parameter.requires_grad and name.startswith(tuple(prefixes))
    ]
    if not prefixes or not found:
        raise UsageError(
            "optimizer is 'muon', but this model names no hidden layers that are trained: "
            "use adam or adamw."
        )
    return found


def optimizer_of(
    name: str,
    model: nn.Module,
    *,
    rate: float,
    matrix_rate: float,
    betas: tuple[float, float],
    weight_decay: float,
) -> torch.optim.Optimizer:
    """The optimizer of the parameters of a model that require a gradient.

    Args:
        name: one of `config.OPTIMIZERS`.
        model: a network.
        rate: highest learning rate of Adam and AdamW; with Muon, of all but the hidden layers.
        matrix_rate: highest learning rate of Muon for the hidden layers.
        betas: decay rates of Adam's moments, in all three.
        weight_decay: of AdamW, and of Muon for the hidden layers; Adam has none.

    Raises:
        UsageError: Muon is chosen, and the model names no hidden layers that are trained.
    """
    trained = [p for p in model.parameters() if p.requires_grad]
    if name == "adam":
        return torch.optim.Adam(trained, lr=rate, betas=betas)
    if name == "adamw":
        return torch.optim.AdamW(trained, lr=rate, betas=betas, weight_decay=weight_decay)
    matrices = hidden_matrices(model)
    own = {id(parameter) for parameter in matrices}
    others = [p for p in trained if id(p) not in own]
    return Muon(
        matrices,
        others,
        matrix_rate=matrix_rate,
        rate=rate,
        betas=betas,
        weight_decay=weight_decay,
    )
