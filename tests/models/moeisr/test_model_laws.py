"""The model's precision, cost, state and construction."""

import copy
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from pixperts.errors import ModelError, UsageError
from pixperts.models.moeisr.config import MoEISRConfig
from pixperts.models.moeisr.model import MoEISR
from pixperts.models.moeisr.queries import axis_neighbors
from pixperts.models.presets import PRESETS, build, create_model
from tests.helpers.places import ROOT
from tests.helpers.tiny_models import POOL, TINY, decoders, moeisr, picture, run, tiny

# ---------------------------------------------------------------- precision, cost, state


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@decoders
def test_low_precision_finds_the_same_neighbours(decoder: str, dtype: torch.dtype) -> None:
    """Positions never pass through the model's own type, so neighbours and offsets are exact."""
    model, lr = tiny(decoder), picture(1, 3, 9, 8)
    exact = axis_neighbors(torch.arange(29), 29, 9)
    default = torch.get_default_dtype()
    try:
        torch.set_default_dtype(dtype)
        coarse = axis_neighbors(torch.arange(29), 29, 9)
    finally:
        torch.set_default_dtype(default)
    assert torch.equal(exact.index, coarse.index)
    assert torch.equal(exact.offset, coarse.offset)
    low = copy.deepcopy(model).to(dtype)
    image = run(low, lr.to(dtype), (29, 23))
    assert image.dtype == dtype
    assert image.isfinite().all()
    if decoder == "liif":  # LTE's angles amplify rounding by their frequencies
        full = run(model, lr, (29, 23), budget=1.0)
        low_full = run(low, lr.to(dtype), (29, 23), budget=1.0).float()
        assert (low_full - full).std() < 0.05 * full.std()


@decoders
def test_multiply_adds_equal_the_counted_ones(decoder: str) -> None:
    """PyTorch counts convolutions and matrix products out of place, and nothing else."""
    model, h, w, H, W = tiny(decoder, depths=(2,), widths=(8,)), 6, 5, 14, 16
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(picture(1, 3, h, w), (H, W))
    parts = model.multiply_adds((h, w), (H, W))
    assert parts["total"] == sum(value for key, value in parts.items() if key != "total")
    width = model.config.width
    # Not counted by PyTorch: the ensemble's weighing, three colours of four neighbours ...
    uncounted = 4 * 3 * H * W
    # ... and in the embedding LIIF's in-place product with the offset, two numbers to `width`,
    # or LTE's products element by element: two a frequency and one an amplitude.
    uncounted += 4 * 2 * width * H * W
    # Counted, but once a picture and not a pixel: the product with the cell (LIIF) or the phase.
    once = 2 * width if decoder == "liif" else 2 * (width // 2)
    assert parts["total"] - uncounted == counter.get_total_flops() / 2 - once


def test_multiply_adds_follow_the_shares() -> None:
    model = tiny()
    shares = (0.5, 0.25, 0.25)
    mixed = model.multiply_adds((6, 6), (12, 12), shares)
    dearest = model.multiply_adds((6, 6), (12, 12))
    mean = sum(s * c for s, c in zip(shares, model.costs, strict=True))
    assert mixed["experts"] == pytest.approx(mean * dearest["experts"])
    assert mixed["encoder"] == dearest["encoder"]
    assert max(model.costs) == 1.0


@pytest.mark.parametrize(("decoder", "layers"), [("liif", 345_856)])
def test_the_cost_of_liif_is_that_of_its_paper(decoder: str, layers: int) -> None:
    """580-256-256-256-256-3 is 345 856 a query; here the 576 features count at LR resolution."""
    model = moeisr(create_model(f"{decoder}-edsr"))
    parts = model.multiply_adds((10, 10), (20, 20))
    assert parts["embedding"] == 576 * 256 * 100
    # The two numbers of the cell count once a picture; weighing adds 3 a neighbour.
    assert parts["experts"] == 4 * (layers - 576 * 256 - 2 * 256 + 3) * 400


def test_progress_rises_to_one() -> None:
    seen: list[float] = []
    run(tiny(max_pixels=4), picture(1, 3, 40, 8), (120, 20), progress=seen.append)
    assert len(seen) > 3
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


def test_probabilities_are_those_of_the_choice() -> None:
    with torch.inference_mode():
        routing = tiny()(picture(2, 3, 5, 6), (9, 13), probabilities=True).routings[0]
    assert routing.probabilities.shape == (2, 3, 9, 13)
    torch.testing.assert_close(routing.probabilities.sum(1), torch.ones(2, 9, 13))
    assert torch.equal(routing.probabilities.argmax(1), routing.experts.long())


@pytest.mark.parametrize(
    ("name", "least", "most"), [("moeisr-liif-edsr", 426, 1200), ("moeisr-tiny", 145, 342)]
)
def test_a_budget_of_zero_costs_what_the_docs_say(name: str, least: int, most: int) -> None:
    model, sizes = create_model(name), ((500, 500), (1000, 1000))
    assert isinstance(model, MoEISR)
    totals = [model.multiply_adds(*sizes, s)["total"] for s in ((1.0, 0, 0, 0), None)]
    assert [round(total / 1e9) for total in totals] == [least, most]
    for text in (MoEISR.__doc__, (ROOT / "docs" / "tiling.md").read_text()):
        assert f"{least} of {most}" in str(text)


@decoders
def test_forward_writes_no_state(decoder: str) -> None:
    model, lr = tiny(decoder), picture(1, 3, 5, 6)
    weights = {key: value.clone() for key, value in model.state_dict().items()}
    attributes = {key: set(vars(module)) for key, module in model.named_modules()}
    kept = lr.clone()
    first = run(model, lr, (9, 11))
    run(model, picture(2, 3, 8, 3), (4, 21), budget=0.3)
    assert torch.equal(run(model, lr, (9, 11)), first)
    assert torch.equal(lr, kept)
    assert {key: set(vars(module)) for key, module in model.named_modules()} == attributes
    assert all(torch.equal(value, weights[key]) for key, value in model.state_dict().items())


# ---------------------------------------------------------------- construction


def test_a_new_mapper_starts_from_equal_shares() -> None:
    model = MoEISR(MoEISRConfig(**TINY, **POOL))
    with torch.inference_mode():
        routing = model(picture(1, 3, 5, 5), (9, 9), probabilities=True).routings[0]
    torch.testing.assert_close(routing.probabilities, torch.full((1, 3, 9, 9), 1 / 3))


def test_every_preset_is_known_by_name_and_its_kind() -> None:
    assert len(PRESETS) == 20
    for name, preset in PRESETS.items():
        if not isinstance(preset.config, MoEISRConfig):
            assert name.startswith(("moce-ir", "moce-isr")) or name in (
                "moeisr-light",
                "moeisr-photo",
            )
            continue
        assert ("experts" in preset.summary) == name.startswith("moeisr")
        assert (len(preset.config.depths) > 1) == name.startswith("moeisr")
        assert preset.config.residual == ("lte" in name or "tiny" in name)


def test_overrides_replace_fields_and_lists_become_tuples() -> None:
    model = moeisr(create_model("moeisr-tiny", depths=[0, 2], widths=[8, 16], width=32))
    assert model.config.depths == (0, 2)
    built = moeisr(build({"depths": [0, 2], "widths": [8, 16], "width": 32}))
    assert built.config.width == 32
    with torch.inference_mode():
        assert model(picture(1, 3, 4, 4), (6, 6)).image.shape == (1, 3, 6, 6)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"encoder": "vgg"}, "encoder"),
        ({"decoder": "nerf"}, "decoder"),
        ({"depths": (2, 1), "widths": (8, 8)}, "depths"),
        ({"depths": (), "widths": ()}, "depths"),
        ({"depths": (1, 2)}, "widths"),
        ({"depths": (-1,)}, "depth"),
        ({"depths": (65,)}, "depth"),
        ({"depths": 3}, "depths"),
        ({"widths": (0,)}, "width"),
        ({"width": 0}, "width"),
        ({"width": 2.5}, "width"),
        ({"width": 10**9}, "width"),
        ({"width": 7, "decoder": "lte"}, "even"),
        ({"mapper_layers": 0}, "mapper_layers"),
        ({"mapper_width": True}, "mapper_width"),
        ({"max_pixels": 0}, "max_pixels"),
        ({"encoder_options": {"channel": 3}}, "encoder_options"),
        ({"encoder_options": 5}, "encoder_options"),
        ({"encoder_options": {"channels": 10**9}}, "channels"),
        ({"encoder_options": {"blocks": 10**9}}, "blocks"),
        ({"encoder_options": {"blocks": "many"}}, "blocks"),
        ({"colour": 3}, "colour"),
    ],
)
def test_impossible_configurations_are_refused_by_name(options: dict[str, Any], named: str) -> None:
    with pytest.raises(ModelError, match=named):
        create_model("liif-edsr", **options)


def test_an_unknown_model_is_refused_by_name() -> None:
    with pytest.raises(ModelError, match=r"'moesir-tiny'.*moeisr-tiny"):
        create_model("moesir-tiny")


@pytest.mark.parametrize(
    ("shape", "size", "message"),
    [
        ((3, 4, 4), (8, 8), "lr has shape"),
        ((1, 1, 4, 4), (8, 8), "lr has shape"),
        ((1, 3, 0, 4), (8, 8), "lr has shape"),
        ((1, 3, 4, 4), (0, 8), "at least 1"),
    ],
)
def test_wrong_arguments_are_refused(
    shape: tuple[int, ...], size: tuple[int, int], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        tiny()(torch.zeros(shape), size)
