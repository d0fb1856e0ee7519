"""Two networks, of which a judge picks one for each picture."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from pixperts.degradations.camera import jpeg
from pixperts.errors import ModelError, UsageError
from pixperts.models.moeisr_photo.config import MoEISRPhotoConfig
from pixperts.models.moeisr_photo.judge import MOST, SIDE, pieces_of
from pixperts.models.presets import build, create_model, family_of
from pixperts.ops.windows import Part, Window
from tests.helpers.light_models import paired
from tests.helpers.tiny_models import picture, same


def flat() -> torch.Tensor:
    return 0.2 * picture(3, 40, 70) + 0.4


def rough() -> torch.Tensor:
    return picture(3, 40, 70)


def test_each_picture_takes_the_network_that_suits_it() -> None:
    model = paired(flat(), rough())
    batch = torch.stack([rough(), flat(), rough()])
    with torch.inference_mode():
        found = model(batch, (60, 90)).image
        for picked, one, made in zip((1, 0, 1), batch, found, strict=True):
            assert model.pick(model.judged(one[None], (60, 90))) == picked
            assert torch.equal(made, model.networks[picked](one[None], (60, 90)).image[0])
            other = model.networks[1 - picked](one[None], (60, 90)).image[0]
            assert float((made - other).abs().max()) > 0.01


def test_a_caller_may_name_the_networks() -> None:
    model = paired(flat(), rough())
    batch = torch.stack([flat(), rough()])
    with torch.inference_mode():
        found = model(batch, (60, 90), members=(1, 0)).image
        assert torch.equal(found[:1], model.clean(batch[:1], (60, 90)).image)
        assert torch.equal(found[1:], model.photo(batch[1:], (60, 90)).image)


def test_a_tile_by_a_named_network_is_a_part_of_the_whole() -> None:
    model = paired()
    image, size = picture(1, 3, 40, 70), (60, 90)
    part = Part(Window(0, 30, 0, 45), Window(0, 35, 0, 60), (40, 70))
    with torch.inference_mode():
        whole = model(image, size, members=[1]).image
        tile = model(image[:, :, :35, :60], size, part=part, members=[1]).image
    same(tile, whole[:, :, :30, :45])


def test_squared_errors_add_up() -> None:
    """Pieces with large errors decide, however many others there are."""
    model = paired(flat(), rough())
    pieces = torch.stack([flat(), flat(), rough()])
    with torch.inference_mode():
        each = [model.errors(piece[None], (2.0, 2.0)) for piece in pieces]
        together = model.errors(pieces, (2.0, 2.0))
    torch.testing.assert_close(together, each[0] + each[1] + each[2], rtol=1e-4, atol=0)
    assert each[0].shape == (2,)
    assert each[0].dtype == torch.float64


def test_the_clean_network_must_be_better_by_a_margin() -> None:
    config = MoEISRPhotoConfig(channels=8, blocks=1, judge_width=4, clean_below=0.9)
    model = paired()
    model.config = config
    assert model.pick(torch.tensor([1.0, 0.89])) == 1
    assert model.pick(torch.tensor([1.0, 0.91])) == 0


def test_the_judge_sees_all_of_a_small_picture_and_parts_of_a_large_one() -> None:
    assert pieces_of(1, 5) == [Window(0, 1, 0, 5)]
    for length in (65, 128, 300, SIDE * MOST):
        covered = torch.zeros(length, dtype=torch.bool)
        for piece in pieces_of(length, 10):
            assert piece.size == (SIDE, 10)
            covered[piece.top : piece.bottom] = True
        assert covered.all()
    large = pieces_of(3000, 5000)
    assert len(large) == MOST**2
    assert large[0] == Window(0, SIDE, 0, SIDE)
    assert large[-1] == Window(3000 - SIDE, 3000, 5000 - SIDE, 5000)


def test_pictures_of_any_size_are_judged() -> None:
    model = paired()
    for height, width in ((1, 1), (2, 3), (5, 64), (67, 130)):
        with torch.inference_mode():
            errors = model.judged(picture(1, 3, height, width), (2 * height, 2 * width))
        assert errors.isfinite().all()
        assert (errors > 0).all()


def test_the_judge_works_in_float32() -> None:
    model = paired()
    image = picture(1, 3, 30, 30)
    with torch.inference_mode():
        expected = model.judged(image, (60, 60))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.equal(model.judged(image, (60, 60)), expected)


def test_costs_are_those_of_one_network() -> None:
    model = paired()
    parts = model.multiply_adds((100, 80), (200, 160))
    alone = model.clean.multiply_adds((100, 80), (200, 160))
    assert parts["total"] == pytest.approx(alone["total"] + parts["judge"])
    whole = create_model("moeisr-photo")
    parts = whole.multiply_adds((480, 640), (960, 1280))  # type: ignore[operator]
    assert 0 < parts["judge"] < 0.02 * parts["total"]


def test_it_is_built_from_its_configuration() -> None:
    model = paired()
    assert family_of(model) == "moeisr-photo"
    values = {"channels": 8, "blocks": 1, "judge_width": 4}
    other = build(values, "moeisr-photo")
    other.load_state_dict(model.state_dict())


@pytest.mark.parametrize(
    ("field", "value"), [("judge_width", 0), ("blocks", 1.5), ("clean_below", -1.0)]
)
def test_what_cannot_be_built_is_named(field: str, value: object) -> None:
    with pytest.raises(ModelError, match=field):
        build({field: value}, "moeisr-photo")


def test_refusals() -> None:
    model = paired()
    with pytest.raises(UsageError, match="lr has shape"):
        model(picture(3, 5, 5), (10, 10))
    with pytest.raises(UsageError, match="single expert"):
        model(picture(1, 3, 5, 5), (10, 10), budget=0.5)


def text() -> torch.Tensor:
    """Black letters on white, with soft edges."""
    page = Image.new("RGB", (128, 128), "white")
    for row in range(5):
        ImageDraw.Draw(page).text((3, 4 + 24 * row), "clear words", fill="black", font_size=18)
    return torch.from_numpy(np.array(page)).permute(2, 0, 1).float() / 255


def test_text_with_ripples_is_for_the_first_network() -> None:
    """Even if the other one would have the smaller squared error."""
    model = paired()
    with torch.no_grad():
        model.judge.estimate.weight.zero_()
        model.judge.estimate.bias.copy_(torch.tensor([-5.0, -6.0]))
    photo = picture(3, 128, 128)  # all steps are steep
    assert model.pick(model.judged(photo[None], (256, 256))) == 1
    assert model.pick(model.judged(text()[None], (256, 256))) == 1
    for quality in (90, 85):
        saved = jpeg(text(), quality=quality)
        assert model.pick(model.judged(saved[None], (256, 256))) == 0
    plain = torch.full((1, 3, 128, 128), 0.7)
    assert not model.judge.rippled(plain).any()
