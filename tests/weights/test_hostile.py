"""Weights made to harm: code, bombs, lies about sizes, absurd configurations, hostile texts."""

import json
import os
import pickle
import struct
import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save as to_bytes

from pixperts.errors import ModelError
from pixperts.models.presets import create_model
from pixperts.weights import store
from pixperts.weights.convert import convert_file, read_published
from tests.helpers.limits import bounded

TINY: dict[str, Any] = {
    "encoder_options": {"channels": 8, "blocks": 1},
    "width": 8,
    "depths": (0, 1),
    "widths": (4, 4),
    "mapper_width": 4,
    "mapper_layers": 2,
}


class Malicious:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        return os.system, (f"touch '{self.target}'",)


@pytest.mark.parametrize("legacy", [False, True])
def test_code_in_weights_is_not_run(tmp_path: Path, legacy: bool) -> None:
    mark, path = tmp_path / "mark", tmp_path / "a.ckpt"
    torch.save(
        {"state_dict": {"w": torch.zeros(1)}, "hook": Malicious(mark)},
        path,
        _use_new_zipfile_serialization=not legacy,
    )
    for source in (path, tmp_path / "plain.pth"):
        if source != path:
            source.write_bytes(pickle.dumps(Malicious(mark)))
        with pytest.raises(ModelError, match="holds code"):
            convert_file(source, tmp_path / "out.safetensors")
    assert not mark.exists()
    assert not (tmp_path / "out.safetensors").exists()


def test_deflated_weights_are_refused_before_they_grow(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    torch.save({"w": torch.zeros(8 << 20)}, tmp_path / "sound.pth")
    with (
        zipfile.ZipFile(tmp_path / "sound.pth") as sound,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bomb,
    ):
        for part in sound.namelist():
            bomb.writestr(part, sound.read(part))
    assert path.stat().st_size < 1 << 20
    with bounded(20), pytest.raises(ModelError, match="its parts are compressed"):
        read_published(path)
    assert read_published(tmp_path / "sound.pth")["w"].shape == (8 << 20,)


PICKLES = [
    b"\x80\x02cbuiltins\nbytearray\n\x8a\x06\x00\x00\x00\x00\x00\x10\x85R.",  # 2**44 bytes
    b"\x80\x02" + b"]" * 200_000 + b"a" * 199_999 + b".",  # lists in lists
    b"\x80\x02U\xff.",
    b"\x80\x02ctorch\nTensor\n)R.",
    b"\x80\x02}q\x00(K\x01K\x02u.",
    b"",
    b"PK\x03\x04" + bytes(100),
    b"PK\x05\x06" + bytes(18),
]


@pytest.mark.parametrize("data", PICKLES)
@pytest.mark.slow
def test_pickles_of_nothing_useful_are_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.pth"
    path.write_bytes(data)
    with bounded(200), pytest.raises(ModelError) as caught:
        convert_file(path, tmp_path / "out.safetensors")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "value",
    [
        torch.zeros(4, dtype=torch.int64),
        torch.zeros(4, dtype=torch.complex64),
        torch.zeros(4).to_sparse(),
        torch.zeros(1).expand(10**12),
        "text",
    ],
)
def test_tensors_of_other_kinds_are_refused(tmp_path: Path, value: Any) -> None:
    path = tmp_path / "a.pth"
    torch.save({"imnet.layers.0.bias": value, "encoder.body.0": torch.zeros(1)}, path)
    with bounded(60), pytest.raises(ModelError):
        convert_file(path, tmp_path / "out.safetensors")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, Any]]:
    """Tensors and card of a sound model."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    model = create_model("moeisr-tiny", **TINY)
    store.save(path, model, store.Card("moeisr-tiny", {}))
    facts = {**asdict(store.read_card(path)), "format": store.FORMAT}
    return dict(model.state_dict()), facts


def test_headers_that_lie_are_refused(tmp_path: Path, weights: Any) -> None:
    tensors, facts = weights
    sound = to_bytes(tensors, metadata={"pixperts": json.dumps(facts)})
    (length,) = struct.unpack("<Q", sound[:8])
    header = json.loads(sound[8 : 8 + length])
    first, second = [key for key in header if key != "__metadata__"][:2]
    begin, end = header[second]["data_offsets"]

    def built(changed: dict[str, Any]) -> bytes:
        text = json.dumps(changed).encode()
        return struct.pack("<Q", len(text)) + text + sound[8 + length :]

    def with_entry(**entry: Any) -> bytes:
        return built({**header, second: {**header[second], **entry}})

    lies = {
        "huge": struct.pack("<Q", 1 << 60) + sound[8:],
        "whole": b"\xff" * 8 + sound[8:],
        "long": struct.pack("<Q", length + 10**6) + sound[8:],
        "short": struct.pack("<Q", length - 4) + sound[8:],
        "none": sound[:4],
        "cut": sound[:-5],
        "overlap": with_entry(data_offsets=header[first]["data_offsets"]),
        "beyond": with_entry(data_offsets=[begin + 10**12, end + 10**12]),
        "backwards": with_entry(data_offsets=[end, begin]),
        "negative": with_entry(data_offsets=[-8, end]),
        "shape": with_entry(shape=[1 << 40, 1 << 40]),
        "text": with_entry(shape="large"),
        "type": with_entry(dtype="F4096"),
        "list": struct.pack("<Q", 2) + b"[]",
        "deep": struct.pack("<Q", 10**6) + b"[" * 10**6,
        "constants": struct.pack("<Q", 3) + b"NaN",
        "digits": struct.pack("<Q", 9000) + b"9" * 9000,
    }
    for name, data in lies.items():
        path = tmp_path / f"{name}.safetensors"
        path.write_bytes(data)
        with bounded(60, 2), pytest.raises(ModelError) as caught:
            store.load(path)
        assert str(caught.value).isprintable(), name
        assert path.name in str(caught.value)
    (tmp_path / "sound").write_bytes(sound)
    assert store.load(tmp_path / "sound")[1].name == "moeisr-tiny"


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.uint8, torch.complex64])
def test_tensors_must_be_floating_point(tmp_path: Path, weights: Any, dtype: torch.dtype) -> None:
    tensors, facts = weights
    other = {key: value.to(dtype) for key, value in tensors.items()}
    path = tmp_path / "a.safetensors"
    path.write_bytes(to_bytes(other, metadata={"pixperts": json.dumps(facts)}))
    with pytest.raises(ModelError, match=r"damaged|not floating point"):
        store.load(path)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_tensors_must_be_finite(tmp_path: Path, weights: Any, number: float) -> None:
    tensors, facts = weights
    key = sorted(tensors)[0]
    other = tensors | {key: torch.full_like(tensors[key], number)}
    path = tmp_path / "a.safetensors"
    path.write_bytes(to_bytes(other, metadata={"pixperts": json.dumps(facts)}))
    with pytest.raises(ModelError, match="not finite"):
        store.load(path)


CONFIGS: list[tuple[str, Any]] = [
    ("moeisr", {"width": 10**9}),
    ("moeisr", {"width": 10**400}),
    ("moeisr", {"depths": [1] * 10**5, "widths": [8] * 10**5}),
    ("moeisr", {"neighbors": [4] * 10**5}),
    ("moeisr", {"encoder_options": {"blocks": 10**6}}),
    ("moeisr", {"encoder_options": {"channels": "many"}}),
    ("moeisr", {"encoder_options": {"rockets": 3}}),
    ("moeisr", {"encoder_options": [1, 2]}),
    ("moeisr", {"encoder": ["edsr"]}),
    ("moeisr", {"encoder": {"a": 1}}),
    ("moeisr", {"decoder": None}),
    ("moeisr", {"decoder": []}),
    ("moeisr", {"residual": "perhaps", "width": -1}),
    ("moeisr", {"max_pixels": 1.5}),
    ("moeisr", {"unknown": 1}),
    ("moce-ir", {"dim": 10**9}),
    ("moce-ir", {"latent_blocks": 10**6}),
    ("moce-ir", {"encoder_blocks": [1] * 10**5}),
    ("moce-ir", {"windows": [[4], [8]], "rank_divisors": [1, 1]}),
    ("moce-ir", {"heads": [0, 0, 0, 0]}),
    ("moce-ir", {"expansion": float("nan")}),
    ("moce-ir", {"fourier": {}}),
    ("moce-ir", {"router_noise": "loud"}),
    ("other", {}),
    ("moeisr", None),
    ("moeisr", []),
]


@pytest.mark.parametrize(("family", "config"), CONFIGS)
def test_absurd_configurations_are_refused(
    tmp_path: Path, weights: Any, family: str, config: Any
) -> None:
    _, facts = weights
    card = facts | {"family": family, "config": config}
    path = tmp_path / "a.safetensors"
    text = json.dumps(card)
    path.write_bytes(to_bytes({"w": torch.zeros(1)}, metadata={"pixperts": text}))
    with bounded(60, 2), pytest.raises(ModelError) as caught:
        store.load(path)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 2000


@pytest.mark.parametrize(
    "text",
    [
        *("", "{}", "[]", "null", "3", '"x"', "[" * 10**5),
        *('{"format": 1}', '{"format": "1"}', '{"format": NaN}', '{"format": 1, "name": 3}'),
        '{"format": 1, "name": "a", "config": {}, "more": 1}',
    ],
)
def test_cards_of_nothing_useful_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(to_bytes({"w": torch.zeros(1)}, metadata={"pixperts": text}))
    with pytest.raises(ModelError):
        store.read_card(path)


def test_texts_of_a_card_do_no_harm_in_a_terminal(tmp_path: Path, weights: Any) -> None:
    _, facts = weights
    evil = "MIT\x1b]0;title\x07\r\n\x9b31m\u202e"
    card = facts | {"license": evil, "data": evil, "notes": {evil: [evil, {"x": evil}], "n": 1.5}}
    path = tmp_path / "a.safetensors"
    path.write_bytes(to_bytes({"w": torch.zeros(1)}, metadata={"pixperts": json.dumps(card)}))
    read = store.read_card(path)
    shown = "MIT\\x1b]0;title\\x07\\r\\n\\x9b31m\\u202e"
    assert (read.license, read.data) == (shown, shown)
    assert read.notes == {shown: [shown, {"x": shown}], "n": 1.5}


def test_names_of_weights_are_shown_in_one_line(tmp_path: Path) -> None:
    for name in (
        "two\nlines.safetensors",
        "red \x1b[31m",
        os.fsdecode(b"not \xff utf"),
        "n" * 5000,
    ):
        for action in (store.load, read_published):
            with pytest.raises(ModelError) as caught:
                action(tmp_path / name)
            assert str(caught.value).isprintable()
