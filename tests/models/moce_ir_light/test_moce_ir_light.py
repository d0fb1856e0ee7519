"""moce-ir-light: routed equals masked, tiles equal the whole, means of regions stay."""

import copy
import math
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from pixperts.degradations.camera import low_light
from pixperts.degradations.weather import haze
from pixperts.errors import ModelError, UsageError
from pixperts.inference.analysis import Analysis
from pixperts.inference.restorer import Restorer
from pixperts.models.moce_ir_light.choices import sureness
from pixperts.models.moce_ir_light.config import GROUPS, PARTS, MoCEIRLightConfig
from pixperts.models.moce_ir_light.model import MoCEIRLight
from pixperts.models.moce_ir_light.regions import keep_means, smooth_surface
from pixperts.models.moce_ir_light.scout import Scout, overview_size
from pixperts.models.moce_ir_light.tone import CELLS, SHADES, Tone, count_levels
from pixperts.models.presets import create_model
from pixperts.ops.windows import Window
from pixperts.weights import store
from tests.helpers.scouts import find_in_half

SMALL: dict[str, Any] = {
    "channels": (8, 8, 16), "expert_widths": (8, 8), "bottleneck": 4, "scout_channels": 4,
    "embedding": 8, "tone_width": 4,
}  # fmt: skip


def small(seed: int = 0, **changes: Any) -> MoCEIRLight:
    """Random weights under which pictures differ in their experts, with a change to be seen."""
    torch.manual_seed(seed)
    model = MoCEIRLight(MoCEIRLightConfig(**(SMALL | changes))).eval()
    for block in model.mixtures:
        torch.nn.init.normal_(block.router.weight, std=4.0)
        if block.modulation is not None:
            torch.nn.init.normal_(block.modulation.weight, std=0.5)
    if model.deep is not None:
        torch.nn.init.normal_(model.deep.up.weight, std=0.3)
    with torch.no_grad():
        model.output.weight.mul_(30)
    return model


def pictures(batch: int, height: int, width: int, seed: int = 1) -> Tensor:
    """Noise of growing strength on a ramp: pictures that the scout tells apart."""
    noise = torch.randn(batch, 3, height, width, generator=torch.Generator().manual_seed(seed))
    strength = torch.linspace(0.01, 0.4, batch)[:, None, None, None]
    ramp = torch.linspace(0.1, 0.9, width).expand(batch, 3, height, width)
    return (ramp + strength * noise).clamp(0, 1)


def every_expert(batch: int) -> Tensor:
    """Noise (blocks, B, J) by which each block gives the pictures to all experts in turn."""
    turns = torch.arange(4)[:, None] + torch.arange(batch)
    return 1e4 * F.one_hot(turns % 4, 4).float()


def restored(model: MoCEIRLight, image: Tensor, **options: Any) -> Tensor:
    with torch.inference_mode():
        result: Tensor = model(image, **options).image
    return result


def test_each_picture_by_its_expert_equals_all_experts_and_a_mask() -> None:
    model, image, noise = small().train(), pictures(6, 40, 48), every_expert(6)
    with torch.inference_mode():
        routed, masked = model(image, noise=noise), model(image, noise=noise, masked=True)
    chosen = torch.stack([routing.experts[:, 0] for routing in routed.routings])
    assert chosen.tolist() == [[(b + i) % 4 for i in range(6)] for b in range(4)]
    assert all(
        torch.equal(a.experts, b.experts)
        for a, b in zip(routed.routings, masked.routings, strict=True)
    )
    torch.testing.assert_close(routed.image, masked.image, rtol=0, atol=1e-5)
    assert float((routed.image - image).abs().mean()) > 0.01


def test_a_picture_alone_is_as_in_a_batch() -> None:
    model, image = small(), pictures(4, 33, 47)
    together = restored(model, image)
    alone = torch.cat([restored(model, one[None]) for one in image])
    torch.testing.assert_close(alone, together, rtol=0, atol=1e-5)


@pytest.mark.parametrize("deep", [0, 2])
@pytest.mark.parametrize("size", [(1, 1), (1, 40), (5, 3), (8, 8), (31, 33), (64, 17)])
def test_any_size_will_do(size: tuple[int, int], deep: int) -> None:
    image = pictures(1, *size)
    result = restored(small(deep_blocks=deep), image)
    assert result.shape == image.shape
    assert result.isfinite().all()


@pytest.mark.parametrize(("tile", "deep"), [(128, 0), (200, 0), (144, 1)])
def test_tiles_equal_the_whole(tile: int, deep: int) -> None:
    model, image = small(deep_blocks=deep), pictures(2, 333, 541)
    card = store.Card("small", {})
    options: dict[str, Any] = {"device": "cpu", "precision": "float32"}
    whole, routed = Restorer(model, card, **options).restore_with_routing(image)
    tiled, again = Restorer(model, card, **options, tile=tile).restore_with_routing(image)
    assert [r.experts.tolist() for r in routed] == [r.experts.tolist() for r in again]
    assert float((whole - image).abs().mean()) > 0.01
    assert float((whole - tiled).abs().max()) < 1e-5


@pytest.mark.parametrize("deep", [0, 2])
def test_nothing_beyond_the_context_is_seen(deep: int) -> None:
    model = small(slack=0.1, deep_blocks=deep)
    image = pictures(1, 96, 1024)
    changed = image.clone()
    changed[:, :, :, :64] = 1 - changed[:, :, :, :64]
    with torch.inference_mode():
        statistics = model.count(image)
        before = model(image, statistics=statistics).image
        after = model(changed, statistics=statistics).image
    moved = (before - after).abs().amax(dim=(0, 1, 2))
    assert float(moved[64 + model.context :].max()) < 1e-6
    assert float(moved[: 64 + 16].max()) > 1e-3


def test_the_sums_of_tiles_are_the_sums_of_the_whole() -> None:
    model, image = small(), pictures(1, 72, 90)
    with torch.inference_mode():
        whole = model.count(image)
        found = None
        for top, bottom in ((0, 32), (32, 72)):
            for left, right in ((0, 48), (48, 90)):
                first, start = max(0, top - 8), max(0, left - 8)
                part = image[:, :, first : bottom + 8, start : right + 8]
                inner = Window(top - first, bottom - first, left - start, right - start)
                own = model.count(part, inner, (first, start), (72, 90))
                found = own if found is None else found + own
    assert found is not None
    for mine, theirs in zip(found.places, whole.places, strict=True):
        for a, b in zip(mine, theirs, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-4)


def test_the_overview_is_the_picture_in_small() -> None:
    image = pictures(1, 128, 192)
    model = small()
    with torch.inference_mode():
        shown = Scout.overview(model.count(image))
    assert shown.shape == (1, 3, *overview_size((128, 192))) == (1, 3, 43, 64)
    exact = pictures(1, 128, 128)
    with torch.inference_mode():
        shown = Scout.overview(model.count(exact))
    torch.testing.assert_close(shown, F.avg_pool2d(exact, 2), rtol=0, atol=1e-6)


def test_the_parts_of_a_change_have_amounts_of_their_own() -> None:
    model, image = small(slack=10.0), pictures(2, 40, 48)
    with torch.inference_mode():
        embedding = model.scout(model.count(image))
        parts, _ = model.changes(image, embedding)
        assert parts.shape == (2, len(PARTS), 3, 40, 48)

        def change(*amounts: float) -> Tensor:
            return model.repair(image, embedding, amounts=amounts).image - image

        torch.testing.assert_close(change(1, 1, 1), model(image).image - image, rtol=0, atol=1e-6)
        assert not change(0, 0, 0).any()
        assert float(change(0.5, 0, 0).abs().mean()) > 1e-3
        half = model.changed(image, 0.5 * parts[:, :1]) - image
        torch.testing.assert_close(change(0.5, 0, 0), half, rtol=0, atol=1e-6)


# ---------------------------------------------------------------- means of regions


def test_the_mean_of_a_region_changes_by_no_more_than_the_bound() -> None:
    torch.manual_seed(0)
    change = torch.randn(2, 3, 128, 160) * 0.1 + torch.randn(2, 3, 1, 1) * 0.3
    change += F.interpolate(torch.randn(2, 3, 4, 5), size=(128, 160))
    for slack in (0.0, 0.5):
        kept = keep_means(change, 32, slack)
        mean = F.avg_pool2d(kept.double(), 32)
        own = F.avg_pool2d(change.double(), 32)
        spread = (F.avg_pool2d(change.double() ** 2, 32) - own**2).sqrt()
        assert (mean.abs() <= slack * spread + 1e-5).all()
        # What lies within the bound stays as it is.
        calm = torch.randn(1, 1, 64, 64) * 0.1
        calm -= F.avg_pool2d(calm, 32).repeat_interleave(32, 2).repeat_interleave(32, 3)
        torch.testing.assert_close(keep_means(calm, 32, slack), calm, rtol=0, atol=1e-6)


def test_detail_cannot_darken_what_is_flat() -> None:
    """Weights that would subtract a tenth everywhere leave a pale picture as it is."""
    model = small()
    with torch.no_grad():
        model.output.weight.zero_()
        model.output.bias.fill_(-0.1)  # type: ignore[union-attr]
    image = torch.full((1, 3, 96, 130), 0.9)
    assert float((restored(model, image) - image).abs().max()) < 1e-5


def test_the_surface_has_the_means_and_no_steps() -> None:
    means = torch.rand(1, 2, 3, 4, generator=torch.Generator().manual_seed(0))
    surface = smooth_surface(means, 16)
    torch.testing.assert_close(F.avg_pool2d(surface, 16), means, rtol=0, atol=1e-6)
    steps = max(float(surface.diff(dim=axis).abs().max()) for axis in (2, 3))
    jumps = max(float(means.diff(dim=axis).abs().max()) for axis in (2, 3))
    assert steps < 0.5 * jumps


# ---------------------------------------------------------------- cost, gradients, tone


@pytest.mark.parametrize("deep", [0, 2])
def test_multiply_adds_equal_the_counted_ones(deep: int) -> None:
    model, image = small(deep_blocks=deep), pictures(3, 64, 80)
    for one in image:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            output = model(one[None])
        parts = model.multiply_adds((64, 80), output.routings)
        assert parts["total"] == pytest.approx(sum(v for k, v in parts.items() if k != "total"))
        counted = counter.get_total_flops() / 2
        # Not in the sum: the routers' and modulations' products of a vector, the overview's sums.
        once = sum(
            m.weight.numel() for block in model.mixtures for m in (block.router, block.modulation)
            if m is not None
        )  # fmt: skip
        height, width = overview_size((64, 80))
        overview = 3 * (height * 64 * 80 + height * 80 * width)
        assert parts["total"] + once + overview == pytest.approx(counted, rel=1e-6)


def test_what_is_skipped_is_counted() -> None:
    model = small()
    card = store.Card("small", {})
    restorer = Restorer(model, card, device="cpu", precision="float32")
    image = pictures(1, 64, 64)
    for bias, expected in ((0, 0.0), (3, 1.0)):
        for block in model.mixtures:
            torch.nn.init.zeros_(block.router.weight)
            block.router.bias.data = torch.eye(4)[bias] * 9
        _, routings = restorer.restore_with_routing(image)
        found = Analysis.of(restorer, routings, (64, 64))
        parts = model.multiply_adds((64, 64), routings)
        every = model.multiply_adds((64, 64), every=True)
        assert found.skipped == pytest.approx(1 - parts["total"] / every["total"])
        assert (parts["experts"] > 0) == (expected > 0)


def test_the_preset_is_as_large_as_its_card_says() -> None:
    model = create_model("moce-ir-light")
    assert isinstance(model, MoCEIRLight)
    weights = sum(parameter.numel() for parameter in model.parameters())
    assert weights < 6_500_000
    total, every = (
        model.multiply_adds((1000, 1000), every=every)["total"] / 1e9 for every in (False, True)
    )
    print(f"moce-ir-light: {weights / 1e6:.2f} M weights, {total:.0f} GMAC a megapixel")
    assert 100 <= total <= 230
    none = [copy.copy(r) for r in _none(model)]
    assert 1 - model.multiply_adds((1000, 1000), none)["total"] / 1e9 / every > 0.3


def _none(model: MoCEIRLight) -> list[Any]:
    for block in model.mixtures:
        block.router.bias.data = torch.tensor([9.0, 0, 0, 0])
    with torch.inference_mode():
        return list(model.eval()(torch.rand(1, 3, 16, 16)).routings)


def test_gradients_reach_everything_but_the_tone_head() -> None:
    model, image = small(deep_blocks=1).train(), pictures(8, 32, 32)
    embedding = model.scout(model.count(image))
    output = model.repair(image, embedding, noise=every_expert(8))
    groups = model.scout.groups(embedding)
    (output.image.square().mean() + groups.square().mean()).backward()
    assert groups.shape == (8, len(GROUPS))
    still = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    # The shares of noise and compression do not change their sum.
    assert all(name.startswith(("tone.", "compression.")) for name in still)


def test_no_routing_without_the_scout() -> None:
    """What is chosen follows from the whole picture's sums, whatever part of it is at hand."""
    model, image = small(), pictures(2, 64, 64)
    with torch.inference_mode():
        whole = model(image)
        part = model(image[:, :, 32:, :24], statistics=model.count(image))
    for one, other in zip(whole.routings, part.routings, strict=True):
        assert torch.equal(one.experts, other.experts)
        assert one.gates is not None
        assert other.gates is not None
        torch.testing.assert_close(one.gates, other.gates)


# ---------------------------------------------------------------- light


def dark_and_hazy(model: MoCEIRLight, logits: tuple[float, float] = (9.0, 9.0)) -> None:
    """A tone head that is as sure as it is told to be, whatever the picture."""
    with torch.no_grad():
        model.tone.faults.weight.zero_()
        model.tone.faults.bias.copy_(torch.tensor(logits))


def test_a_new_tone_head_changes_nothing_and_a_sure_one_does() -> None:
    model, image = small(), pictures(1, 50, 70)
    plain = restored(model, image)
    assert torch.equal(plain, restored(model, image, tone="auto"))
    assert float((plain - restored(model, image, tone="on")).abs().mean()) > 0.01
    dark_and_hazy(model)
    assert torch.equal(plain, restored(model, image, tone="off"))
    assert float((plain - restored(model, image, tone="auto")).abs().mean()) > 0.01
    dark_and_hazy(model, (0.5, -0.5))  # more likely than not is not sure of darkness
    assert torch.equal(plain, restored(model, image, tone="auto"))


def test_darkness_and_haze_are_undone_by_the_laws_that_made_them() -> None:
    clean = pictures(2, 40, 56).double().mul(0.6).add(0.2)
    dark = low_light(clean[0], exposure=0.1, gamma=1.2, read_noise=0, shot_noise=0, seed=0)
    depth = torch.full((40, 56), 0.7)
    hazy = haze(clean[0], beta=1.0, airlight=0.9, depth=depth)
    both = haze(dark, beta=1.0, airlight=0.9, depth=depth)
    tone = Tone(
        torch.zeros(1, 2), torch.tensor([math.log2(10)]), torch.tensor([1.2]),
        torch.full((1, 3), 0.9), torch.full((1, 1, SHADES, CELLS, CELLS), 0.7),
        torch.zeros(1), torch.zeros(1), torch.full((1,), 40 * 56), torch.ones(1),
    )  # fmt: skip
    head = small().tone
    for image, amounts in ((dark, (1, 0)), (hazy, (0, 1)), (both, (1, 1))):
        found = head.apply_to(image[None], tone, torch.tensor([amounts]).float())
        torch.testing.assert_close(found[0].double(), clean[0], rtol=0, atol=2e-4)


def test_a_picture_of_one_color_keeps_its_light() -> None:
    model = small()
    dark_and_hazy(model)
    flat = torch.full((1, 3, 40, 40), 0.1)
    slight = flat + torch.linspace(0, 0.004, 40)
    striped = flat.clone()
    striped[:, 1] += torch.linspace(-0.1, -0.05, 40)  # the largest color is the same everywhere
    with torch.inference_mode():
        assert all(not model.judge(model.count(x)).probabilities.any() for x in (flat, slight))
        assert model.judge(model.count(striped)).probabilities.min() > 0.5


def test_what_is_not_sure_is_not_undone() -> None:
    def amounts(
        dark: float,
        hazy: float,
        *,
        stops: float = 2.0,
        room: float = 2.0,
        veil: float = 2.0,
        depth: float = 0.5,
        pixels: int = 1024,
        spread: float = 0.5,
    ) -> list[float]:
        logits, nothing = torch.tensor([[dark, hazy]]).logit(), torch.zeros(1)
        haze = torch.full((1, 1, SHADES, CELLS, CELLS), depth)
        rooms = torch.tensor([room]), torch.tensor([veil]), torch.tensor([pixels])
        levels = torch.tensor([spread])
        tone = Tone(logits, torch.tensor([stops]), nothing, nothing, haze, *rooms, levels)
        assert bool((tone.probabilities > 0).any()) == (pixels >= 1024 and spread > 0.01)
        return tone.amounts("auto")[0].tolist()

    assert amounts(0.6, 0.45) == [0, 0]
    assert amounts(0.95, 0.05) == [1, 0]
    assert amounts(0.05, 0.95) == [0, 1]
    assert 0 < amounts(0.75, 0.1)[0] < 1
    assert amounts(0.95, 0.05, stops=3, room=1) == [0, 0]  # lights in the night
    assert amounts(0.4, 0.95) == [1, 1]  # a scene behind haze may be dark with less certainty
    assert amounts(0.05, 0.95, veil=0.11) == [0, 0]  # fog that reaches white
    assert amounts(0.05, 0.9, veil=0.15) == [0, 0]  # nearly white: the head must be surer
    assert amounts(0.05, 0.99, veil=0.15) == [0, 1]
    assert amounts(0.05, 0.65) == [0, 1]
    assert amounts(0.05, 0.9, veil=0.28)[1] == pytest.approx(0.5, abs=1e-3)
    assert amounts(0.05, 0.95, depth=0.25) == [0, 0]  # haze that hides nothing
    assert amounts(0.95, 0.05, stops=4, room=7) == [1, 0]
    assert amounts(0.95, 0.05, stops=4, room=9) == [0, 0]  # a black picture
    assert amounts(0.95, 0.95, pixels=1000) == [0, 0]  # too small to show a scene
    assert amounts(0.95, 0.95, spread=0.005) == [0, 0]  # one color, without any detail
    assert amounts(0.95, 0.05, spread=0.02) == [1, 0]


@pytest.mark.parametrize("tile", [128])
def test_tiles_are_mapped_as_the_whole(tile: int) -> None:
    model, image = small(), pictures(1, 270, 333)
    dark_and_hazy(model, (1.8, -3.0))
    card, options = store.Card("small", {}), {"device": "cpu", "precision": "float32"}
    whole, one = Restorer(model, card, **options).repair(image)
    tiled, other = Restorer(model, card, **options, tile=tile).repair(image)
    assert one.findings is not None
    assert other.findings is not None
    assert 0 < one.findings.undone["dark"] < 1
    assert one.findings.light == pytest.approx(other.findings.light, abs=1e-5)
    for name, size in one.findings.changes.items():
        assert other.findings.changes[name] == pytest.approx(size, rel=0.3)
    assert float((whole - tiled).abs().max()) < 2e-5


def test_motion_blur_is_seen_once_and_undone_in_every_tile() -> None:
    model, card = small(motion=True), store.Card("small", {})
    assert model.motion is not None
    image = pictures(1, 270, 333)
    options: dict[str, Any] = {"device": "cpu", "precision": "float32"}
    still = Restorer(model, card, **options).repair(image)[0]
    with torch.no_grad():
        model.motion.whole.weight.zero_()
        model.motion.whole.bias.zero_()
        model.motion.local[4].weight.zero_()  # type: ignore[operator]
        model.motion.local[4].bias.zero_()  # type: ignore[operator]
        # 9 pixels to the right: the row in the middle, the tenth column.
        model.motion.whole.bias[1 + 20 * 21 + 9] = 30
    whole, one = Restorer(model, card, **options).repair(image)
    tiled, other = Restorer(model, card, **options, tile=128).repair(image)
    for repair in (one, other):
        assert repair.routings[0].motion is not None
        assert repair.routings[0].motion[0].tolist() == pytest.approx([9, 0, 0], abs=1e-3)
    assert float((whole - still).abs().mean()) > 0.003
    assert float((whole - tiled).abs().max()) < 1e-4


def test_levels_are_counted_by_their_largest_and_smallest_color() -> None:
    image = torch.tensor([0, 51, 255, 10, 10, 10]).view(1, 2, 3).permute(0, 2, 1)[..., None] / 255
    counts = count_levels(image.contiguous())
    assert counts.shape == (1, 2, CELLS**2, 256)
    # Of two rows, the second begins in the middle of the picture.
    assert counts[0, 0].nonzero().tolist() == [[0, 255], [CELLS**2 // 2, 10]]
    assert counts[0, 1].nonzero().tolist() == [[0, 0], [CELLS**2 // 2, 10]]
    assert counts.sum() == 4


def test_levels_of_tiles_add_up_to_those_of_the_whole() -> None:
    image = pictures(2, 37, 51)
    parts = [
        count_levels(image[:, :, top:bottom, left:right], (top, left), (37, 51))
        for top, bottom in ((0, 16), (16, 37))
        for left, right in ((0, 24), (24, 51))
    ]
    assert torch.equal(sum(parts[1:], parts[0]), count_levels(image))


def test_a_change_is_taken_as_far_as_the_scout_is_sure() -> None:
    image, plain = pictures(2, 24, 24), small()
    with torch.inference_mode():
        found = plain.scout.groups(plain.scout(plain.count(image))).sigmoid()
        likeliest = found[:, [0, 1, 3, 4]].amax(dim=1)
        low, high = float(likeliest.min()), float(likeliest.max())
        assert low < high
        span = (low, 2 * high - low)  # nothing of the one picture, half of the other
        whole, part = plain(image), small(sure=span)(image)
    assert whole.changes is not None
    assert part.changes is not None
    shares = (part.changes / whole.changes).sqrt()
    expected = 0.5 * (likeliest > low).float()
    assert torch.allclose(shares, expected[:, None].expand_as(shares), atol=1e-4)
    assert torch.equal(part.image[likeliest.argmin()], image[likeliest.argmin()])


def some_idle(image: Tensor) -> MoCEIRLight:
    """A network whose scout finds nothing in the less noisy half of the pictures."""
    model = small(sure=(0.5, 0.8))
    find_in_half(model, image)
    return model


def test_nothing_runs_for_pictures_without_a_fault() -> None:
    """With the result of running everything and taking nothing of it."""
    image = pictures(4, 64, 80)
    model = some_idle(image)
    with torch.inference_mode():
        output, every = model(image), model(image, masked=True)
    idle = output.routings[0].idle
    assert idle is not None
    assert sorted(idle.tolist()) == [False, False, True, True]
    assert torch.equal(output.image[idle], image[idle])
    torch.testing.assert_close(output.image, every.image, rtol=0, atol=1e-5)
    torch.testing.assert_close(output.changes, every.changes, rtol=0, atol=1e-6)
    assert float((output.image - image)[~idle].abs().mean()) > 1e-3
    for routing, known in zip(output.routings, every.routings, strict=True):
        assert not routing.experts[idle].any()
        assert torch.equal(routing.experts[~idle], known.experts[~idle])
    for number, one in enumerate(image):
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            alone = model(one[None])
        parts = model.multiply_adds((64, 80), alone.routings)
        torch.testing.assert_close(alone.image, output.image[number][None], rtol=0, atol=1e-5)
        if idle[number]:
            assert parts["total"] == parts["scout"]
            # Of the scout, its overview and the routers alone.
            assert counter.get_total_flops() / 2 < 2 * parts["scout"]
    mean = model.multiply_adds((64, 80), output.routings)
    all_run = model.multiply_adds((64, 80), every.routings)
    assert mean["encoder"] == pytest.approx(all_run["encoder"] / 2)


def test_before_an_enlargement_slight_noise_is_left_unless_light_is_undone() -> None:
    image = pictures(1, 40, 48)
    model = small(sure=(0.0, 0.5), sure_enlarged=(0.9, 0.98))
    torch.nn.init.zeros_(model.scout.groups.weight)
    model.scout.groups.bias.data.fill_(-20)
    model.scout.groups.bias.data[GROUPS.index("noise")] = math.log(0.94 / 0.06)
    with torch.inference_mode():
        plain = model(image).image
        careful = model(image, enlarged=True).image
        dark_and_hazy(model)
        lit, calm = (model(image, tone="on", enlarged=one).image for one in (True, False))
    torch.testing.assert_close(careful - image, 0.5 * (plain - image), rtol=0, atol=1e-5)
    assert float((plain - image).abs().mean()) > 1e-3
    assert torch.equal(lit, calm)


def test_weather_must_be_surer_before_an_enlargement() -> None:
    image = pictures(1, 40, 48)
    model = small(sure=(0.0, 0.5), sure_enlarged=(0.98, 0.99), sure_weather=(0.85, 0.95))
    torch.nn.init.zeros_(model.scout.groups.weight)
    model.scout.groups.bias.data.fill_(-20)
    model.scout.groups.bias.data[GROUPS.index("weather")] = math.log(0.9 / 0.1)
    with torch.inference_mode():
        plain, careful = (model(image, enlarged=one).image for one in (False, True))
    torch.testing.assert_close(careful - image, 0.5 * (plain - image), rtol=0, atol=1e-5)
    assert float((plain - image).abs().mean()) > 1e-3


def test_weather_without_a_span_of_its_own_counts_as_ever() -> None:
    found = torch.zeros(3, len(GROUPS))
    found[:, GROUPS.index("noise")] = torch.tensor([0.94, 0.8, 0.8])
    found[2, GROUPS.index("weather")] = 0.65
    taken = sureness(found, (0.5, 0.8), noise=(0.9, 0.98))
    torch.testing.assert_close(taken, torch.tensor([0.5, 0.0, 0.5]))
    assert sureness(found, (0.5, 0.8), noise=(0.0, 0.0)).tolist() == [1.0, 1.0, 1.0]


def test_marks_must_be_surer_than_other_faults() -> None:
    found = torch.zeros(3, len(GROUPS))
    found[:, GROUPS.index("marks")] = torch.tensor([0.9, 0.985, 0.9])
    found[2, GROUPS.index("noise")] = 0.65
    taken = sureness(found, (0.5, 0.8), (0.97, 1.0))
    torch.testing.assert_close(taken, torch.tensor([0.0, 0.5, 0.5]))
    assert sureness(found, (0.5, 0.8)).tolist() == [1.0, 1.0, 1.0]
    assert sureness(found, (0.0, 0.0), (0.97, 1.0)).tolist() == [1.0, 1.0, 1.0]


def test_what_is_brightened_is_repaired_wholly() -> None:
    image = pictures(1, 40, 48)
    model = small(sure=(0.9, 1.0))
    torch.nn.init.zeros_(model.scout.groups.weight)
    model.scout.groups.bias.data.fill_(-3.0)  # no fault is found
    dark_and_hazy(model, (9.0, -9.0))
    with torch.inference_mode():
        plain = model(image)
        lit = model(image, tone="on")
        found = model.judge(model.count(image))
    assert torch.equal(plain.image, image)
    assert lit.routings[0].idle is None
    model.config = replace(model.config, sure=(0.0, 0.0))
    with torch.inference_mode():
        whole = model.repair(image, model.scout(model.count(image))).image
        expected = model.tone.apply_to(whole, found, torch.ones(1, 2))
    torch.testing.assert_close(lit.image, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("span", [(0.8, 0.5), (0.5,), (-0.1, 0.5)])
def test_spans_that_do_not_rise_are_refused(span: tuple[float, ...]) -> None:
    with pytest.raises(ModelError, match="sure_enlarged is"):
        MoCEIRLightConfig(sure_enlarged=span)
    with pytest.raises(ModelError, match="sure_weather is"):
        MoCEIRLightConfig(sure_weather=span)
    with pytest.raises(ModelError, match=r"sure is .*, but must be two rising numbers"):
        small(sure=span)


def test_a_new_deep_part_changes_nothing() -> None:
    plain, image = small(), pictures(2, 48, 64)
    deep = MoCEIRLight(MoCEIRLightConfig(**SMALL, deep_blocks=2)).eval()
    missing = deep.load_state_dict(plain.state_dict(), strict=False).missing_keys
    assert all(key.startswith("deep.") for key in missing)
    torch.testing.assert_close(restored(deep, image), restored(plain, image), rtol=0, atol=1e-5)


def test_pinned_routings_are_used_again() -> None:
    model, image = small(), pictures(2, 24, 24)
    with torch.inference_mode():
        first = model(image[:1])
        pinned = model(image, pinned=first.routings)
    for one, routing in zip(first.routings, pinned.routings, strict=True):
        assert routing.experts.tolist() == one.experts.tolist() * 2
    with pytest.raises(UsageError, match="1 routings are pinned, but there are 4 blocks"):
        model(image, pinned=first.routings[:1])


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"channels": (8, 8)}, "channels"),
        ({"expert_widths": 3}, "expert_widths"),
        ({"channels": (8, 8, 0)}, "channels"),
        ({"latent_mixtures": 0, "decoder_mixtures": 0}, "one block must choose"),
        ({"cell": 20}, "multiple of 8"),
        ({"cell": 24, "deep_blocks": 1}, "multiple of 16"),
        ({"deep_blocks": -1}, "deep_blocks"),
        ({"slack": -1}, "slack"),
        ({"modulated": 1}, "modulated"),
        ({"embedding": 0}, "embedding"),
    ],
)
def test_impossible_configurations_are_refused_by_name(options: dict[str, Any], named: str) -> None:
    with pytest.raises(ModelError, match=named):
        MoCEIRLightConfig(**options)


def test_bad_calls_are_refused() -> None:
    model = small()
    with pytest.raises(UsageError, match="image has shape"):
        model(torch.zeros(3, 8, 8))
    with pytest.raises(UsageError, match="noise has shape"):
        model.train()(torch.zeros(1, 3, 8, 8), noise=torch.zeros(1, 1, 1))
