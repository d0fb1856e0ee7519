"""The parts of MoCE-IR: losses, noise, Fourier product, attention, cost, configuration."""

import math
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from pixperts.errors import ModelError, UsageError
from pixperts.models.moce_ir.balance import (
    auxiliary_loss,
    expected_load,
    router_loss,
    squared_variation,
)
from pixperts.models.moce_ir.blocks import ChannelAttention
from pixperts.models.moce_ir.config import MOCE_PRESETS, MoCEIRConfig
from pixperts.models.moce_ir.experts import (
    ComplexityExpert,
    fourier_product,
    fourier_product_by_matrices,
)
from pixperts.models.moce_ir.model import MoCEIR
from pixperts.models.output import Output
from tests.helpers.moce_models import MINI, bare, experts, gates, mini, pictures, run

# ---------------------------------------------------------------- router noise, auxiliary loss


def test_router_noise_only_in_training() -> None:
    model, images = mini(), pictures(4, 3, 16, 16)

    def draw(seed: int) -> Output:
        return run(model, images, noise=torch.Generator().manual_seed(seed))

    quiet = run(model, images)
    torch.testing.assert_close(draw(1).image, quiet.image, atol=0, rtol=0)
    model.train()
    torch.testing.assert_close(gates(draw(1)), gates(draw(1)), atol=0, rtol=0)
    assert not torch.equal(gates(draw(1)), gates(draw(2)))
    assert not torch.equal(gates(run(model, images)), gates(quiet))
    torch.testing.assert_close(run(model, images, noise=False).image, quiet.image, atol=0, rtol=0)


@pytest.mark.slow
def test_the_noise_has_the_configured_deviation() -> None:
    model = mini(router_noise=0.5).train()
    first = run(model, pictures(1, 3, 8, 8).repeat(512, 1, 1, 1)).routings[0]
    noise = cast(Tensor, first.noisy_logits) - cast(Tensor, first.logits)
    assert noise.mean().item() == pytest.approx(0.0, abs=0.04)  # 2048 numbers: 0.5 / 45 = 0.011
    assert noise.std().item() == pytest.approx(0.5, abs=0.04)


def normal(x: float) -> float:
    return 0.5 * (1 + math.erf(x / math.sqrt(2)))


def test_router_loss_by_hand() -> None:
    logits = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.5, 0.0]])
    noisy = torch.tensor([[0.9, 0.2, 0.1], [0.3, 0.4, -0.2]])
    sigma = 0.25
    # Thresholds, top-1: the second best for the winner (0.2; 0.3), the best for the others.
    load = [
        normal((1.0 - 0.2) / sigma) + normal((0.0 - 0.4) / sigma),
        normal((0.0 - 0.9) / sigma) + normal((0.5 - 0.3) / sigma),
        normal((0.0 - 0.9) / sigma) + normal((0.0 - 0.4) / sigma),
    ]
    assert expected_load(logits, noisy, 1, sigma).tolist() == pytest.approx(load, abs=1e-6)
    a, b = math.e + 2, math.exp(0.5) + 2
    importance = [
        0.25 * (math.e / a + 1 / b),
        0.5 * (1 / a + math.exp(0.5) / b),
        1.0 * (1 / a + 1 / b),
    ]

    def variation(values: list[float]) -> float:
        mean = sum(values) / 3
        return sum((v - mean) ** 2 for v in values) / 3 / mean**2

    expected = 0.5 * variation(importance) + 0.5 * variation(load)
    loss = router_loss(logits, noisy, torch.tensor([0.25, 0.5, 1.0]), 1, sigma)
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_expected_load_of_two_experts_a_picture_by_hand() -> None:
    logits = torch.tensor([[1.0, 0.5, 0.0]])
    # Without noise on the record; thresholds: third best for the two winners, second for the last.
    expected = [normal(2.0), normal(1.0), normal(-1.0)]
    assert expected_load(logits, logits, 2, 0.5)[0].tolist() == pytest.approx(expected[0])
    assert expected_load(logits, logits, 2, 0.5).tolist() == pytest.approx(expected)
    assert expected_load(logits, logits, 3, 0.5).tolist() == [1.0, 1.0, 1.0]


def test_expected_load_is_what_drawing_again_gives() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.tensor([[0.3, 0.0, -0.2, 0.1]])
    noisy = logits + 0.25 * torch.randn(1, 4, generator=generator)
    again = noisy.repeat(20000, 1)
    again[:, 1] = logits[0, 1] + 0.25 * torch.randn(20000, generator=generator)
    share = (again.topk(2).indices == 1).any(dim=1).float().mean().item()
    assert expected_load(logits, noisy, 2, 0.25)[1].item() == pytest.approx(share, abs=0.015)


def test_the_auxiliary_loss_is_returned_and_reaches_the_routers() -> None:
    model, images = mini(top_k=2).train(), pictures(4, 3, 16, 16)
    output = model(images, noise=torch.Generator().manual_seed(0))
    loss = model.auxiliary_loss(output.routings)
    by_block = [
        router_loss(
            cast(Tensor, r.logits), cast(Tensor, r.noisy_logits), torch.tensor(b), 2, 0.25
        ).item()
        for r, b in zip(output.routings, model.complexities, strict=True)
    ]
    assert loss.item() == pytest.approx(sum(by_block) / 4, rel=1e-5)
    loss.backward()
    for block in model.decoder_blocks:
        for gate in (block.adapter.routing.gate, block.adapter.routing.freq_gate):
            assert cast(Tensor, gate.weight.grad).abs().max() > 0
    with pytest.raises(UsageError, match="do not fit"):
        auxiliary_loss(output.routings[:2], model.complexities, 0.25)
    pinned = run(model.eval(), images, pinned=output.routings)
    with pytest.raises(UsageError, match="pinned"):
        model.auxiliary_loss(pinned.routings)


def test_without_the_bias_all_experts_count_alike() -> None:
    model = mini().train()
    routings = model(pictures(4, 3, 16, 16)).routings
    ones = [[1.0] * 4] * len(routings)
    plain = auxiliary_loss(routings, ones, model.config.router_noise)
    assert torch.equal(model.auxiliary_loss(routings, biased=False), plain)
    assert not torch.equal(model.auxiliary_loss(routings), plain)


@pytest.mark.parametrize("top_k", [1, 2])
def test_the_published_balance_by_hand(top_k: int) -> None:
    """Sample variances, and one threshold for each picture: its k-th greatest noisy logit."""
    random = np.random.default_rng(0)
    logits, noise = random.normal(size=(5, 4)), random.normal(size=(5, 4)) / 4
    complexity = np.array([0.2, 0.4, 0.7, 1.0])
    noisy = logits + noise
    load = np.zeros(4)
    for clean, drawn in zip(logits, noisy, strict=True):
        threshold = sorted(drawn)[-top_k]
        load += [0.5 * math.erfc((threshold - one) / 0.25 / math.sqrt(2)) for one in clean]
    importance = (np.exp(logits) / np.exp(logits).sum(1, keepdims=True)).sum(0) * complexity
    expected = sum(0.5 * x.var(ddof=1) / x.mean() ** 2 for x in (importance, load))
    weights = torch.from_numpy(complexity)
    both = torch.from_numpy(logits), torch.from_numpy(noisy)
    found = router_loss(*both, weights, top_k, 0.25, "published")
    assert float(found) == pytest.approx(expected, rel=1e-6)
    plain = squared_variation(weights)
    assert float(plain / squared_variation(weights, sample=True)) == pytest.approx(0.75)


@pytest.mark.slow
def test_forward_writes_no_state() -> None:
    model = mini().train()
    state = {key: value.clone() for key, value in model.state_dict().items()}

    def held() -> dict[str, dict[str, int]]:
        return {
            name: {key: id(value) for key, value in vars(module).items()}
            for name, module in model.named_modules()
        }

    before = held()
    model(pictures(2, 3, 16, 16))
    assert held() == before
    for key, value in model.state_dict().items():
        assert torch.equal(value, state[key]), key


# ---------------------------------------------------------------- the high-pass filter, gradients


@pytest.mark.slow
def test_the_high_pass_filter_is_frozen_and_the_rest_learns() -> None:
    model, images = mini(top_k=4, min_rank=4).train(), pictures(2, 3, 16, 24)
    assert "freq_embed.high_pass" in model.state_dict()
    assert "freq_embed.high_pass" not in dict(model.named_parameters())
    before = {key: value.clone() for key, value in model.state_dict().items()}
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.1)
    output = model(images)
    (F.l1_loss(output.image, images.flip(3)) + model.auxiliary_loss(output.routings)).backward()
    optimiser.step()
    for key, parameter in model.named_parameters():
        assert bare(parameter.grad).abs().max() > 0, key
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key]) == (key == "freq_embed.high_pass"), key
    laplacian = model.freq_embed.high_pass
    assert laplacian.sum().item() == 0.0
    assert laplacian[:, 0, 1, 1].unique().tolist() == [8.0]
    flat = torch.full((1, laplacian.shape[0], 5, 5), 0.7)
    edge = F.conv2d(flat, laplacian, padding=1, groups=laplacian.shape[0])
    assert edge[:, :, 1:-1, 1:-1].abs().max() < 1e-5


@pytest.mark.slow
def test_a_few_steps_fit_one_batch() -> None:
    torch.manual_seed(0)
    model = MoCEIR(MINI).train()
    clean = pictures(2, 3, 16, 16)
    bad = clean * 0.4 + 0.1
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(12):
        output = model(bad, noise=torch.Generator().manual_seed(0))
        loss = F.l1_loss(output.image, clean) + 0.01 * model.auxiliary_loss(output.routings)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]


# ---------------------------------------------------------------- parts against plain formulas


@pytest.mark.parametrize("window", [1, 4, 5, 8, 16, 32])
def test_fourier_product_by_matrices_equals_the_fft(window: int) -> None:
    torch.manual_seed(window)
    q, k = torch.randn(2, 2, 1, window, 2, window, 3) / window
    fast, plain = fourier_product(q, k), fourier_product_by_matrices(q, k)
    torch.testing.assert_close(plain, fast, atol=1e-5, rtol=0)
    shifted = sum(
        q[:, :, y : y + 1, :, x : x + 1]
        * torch.roll(k, (y, x), dims=(2, 4))  # the circular convolution by its definition
        for y in range(min(window, 8))
        for x in range(min(window, 8))
    )
    if window <= 8:
        torch.testing.assert_close(fast, bare(shifted), atol=1e-5, rtol=0)


def test_the_model_in_the_matrix_form_is_the_same() -> None:
    images = pictures(4, 3, 40, 24)
    model = mini()
    other = MoCEIR(replace(MINI, fourier="matrix")).eval()
    other.load_state_dict(model.state_dict())
    a, b = run(model, images), run(other, images)
    assert len({e for rows in experts(a) for row in rows for e in row}) > 2
    torch.testing.assert_close(a.image, b.image, atol=1e-5, rtol=0)


@pytest.mark.slow
def test_the_matrix_form_calls_no_fft() -> None:
    events = []
    for form in ("fft", "matrix"):
        model = mini(fourier=form)
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
            run(model, pictures(1, 3, 16, 16))
        events.append({event.key for event in profile.key_averages() if "fft" in event.key})
    assert events[0]
    assert not events[1]


@pytest.mark.parametrize("bias", [False, True])
def test_channel_attention_against_its_formula(bias: bool) -> None:
    torch.manual_seed(0)
    module, x = ChannelAttention(12, 3, bias=bias), torch.randn(2, 12, 5, 7)
    nn.init.uniform_(module.temperature, 0.5, 3.0)
    maps = F.conv2d(x, module.qkv.weight, module.qkv.bias)
    maps = F.conv2d(maps, module.qkv_dwconv.weight, module.qkv_dwconv.bias, padding=1, groups=36)
    q, k, v = maps.view(2, 3, 3, 4, 35).unbind(1)  # (B, heads, c, H W) each
    scores = F.normalize(q, dim=3) @ F.normalize(k, dim=3).transpose(2, 3) * module.temperature
    mixed = (scores.softmax(dim=3) @ v).reshape(2, 12, 5, 7)
    expected = F.conv2d(mixed, module.project_out.weight, module.project_out.bias)
    torch.testing.assert_close(module(x), expected, atol=1e-5, rtol=1e-5)


def test_channel_attention_of_a_black_map_is_finite() -> None:
    module = ChannelAttention(8, 2, bias=False)
    x = torch.zeros(1, 8, 4, 4, requires_grad=True)
    module(x).sum().backward()
    assert bare(x.grad).isfinite().all()


@pytest.mark.slow
def test_multiply_adds_against_the_counter() -> None:
    config = replace(MOCE_PRESETS["moce-ir-tiny"][1], motion=False)
    model, image = MoCEIR(config).eval(), pictures(1, 3, 128, 128)
    with FlopCounterMode(display=False) as counter:
        output = run(model, image)
    parts = model.multiply_adds((128, 128), output.routings)
    transforms = 0.0  # the counter does not know FFTs
    for level, (routing, block) in enumerate(
        zip(output.routings, model.decoder_blocks, strict=True)
    ):
        expert = cast(nn.ModuleList, block.adapter.experts[int(routing.experts)])[0]
        body = cast(ComplexityExpert, expert).body
        rank, pixels = body.q.in_channels, 128**2 / 4 ** (2 - level)
        transforms += pixels * rank * (7.5 * math.log2(body.window) + 2.0)
    assert parts["total"] - transforms == pytest.approx(counter.get_total_flops() / 2, rel=0.01)
    assert parts["total"] == pytest.approx(sum(v for k, v in parts.items() if k != "total"))
    assert parts["total"] <= model.multiply_adds((128, 128))["total"]
    assert model.multiply_adds((121, 127)) == model.multiply_adds((128, 128))  # padded alike


# ---------------------------------------------------------------- configurations


def test_presets_and_ranks() -> None:
    assert MoCEIRConfig().ranks(0) == (6, 12, 24, 48)
    assert MOCE_PRESETS["moce-ir-s"][1].ranks(2) == (16, 32, 64, 128)
    tiny = MOCE_PRESETS["moce-ir-tiny"][1]
    assert [tiny.ranks(level)[0] for level in range(3)] == [4, 4, 8]
    assert set(MOCE_PRESETS) == {"moce-ir", "moce-ir-s", "moce-ir-tiny"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dim": 0}, "dim is 0"),
        ({"dim": 7, "heads": (1, 1, 1, 1)}, "even"),
        ({"encoder_blocks": (1, 1)}, "encoder_blocks"),
        ({"decoder_blocks": (0, 1, 1)}, "decoder_blocks is 0"),
        ({"heads": (3, 1, 1, 1)}, "do not divide by 3 heads"),
        ({"windows": 4}, "windows"),
        ({"windows": (4, 8)}, "one number for each expert"),
        ({"top_k": 5}, "top_k is 5"),
        ({"expert_depth": 0}, "expert_depth"),
        ({"expansion": "2"}, "expansion"),
        ({"router_noise": 0}, "router_noise"),
        ({"fourier": "dct"}, "fourier is 'dct'"),
    ],
)
def test_what_cannot_be_built_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        replace(MINI, **options)
