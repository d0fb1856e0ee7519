"""MoCE-IR: parity with the published network, and right where that one is wrong."""

import importlib.util
import json
from collections import Counter
from dataclasses import replace
from types import ModuleType
from typing import Any, cast

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixperts.errors import UsageError
from pixperts.models.moce_ir.config import MOCE_PRESETS, from_published_keys
from pixperts.models.moce_ir.experts import ComplexityExpert
from pixperts.models.moce_ir.inputs import pad_to_multiple
from pixperts.models.moce_ir.model import MoCEIR
from pixperts.routing import Routing
from tests.helpers.moce_models import bare, experts, gates, mini, pictures, run
from tests.helpers.places import REFERENCE

# ---------------------------------------------------------------- parity with the published network


@pytest.fixture(scope="module")
def weights() -> ModuleType:
    path = REFERENCE / "weights.py"
    if not path.exists():
        pytest.skip("the reference outputs (shared/reference) are not here")
    spec = importlib.util.spec_from_file_location("reference_weights", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def published(name: str, weights: ModuleType) -> tuple[MoCEIR, list[dict[str, Any]]]:
    """A preset with the stand-in weights, laid out as the Lightning checkpoint."""
    entry = json.loads((REFERENCE / "moce_ir.json").read_text())[name]
    model = MoCEIR(MOCE_PRESETS[name][1]).eval()
    state = {}
    for key, shape in entry["state_dict"].items():
        if key.endswith("complexity"):
            state[f"net.{key}"] = torch.tensor(model.complexities[0])
        else:
            state[f"net.{key}"] = torch.from_numpy(weights.tensor(key, tuple(shape)))
    assert {tuple(state[key].shape) for key in state if key.endswith("complexity")} == {(4,)}
    model.load_state_dict(from_published_keys(state))
    filter_key = "freq_embed.high_conv.0.conv.weight"
    drawn = weights.tensor(filter_key, tuple(model.freq_embed.high_pass.shape))
    np.testing.assert_array_equal(model.freq_embed.high_pass.numpy(), drawn)  # as learned
    outputs = np.load(REFERENCE / f"{name}.npz")
    for case in entry["cases"]:
        picture = case["image"]
        case["picture"] = torch.from_numpy(weights.image(**picture))
        key = f"output_{picture['height']}x{picture['width']}"
        case["output"] = torch.from_numpy(outputs[key])
    return model, entry["cases"]


@pytest.mark.parametrize("name", ["moce-ir-s", "moce-ir"])
@pytest.mark.slow
def test_parity_with_the_published_network(name: str, weights: ModuleType) -> None:
    model, cases = published(name, weights)
    for case in cases:
        output = run(model, case["picture"])
        assert [routing.experts[0].tolist() for routing in output.routings] == case["experts"]
        torch.testing.assert_close(
            gates(output).squeeze(1), torch.tensor(case["gate"]), atol=1e-5, rtol=0
        )
        tolerance = 2e-4 * float(case["output"].std())
        torch.testing.assert_close(output.image, case["output"], atol=tolerance, rtol=0)
    if name == "moce-ir-s":  # in a batch, next to a picture that routes differently
        other = torch.from_numpy(weights.image(64, 64, seed=3)).flip(1) ** 3
        alone = run(model, other)
        together = run(model, torch.cat([cases[0]["picture"], other]))
        deviation = float(cases[0]["output"].std())
        assert experts(together) == [
            [a, b[0]] for a, b in zip(cases[0]["experts"], experts(alone), strict=True)
        ]
        assert any(a != b for a, b in experts(together))
        expected = torch.cat([cases[0]["output"], alone.image])
        torch.testing.assert_close(together.image, expected, atol=2e-4 * deviation, rtol=0)


@pytest.mark.parametrize(("name", "count"), [("moce-ir-s", 11_477_752), ("moce-ir", 25_353_796)])
def test_presets_have_the_published_number_of_parameters(name: str, count: int) -> None:
    with torch.device("meta"):
        model = MoCEIR(MOCE_PRESETS[name][1])
    trained = sum(parameter.numel() for parameter in model.parameters())
    assert trained + model.freq_embed.high_pass.numel() == count


def test_complexity_is_parameters_relative_to_the_largest() -> None:
    model = mini()
    for block, complexity in zip(model.decoder_blocks, model.complexities, strict=True):
        sizes = [sum(p.numel() for p in e.parameters()) for e in block.adapter.experts]
        assert complexity == tuple(size / sizes[-1] for size in sizes)
        assert list(complexity) == sorted(complexity)
        assert block.adapter.costs[-1] == 1.0


# ---------------------------------------------------------------- pictures are independent


@pytest.mark.parametrize("top_k", [1, 2])
def test_a_batch_equals_each_picture_alone(top_k: int) -> None:
    model, images = mini(top_k=top_k), pictures(4, 3, 24, 40)
    together = run(model, images)
    assert any(len({tuple(row) for row in rows}) > 1 for rows in experts(together))
    for number, image in enumerate(images):
        alone = run(model, image[None])
        assert experts(alone) == [rows[number : number + 1] for rows in experts(together)]
        torch.testing.assert_close(together.image[number], alone.image[0], atol=1e-5, rtol=0)
        torch.testing.assert_close(gates(together)[:, number], gates(alone)[:, 0])


@pytest.mark.parametrize("top_k", [1, 2, 4])
@pytest.mark.slow
def test_dispatch_equals_running_every_expert(top_k: int) -> None:
    model, images = mini(top_k=top_k), pictures(3, 3, 16, 24)
    routed, masked = run(model, images), run(model, images, masked=True)
    torch.testing.assert_close(routed.image, masked.image, atol=1e-5, rtol=0)


@pytest.mark.parametrize("top_k", [1, 2])
def test_a_picture_goes_through_its_own_experts_only(top_k: int) -> None:
    model, images = mini(top_k=top_k), pictures(4, 3, 16, 16)
    seen: list[Counter[int]] = [Counter() for _ in model.decoder_blocks]
    for counter, block in zip(seen, model.decoder_blocks, strict=True):
        for number, layers in enumerate(block.adapter.experts):

            def hook(
                _: nn.Module, inputs: tuple[Tensor, ...], __: Tensor, n: int = number,
                c: Counter[int] = counter,
            ) -> None:  # fmt: skip
                c[n] += len(inputs[0])

            cast(nn.ModuleList, layers)[0].register_forward_hook(hook)
    output = run(model, images)
    for counter, routing in zip(seen, output.routings, strict=True):
        assert counter == Counter(routing.experts.flatten().tolist())
        assert sum(counter.values()) == 4 * top_k


def test_gates_are_the_softmax_of_the_best_and_not_renormalised() -> None:
    output = run(mini(top_k=2), pictures(3, 3, 16, 16))
    for routing in output.routings:
        soft = cast(Tensor, routing.logits).softmax(dim=1)
        best = soft.topk(2)
        torch.testing.assert_close(cast(Tensor, routing.gates), best.values)
        assert routing.experts.tolist() == best.indices.tolist()
        assert sum(routing.shares) == pytest.approx(1.0)
        assert 0.0 < routing.mean_cost <= 1.0


def test_the_gate_multiplies_the_expert() -> None:
    model, x = mini(), torch.randn(1, 8, 16, 16)
    adapter, shared = model.decoder_blocks[-1].adapter, torch.randn(1, 8, 16, 16)

    def at(gate: float) -> Tensor:
        routing = Routing(torch.tensor([[2]]), adapter.costs, gates=torch.tensor([[gate]]))
        return bare(adapter(x, shared, routing, masked=False))

    with torch.inference_mode():
        expert = cast(nn.ModuleList, adapter.experts[2])[0]
        torch.testing.assert_close(at(0.25), adapter.proj_out(0.25 * expert(x, shared)))
        torch.testing.assert_close(at(0.5), 2 * at(0.25))


def test_expert_depth_composes() -> None:
    model = mini(expert_depth=3)
    adapter = model.decoder_blocks[0].adapter
    x, shared = torch.randn(2, 1, 32, 8, 8).unbind()
    one = Routing(torch.tensor([[1]]), adapter.costs, gates=torch.ones(1, 1))
    layers = [cast(ComplexityExpert, layer) for layer in cast(nn.ModuleList, adapter.experts[1])]
    assert len(layers) == 3
    with torch.inference_mode():
        expected = layers[2](layers[1](layers[0](x, shared), shared), shared)
        result = adapter(x, shared, one, masked=False)
        torch.testing.assert_close(result, adapter.proj_out(expected))
    assert run(model, pictures(2, 3, 16, 16)).image.isfinite().all()


# ---------------------------------------------------------------- any size, any precision


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (3, 2), (5, 8), (17, 9), (8, 33)])
def test_any_size(size: tuple[int, int]) -> None:
    model, image = mini(), pictures(2, 3, *size)
    output = run(model, image)
    assert output.image.shape == image.shape
    assert output.image.isfinite().all()
    padded = pad_to_multiple(image, 8)
    assert padded.shape[-2] % 8 == padded.shape[-1] % 8 == 0
    torch.testing.assert_close(padded[:, :, : size[0], : size[1]], image)
    whole = run(model, padded)
    cropped = whole.image[:, :, : size[0], : size[1]]
    torch.testing.assert_close(output.image, cropped, atol=1e-5, rtol=0)


def test_padding_mirrors_what_is_long_enough() -> None:
    image = torch.arange(15.0).view(1, 1, 3, 5)
    padded = pad_to_multiple(image, 8)[0, 0]
    assert padded[0].tolist() == [0, 1, 2, 3, 4, 3, 2, 1]
    assert padded[:, 0].tolist() == [0, 5, 10, 10, 10, 10, 10, 10]  # five to mirror, two there


@pytest.mark.parametrize("autocast", [False, True])
def test_bfloat16_runs(autocast: bool) -> None:
    model, images = mini(top_k=2), pictures(2, 3, 24, 16)
    exact = run(model, images)
    half = model if autocast else mini(top_k=2).bfloat16()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        output = run(half, images, pinned=exact.routings)
        free = run(half, images)
    assert output.image.dtype == torch.float32
    error = (output.image - exact.image).abs().max() / (exact.image - images).std()
    assert 0 < error < 0.1  # bfloat16 keeps 8 bits
    assert free.image.isfinite().all()
    assert cast(Tensor, free.routings[0].logits).dtype == torch.float32


def test_bfloat16_trains() -> None:
    model, images = mini().train(), pictures(2, 3, 16, 16)
    with torch.autocast("cpu", torch.bfloat16):
        output = model(images)
        loss = F.l1_loss(output.image, images.flip(2)) + model.auxiliary_loss(output.routings)
    loss.backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert len(gradients) > 0.5 * len(list(model.parameters()))


# ---------------------------------------------------------------- pinned routings


def test_pinned_routings_are_used_again() -> None:
    model, images = mini(), pictures(3, 3, 24, 24)
    first = run(model, images[:1])
    alone = [run(model, image[None], pinned=first.routings) for image in images]
    together = run(model, images, pinned=first.routings)
    torch.testing.assert_close(alone[0].image, first.image, atol=0, rtol=0)
    assert experts(together) == [rows * 3 for rows in experts(first)]
    expected = torch.cat([output.image for output in alone])
    torch.testing.assert_close(together.image, expected, atol=1e-5, rtol=0)
    assert experts(run(model, images)) != experts(together)
    assert [r.name for r in together.routings] == [
        "level 2 block 0", "level 1 block 0", "level 1 block 1", "level 0 block 0",
    ]  # fmt: skip


def test_pinned_routings_that_do_not_fit_are_refused() -> None:
    model, images = mini(), pictures(2, 3, 16, 16)
    routings = run(model, images).routings
    for wrong, message in (
        (routings[:-1], "3 routings are pinned"),
        ([replace(r, gates=None) for r in routings], "needs the gates"),
        ([replace(r, costs=(1.0,)) for r in routings], "other experts"),
    ):
        with pytest.raises(UsageError, match=message):
            run(model, images, pinned=wrong)
    with pytest.raises(UsageError, match="routings of 2 pictures"):
        run(model, pictures(3, 3, 16, 16), pinned=routings)


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 1, 8, 8), (0, 3, 8, 8), (1, 3, 0, 8)])
def test_misshapen_pictures_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="must be \\(B, 3, H, W\\)"):
        run(mini(), torch.zeros(shape))
