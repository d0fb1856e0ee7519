"""Amounts of a repair, and what is said of it: refused by name, in words that are true."""

from typing import Any

import pytest
import torch
from torch import Tensor

from pixperts.errors import UsageError
from pixperts.inference.findings import Findings, RepairSettings
from pixperts.inference.streams import ArraySink, ArraySource
from pixperts.models.moce_ir.motion import Motion, MotionStage
from pixperts.models.moce_ir.statistics import Statistics
from pixperts.models.moce_ir_light.config import PARTS
from pixperts.models.moce_ir_light.model import MoCEIRLight
from tests.helpers.light_restoration import light_restorer
from tests.helpers.moce_models import mini
from tests.helpers.tiny_models import restorer


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"strength": 1.5}, "strength is 1.5"),
        ({"denoise": -0.1}, "denoise is -0.1"),
        ({"jpeg": 2}, "jpeg is 2"),
        ({"jpeg": float("nan")}, "jpeg is nan"),
        ({"tone": "maybe"}, "tone is 'maybe'"),
    ],
)
def test_amounts_out_of_range_are_refused_by_name(given: dict[str, Any], named: str) -> None:
    with pytest.raises(UsageError, match=named):
        RepairSettings(**given)


def test_a_network_without_parts_refuses_their_amounts() -> None:
    model = restorer(mini())
    image = torch.rand(3, 16, 16)
    assert model.restore(image, strength=0.5).shape == image.shape
    for given, named in (
        ({"denoise": 0.5}, "cannot control noise by itself: leave denoise out"),
        ({"jpeg": 0.5}, "leave jpeg out"),
        ({"tone": "off"}, "leave tone out"),
    ):
        with pytest.raises(UsageError, match=named):
            model.restore(image, **given)
    assert model.repair(image)[1].findings is None


def test_amounts_go_by_the_names_of_the_parts() -> None:
    settings = RepairSettings(denoise=0.25, jpeg=0.5)
    assert settings.amounts(PARTS) == (0.25, 0.5, 1.0)


def test_what_is_found_is_what_the_parts_change() -> None:
    model, image = light_restorer(), torch.rand(3, 40, 56)
    network = model.model
    assert isinstance(network, MoCEIRLight)
    repaired, repair = model.repair(image)
    assert repair.findings is not None
    assert set(repair.findings.changes) == set(PARTS)
    assert set(repair.findings.light) == {"dark", "hazy"}
    with torch.inference_mode():
        embedding = network.scout(network.count(image[None]))
        parts, _ = network.changes(image[None], embedding)
    for number, name in enumerate(PARTS):
        size = 255 * float(parts[0, number].square().mean().sqrt())
        assert repair.findings.changes[name] == pytest.approx(size, rel=1e-4)
    without, _ = model.repair(image, RepairSettings(denoise=0, jpeg=0))
    assert float((without - repaired).abs().max()) > 0.01
    # What was found does not depend on how much of it is undone.
    other = model.repair(image, RepairSettings(denoise=0, tone="off"))[1].findings
    assert other is not None
    assert other.changes == pytest.approx(repair.findings.changes)
    assert other.light == {}


def test_small_changes_are_not_called_faults() -> None:
    calm = Findings({"noise": 0.3, "jpeg": 0.1, "rest": 0.2}, {"dark": 0.2}, {"dark": 0.0})
    assert calm.to_text() == "nothing found to repair"
    loud = Findings({"noise": 3.0, "jpeg": 9.1, "rest": 0.2}, {"dark": 0.97}, {"dark": 1.0})
    assert loud.to_text() == "found compression (9.1 levels), noise (3.0 levels), darkness (97%)"
    night = Findings({"noise": 0.1}, {"dark": 0.99}, {"dark": 0.0})
    assert night.to_text() == (
        "darkness (99%) left, as bright parts, such as lamps at night, suggest that it is meant: "
        "see tone"
    )
    off = Findings({"noise": 1.0}, {}, {})  # tone="off": light was not judged
    assert off.to_text() == "found noise (1.0 levels)"
    assert calm.to_text((15.5, -16.2)) == "found motion blur (15.5 pixels at -16 degrees)"
    assert loud.to_dict()["undone"] == {"dark": 1.0}


def test_statistics_of_other_pictures_decide_in_place_of_its_own() -> None:
    model = light_restorer()
    image, other = torch.rand(1, 3, 40, 56), 0.2 * torch.rand(1, 3, 40, 56)

    def repaired(image: Tensor, statistics: Statistics | None, tile: int | None = None) -> Tensor:
        model.tile = tile
        sink = ArraySink(*image.shape)
        model.repair_rows(
            ArraySource(image), sink, RepairSettings(tone="on"), statistics=statistics
        )
        model.tile = None
        return sink.image

    own = repaired(image, None)
    assert torch.allclose(repaired(image, model.count(ArraySource(image))), own, atol=1e-5)
    held = repaired(image, model.count(ArraySource(other)))
    assert float((held - own).abs().max()) > 1e-3
    large, large_other = torch.rand(1, 3, 160, 136), 0.2 * torch.rand(1, 3, 160, 136)
    sums = model.count(ArraySource(large_other))
    assert torch.allclose(repaired(large, sums, 128), repaired(large, sums), atol=1e-4)
    with pytest.raises(UsageError, match="has no scout"):
        restorer(mini()).count(ArraySource(image))


@pytest.mark.parametrize("kind", ["light", "published"])
def test_motion_blur_is_left_where_that_is_set(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = light_restorer(motion=True) if kind == "light" else restorer(mini(motion=True))
    image = torch.rand(1, 3, 168, 168)
    plain = model.repair(image, RepairSettings(motion=False))
    seen = Motion(torch.tensor([9.0]), torch.tensor([20.0]), torch.tensor([0.0]))
    monkeypatch.setattr(MotionStage, "read", lambda *_: seen)
    moved = model.repair(image)
    left = model.repair(image, RepairSettings(motion=False))
    assert moved[1].routings[0].motion is not None
    assert left[1].routings[0].motion is None
    assert torch.equal(left[0], plain[0])
    assert float((left[0] - moved[0]).abs().max()) > 0.01
    model.tile = 128
    tiled = model.repair(image, RepairSettings(motion=False))
    assert tiled[1].routings[0].motion is None
