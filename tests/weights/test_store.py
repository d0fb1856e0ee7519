"""Weights files: what is written comes back, and what is wrong is named."""

import json
import os
import struct
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from pixperts.errors import ModelError
from pixperts.models.moeisr.model import MoEISR
from pixperts.models.presets import create_model
from pixperts.weights import store
from pixperts.weights.packaged import packaged_models
from tests.helpers.moce_models import mini
from tests.helpers.tiny_models import moeisr

TINY: dict[str, Any] = {
    "encoder_options": {"channels": 8, "blocks": 1},
    "width": 8,
    "depths": (0, 1),
    "widths": (4, 4),
    "mapper_width": 4,
    "mapper_layers": 2,
}


def model() -> MoEISR:
    torch.manual_seed(0)
    return moeisr(create_model("moeisr-tiny", **TINY))


def card(**changes: Any) -> store.Card:
    facts: dict[str, Any] = {"name": "moeisr-tiny", "config": {}, "license": "MIT", "data": "none"}
    return store.Card(**facts | changes)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "models" / "tiny.safetensors"
    store.save(path, model(), card(notes={"psnr": 31.25, "steps": [1, 2]}))
    return path


def rewrite(path: Path, tensors: dict[str, Any] | None = None, **changes: Any) -> None:
    """Write the file again with other tensors, or other fields in its card."""
    facts = {**asdict(store.read_card(path)), "format": store.FORMAT} | changes
    held = load_file(path) if tensors is None else tensors
    save_file(held, path, metadata={"pixperts": json.dumps(facts)})


def test_a_round_trip_keeps_everything(path: Path) -> None:
    loaded, facts = store.load(path)
    original = model()
    assert loaded.config == original.config
    assert not loaded.training
    for key, value in original.state_dict().items():
        assert torch.equal(loaded.state_dict()[key], value), key
    assert facts == card(notes={"psnr": 31.25, "steps": [1, 2]}, config=facts.config)
    assert store.read_card(path) == facts
    assert [p.name for p in path.parent.iterdir()] == ["tiny.safetensors"]


def test_the_family_is_kept_and_old_files_without_one_enlarge(path: Path) -> None:
    assert store.read_card(path).family == "moeisr"
    facts = {**asdict(store.read_card(path)), "format": store.FORMAT}
    del facts["family"]
    save_file(load_file(path), path, metadata={"pixperts": json.dumps(facts)})
    assert isinstance(store.load(path)[0], MoEISR)
    repairing = path.with_name("mini.safetensors")
    store.save(repairing, mini(top_k=2), card())
    loaded, told = store.load(repairing)
    assert told.family == "moce-ir"
    assert loaded.config == mini(top_k=2).config


def test_files_of_the_first_format_are_read(path: Path) -> None:
    facts = store.read_card(path)
    first = {**asdict(facts), "format": 1}
    first["licence"] = first.pop("license")
    first["config"]["neighbours"] = first["config"].pop("neighbors")
    save_file(load_file(path), path, metadata={"pixperts": json.dumps(first)})
    loaded, found = store.load(path)
    assert found.license == facts.license == "MIT"
    assert asdict(loaded.config) == asdict(model().config)


def test_a_file_is_readable_as_the_user_wishes(path: Path) -> None:
    beside = path.with_name("beside")
    beside.touch()
    assert path.stat().st_mode == beside.stat().st_mode


def test_half_precision_is_stored_small_and_loaded_as_float32(path: Path) -> None:
    small = path.with_name("half.safetensors")
    store.save(small, model(), card(), half=True)
    assert small.stat().st_size < path.stat().st_size
    loaded, _ = store.load(small)
    for key, value in model().state_dict().items():
        assert loaded.state_dict()[key].dtype == torch.float32
        assert torch.equal(loaded.state_dict()[key], value.half().float()), key


@pytest.mark.parametrize(("value", "half"), [(float("nan"), False), (1e5, True)])
def test_weights_that_are_not_finite_are_not_written(
    tmp_path: Path, value: float, half: bool
) -> None:
    broken = model()
    broken.experts[0].get_parameter("colour.bias").data[1] = value
    with pytest.raises(ModelError, match=r"experts\.0\.colour\.bias.*finite"):
        store.save(tmp_path / "x.safetensors", broken, card(), half=half)
    assert not list(tmp_path.iterdir())


def test_weights_are_on_the_disk_before_they_appear(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    replace = os.replace
    monkeypatch.setattr(os, "fsync", lambda _: order.append("fsync"))

    def noted(source: Path, target: Path) -> None:
        order.append("replace")
        replace(source, target)

    monkeypatch.setattr(os, "replace", noted)
    store.save(tmp_path / "a.safetensors", model(), card())
    assert order == ["fsync", "replace"]
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelError, match=r"x\.safetensors.*could not be written"):
        store.save(tmp_path / "file" / "x.safetensors", model(), card())


# ---------------------------------------------------------------- wrong tensors


def test_a_missing_tensor_is_named(path: Path) -> None:
    held = load_file(path)
    del held["experts.1.colour.bias"]
    rewrite(path, held)
    with pytest.raises(ModelError, match=r"'experts\.1\.colour\.bias' is missing"):
        store.load(path)


def test_a_foreign_tensor_is_named(path: Path) -> None:
    rewrite(path, load_file(path) | {"extra.weight": torch.zeros(2)})
    with pytest.raises(ModelError, match=r"'extra\.weight' does not belong"):
        store.load(path)


def test_a_misshapen_tensor_is_named(path: Path) -> None:
    rewrite(path, load_file(path) | {"experts.1.colour.bias": torch.zeros(4)})
    with pytest.raises(
        ModelError, match=r"'experts\.1\.colour\.bias' has shape \(4,\), not \(3,\)"
    ):
        store.load(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_tensor_that_is_not_finite_is_named(path: Path, value: float) -> None:
    rewrite(path, load_file(path) | {"experts.1.colour.bias": torch.tensor([0.0, value, 0.0])})
    with pytest.raises(ModelError, match=r"'experts\.1\.colour\.bias'.*not finite"):
        store.load(path)


# ---------------------------------------------------------------- damaged files


def test_every_cut_of_a_file_is_refused(path: Path) -> None:
    content = path.read_bytes()
    for length in [*range(40), *range(40, len(content), 997), len(content) - 1]:
        path.write_bytes(content[:length])
        with pytest.raises(ModelError, match=r"tiny\.safetensors"):
            store.load(path)


@pytest.mark.parametrize("length", [0, 1, 2**31, 2**63, 2**64 - 1])
def test_a_header_that_lies_about_its_length_is_refused(path: Path, length: int) -> None:
    content = path.read_bytes()
    path.write_bytes(struct.pack("<Q", length) + content[8:])
    with pytest.raises(ModelError, match=r"tiny\.safetensors"):
        store.load(path)


@pytest.mark.parametrize(
    "header",
    [
        b"[]",
        b"[" * 100_000,
        b"\xff\xfe",
        b'{"__metadata__": 3}',
        b'{"__metadata__": {"pixperts": 3}}',
        b'{"__metadata__": {"pixperts": "[]"}}',
        b'{"__metadata__": {"pixperts": "{}"}}',
    ],
)
def test_a_strange_header_is_refused(path: Path, header: bytes) -> None:
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    with pytest.raises(ModelError, match=r"tiny\.safetensors"):
        store.load(path)


def test_a_file_of_somebody_else_is_refused_with_the_cure(tmp_path: Path) -> None:
    path = tmp_path / "foreign.safetensors"
    save_file({"a": torch.zeros(2)}, path)
    with pytest.raises(ModelError, match=r"foreign\.safetensors.*pixperts convert"):
        store.load(path)


def test_no_safetensors_file_at_all_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.safetensors").write_bytes(b"these are words, not weights " * 10)
    with pytest.raises(ModelError, match="not a safetensors file"):
        store.load(tmp_path / "text.safetensors")
    with pytest.raises(ModelError, match="no such weights file"):
        store.load(tmp_path / "absent.safetensors")
    with pytest.raises(ModelError, match="cannot be read"):
        store.load(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": store.FORMAT + 1}, "newer pixperts"),
        ({"unheard": 1}, "damaged"),
        ({"config": 3}, "damaged"),
        ({"config": [1]}, "damaged"),
        ({"notes": "text"}, "damaged"),
        ({"name": 3}, "damaged"),
        ({"family": 3}, "damaged"),
        (
            {"family": "moce"},
            "unknown family of models 'moce': choose from moeisr, moeisr-light, moeisr-photo",
        ),
        ({"family": "moce-ir"}, "unknown model option 'encoder'"),
        ({"config": {"width": 10**9}}, "width"),
        ({"config": {"width": "wide"}}, "width"),
        ({"config": {"depths": [10**9], "widths": [4]}}, "depth"),
        ({"config": {"encoder_options": {"blocks": 10**9}}}, "blocks"),
        ({"config": {"encoder_options": {"channels": 10**12}}}, "channels"),
        ({"config": {"encoder_options": 7}}, "encoder_options"),
        ({"config": {"encoder": "rdn", "encoder_options": {"blocks": 10**9}}}, "blocks"),
        ({"config": {"encoder": "swinir", "encoder_options": {"groups": 10**9}}}, "groups"),
        ({"config": {"encoder": {}}}, "configuration"),
        ({"config": {"unheard": 1}}, "unheard"),
    ],
)
def test_a_strange_description_is_refused(
    path: Path, changes: dict[str, Any], message: str
) -> None:
    rewrite(path, **changes)
    with pytest.raises(ModelError, match=rf"tiny\.safetensors.*{message}"):
        store.load(path)


def test_a_large_configuration_is_refused_before_memory_is_taken(path: Path) -> None:
    """Within every limit, yet half a gigabyte: the shapes do not match the file."""
    rewrite(path, config={"width": 4096, "encoder_options": {"channels": 1024, "blocks": 5}})
    with pytest.raises(ModelError, match=r"is missing|has shape"):
        store.load(path)


def continued(path: Path) -> MoEISR:
    """Weights that continue the packaged moeisr-tiny: the same but for the mapper."""
    network = moeisr(store.load(packaged_models()["moeisr-tiny"])[0])
    assert network.mapper is not None
    with torch.no_grad():
        for parameter in network.mapper.parameters():
            parameter.add_(0.5)
    store.save(path, network, card(), half=True, base="moeisr-tiny")
    return network


def test_what_a_packaged_network_has_is_not_stored_again(tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    network = continued(path)
    assert all(key.startswith("mapper.") for key in load_file(path))
    loaded, facts = store.load(path)
    assert facts.base.startswith("moeisr-tiny ")
    for key, value in network.state_dict().items():
        assert torch.allclose(value, loaded.state_dict()[key], atol=1e-3), key
    store.save(tmp_path / "whole.safetensors", loaded, facts)
    assert load_file(tmp_path / "whole.safetensors").keys() == network.state_dict().keys()
    assert store.read_card(tmp_path / "whole.safetensors").base == ""


def test_another_base_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    continued(path)
    digest = store.read_card(path).base.split()[1]
    rewrite(path, base=f"moeisr-tiny {digest[::-1]}")
    with pytest.raises(ModelError, match="continues other weights 'moeisr-tiny' than this version"):
        store.load(path)
    for name in ("unknown", "../weights/moeisr-tiny", str(packaged_models()["moeisr-tiny"])):
        rewrite(path, base=f"{name} {digest}")
        with pytest.raises(ModelError, match=f"continues the weights '{name}', which this version"):
            store.load(path)
    rewrite(path, base=["moeisr-tiny", digest])
    with pytest.raises(ModelError, match="description in the header is damaged"):
        store.load(path)
