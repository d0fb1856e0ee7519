"""Muon on matrices, Adam on the rest: the published steps, and a state that resumes."""

import copy

import pytest
import torch
from torch import Tensor, nn

from pixperts.errors import UsageError
from pixperts.training.optimizers import Muon, hidden_matrices, optimizer_of, orthogonalized


class Network(nn.Module):
    hidden_layers = ("blocks",)

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.head = nn.Conv2d(3, 4, 3)
        self.blocks = nn.ModuleList([nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 3)])

    def forward(self, x: Tensor) -> Tensor:
        x = self.head(x)
        for block in self.blocks:
            x = block(x)
        return x


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def trained(model: Network, optimizer: torch.optim.Optimizer, steps: range) -> None:
    for number in steps:
        optimizer.zero_grad()
        model(random(2, 3, 9, 9, seed=number)).square().mean().backward()
        optimizer.step()


def muon(model: Network) -> torch.optim.Optimizer:
    return optimizer_of(
        "muon", model, rate=1e-3, matrix_rate=0.01, betas=(0.9, 0.99), weight_decay=0.0
    )


@pytest.mark.parametrize("shape", [(6, 2, 3, 3), (48, 2, 3, 3), (5, 7)])
def test_singular_values_come_near_one_and_vectors_stay(shape: tuple[int, ...]) -> None:
    update = random(*shape)
    result = orthogonalized(update)
    assert result.shape == update.shape
    first, values, second = torch.linalg.svd(update.flatten(1), full_matrices=False)
    turned = first.t() @ result.flatten(1) @ second.t()
    assert values.max() > 1.5 * values.min()
    assert torch.allclose(turned, torch.diag(turned.diagonal()), atol=1e-4)
    assert 0.6 < turned.diagonal().min() <= turned.diagonal().max() < 1.3


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="compares with torch 2.9")
def test_kernels_move_as_by_torch_and_the_rest_as_by_adam() -> None:
    """torch's own Muon, on the flattened kernels, computes in bfloat16: three digits."""
    model = Network()
    other = copy.deepcopy(model)
    matrices = [nn.Parameter(block.weight.detach().flatten(1)) for block in other.blocks]  # type: ignore[operator]
    theirs = torch.optim.Muon(matrices, lr=0.01, weight_decay=0.0)
    kernels = {id(block.weight) for block in other.blocks}
    rest = [p for p in other.parameters() if id(p) not in kernels]
    adam = torch.optim.Adam(rest, lr=1e-3, betas=(0.9, 0.99))
    ours = muon(model)
    for number in range(3):
        trained(model, ours, range(number, number + 1))
        # The same gradients for both, so that differences do not add up.
        for own, its in zip(model.parameters(), other.parameters(), strict=True):
            its.grad = None if own.grad is None else own.grad.clone()
        for matrix, block in zip(matrices, model.blocks, strict=True):
            assert isinstance(block, nn.Conv2d)
            assert block.weight.grad is not None
            matrix.grad = block.weight.grad.flatten(1)
        theirs.step()
        adam.step()
    for matrix, block in zip(matrices, model.blocks, strict=True):
        assert isinstance(block, nn.Conv2d)
        assert torch.allclose(block.weight.flatten(1), matrix, atol=1e-3)
    assert torch.allclose(model.head.weight, other.head.weight, atol=1e-6)
    assert torch.allclose(model.head.bias, other.head.bias, atol=1e-6)  # type: ignore[arg-type]


def test_a_state_resumes_to_the_bit() -> None:
    whole, pieces = Network(), Network()
    trained(whole, muon(whole), range(6))
    first = muon(pieces)
    trained(pieces, first, range(3))
    second = muon(pieces)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    trained(pieces, second, range(3, 6))
    for a, b in zip(whole.parameters(), pieces.parameters(), strict=True):
        assert torch.equal(a, b)


def test_without_gradients_nothing_moves() -> None:
    model = Network()
    optimizer = muon(model)
    trained(model, optimizer, range(1))
    before = copy.deepcopy(model.state_dict())
    moments = copy.deepcopy(optimizer.state_dict()["state"])
    optimizer.zero_grad()
    optimizer.step()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    for key, entry in optimizer.state_dict()["state"].items():
        assert all(torch.equal(value, moments[key][name]) for name, value in entry.items())


def test_kernels_are_those_that_the_network_names_and_that_are_trained() -> None:
    model = Network()
    model.blocks[0].requires_grad_(False)
    assert [p.shape for p in hidden_matrices(model)] == [(4, 4, 3, 3)]
    model.requires_grad_(False)
    with pytest.raises(UsageError, match="names no hidden layers"):
        hidden_matrices(model)
    with pytest.raises(UsageError, match="use adam or adamw"):
        hidden_matrices(nn.Conv2d(3, 3, 3))


def test_weight_decay_shrinks_the_matrices_alone() -> None:
    matrix, other = nn.Parameter(torch.eye(2)), nn.Parameter(torch.ones(2))
    optimizer = Muon([matrix], [other], matrix_rate=0.1, rate=0.1, weight_decay=0.5)
    matrix.grad, other.grad = torch.zeros(2, 2), torch.zeros(2)
    optimizer.step()
    assert torch.allclose(matrix, 0.95 * torch.eye(2))
    assert torch.equal(other, torch.ones(2))


def test_a_schedule_scales_both_rates() -> None:
    optimizer = Muon(
        [nn.Parameter(torch.ones(2, 2))], [nn.Parameter(torch.ones(2))], matrix_rate=0.02, rate=1e-3
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5**step)
    optimizer.step()
    schedule.step()
    assert [group["lr"] for group in optimizer.param_groups] == [0.01, 5e-4]
