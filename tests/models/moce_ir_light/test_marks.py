"""The stage for dust and scratches: it runs where that is wanted, in tiles as at once."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from pixperts.errors import ModelError, UsageError
from pixperts.inference.enhancer import Enhancer
from pixperts.inference.findings import RepairSettings
from pixperts.inference.restorer import Restorer
from pixperts.models.moce_ir_light.config import UNSHUFFLE, MoCEIRLightConfig
from pixperts.models.moce_ir_light.marks import MarksStage
from pixperts.models.moce_ir_light.model import MoCEIRLight
from pixperts.models.moce_isr_light.config import MoCEISRLightConfig
from pixperts.models.moce_isr_light.model import MoCEISRLight
from pixperts.weights import store

SMALL: dict[str, Any] = {
    "channels": (8, 8, 16), "expert_widths": (8, 8), "bottleneck": 4, "scout_channels": 4,
    "embedding": 8, "tone_width": 4, "marks": True, "sure": (0.5, 0.8),
}  # fmt: skip
DUST = RepairSettings(dust=1.0)


def calm(model: MoCEIRLight) -> MoCEIRLight:
    """It repairs nothing but marks, which its stage finds in many pixels."""
    torch.nn.init.zeros_(model.scout.groups.weight)
    model.scout.groups.bias.data.fill_(-20)
    assert model.marks is not None
    liven(model.marks)
    return model.eval()


def marked(**changes: Any) -> MoCEIRLight:
    torch.manual_seed(0)
    return calm(MoCEIRLight(MoCEIRLightConfig(**(SMALL | changes))))


def liven(stage: MarksStage) -> None:
    """Random weights under which it is sure of some pixels and not of others."""
    torch.nn.init.normal_(stage.output.weight, std=0.02)  # of the changes, which then stay small
    torch.nn.init.normal_(stage.output.weight[: UNSHUFFLE**2], std=0.4)
    assert stage.output.bias is not None
    torch.nn.init.zeros_(stage.output.bias)


def pictures(batch: int, height: int, width: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    ramp = torch.linspace(0.3, 0.7, width).expand(batch, 3, height, width)
    noise = torch.rand(batch, 3, height, width, generator=generator)
    return ramp + 0.2 * (noise - 0.5)


def restorer(model: MoCEIRLight, **options: Any) -> Restorer:
    given: dict[str, Any] = {"device": "cpu", "precision": "float32", **options}
    return Restorer(model, store.Card("small", {}), **given)


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
    found = restored(model, image, dust=1.0)
    assert model.marks is not None
    with torch.inference_mode():
        logits, changes = model.marks.estimate(image)
    share = ((logits.sigmoid() - 0.4) / 0.3).clamp(0, 1)
    torch.testing.assert_close(found, (image + share * changes).clamp(0, 1))
    same = (found == image).all(dim=1, keepdim=True)
    assert torch.equal(same | (share > 0), torch.ones_like(same))
    assert 0.1 < float(same.float().mean()) < 0.9


@pytest.mark.parametrize("amount", [0.0, 0.5])
def test_amounts_are_shares_of_the_change(amount: float) -> None:
    model, image = marked(), pictures(1, 40, 48)
    whole = restored(model, image, dust=1.0) - image
    assert float(whole.abs().mean()) > 1e-4
    found = restored(model, image, dust=amount)
    torch.testing.assert_close(found, image + amount * whole, rtol=0, atol=1e-5)
    assert torch.equal(found, image) == (amount == 0)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_tiles_equal_the_whole(precision: str) -> None:
    model, image = marked(), pictures(1, 140, 330)
    whole = restorer(model, precision=precision).repair(image, DUST)[0]
    tiled = restorer(model, precision=precision, tile=128).repair(image, DUST)[0]
    assert float((whole - image).abs().mean()) > 1e-4
    assert float((whole - tiled).abs().max()) < 1e-5


def test_its_reach_is_a_part_of_the_context() -> None:
    assert marked().dust_context == MarksStage.reach
    plain = MoCEIRLight(MoCEIRLightConfig(**(SMALL | {"marks": False})))
    assert plain.dust_context == 0
    assert plain.context == marked().context


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


def test_a_report_names_dust() -> None:
    image = (pictures(1, 150, 170)[0] * 255).round() / 255
    own = restorer(marked())
    whole, repair = own.repair(image, DUST)
    changed = float((torch.as_tensor(whole) != image).any(dim=0).float().mean())
    assert repair.findings is not None
    assert repair.findings.dust == pytest.approx(changed, rel=1e-5)
    assert f"dust and scratches ({changed:.2%} of the pixels)" in repair.findings.to_text()
    assert repair.findings.to_dict()["dust"] == pytest.approx(changed, abs=1e-5)
    _, repair = own.repair(image)
    assert repair.findings is not None
    assert repair.findings.to_text() == "nothing found to repair"


@pytest.mark.parametrize("tile", [None, 128])
def test_an_enlargement_begins_with_the_picture_without_dust(tile: int | None) -> None:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"large_channels": 8, "large_blocks": 2}
    both = calm(MoCEISRLight(MoCEISRLightConfig(**SMALL, **sizes)))
    image = pictures(1, 150, 170)
    found = Enhancer(restorer(both, tile=tile)).enhance(image, scale=2, settings=DUST)
    clean = restored(both, image, dust=1.0)
    expected = Enhancer(restorer(both)).enhance(clean, scale=2)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    assert float((found - Enhancer(restorer(both)).enhance(image, scale=2)).abs().mean()) > 1e-4


@pytest.mark.parametrize("dust", [0.0, 1.0])
def test_multiply_adds_equal_the_counted_ones(dust: float) -> None:
    model, image = marked(), pictures(1, 64, 80)
    with torch.no_grad(), FlopCounterMode(display=False) as plain:
        model(image)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        output = model(image, dust=dust)
    own = model.multiply_adds((64, 80), output.routings)["marks"]
    assert own == (counter.get_total_flops() - plain.get_total_flops()) / 2
    assert (own > 0) == (dust > 0)


def test_a_network_without_the_stage_says_so() -> None:
    plain = MoCEIRLight(MoCEIRLightConfig(**(SMALL | {"marks": False}))).eval()
    with pytest.raises(UsageError, match="small cannot remove dust and scratches: leave dust out"):
        restorer(plain).restore(pictures(1, 16, 16), dust=1.0)
    with pytest.raises(UsageError, match="has no stage"):
        plain(pictures(1, 16, 16), dust=1.0)
    with pytest.raises(UsageError, match="dust is 2, but must be between 0 and 1"):
        restorer(marked()).restore(pictures(1, 16, 16), dust=2.0)
    with pytest.raises(ModelError, match="marks is 1, but must be true or false"):
        MoCEIRLightConfig(marks=1)  # type: ignore[arg-type]
