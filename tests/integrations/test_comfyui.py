"""The node pack, in a stand-in of ComfyUI: pixels equal to ours, masks, progress, cancel."""

import asyncio
import importlib.util
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import torch

import pixperts
from pixperts.inference.findings import RepairSettings
from pixperts.inference.upscaler import Upscaler
from pixperts.weights import store
from tests.helpers.comfy_stub import Comfy, ProcessingInterruptedError
from tests.helpers.moce_models import mini
from tests.helpers.tiny_models import picture, tiny
from tests.helpers.torchvision_stub import stub_torchvision

PACK = Path(__file__).parents[2] / "integrations" / "comfyui"


@pytest.fixture
def comfy(monkeypatch: pytest.MonkeyPatch) -> Comfy:
    found = Comfy()
    found.install(monkeypatch)
    return found


@pytest.fixture
def nodes(comfy: Comfy, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The nodes by their names, as ComfyUI finds them."""
    stub_torchvision(monkeypatch)
    spec = importlib.util.spec_from_file_location("own_pack", PACK / "__init__.py")
    assert spec is not None
    assert spec.loader is not None
    pack = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "own_pack", pack)
    monkeypatch.delitem(sys.modules, "own_pack.nodes", raising=False)
    spec.loader.exec_module(pack)
    monkeypatch.setitem(sys.modules, "own_pack.nodes", sys.modules["own_pack.nodes"])
    extension = asyncio.run(pack.comfy_entrypoint())
    listed = asyncio.run(extension.get_node_list())
    return {node.define_schema().node_id: node for node in listed}


def ours(batch: int = 1, height: int = 12, width: int = 20) -> torch.Tensor:
    """A picture in ComfyUI's layout."""
    return picture(batch, 3, height, width).movedim(1, -1)


def test_schemas_name_what_execute_takes(nodes: dict[str, Any]) -> None:
    assert sorted(nodes) == ["PixpertsEnhance", "PixpertsRestore", "PixpertsUpscale"]
    for node in nodes.values():
        schema = node.define_schema()
        names = [one.id for one in schema.inputs]
        code = node.execute.__func__.__code__
        assert names == list(code.co_varnames[1 : code.co_argcount])
        for combo in (one for one in schema.inputs if one.kind == "Combo"):
            assert combo.details["default"] in combo.details["options"]
    assert [o.kind for o in nodes["PixpertsUpscale"].define_schema().outputs] == ["Image", "Mask"]


def test_any_size_with_a_map_of_experts(
    nodes: dict[str, Any], comfy: Comfy, tmp_path: Path
) -> None:
    store.save(tmp_path / "own.safetensors", tiny(), store.Card("own", {}))
    other = str(tmp_path / "own.safetensors")
    image, run = ours(2), nodes["PixpertsUpscale"].execute
    large, mask = run(image, "moeisr-photo", 1.55, 0, -1.0, other).args
    assert large.shape == (2, 19, 31, 3)
    own = Upscaler.load(other, device="cpu")
    expected, routing = own.upscale_with_routing(image.movedim(-1, 1), size=(31, 19))
    assert torch.equal(large, expected.movedim(1, -1))
    assert routing is not None
    assert mask.shape == (2, 19, 31)
    assert float(mask.min()) >= 0
    assert float(mask.max()) <= 1
    assert ((mask == 0) == (routing.experts == 0)).all()
    assert comfy.values[-1] == 1000
    assert comfy.values == sorted(comfy.values)
    large, mask = run(image, "moeisr-photo", 2.0, 50, 1.0, other).args
    assert large.shape == (2, 30, 50, 3)
    assert bool((mask == 1).all())


def test_one_expert_makes_a_black_mask(nodes: dict[str, Any]) -> None:
    large, mask = nodes["PixpertsUpscale"].execute(ours(), "moeisr-photo", 2.0, 0, -1.0).args
    assert large.shape == (1, 24, 40, 3)
    assert mask.shape == (1, 24, 40)
    assert not mask.any()
    with pytest.raises(pixperts.UsageError, match="single expert"):
        nodes["PixpertsUpscale"].execute(ours(), "moeisr-photo", 2.0, 0, 0.5)


def test_repair(nodes: dict[str, Any], comfy: Comfy, tmp_path: Path) -> None:
    store.save(tmp_path / "own.safetensors", mini(), store.Card("own", {}))
    other = str(tmp_path / "own.safetensors")
    (good,) = nodes["PixpertsRestore"].execute(ours(), "moce-ir-tiny", 0.5, other).args
    own = pixperts.Restorer.load(other, device="cpu")
    expected = own.restore(ours().movedim(-1, 1), strength=0.5)
    assert torch.equal(good, expected.movedim(1, -1))
    assert comfy.values[-1] == 1000
    with pytest.raises(pixperts.UsageError, match="repairs and does not enlarge"):
        nodes["PixpertsUpscale"].execute(ours(), "moeisr-photo", 2.0, 0, -1.0, other)


def test_amounts_of_a_repair(nodes: dict[str, Any]) -> None:
    run = nodes["PixpertsRestore"].execute
    (good,) = run(ours(), "moce-ir-light", 1.0, "", 0.5, 0.0, "off").args
    own = pixperts.Restorer.load("moce-ir-light", device="cpu")
    expected = own.restore(ours().movedim(-1, 1), denoise=0.5, jpeg=0.0, tone="off")
    assert torch.equal(good, expected.movedim(1, -1))
    dusty = torch.full((1, 48, 64, 3), 0.3)
    dusty[:, 20:23, 30:33] = 0.9
    whole = run(dusty, "moce-ir-light", 1.0, "", 1.0, 1.0, "off").args[0]
    (clear,) = run(dusty, "moce-ir-light", 1.0, "", 1.0, 1.0, "off", 0.8).args
    expected = own.restore(dusty.movedim(-1, 1), tone="off", dust=0.8)
    assert torch.equal(clear, expected.movedim(1, -1))
    assert float(whole[0, 21, 31].mean() - clear[0, 21, 31].mean()) > 0.2
    with pytest.raises(pixperts.UsageError, match="cannot control noise by itself"):
        run(ours(), "moce-ir-tiny", 1.0, "", 0.5)


def test_repair_and_enlarge(nodes: dict[str, Any], comfy: Comfy) -> None:
    run = nodes["PixpertsEnhance"].execute
    (large,) = run(ours(), "moeisr-photo", "moce-ir-light", 1.5, 0, 0.8, 1.0, 0.5, "off").args
    own = pixperts.Enhancer.load(device="cpu")
    settings = RepairSettings(0.8, 1.0, 0.5, "off")
    expected = own.enhance(ours().movedim(-1, 1), scale=1.5, settings=settings)
    assert torch.equal(large, expected.movedim(1, -1))
    assert large.shape == (1, 18, 30, 3)
    assert comfy.values[-1] == 1000
    (large,) = run(ours(), "moeisr-light", "moce-ir-light", 1.5, 0, 0.8, 1.0, 0.5, "off").args
    two = pixperts.Enhancer.load("moeisr-light", device="cpu")
    expected = two.enhance(ours().movedim(-1, 1), scale=1.5, settings=settings)
    assert torch.equal(large, expected.movedim(1, -1))
    (large,) = run(ours(), "moeisr-photo", "moce-ir-light", 1.5, 40, 1.0).args
    assert large.shape == (1, 24, 40, 3)
    comfy.stop_at = len(comfy.values) + 1
    with pytest.raises(ProcessingInterruptedError):
        run(ours(), "moeisr-photo", "moce-ir-light", 2.0, 0, 1.0)


def test_cancel_stops_at_the_next_step(nodes: dict[str, Any], comfy: Comfy, tmp_path: Path) -> None:
    comfy.stop_at = 2
    with pytest.raises(ProcessingInterruptedError):
        nodes["PixpertsUpscale"].execute(ours(), "moeisr-photo", 2.0, 0, -1.0)
    assert len(comfy.values) == 2


def test_the_pack_is_described() -> None:
    project = tomllib.loads((PACK / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["version"] == pixperts.__version__
    assert {"PublisherId", "DisplayName"} <= project["tool"]["comfy"].keys()
    required = (PACK / "requirements.txt").read_text().split()
    assert required == project["project"]["dependencies"]
