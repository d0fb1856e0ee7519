"""The whole model: routed and dense, any size, against the papers' plain definition."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pixperts.errors import UsageError
from pixperts.models.encoders.edsr import EDSR, EDSRConfig
from pixperts.models.moeisr.model import MoEISR
from pixperts.training.losses import balance_loss, gumbel_weights
from pixperts.weights.convert import from_published
from tests.helpers.plain_models import PlainINR, PlainLIIF, PlainLTE
from tests.helpers.tiny_models import decoders, experts_of, moeisr, picture, run, tiny

SIZES = [((1, 1), (3, 5)), ((5, 6), (13, 11)), ((7, 4), (3, 9)), ((6, 6), (2, 3)), ((4, 5), (4, 5))]


# ---------------------------------------------------------------- routed = masked, any size


@decoders
@pytest.mark.parametrize(("lr_size", "size"), SIZES)
def test_routed_equals_masked(
    decoder: str, lr_size: tuple[int, int], size: tuple[int, int]
) -> None:
    model, lr = tiny(decoder, max_pixels=37), picture(2, 3, *lr_size)
    routed, masked = run(model, lr, size), run(model, lr, size, masked=True)
    assert routed.shape == (2, 3, *size)
    assert routed.isfinite().all()
    torch.testing.assert_close(routed, masked, atol=1e-5, rtol=1e-5)


def test_the_pictures_of_these_tests_use_every_expert() -> None:
    for decoder in ("liif", "lte"):
        lr = picture(2, 3, 12, 12)
        assert experts_of(tiny(decoder), lr, (40, 40)).unique().tolist() == [0, 1, 2]


@given(
    h=st.integers(1, 9), w=st.integers(1, 9), height=st.integers(1, 40), width=st.integers(1, 40)
)
@settings(deadline=None, max_examples=25)
@pytest.mark.slow
def test_any_size(h: int, w: int, height: int, width: int) -> None:
    model = tiny(max_pixels=64)
    lr = picture(1, 3, h, w)
    image = run(model, lr, (height, width), budget=0.5)
    assert image.shape == (1, 3, height, width)
    masked = run(model, lr, (height, width), budget=0.5, masked=True)
    torch.testing.assert_close(image, masked, atol=1e-5, rtol=1e-5)


@decoders
def test_a_batch_equals_its_pictures_alone(decoder: str) -> None:
    model, lr = tiny(decoder), picture(2, 3, 6, 7)
    together = run(model, lr, (17, 15))
    alone = torch.cat([run(model, lr[i : i + 1], (17, 15)) for i in range(2)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


@decoders
@pytest.mark.parametrize("max_pixels", [3, 50, 700])
def test_max_pixels_changes_no_result(decoder: str, max_pixels: int) -> None:
    lr = picture(2, 3, 30, 5)
    whole = run(tiny(decoder, max_pixels=1 << 20), lr, (71, 16))
    parts = run(tiny(decoder, max_pixels=max_pixels), lr, (71, 16))
    torch.testing.assert_close(parts, whole, atol=1e-5, rtol=1e-5)


def test_the_size_of_an_output_pixel_matters() -> None:
    """Same place, other cell: a decoder and a mapper that ignore the scale would not notice."""
    model, lr = tiny(), picture(1, 3, 4, 4)
    # The centre of LR pixel (1, 1) is the centre of an output pixel of both x1 and x3.
    assert (
        run(model, lr, (4, 4))[..., 1, 1] - run(model, lr, (12, 12))[..., 4, 4]
    ).abs().max() > 1e-3


# ---------------------------------------------------------------- the papers' definition


@pytest.mark.parametrize(
    ("lr_size", "size"), [((6, 5), (13, 17)), ((1, 2), (3, 3)), ((7, 8), (3, 4))]
)
@pytest.mark.parametrize(("name", "plain"), [("liif-edsr", PlainLIIF), ("lte-edsr", PlainLTE)])
def test_a_dense_model_equals_the_plain_definition(
    name: str, plain: type[PlainINR], lr_size: tuple[int, int], size: tuple[int, int]
) -> None:
    torch.manual_seed(0)
    oracle = plain(EDSR(EDSRConfig()))
    ours = moeisr(from_published(name, oracle.state_dict())).double()
    oracle.double()
    lr = picture(2, 3, *lr_size).double()
    with torch.inference_mode():
        expected = oracle(lr, size)
    torch.testing.assert_close(run(ours, lr, size), expected, atol=1e-5, rtol=0)
    assert expected.std() > 1e-3


# ---------------------------------------------------------------- budget


@decoders
@pytest.mark.parametrize("flat", [False, True])
def test_budgets_of_a_model_are_met_and_monotone(decoder: str, flat: bool) -> None:
    model = tiny(decoder)
    lr = torch.full((1, 3, 12, 12), 0.5) if flat else picture(1, 3, 12, 12)
    cheapest = min(model.costs)
    got = []
    for budget in (0.0, 0.1, 0.35, 0.5, 0.8, 1.0):
        with torch.inference_mode():
            routing = model(lr, (40, 40), budget=budget).routings[0]
        share = (routing.mean_cost - cheapest) / (1 - cheapest)
        assert share == pytest.approx(budget, abs=0.02)
        got.append(share)
    assert got == sorted(got)
    assert got[0] == pytest.approx(0, abs=1e-12)
    assert got[-1] == pytest.approx(1, abs=1e-12)


def test_the_ends_of_the_budget_are_the_experts_by_themselves() -> None:
    model, lr = tiny(), picture(1, 3, 5, 5)
    for budget, expert in ((0.0, 0), (1.0, 2)):
        colours = by_every_expert(model, lr, (11, 9))[..., expert, :]
        torch.testing.assert_close(
            run(model, lr, (11, 9), budget=budget)[0].permute(1, 2, 0),
            colours[0],
            atol=1e-5,
            rtol=0,
        )


@pytest.mark.parametrize("how", [{"budget": 0.3}, {"price": 0.2}, {"price": [0.1, 0.4, 0.2]}])
def test_each_picture_of_a_batch_is_routed_as_if_alone(how: dict[str, Any]) -> None:
    """A flat picture beside a busy one must not spend or save for it."""
    model, lr = tiny("liif"), picture(3, 3, 12, 10)
    lr[1] = 0.5
    lr[2] = 0.2 + 0.1 * lr[2]
    together = experts_of(model, lr, (29, 23), **how)
    image = run(model, lr, (29, 23), **how)
    for number in range(3):
        own = {k: v[number] if isinstance(v, list) else v for k, v in how.items()}
        alone = experts_of(model, lr[number : number + 1], (29, 23), **own)[0]
        # Convolutions of a batch may round otherwise, which can move the last pixel of a budget.
        assert (together[number] != alone).sum() <= 1
        kept = together[number] == alone
        expected = run(model, lr[number : number + 1], (29, 23), **own)[0]
        torch.testing.assert_close(image[number][:, kept], expected[:, kept], atol=1e-5, rtol=0)


def test_as_many_prices_as_pictures() -> None:
    with pytest.raises(UsageError, match="2 prices are given, but there are 3 pictures"):
        run(tiny("liif"), picture(3, 3, 4, 4), (8, 8), price=[0.1, 0.2])


def test_a_dense_model_has_no_budget() -> None:
    model = tiny(depths=(1,), widths=(8,))
    with pytest.raises(UsageError, match="single expert"):
        model(picture(1, 3, 4, 4), (8, 8), budget=0.5)


# ---------------------------------------------------------------- query


def by_every_expert(model: MoEISR, lr: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, H, W, J, 3) through `query`."""
    y, x = torch.meshgrid(torch.arange(size[0]), torch.arange(size[1]), indexing="ij")
    positions = torch.stack([y, x], -1).view(1, -1, 2).expand(len(lr), -1, 2)
    with torch.inference_mode():
        colours, _ = model.query(lr, positions, torch.tensor([size]).expand(len(lr), 2))
    return colours.view(len(lr), *size, len(model.experts), 3)


@decoders
def test_query_equals_forward_for_every_expert_and_size(decoder: str) -> None:
    model, lr = tiny(decoder), picture(3, 3, 6, 6)
    sizes = torch.tensor([[6, 9], [13, 13], [24, 15]])
    random = torch.Generator().manual_seed(2)
    fraction = torch.rand(3, 20, 2, generator=random)
    positions = (fraction * sizes[:, None]).long()
    with torch.inference_mode():
        colours, logits = model.query(lr, positions, sizes)
    assert colours.shape == (3, 20, 3, 3)
    assert logits is not None
    for i in range(3):
        size = (int(sizes[i, 0]), int(sizes[i, 1]))
        with torch.inference_mode():
            output = model(lr[i : i + 1], size, probabilities=True)
        y, x = positions[i].unbind(1)
        chosen = output.routings[0].experts[0, y, x].long()
        mine = colours[i][torch.arange(20), chosen]  # (Q, 3)
        torch.testing.assert_close(mine, output.image[0, :, y, x].t(), atol=1e-5, rtol=1e-5)
        soft = output.routings[0].probabilities
        assert soft is not None
        torch.testing.assert_close(logits[i].softmax(1), soft[0, :, y, x].t(), atol=1e-5, rtol=1e-5)
        every = by_every_expert(model, lr[i : i + 1], size)[0, y, x]
        torch.testing.assert_close(colours[i], every, atol=1e-5, rtol=1e-5)


@decoders
def test_features_at_hand_give_the_same(decoder: str) -> None:
    model, lr = tiny(decoder), picture(1, 3, 5, 5)
    arguments = torch.tensor([[[0, 0], [6, 3]]]), torch.tensor([[7, 7]])
    with torch.inference_mode():
        first, _ = model.query(lr, *arguments)
        second, _ = model.query(lr, *arguments, model.encode(lr))
    torch.testing.assert_close(first, second, atol=1e-5, rtol=1e-5)


@decoders
def test_every_parameter_gets_a_gradient(decoder: str) -> None:
    model = tiny(decoder).train()
    positions = torch.randint(0, 11, (2, 60, 2))
    colours, logits = model.query(picture(2, 3, 5, 5), positions, torch.tensor([[11, 11]] * 2))
    assert logits is not None
    weights = gumbel_weights(logits, 1.0, hard=False)
    mixed = (weights[..., None] * colours).sum(2)
    balance = balance_loss(logits.softmax(-1).flatten(0, 1), torch.full((3,), 1 / 3))
    (mixed.square().mean() + balance).backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
        assert parameter.grad.abs().max() > 0, key


@decoders
def test_the_gradient_is_right(decoder: str) -> None:
    """In-place steps in the decoders must not spoil it: against differences, in float64."""
    model = tiny(decoder).double()
    lr = picture(1, 3, 3, 3).double()
    arguments = torch.tensor([[[0, 1], [4, 4], [3, 0]]]), torch.tensor([[5, 5]])
    for name in ("feature", "amplitude", "frequency"):
        layer = getattr(model.embedding, name, None)
        if layer is None:
            continue
        bias = layer.bias.detach().clone().requires_grad_()

        def colours(bias: Tensor, name: str = name) -> Tensor:
            key = f"embedding.{name}.bias"
            held = {k: v for k, v in model.named_parameters() if k != key} | {key: bias}
            out: Tensor = torch.func.functional_call(
                Query(model), {f"model.{k}": v for k, v in held.items()}, (lr, *arguments)
            )[0]
            return out

        assert torch.autograd.gradcheck(colours, (bias,), atol=1e-5)


class Query(torch.nn.Module):
    """`query` as a module, for functional calls."""

    def __init__(self, model: MoEISR) -> None:
        super().__init__()
        self.model = model

    def forward(self, *arguments: Tensor) -> tuple[Tensor, Tensor | None]:
        return self.model.query(*arguments)
