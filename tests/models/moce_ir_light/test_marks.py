"""The stage for dust and scratches: which pictures and pixels it changes, in tiles as at once."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from pixperts.errors import ModelError
from pixperts.inference.restorer import Restorer
from pixperts.models.moce_ir_light.config import GROUPS, PARTS, MoCEIRLightConfig
from pixperts.models.moce_ir_light.marks import MarksStage
from pixperts.models.moce_ir_light.model import MoCEIRLight
from pixperts.weights import store

SMALL: dict[str, Any] = {
    "channels": (8, 8, 16), "expert_widths": (8, 8), "bottleneck": 4, "scout_channels": 4,
    "embedding": 8, "tone_width": 4, "marks": True, "sure": (0.5, 0.8),
    "sure_marks": (0.99, 1.0),
}  # fmt: skip
MARKS = GROUPS.index("marks")


def marked(**changes: Any) -> MoCEIRLight:
    """A network that removes marks of all pictures, and repairs nothing else.

    The stage finds its marks by the brightness of a pixel, and what it fills in differs from place
    to place.
    """
    torch.manual_seed(0)
    model = MoCEIRLight(MoCEIRLightConfig(**(SMALL | changes))).eval()
    torch.nn.init.zeros_(model.scout.groups.weight)
    model.scout.groups.bias.data.fill_(-20)
    assert model.marks is not None
    liven(model.marks)
    return model


def liven(stage: MarksStage) -> None:
    """Random weights under which it is sure of some pixels and not of others."""
    torch.nn.init.normal_(stage.output.weight, std=0.4)
    assert stage.output.bias is not None
    torch.nn.init.zeros_(stage.output.bias)


def likely(model: MoCEIRLight, probability: float) -> None:
    model.scout.groups.bias.data[MARKS] = math.log(probability / (1 - probability))


def pictures(batch: int, height: int, width: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    ramp = torch.linspace(0.1, 0.9, width).expand(batch, 3, height, width)
    noise = torch.randn(batch, 3, height, width, generator=generator)
    return (ramp + 0.1 * noise).clamp(0, 1)


def restored(model: MoCEIRLight, image: Tensor, **options: Any) -> Tensor:
    with torch.inference_mode():
        result: Tensor = model(image, **options).image
    return result


def test_an_untrained_stage_changes_nothing() -> None:
    image = pictures(2, 33, 46)
    with torch.inference_mode():
        assert torch.equal(MarksStage()(image), image)


def test_pixels_of_which_it_is_not_sure_stay_to_the_bit() -> None:
    model, image = marked(), pictures(2, 48, 56)
    found = restored(model, image)
    assert model.marks is not None
    with torch.inference_mode():
        logits, changes = model.marks.estimate(image)
    share = ((logits.sigmoid() - 0.4) / 0.3).clamp(0, 1)
    torch.testing.assert_close(found, image + share * changes)
    same = (found == image).all(dim=1, keepdim=True)
    assert torch.equal(same | (share > 0), torch.ones_like(same))
    assert 0.1 < float(same.float().mean()) < 0.9


def test_the_scout_must_find_marks_likely() -> None:
    model, image = marked(sure_stage=(0.2, 0.6)), pictures(1, 40, 48)
    whole = restored(marked(), image) - image
    assert float(whole.abs().mean()) > 1e-3
    for probability, share in ((0.1, 0.0), (0.4, 0.5), (0.7, 1.0)):
        likely(model, probability)
        with torch.inference_mode():
            output = model(image)
        torch.testing.assert_close(output.image, image + share * whole, rtol=0, atol=1e-5)
        assert output.routings[0].marks is not None
        assert output.routings[0].marks.tolist() == pytest.approx([share], abs=1e-5)
        assert torch.equal(output.image, image) == (share == 0)


def test_each_picture_of_a_batch_is_as_alone() -> None:
    image = pictures(4, 40, 48)
    model = marked(sure_stage=(0.5, 0.500001))
    torch.nn.init.normal_(model.scout.groups.weight, std=30.0)
    with torch.inference_mode():
        logits = model.scout.groups(model.scout(model.count(image)))[:, MARKS]
        model.scout.groups.bias.data[MARKS] -= logits.median() + 1e-3
        together = model(image)
        alone = torch.cat([model(one[None]).image for one in image])
    torch.testing.assert_close(together.image, alone, rtol=0, atol=1e-5)
    marks = together.routings[0].marks
    assert marks is not None
    assert sorted(set(marks.tolist())) == [0.0, 1.0]


def test_tiles_equal_the_whole() -> None:
    model, image = marked(), pictures(1, 333, 541)
    card = store.Card("small", {})
    options: dict[str, Any] = {"device": "cpu", "precision": "float32"}
    whole = Restorer(model, card, **options).restore(image)
    tiled = Restorer(model, card, **options, tile=128).restore(image)
    assert float((whole - image).abs().mean()) > 1e-3
    assert float((whole - tiled).abs().max()) < 1e-5


def test_nothing_beyond_its_reach_is_seen() -> None:
    torch.manual_seed(0)
    stage, image = MarksStage(), pictures(1, 64, 320)
    liven(stage)
    changed = image.clone()
    changed[:, :, :, :64] = 1 - changed[:, :, :, :64]
    with torch.inference_mode():
        before, after = (torch.cat(stage.estimate(one), dim=1) for one in (image, changed))
    moved = (before - after).abs().amax(dim=(0, 1, 2))
    assert float(moved[64 + stage.reach :].max()) < 1e-6
    assert float(moved[64 + 16 : 64 + stage.reach].max()) > 1e-6


def test_the_amount_of_other_faults_is_that_of_marks() -> None:
    model, image = marked(), pictures(1, 40, 48)
    rest = PARTS.index("rest")
    whole = restored(model, image) - image
    for amount in (0.0, 0.5):
        amounts = [amount if place == rest else 1.0 for place in range(len(PARTS))]
        found = restored(model, image, amounts=amounts)
        torch.testing.assert_close(found, image + amount * whole, rtol=0, atol=1e-5)


def test_what_is_removed_is_reported_with_the_rest() -> None:
    model, image = marked(), pictures(1, 40, 48)
    with torch.inference_mode():
        output = model(image)
    assert output.changes is not None
    expected = (output.image - image).square().mean()
    torch.testing.assert_close(output.changes[0], torch.tensor([0.0, 0.0, float(expected)]))


@pytest.mark.parametrize("probability", [0.1, 0.9])
def test_multiply_adds_equal_the_counted_ones(probability: float) -> None:
    model, image = marked(sure_stage=(0.5, 0.6)), pictures(1, 64, 80)
    likely(model, probability)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        output = model(image)
    parts = model.multiply_adds((64, 80), output.routings)
    own = 0.0 if model.marks is None else model.marks.multiply_adds((64, 80))
    assert parts["marks"] == (own if probability > 0.5 else 0)
    with torch.no_grad(), FlopCounterMode(display=False) as plain:
        model.unmarked(image, torch.zeros(1, 8))
    if probability > 0.5:
        assert plain.get_total_flops() / 2 - own < 1000  # the scout's judgment of an embedding
        assert counter.get_total_flops() / 2 > own


@pytest.mark.parametrize("span", [(0.8, 0.5), (0.5,), (-0.1, 0.5)])
def test_spans_that_do_not_rise_are_refused(span: tuple[float, ...]) -> None:
    with pytest.raises(ModelError, match="sure_stage is"):
        MoCEIRLightConfig(sure_stage=span)
    with pytest.raises(ModelError, match="marks is 1, but must be true or false"):
        MoCEIRLightConfig(marks=1)  # type: ignore[arg-type]
