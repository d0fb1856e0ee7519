"""Published MoCE-IR weights: their names, and files of them converted and loaded."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from pixperts.errors import ModelError
from pixperts.models.moce_ir.model import MoCEIR
from pixperts.models.presets import create_model
from pixperts.weights import convert, store
from tests.helpers.moce_models import moce_ir
from tests.helpers.places import REFERENCE

FILTER = "net.freq_embed.high_conv.0.conv.weight"
GATE = "net.dec.0.2.layers.0.adapter.routing.gate.2.weight"


def original(name: str) -> MoCEIR:
    torch.manual_seed(5)
    return moce_ir(create_model(name)).eval()


def published_layout(name: str) -> dict[str, Tensor]:
    """Our random weights under the names of the published Lightning module."""
    model = original(name)
    state: dict[str, Tensor] = {}
    for key, value in model.state_dict().items():
        key = key.replace("freq_embed.high_pass", "freq_embed.high_conv.0.conv.weight")
        state[f"net.{key.replace('.routing.gate.weight', '.routing.gate.2.weight')}"] = value
    state[FILTER] = state[FILTER] + 0.125  # as learned
    stages = [(stage, layer) for stage, count in enumerate((4, 4, 2)) for layer in range(count)]
    for (stage, layer), complexity in zip(stages, model.complexities, strict=True):
        key = f"net.dec.{stage}.2.layers.{layer}.adapter.routing.complexity"
        state[key] = torch.tensor(complexity)
    return state


@pytest.fixture(scope="module")
def small() -> dict[str, Tensor]:
    return published_layout("moce-ir-s")


@pytest.mark.parametrize("name", ["moce-ir-s", "moce-ir"])
@pytest.mark.slow
def test_the_layout_is_the_published_one(name: str) -> None:
    keys = REFERENCE / "moce_ir.json"
    if not keys.exists():
        pytest.skip("the key lists of the published networks (shared/reference) are not here")
    entry = json.loads(keys.read_text())[name]
    wanted = {f"net.{key}": tuple(shape) for key, shape in entry["state_dict"].items()}
    assert {key: tuple(value.shape) for key, value in published_layout(name).items()} == wanted


@pytest.mark.parametrize("name", ["moce-ir-s", "moce-ir"])
@pytest.mark.slow
def test_the_architecture_is_recognised_and_every_tensor_finds_its_place(name: str) -> None:
    state = published_layout(name)
    model = original(name)
    for wrapped in (state, {"state_dict": state, "epoch": 120, "global_step": 7}):
        assert convert.recognise(wrapped) == name
    bare = {key.removeprefix("net."): value for key, value in state.items()}
    assert convert.recognise(bare) == name
    for given in ({"state_dict": state}, bare):
        loaded = convert.from_published(name, given)
        assert isinstance(loaded, MoCEIR)
        assert not loaded.training
        held = loaded.state_dict()
        assert torch.equal(held.pop("freq_embed.high_pass"), state[FILTER])
        expected = model.state_dict()
        del expected["freq_embed.high_pass"]
        assert held.keys() == expected.keys()
        assert all(torch.equal(held[key], expected[key]) for key in held)


@pytest.mark.slow
def test_a_file_converts_and_gives_the_same_picture(
    tmp_path: Path, small: dict[str, Tensor]
) -> None:
    source, target = tmp_path / "cdd11.ckpt", tmp_path / "made" / "moce.safetensors"
    torch.save({"state_dict": small, "epoch": 199, "pytorch-lightning_version": "2.4.0"}, source)
    assert convert.convert_file(source, target, license_name="MIT") == "moce-ir-s"
    model, card = store.load(target)
    assert (card.name, card.family, card.license) == ("moce-ir-s", "moce-ir", "MIT")
    assert card.notes["origin"] == "converted from cdd11.ckpt"
    picture = torch.rand(1, 3, 9, 12, generator=torch.Generator().manual_seed(1))
    expected = moce_ir(convert.from_published("moce-ir-s", small))
    with torch.inference_mode():
        result = moce_ir(model)(picture)
        assert torch.equal(result.image, expected(picture).image)
        assert not torch.equal(result.image, original("moce-ir-s")(picture).image)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (FILTER, None, r"moce-ir-s: the tensor 'freq_embed\.high_pass' is missing"),
        (GATE, None, r"adapter\.routing\.gate\.weight' is missing"),
        (GATE, torch.zeros(4, 64), r"routing\.gate\.weight' has shape \(4, 64\), not \(4, 128\)"),
        ("net.extra.weight", torch.zeros(2), r"'extra\.weight' does not belong"),
        ("net.output.weight", "text", r"'output\.weight' .* is not a tensor"),
    ],
)
@pytest.mark.slow
def test_a_wrong_tensor_is_named(
    small: dict[str, Tensor], key: str, value: Any, message: str
) -> None:
    state: dict[str, Any] = dict(small)
    if value is None:
        del state[key]
    else:
        state[key] = value
    with pytest.raises(ModelError, match=message):
        convert.from_published("moce-ir-s", state)


@pytest.mark.slow
def test_the_wrong_size_and_other_architectures_are_refused(
    tmp_path: Path, small: dict[str, Tensor]
) -> None:
    with pytest.raises(ModelError, match=r"moce-ir: 'patch_embed\.proj\.weight' has shape"):
        convert.from_published("moce-ir", small)
    with pytest.raises(ModelError, match=r"'moce-ir-tiny' was never published"):
        convert.from_published("moce-ir-tiny", small)
    # Without its first tensor nothing tells the size.
    cut = {key: value for key, value in small.items() if "patch_embed" not in key}
    with pytest.raises(ModelError, match=r"no architecture .*name.*moce-ir-s"):
        convert.recognise(cut)
    torch.save({"state_dict": small | {"net.patch_embed.proj.weight": "text"}}, tmp_path / "a.ckpt")
    with pytest.raises(ModelError, match=r"a\.ckpt: the entry 'patch_embed.*is not a tensor"):
        convert.convert_file(tmp_path / "a.ckpt", tmp_path / "a.safetensors")
    assert not (tmp_path / "a.safetensors").exists()
