"""Forms for export give what the networks give, at every size."""

from fractions import Fraction

import pytest
import torch
from torch import Tensor

from pixperts.errors import ModelError, UsageError
from pixperts.export.check import largest_difference
from pixperts.export.forms import EncoderForm, LightForm, form_of
from pixperts.models.moeisr_light.config import MoEISRLightConfig
from pixperts.models.moeisr_light.model import MoEISRLight
from tests.helpers.light_models import light
from tests.helpers.tiny_models import picture, same, tiny

FACTORS = [*map(Fraction, ("1", "2", "3/2", "5/2", "7/3", "4", "237/100", "9/2"))]


@pytest.mark.parametrize("factor", FACTORS, ids=str)
@torch.inference_mode()
def test_whole_pictures_are_those_of_the_network(factor: Fraction) -> None:
    """Sides that q divides: the same call as that of `upscale`."""
    model = light(depths=(0,), widths=(0,), bounded_color=True)
    form = LightForm(model, factor, 0)
    q = factor.denominator
    for height, width in ((q, q), (3 * q, 2 * q)):
        lr = picture(2, 3, height, width)
        size = int(height * factor), int(width * factor)
        same(form(lr), model(lr, size).image.clamp(0, 1))


@torch.inference_mode()
def test_sides_that_q_does_not_divide_are_those_of_the_network_too() -> None:
    model, lr = light(depths=(0,), widths=(0,)), picture(1, 3, 37, 22)
    found = LightForm(model, Fraction(237, 100), 0)(lr)
    assert found.shape[2:] == (88, 52)  # 87.69, 52.14
    same(found, model(lr, (88, 52)).image.clamp(0, 1))


@pytest.mark.parametrize("factor", FACTORS, ids=str)
@torch.inference_mode()
def test_odd_sides_end_where_the_picture_does(factor: Fraction) -> None:
    model = light(bounded_color=True)
    form = LightForm(model, factor, 2)
    for height, width in ((1, 1), (5, 4), (10, 13)):
        lr = picture(1, 3, height, width)
        found = form(lr)
        same(found, form.reference(lr)[0])
        # A pixel counts where its center lies on the picture.
        sides = [
            sum((Fraction(2 * i + 1, 2)) / factor < side for i in range(12 * side + 12))
            for side in (height, width)
        ]
        assert list(found.shape[2:]) == sides


@torch.inference_mode()
def test_the_chosen_expert_serves_all_pixels() -> None:
    model, lr = light(), picture(1, 3, 9, 7)
    cheapest, deepest = (model(lr, (18, 14), budget=b).image.clamp(0, 1) for b in (0.0, 1.0))
    same(LightForm(model, Fraction(2), 0)(lr), cheapest)
    same(LightForm(model, Fraction(2), 2)(lr), deepest)
    same(form_of(model, "mine", 2.0)(lr), deepest)
    assert float((cheapest - deepest).abs().max()) > 1e-3


@torch.inference_mode()
def test_without_a_scale_it_is_the_encoder() -> None:
    model, lr = tiny(), picture(2, 3, 5, 6)
    form = form_of(model, "tiny", None)
    assert isinstance(form, EncoderForm)
    assert torch.equal(form(lr), model.encode(lr))


@pytest.mark.parametrize(
    ("scale", "experts", "sentence"),
    [
        (0.5, None, "enlarges: give 1 or more"),
        (float("nan"), None, "must be above 0"),
        (13.0, None, "at most 12"),
        (2.0, (3,), "expert is 3, but mine has the experts 0 to 2"),
        (2.0, (1, 2), "expert is 1,2, but mine"),
        (None, (1,), "an encoder has no experts"),
    ],
)
def test_what_a_graph_cannot_have(
    scale: float | None, experts: tuple[int, ...] | None, sentence: str
) -> None:
    with pytest.raises(UsageError, match=sentence):
        form_of(light(), "mine", scale, experts)


def test_choices_for_each_pixel_are_refused() -> None:
    with pytest.raises(UsageError, match="leave scale out for its encoder"):
        form_of(tiny(), "tiny", 2.0)


def test_a_file_that_computes_something_else_is_refused() -> None:
    form = LightForm(MoEISRLight(MoEISRLightConfig(channels=8, blocks=1)), Fraction(2), 0)

    def exact(lr: Tensor) -> tuple[Tensor, ...]:
        return tuple(form.reference(lr))

    def shifted(lr: Tensor) -> tuple[Tensor, ...]:
        return (exact(lr)[0] + 2e-4,)

    def cut(lr: Tensor) -> tuple[Tensor, ...]:
        return (exact(lr)[0][:, :, 1:],)

    def broken(lr: Tensor) -> tuple[Tensor, ...]:
        return (exact(lr)[0] * float("nan"),)

    assert largest_difference(form, exact, "a.onnx") == 0
    with pytest.raises(
        ModelError, match=r"a\.onnx was not written, because its results are 2.0e-04 away"
    ):
        largest_difference(form, shifted, "a.onnx")
    with pytest.raises(ModelError, match="the graph makes"):
        largest_difference(form, cut, "a.onnx")
    with pytest.raises(ModelError, match="are nan away"):
        largest_difference(form, broken, "a.onnx")
