"""Two sets of plain layers: for faults that need a wide view, and for all other pictures."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from pixperts.errors import ModelError
from pixperts.evaluation.restoration import active_parameters
from pixperts.inference.restorer import Restorer
from pixperts.models.moce_ir_light.choices import only_noise
from pixperts.models.moce_ir_light.config import FAR, MoCEIRLightConfig
from pixperts.models.moce_ir_light.model import MoCEIRLight
from pixperts.weights import store
from tests.models.moce_ir_light.test_moce_ir_light import SMALL, pictures, small


@torch.no_grad()
def two_sets(images: Tensor) -> MoCEIRLight:
    """A network whose sets differ much, and whose routers send the last of some pictures far."""
    model = small(noise_layers=True)
    assert model.noise_layers is not None
    model.noise_layers.output.weight.mul_(30)
    first, last = (model.scout(model.count(images[place, None]))[0] for place in (0, -1))
    apart = 40 * (last - first) / (last - first).square().sum()
    for block in model.mixtures:
        block.router.weight.mul_(0.1)
        block.router.weight[FAR] = apart
        block.router.bias[FAR] = -(apart @ (first + last)) / 2
    return model


def plainly(model: MoCEIRLight, image: Tensor, noisy: bool) -> Tensor:
    """One picture through one set, with the experts of its routers."""
    embedding = model.scout(model.count(image))
    layers = model.noise_layers if noisy else model
    assert layers is not None
    number = 0

    def mixed(x: Tensor, blocks: torch.nn.ModuleList) -> Tensor:
        nonlocal number
        for block in blocks:
            experts = model.mixtures[number].experts
            chances = model.mixtures[number].router(embedding).softmax(dim=-1)[0]
            chosen = int(chances.argmax())
            y = block.shared(x, embedding)  # type: ignore[operator]
            x = y + chances[chosen] * experts[chosen - 1](x) if chosen else y
            number += 1
        return x

    features = layers.layers(image, mixed)
    parts = layers.last_layer(features, (image.shape[2], image.shape[3]), embedding)
    return model.changed(image, parts)


@torch.inference_mode()
def test_each_picture_of_a_batch_takes_its_own_layers() -> None:
    image = pictures(8, 32, 40)
    model = two_sets(image)
    output = model(image)
    noisy = only_noise(output.routings)
    assert 0 < int(noisy.sum()) < 8
    for one, own, found in zip(image, noisy.tolist(), output.image, strict=True):
        torch.testing.assert_close(found[None], plainly(model, one[None], own), rtol=0, atol=1e-5)
        other = plainly(model, one[None], not own)
        assert float((found[None] - other).abs().max()) > 0.01


@torch.inference_mode()
def test_the_routers_decide_by_how_likely_they_look_far() -> None:
    routings = small()(pictures(3, 16, 16)).routings
    shares = torch.tensor([0.4, 0.5, 0.9])  # of the expert that looks far
    chances = torch.stack([1 - shares, 0 * shares, 0 * shares, shares], dim=1)
    likely = [replace(routing, probabilities=chances) for routing in routings]
    assert only_noise(likely).tolist() == [True, False, False]
    # What a budget lowered stays with its set; without probabilities the expert counts.
    nothing = torch.zeros(3, 1, dtype=torch.int64)
    assert only_noise([replace(r, experts=nothing) for r in likely]).tolist() == [
        True, False, False
    ]  # fmt: skip
    far = torch.tensor([[0], [FAR], [FAR]])
    certain = [replace(r, experts=far, probabilities=None) for r in likely]
    assert only_noise(certain).tolist() == [True, False, False]


@torch.inference_mode()
def test_layers_for_noise_that_begin_as_the_others_change_nothing() -> None:
    one, image = small(deep_blocks=1), pictures(4, 24, 33)
    two = MoCEIRLight(replace(one.config, noise_layers=True)).eval()
    assert two.noise_layers is not None
    two.load_state_dict(one.state_dict(), strict=False)
    two.noise_layers.begin_as(two)
    assert bool(only_noise(two(image).routings).any())
    torch.testing.assert_close(two(image).image, one(image).image, rtol=0, atol=1e-6)


@pytest.mark.parametrize("number", [0, 7])
def test_tiles_equal_the_whole_with_either_set(number: int) -> None:
    images = pictures(8, 200, 333)
    model, image = two_sets(images), images[number, None]
    card = store.Card("small", {})
    options: dict[str, Any] = {"device": "cpu", "precision": "float32"}
    whole, routed = Restorer(model, card, **options).restore_with_routing(image)
    tiled, _ = Restorer(model, card, **options, tile=128).restore_with_routing(image)
    assert only_noise(routed).tolist() == [number == 0]
    assert float((whole - image).abs().mean()) > 0.01
    assert float((whole - tiled).abs().max()) < 1e-5


def test_gradients_reach_both_sets_of_a_mixed_batch() -> None:
    image = pictures(4, 32, 32)
    model = two_sets(image)
    output = model(image)
    noisy = only_noise(output.routings)
    assert 0 < int(noisy.sum()) < 4
    # The error of one picture moves its own set alone.
    for number, own in enumerate(noisy.tolist()):
        model.zero_grad(set_to_none=True)
        model(image).image[number].square().sum().backward()
        assert model.noise_layers is not None
        moved = [
            float(layers.head.weight.grad.abs().max())  # type: ignore[union-attr]
            for layers in (model.noise_layers, model)
        ]
        assert [value > 0 for value in moved] == [own, not own]
    with torch.inference_mode():
        masked, again = model(image, masked=True), model(image)
    torch.testing.assert_close(masked.image, again.image, rtol=0, atol=1e-5)


@torch.inference_mode()
def test_a_picture_uses_the_parameters_of_one_set() -> None:
    image = pictures(1, 32, 32)
    one, two = small(), two_sets(pictures(2, 32, 32))
    card, counted = store.Card("small", {}), []
    for model in (one, two):
        total = sum(p.numel() for p in model.parameters())
        restorer = Restorer(model, card, device="cpu", precision="float32")
        counted.append(active_parameters(restorer, one(image).routings, total))
    assert counted[0] == counted[1]


@torch.inference_mode()
def test_multiply_adds_are_those_of_one_set() -> None:
    image = pictures(1, 32, 32)
    one, two = small(), two_sets(pictures(2, 32, 32))
    routings = one(image).routings
    assert two.multiply_adds((32, 32), routings) == one.multiply_adds((32, 32), routings)


def test_the_setting_is_checked() -> None:
    with pytest.raises(ModelError, match="noise_layers is 1, but must be true or false"):
        MoCEIRLightConfig(**{**SMALL, "noise_layers": 1})
