"""Models of the hub: names, files, sentences, and a stand-in of its server.

What fetches reads the server's address when it is imported, and so runs in processes of its own.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import pixperts
from pixperts.cli.app import main
from pixperts.errors import MissingExtraError, ModelError, UsageError
from pixperts.inference.upscaler import Upscaler
from pixperts.weights import store
from pixperts.weights.checksums import file_sha256
from pixperts.weights.hub import hub_name, push_to_hub, save_pretrained
from tests.helpers.command_line import one_sentence
from tests.helpers.command_line import picture as picture_file
from tests.helpers.hub_server import Hub, serving
from tests.helpers.light_models import light
from tests.helpers.tiny_models import picture

CARD = store.Card(
    "moeisr-light",
    {},
    license="CC0-1.0",
    data="nothing",
    notes={"quality": {"Set5 x2": 30.5}, "protocol": "luma"},
)

pytest.importorskip("huggingface_hub", reason="needs the hub extra")


def run(hub: Hub, home: Path, code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Some code in a process that takes the stand-in for the hub."""
    source = str(Path(pixperts.__file__).parents[1])
    settings = {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "PYTHONPATH": source,
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **settings, **environment},
        cwd=home, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


def said(code: str) -> str:
    """Code that prints the sentence of an error."""
    return f"""
try:
    {code}
    print("no error")
except pixperts.PixpertsError as error:
    print(f"{{type(error).__name__}}: {{error}}")
"""


def test_names_of_the_hub() -> None:
    assert hub_name("org/name") == ("org/name", None)
    assert hub_name("org/name@refs/pr/1") == ("org/name", "refs/pr/1")
    for other in ("name", "../name", "/a/b", "a/b.pth", "a b/c", "org/name@", "a/b/c", "a\\b"):
        assert hub_name(other) is None


def test_a_folder_is_written_and_read(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    Upscaler(light(), CARD, device="cpu").save_pretrained(folder)
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.md", "config.json", "model.safetensors",
    ]  # fmt: skip
    config = json.loads((folder / "config.json").read_text())
    assert config["library_name"] == "pixperts"
    assert config["config"]["channels"] == 8
    assert config["sha256"] == {"model.safetensors": file_sha256(folder / "model.safetensors")}
    image = picture(1, 3, 6, 7)
    again = pixperts.load(folder, device="cpu", precision="float32")
    assert isinstance(again, Upscaler)
    first = Upscaler(light(), CARD, device="cpu", precision="float32")
    assert torch.equal(again.upscale(image, scale=2), first.upscale(image, scale=2))
    assert again.card.license == "CC0-1.0"
    save_pretrained(folder, light(), CARD, half=True)  # replaced
    assert (folder / "model.safetensors").stat().st_size < 20000


def test_the_card_is_one_that_the_hub_reads(tmp_path: Path) -> None:
    from huggingface_hub import ModelCard

    save_pretrained(tmp_path, light(), CARD)
    card = ModelCard.load(tmp_path / "README.md")
    assert card.data.library_name == "pixperts"
    assert card.data.pipeline_tag == "image-to-image"
    assert card.data.license == "cc0-1.0"
    assert card.data.tags == ["super-resolution", "mixture-of-experts"]
    (result,) = card.data.eval_results
    assert (result.dataset_name, result.metric_type, result.metric_value) == (
        "Set5 x2", "psnr", 30.5,
    )  # fmt: skip
    assert "| Set5 x2 | 30.5 |" in card.text
    odd: dict[str, Any] = {"quality": "good", "protocol": 3}
    save_pretrained(tmp_path, light(), store.Card("own", {}, license="mine, and yours", notes=odd))
    card = ModelCard.load(tmp_path / "README.md")
    assert (card.data.license, card.data.license_name) == ("other", "mine, and yours")


@pytest.mark.slow
def test_models_are_uploaded_fetched_and_cached(tmp_path: Path) -> None:
    picture_file(tmp_path / "a.png")
    store.save(tmp_path / "own.safetensors", light(), CARD)
    with serving() as hub:
        code = f"""
import pixperts, hashlib
own = pixperts.load("own.safetensors", device="cpu")
print(own.push_to_hub("org/own", token="hf_x"))
from pixperts.cli.app import main
options = ["--precision", "float32", "-s", "2", "-q"]
assert main(["upscale", "a.png", "-m", "org/own", "-o", "hub.png", *options]) == 0
assert main(["upscale", "a.png", "-m", "own.safetensors", "-o", "own.png", *options]) == 0
pixperts.load("org/own@v1")
{said('pixperts.load("org/own@v2")')}
{said('pixperts.load("org/other")')}
"""
        done = run(hub, tmp_path, code)
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines() == [
            f"{hub.url}/org/own/commit/{'a' * 40}",
            "ModelError: org/own on the hub has no revision 'v2'.",
            "ModelError: org/other is neither a file here nor a model on the hub, or it is "
            "private: check the name, or log in by 'hf auth login'.",
        ]
        assert (tmp_path / "hub.png").read_bytes() == (tmp_path / "own.png").read_bytes()
        assert b'pixperts.load("org/own")' in hub.files["org/own"]["README.md"]
        assert set(hub.files["org/own"]) == {"README.md", "config.json", "model.safetensors"}
        hub.files["org/empty"] = {}
        hub.files["org/bad"] = dict(hub.files["org/own"])
        hub.files["org/bad"]["model.safetensors"] = hub.files["org/own"]["model.safetensors"][:-4]
        weights = hub.files["org/own"]["model.safetensors"]
        hub.files["org/plain"] = {"model.safetensors": weights}
        hub.files["org/closed"] = dict(hub.files["org/own"])
        hub.forbidden.add("org/closed")
        hub.seen.clear()
        code = f"""
import pixperts
print(pixperts.load("org/own", offline=True).name)
{said('pixperts.load("org/bare", offline=True)')}
from pixperts.cli.app import main
print(main(["upscale", "a.png", "-m", "org/bare", "--offline", "-o", "b.png"]))
"""
        done = run(hub, tmp_path, code)
        assert done.stdout.splitlines()[0] == "moeisr-light", done.stderr
        sentence = (
            "org/bare is not in the cache of the hub's files, and the hub was not reached: "
            "leave --offline out, or give a weights file."
        )
        of_python = sentence.replace("--offline", "offline")
        assert done.stdout.splitlines()[1:] == [f"ModelError: {of_python}", "1"]
        assert done.stderr.splitlines() == [sentence]
        assert hub.seen == []
        code = f"""
import pixperts
{said('pixperts.load("org/empty")')}
{said('pixperts.load("org/bad")')}
print(pixperts.load("org/plain").name, pixperts.load("org/closed").name)
"""
        done = run(hub, tmp_path, code)
        first, second, both = done.stdout.splitlines()
        assert both == "moeisr-light moeisr-light"  # without config.json
        assert first.startswith("ModelError: org/empty on the hub has no model.safetensors")
        assert second.startswith("ModelError: org/bad: model.safetensors does not match the SHA")
    # The server is gone: what is cached works, and the rest is one sentence.
    code = f"""
import pixperts, time
waits = []
time.sleep = waits.append
print(pixperts.load("org/own").name, pixperts.load("org/plain").name)
waits.clear()
{said('pixperts.load("org/bare")')}
print(len([wait for wait in waits if wait >= 1]))
"""
    done = run(hub, tmp_path, code)
    assert done.returncode == 0, done.stderr
    first, second, waited = done.stdout.splitlines()
    assert first == "moeisr-light moeisr-light"
    assert second.startswith("ModelError: org/bare is not in the cache")
    assert "check the network" in second
    # The library waits five times, for 1 to 8 seconds: only for one of the two files.
    assert int(waited) <= 5


def test_sentences(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError, match="give one such as 'org/name'"):
        push_to_hub("name", light(), CARD)
    (here / "file").touch()
    with pytest.raises(ModelError, match="is a file: name a folder"):
        save_pretrained(here / "file", light(), CARD)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingExtraError, match=r"pixperts\[hub\]"):
        save_pretrained(here / "folder", light(), CARD)
    picture_file(here / "a.png")
    assert main(["upscale", "a.png", "-m", "org/name"]) == 2
    assert one_sentence(capsys) == "The hub needs an extra: pip install 'pixperts[hub]'."
    # A folder or file of that name comes first.
    (here / "org").mkdir()
    store.save(here / "org" / "name", light(), CARD)
    assert main(["upscale", "a.png", "-m", "org/name", "-q"]) == 0
