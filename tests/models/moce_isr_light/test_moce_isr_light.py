"""moce-isr-light: it repairs as moce-ir-light, regions choose their depth, budgets are met."""

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from pixperts.errors import ModelError, UsageError
from pixperts.inference.enhancer import Enhancer
from pixperts.inference.findings import RepairSettings
from pixperts.inference.restorer import Restorer
from pixperts.models.moce_ir_light.choices import within_cost
from pixperts.models.moce_ir_light.config import GROUPS, MoCEIRLightConfig
from pixperts.models.moce_ir_light.model import MoCEIRLight
from pixperts.models.moce_isr_light.config import MoCEISRLightConfig
from pixperts.models.moce_isr_light.model import MoCEISRLight
from pixperts.models.moce_isr_light.regions import run_in_regions, spread
from pixperts.models.moeisr_light.parts import Block
from pixperts.ops.resize import bicubic
from pixperts.ops.windows import Part, Window
from pixperts.weights import store
from tests.helpers.one_network import SMALL, one_network
from tests.helpers.scouts import find_in_half


def pictures(batch: int, height: int, width: int, seed: int = 1) -> Tensor:
    """Noise whose strength grows from picture to picture and from left to right."""
    noise = torch.randn(batch, 3, height, width, generator=torch.Generator().manual_seed(seed))
    strength = torch.linspace(0.02, 0.3, batch)[:, None, None, None]
    ramp = torch.linspace(0.1, 0.9, width).expand(batch, 3, height, width)
    return (ramp + strength * ramp.square() * 4 * noise).clamp(0, 1)


@pytest.mark.parametrize("height", [1, 31, 64, 75])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.9, 1.0])
def test_a_block_in_some_regions_is_a_block_and_a_mask(height: int, share: float) -> None:
    torch.manual_seed(2)
    block, side = Block(16), 8
    torch.nn.init.normal_(block.first.bias)  # type: ignore[arg-type]  # zeros lie only outside
    x = torch.randn(2, 16, height, 53).contiguous(memory_format=torch.channels_last)
    before = x.clone()
    active = torch.rand(2, -(-height // side), 7) < share
    with torch.inference_mode():
        found = run_in_regions(block, x, active, side)
        masked = torch.where(spread(active, side, x), block(x), x)
    torch.testing.assert_close(found, masked, rtol=0, atol=1e-5)
    assert torch.equal(x, before)


@pytest.mark.parametrize("budget", [None, 0.0, 0.35, 0.7, 1.0])
def test_experts_and_depths_equal_all_of_them_and_a_mask(budget: float | None) -> None:
    model, image = one_network(), pictures(2, 75, 101)
    with torch.inference_mode():
        routed = model.enhance(image, (150, 210), budget=budget)
        masked = model.enhance(image, (150, 210), budget=budget, masked=True)
    torch.testing.assert_close(routed.image, masked.image, rtol=0, atol=1e-5)
    assert routed.image.shape == (2, 3, 150, 210)
    assert routed.routings[-1].experts.shape == (2, 150, 210)
    if budget is None:
        assert sum(share > 0 for share in routed.routings[-1].shares) > 2
    plain = bicubic(image[0], (150, 210))
    assert float((routed.image[0] - plain).abs().mean()) > 0.01


def test_at_its_own_size_it_is_moce_ir_light() -> None:
    model, image = one_network(), pictures(3, 40, 48)
    names = MoCEIRLightConfig.__dataclass_fields__
    plain = MoCEIRLight(MoCEIRLightConfig(**{k: v for k, v in SMALL.items() if k in names})).eval()
    own = plain.state_dict()
    plain.load_state_dict({key: model.state_dict()[key] for key in own})
    with torch.inference_mode():
        ours, theirs = model(image), plain(image)
    assert torch.equal(ours.image, theirs.image)
    assert not torch.equal(ours.image, image)


def test_the_strength_is_that_of_the_repair() -> None:
    model, image = one_network(), pictures(1, 40, 48)
    with torch.inference_mode():
        output, seen = model.look(image)
        half = torch.lerp(image, output.image, 0.5)
        removed = seen._replace(removed=0.5 * (image - output.image))
        expected = model.enlarge(half, removed, (80, 96))[0]
        found = model.enhance(image, (80, 96), strength=0.5).image
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def test_samples_are_of_the_strength_too() -> None:
    model, image = one_network(), pictures(1, 64, 96)
    part = Part(Window(0, 128, 0, 192), Window(0, 64, 0, 96), (64, 96))
    with torch.inference_mode():
        sampled = [
            model.sample_depths(image, (128, 192), part, 1, strength=strength)
            for strength in (0.4, 1.0)
        ]
        depths = model.enhance(image, (128, 192), strength=0.4).routings[-1].experts
    assert torch.equal(sampled[0].argmax(dim=2), depths.flatten(1).long())
    assert not torch.equal(*sampled)


@pytest.mark.parametrize("budget", [0.1, 0.3, 0.5, 0.8, 1.0])
def test_a_budget_governs_both_halves_and_is_met(budget: float) -> None:
    """Within 2 % of what was asked for; regions are 100 here, of which one is the step."""
    model, image = one_network(cell=8), pictures(1, 160, 160)
    with torch.inference_mode():
        statistics = model.count(image)
        pinned, rest = model.plan(statistics, budget)
        usual, deepest = model.plan(statistics, 1.0)
        assert deepest == 1.0
        output = model.enhance(image, (320, 320), budget=rest, pinned=pinned)
    shares = output.routings[-1].shares

    def cost(routings: tuple, depths: tuple[float, ...] | None) -> float:  # type: ignore[type-arg]
        return model.enlarging_multiply_adds((160, 160), (320, 320), routings, depths)["total"]

    none = tuple(float(place == 0) for place in range(4))
    least = cost(model.plan(statistics, 0.0)[0], none)
    asked = least + budget * (cost(usual, None) - least)
    assert cost(pinned, shares) == pytest.approx(asked, rel=0.02)
    assert [r.experts.tolist() for r in usual] == [
        r.experts.tolist() for r in model(image).routings
    ]


def test_experts_step_down_where_that_loses_least() -> None:
    probabilities = [[0.1, 0.2, 0.7], [0.3, 0.3, 0.4]]
    costs = [[0.0, 1.0, 2.0], [0.0, 1.0, 4.0]]
    assert within_cost(probabilities, costs, 6.0) == [2, 2]
    assert within_cost(probabilities, costs, 5.9) == [2, 0]
    assert within_cost(probabilities, costs, 1.5) == [0, 0]


@pytest.mark.parametrize("size", [(301, 200), (602, 400), (700, 401)])
@pytest.mark.parametrize("settings", [RepairSettings(), RepairSettings(strength=0.6, tone="on")])
def test_tiles_equal_the_whole(size: tuple[int, int], settings: RepairSettings) -> None:
    model, image = one_network(), pictures(1, 200, 301)
    card = store.Card("one", {})
    both = {
        tile: Enhancer(Restorer(model, card, device="cpu", precision="float32", tile=tile))
        for tile in (None, 128)
    }
    whole, tiled = (one.enhance(image, size=size, settings=settings) for one in both.values())
    assert whole.shape == (1, 3, size[1], size[0])
    assert float((whole - tiled).abs().max()) < 1e-5


def test_tiles_reach_less_than_the_picture() -> None:
    model = one_network(channels=(8, 8, 8), encoder_blocks=(0, 0), latent_mixtures=0)
    assert model.enlarging_context < 200
    image = pictures(1, 40, 900)
    changed = image.clone()
    changed[:, :, :, :64] = 1 - changed[:, :, :, :64]
    with torch.inference_mode():
        statistics = model.count(image)
        before = model.enhance(image, (80, 1800), statistics=statistics).image
        after = model.enhance(changed, (80, 1800), statistics=statistics).image
    moved = (before - after).abs().amax(dim=(0, 1, 2))
    assert float(moved[2 * (64 + model.enlarging_context) :].max()) < 1e-6
    assert float(moved[: 2 * 64].max()) > 1e-3


def test_no_layer_of_the_repair_runs_for_pictures_without_a_fault() -> None:
    """The enlarger then works on the picture alone, and a whole budget is its own."""
    image = pictures(4, 64, 80)
    model = one_network(sure=(0.5, 0.8), sure_enlarged=(0.9, 0.98))
    find_in_half(model, image)
    with torch.inference_mode():
        output, seen = model.look(image, enlarged=True)
        every, known = model.look(image, enlarged=True, masked=True)
        large = model.enhance(image, (128, 160))
        masked = model.enhance(image, (128, 160), masked=True)
        pinned, rest = model.plan(model.count(image), 0.5)
        lit = model.look(image, enlarged=True, brightened=torch.ones(4))[1]
    idle = output.routings[0].idle
    assert idle is not None
    assert int(idle.sum()) == 2
    for found, expected in zip(seen, known, strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
        assert not found[idle].any()
        assert found[~idle].any()
    torch.testing.assert_close(output.image, every.image, rtol=0, atol=1e-5)
    torch.testing.assert_close(large.image, masked.image, rtol=0, atol=1e-5)
    assert torch.equal(output.image[idle], image[idle])
    assert not any(routing.experts[idle].any() for routing in pinned)
    assert 0.25 < rest <= 1
    assert all(bool(features.any()) for features in lit.features)


def test_what_would_be_removed_is_seen_although_it_is_not_taken() -> None:
    """A fault of which the scout is sure enough for a repair, not for an enlargement."""
    image = pictures(1, 40, 48)
    plain, careful = one_network(), one_network(sure=(0.1, 0.2), sure_enlarged=(0.98, 0.99))
    with torch.inference_mode():
        careful.scout.groups.weight.zero_()
        careful.scout.groups.bias.fill_(-20)
        careful.scout.groups.bias[GROUPS.index("noise")] = 0  # a probability of 0.5
        output, seen = careful.look(image, enlarged=True)
        whole = plain.look(image)[1]
    assert torch.equal(output.image, image)
    torch.testing.assert_close(seen.removed, whole.removed, rtol=0, atol=1e-6)
    assert float(seen.removed.abs().mean()) > 1e-3


@pytest.mark.parametrize("size", [(128, 160), (100, 121)])
def test_multiply_adds_equal_the_counted_ones(size: tuple[int, int]) -> None:
    model, image = one_network(), pictures(1, 64, 80)
    with torch.inference_mode():
        statistics = model.count(image)
        with FlopCounterMode(display=False) as counter:
            output = model.enhance(image, size, statistics=statistics, budget=1.0)
    parts = model.enlarging_multiply_adds((64, 80), size, output.routings[:-1], (0, 0, 0, 1.0))
    assert parts["total"] == pytest.approx(sum(v for k, v in parts.items() if k != "total"))
    # The statistics were counted before; the mapper's and the routers' vectors are not in the sum.
    expected = parts["total"] - model.multiply_adds((64, 80))["scout"]
    assert counter.get_total_flops() / 2 == pytest.approx(expected, rel=0.02)


def test_refusals() -> None:
    model, image = one_network(), pictures(1, 40, 48)
    with pytest.raises(UsageError, match="size is 47x40, but must not be below 48x40"):
        model.enhance(image, (40, 47))
    with pytest.raises(ModelError, match="large_blocks"):
        MoCEISRLightConfig(large_blocks=0)
    restorer = Restorer(MoCEIRLight(MoCEIRLightConfig(channels=(8, 8, 8))), store.Card("a", {}))
    with pytest.raises(UsageError, match="a only repairs: name a model that enlarges, too"):
        Enhancer(restorer)
    one = Enhancer(Restorer(model, store.Card("one", {}), device="cpu"))
    with pytest.raises(UsageError, match="budget is 2, but must be between 0 and 1"):
        one.enhance(image, scale=2, budget=2.0)
    assert isinstance(one.restorer.model, MoCEISRLight)
