"""Forms of models that repair give what the networks give, at every size."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pixperts.errors import UsageError
from pixperts.export.check import largest_difference
from pixperts.export.faithful_form import FaithfulForm
from pixperts.export.form import Form, mirrored_to_multiple, results_of
from pixperts.export.forms import form_of
from pixperts.export.repair_forms import DetailForm, ToneForm, WholeForm
from pixperts.export.scout_form import ScoutForm
from pixperts.models.moce_ir.inputs import pad_to_multiple
from pixperts.models.moce_ir_light.choices import only_noise
from pixperts.models.moce_ir_light.config import EXPERTS, FAR
from pixperts.models.moce_ir_light.model import MoCEIRLight
from pixperts.models.moce_ir_light.scout import overview_size
from tests.helpers.light_restoration import light_restorer
from tests.helpers.moce_models import mini, pictures
from tests.helpers.tiny_models import picture, same

SIZES = [(1, 1, 1), (2, 3, 70), (1, 65, 129), (2, 96, 40)]


def filled(layer: nn.Linear | nn.Conv2d, value: float) -> None:
    """Give all its biases a value."""
    assert layer.bias is not None
    layer.bias.fill_(value)


def repairing(**options: Any) -> MoCEIRLight:
    """A model whose routers disagree and whose parts all do something."""
    model = light_restorer(**options).model
    assert isinstance(model, MoCEIRLight)
    with torch.no_grad():
        for block in model.mixtures:
            block.router.weight.normal_(0, 2)
        filled(model.tone.faults, 3.0)  # sure of both faults
        filled(model.tone.haze, 0.5)
    return model


def agree(form: Form, *inputs: Tensor) -> tuple[Tensor, ...]:
    with torch.inference_mode():
        found, expected = results_of(form(*inputs)), form.reference(*inputs)
    assert len(found) == len(expected) == len(form.outputs)
    for one, other in zip(found, expected, strict=True):
        same(one, other)
    return found


@pytest.mark.parametrize("shape", SIZES, ids=str)
def test_parts_and_whole_are_those_of_the_network(shape: tuple[int, int, int]) -> None:
    model = repairing()
    generator = torch.Generator().manual_seed(2)
    forms: tuple[Form, ...] = (ScoutForm(model), DetailForm(model, None), ToneForm(model),
                               DetailForm(model, (3, 0, 1, 2)), WholeForm(model, None),
                               WholeForm(model, (0, 2, 3, 1)))  # fmt: skip
    for form in forms:
        agree(form, *form.examples(*shape, generator))


@torch.inference_mode()
@pytest.mark.parametrize("far", [False, True])
def test_a_graph_has_the_layers_for_noise(far: bool) -> None:
    model = repairing(noise_layers=True)
    assert model.noise_layers is not None
    model.noise_layers.output.weight.mul_(20)
    for block in model.mixtures:
        block.router.weight.zero_()
        block.router.bias.copy_(torch.tensor([0.0, 0.0, 1.0, 3.0 * far]))
    generator = torch.Generator().manual_seed(2)
    every, given = DetailForm(model, None), DetailForm(model, (3, 3, 3, 2) if far else (2, 2, 3, 0))
    inputs = every.examples(2, 30, 44, generator)
    (found,) = agree(every, *inputs)
    agree(given, *inputs)
    layers = model.noise_layers
    model.noise_layers = None
    (other,) = every.reference(*inputs)
    model.noise_layers = layers
    assert (float((found - other).abs().max()) < 1e-5) == far


@torch.inference_mode()
def test_pictures_of_a_batch_choose_their_own_layers_in_a_graph() -> None:
    model = repairing(noise_layers=True)
    assert model.noise_layers is not None
    model.noise_layers.output.weight.mul_(20)
    for block in model.mixtures:
        block.router.weight[FAR].mul_(6)
    form = DetailForm(model, None)
    image, undo, shares = picture(6, 3, 32, 40), torch.zeros(6, 2), torch.ones(6, 3)
    embedding = torch.randn(6, 8, generator=torch.Generator().manual_seed(4))
    noisy = only_noise(model.changes(image, embedding, noise=False)[1])
    assert 0 < int(noisy.sum()) < 6
    agree(form, image, embedding, undo, shares)


@torch.inference_mode()
def test_a_whole_picture_is_that_of_restore() -> None:
    restorer = light_restorer(motion=True)
    model = restorer.model
    assert isinstance(model, MoCEIRLight)
    image = 0.3 * picture(1, 3, 60, 44)
    filled(model.tone.faults, 6.0)
    found = WholeForm(model, None)(image)
    same(found, restorer.restore(image))  # too small for motion blur to be looked for
    assert float((found - restorer.restore(image, tone="off")).abs().max()) > 0.01
    assert float((found - image).abs().max()) > 0.01


@torch.inference_mode()
def test_pictures_of_a_batch_choose_their_own_experts() -> None:
    model = repairing()
    image, undo, shares = picture(6, 3, 32, 40), torch.zeros(6, 2), torch.ones(6, 3)
    embedding = torch.randn(6, 8, generator=torch.Generator().manual_seed(4))
    experts = [block.router(embedding).argmax(dim=1) for block in model.mixtures]
    (every,) = agree(DetailForm(model, None), image, embedding, undo, shares)
    rows = torch.stack(experts, dim=1).tolist()
    assert len(set(map(tuple, rows))) > 3
    for number, chosen in enumerate(rows):
        one = slice(number, number + 1)
        form = DetailForm(model, tuple(chosen))
        same(form(image[one], embedding[one], undo[one], shares[one]), every[one])


@torch.inference_mode()
def test_amounts_are_those_of_the_network() -> None:
    model = repairing()
    image = picture(1, 3, 24, 32)
    embedding, undo = ScoutForm(model)(image).embedding, torch.zeros(1, 2)
    form = DetailForm(model, None)
    same(form(image, embedding, undo, torch.zeros(1, 3)), image)
    (half,) = agree(form, image, embedding, undo, torch.tensor([[0.5, 0.0, 1.0]]))
    assert float((half - image).abs().max()) > 1e-3


@torch.inference_mode()
def test_tiles_of_a_tone_are_those_of_the_whole() -> None:
    form = ToneForm(repairing())
    image, undo, curve, airlight, haze, _ = form.examples(
        1, 40, 60, torch.Generator().manual_seed(3)
    )
    light = (undo, curve, airlight, haze)
    whole = form(image, *light, torch.tensor([[0.0, 0.0, 40.0, 60.0]]))
    tile = form(image[:, :, 8:, 16:], *light, torch.tensor([[8.0, 16.0, 40.0, 60.0]]))
    same(tile, whole[:, :, 8:, 16:])
    unchanged = form(image, 0 * undo, curve, airlight, haze, torch.tensor([[0.0, 0.0, 40.0, 60.0]]))
    assert torch.equal(unchanged, image)


@torch.inference_mode()
def test_the_overview_is_that_of_the_scout() -> None:
    """Halves are rounded to even numbers on the way to its size."""
    form = ScoutForm(repairing())
    for size in ((1, 200), (3, 128), (5, 128), (65, 130), (64, 64)):
        image = picture(1, 3, *size)
        statistics = form.model.count(image)
        assert tuple(statistics.places[1][0].shape[2:]) == overview_size(size)
        same(form(image).embedding, form.model.scout(statistics))


@pytest.mark.parametrize("side", [1, 2, 4, 5, 8, 9, 15])
def test_mirrored_edges_are_those_of_the_networks(side: int) -> None:
    image = picture(1, 3, side, 9)
    assert torch.equal(mirrored_to_multiple(image, 8), pad_to_multiple(image, 8))


@pytest.mark.parametrize("size", [(1, 1), (23, 41), (64, 72)], ids=str)
@torch.inference_mode()
def test_the_published_form_chooses_as_the_network(size: tuple[int, int]) -> None:
    model = mini(motion=True, top_k=2)
    with torch.enable_grad():
        form = FaithfulForm(model)
    image = pictures(3, 3, *size)
    same(form(image), model(image, motion=False).image.clamp(0, 1))
    chosen = model(image, motion=False).routings[0].experts
    assert size == (1, 1) or len(chosen.unique()) > 1


def test_what_a_graph_cannot_have() -> None:
    model = repairing()
    for experts in ((1,), (1, 2, 3), (1, 1, 1, EXPERTS), (0, 0, 0, -1)):
        with pytest.raises(UsageError, match="for each of the 4 blocks of mine"):
            form_of(model, "mine", experts=experts)
    with pytest.raises(UsageError, match="part is 'body', but must be one of scout"):
        form_of(model, "mine", part="body")
    with pytest.raises(UsageError, match="leave scale out"):
        form_of(model, "mine", scale=1.0)
    with pytest.raises(UsageError, match="leave part and expert out"):
        form_of(mini(), "mine", experts=(1, 1, 1, 1))


def test_the_check_looks_at_every_output() -> None:
    form = ScoutForm(repairing())

    def off(image: Tensor) -> tuple[Tensor, ...]:
        *others, haze = form(image)
        return (*others, haze + 1e-3)

    assert largest_difference(form, lambda image: tuple(form(image)), "a.onnx") < 1e-5
    with pytest.raises(Exception, match="not written"):
        largest_difference(form, off, "a.onnx")
