"""Our files through spandrel's own loader: found by our entry only, pixels equal to ours."""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from pixperts.cli.app import main
from pixperts.errors import MissingExtraError, ModelError
from pixperts.export.spandrel_file import CARD, SCALE, read_spandrel
from pixperts.inference.loading import load
from pixperts.inference.restorer import Restorer
from pixperts.inference.streams import ArraySink, ArraySource
from pixperts.inference.upscaler import Upscaler
from pixperts.integrations.spandrel import ID, register
from pixperts.models.interfaces import Network
from pixperts.weights import store
from tests.helpers.command_line import one_sentence
from tests.helpers.light_models import light
from tests.helpers.light_restoration import light_restorer
from tests.helpers.moce_models import mini
from tests.helpers.tiny_models import picture, tiny
from tests.helpers.torchvision_stub import stub_torchvision

there = pytest.mark.skipif(importlib.util.find_spec("spandrel") is None, reason="needs spandrel")
MODELS: dict[str, tuple[Callable[[], Network], int, str]] = {
    "light": (lambda: light(bounded_color=True), 3, "SUPPORTED"),
    "tiny": (tiny, 2, "SUPPORTED"),
    "mini": (mini, 1, "DISCOURAGED"),
    "scouted": (lambda: light_restorer().model, 1, "SUPPORTED"),
}


@pytest.fixture
def spandrel(monkeypatch: pytest.MonkeyPatch) -> Any:
    stub_torchvision(monkeypatch)
    import spandrel

    return spandrel


@there
@pytest.mark.parametrize("name", MODELS)
def test_pixels_equal_ours(name: str, here: Path, spandrel: Any) -> None:
    make, scale, tiling = MODELS[name]
    store.save(here / "own.safetensors", make(), store.Card("own", {}))
    factor = [] if scale == 1 else ["--scale", str(scale)]
    line = ["export", "own.safetensors", "--to", "spandrel", *factor, "-o", "s/a.safetensors"]
    assert main(line) == 0
    register()
    register()  # nothing happens
    model = spandrel.ModelLoader().load_from_file(here / "s" / "a.safetensors")
    found = (model.architecture.id, model.scale, model.purpose, model.tiling.name)
    assert found == (ID, scale, "Restoration" if scale == 1 else "SR", tiling)
    assert not model.supports_half
    image = picture(1, 3, 17, 22)
    own = load(here / "own.safetensors", device="cpu", precision="float32")
    expected = own.restore(image) if isinstance(own, Restorer) else own.upscale(image, scale=scale)
    assert torch.equal(model(image), expected)


@there
def test_no_other_entry_takes_our_files(here: Path, spandrel: Any) -> None:
    register()
    assert main(["export", "moeisr-photo", "--to", "spandrel", "--scale", "2"]) == 0
    state = load_file(here / "moeisr-photo_x2.safetensors")
    taking = [one.architecture.id for one in spandrel.MAIN_REGISTRY if one.detect(dict(state))]
    assert taking == [ID]
    image = picture(1, 3, 40, 33)
    model = spandrel.ModelLoader().load_from_file(here / "moeisr-photo_x2.safetensors")
    # Tiles would be judged each by itself, so all take the network for photos.
    own = Upscaler.load("moeisr-photo", device="cpu", precision="float32")
    sink = ArraySink(1, 3, 80, 66)
    own.upscale_rows(ArraySource(image), sink, (66, 80), member=0)
    assert torch.equal(model(image), sink.image)


@there
def test_light_stays_as_it_is_in_tiles(here: Path, spandrel: Any) -> None:
    """moce-ir-light brightens no tile on its own; the rest is the command line's repair."""
    register()
    assert main(["export", "moce-ir-light", "--to", "spandrel"]) == 0
    model = spandrel.ModelLoader().load_from_file(here / "moce-ir-light_spandrel.safetensors")
    assert (model.scale, model.purpose, model.tiling.name) == (1, "Restoration", "SUPPORTED")
    noise = torch.randn(1, 3, 96, 104, generator=torch.Generator().manual_seed(1))
    image = (0.05 + 0.1 * torch.linspace(0, 1, 104) + 0.02 * noise).clamp(0, 1)  # dark and noisy
    own = Restorer.load("moce-ir-light", device="cpu", precision="float32")
    found = model(image)
    assert torch.equal(found, own.restore(image, tone="off"))
    assert float((found - image).abs().max()) > 0.01
    assert float((found - own.restore(image)).abs().max()) > 0.1


def test_damaged_descriptions_are_refused() -> None:
    card = torch.frombuffer(bytearray(b"{no json"), dtype=torch.uint8)
    for state in (
        {CARD: card, SCALE: torch.tensor([2])},
        {CARD: card},
        {CARD: torch.tensor([255, 254], dtype=torch.uint8), SCALE: torch.tensor([2])},
        {SCALE: torch.tensor([2])},
    ):
        with pytest.raises(ModelError, match="description in the file is damaged"):
            read_spandrel(state)
    whole = torch.frombuffer(bytearray(store.card_text(light(), store.Card("own", {})).encode()),
                             dtype=torch.uint8)  # fmt: skip
    with pytest.raises(ModelError, match="factor is 99"):
        read_spandrel({CARD: whole, SCALE: torch.tensor([99])})
    assert read_spandrel({CARD: whole, SCALE: torch.tensor([2])})[1] == 2


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (["moeisr-photo"], "a file for spandrel has one factor: give --scale"),
        (["moeisr-photo", "-s", "2.5"], "spandrel takes whole numbers from 1 to 16"),
        (["moce-ir-tiny", "-s", "2"], "moce-ir-tiny repairs at the picture's own size"),
        (["moeisr-photo", "-s", "2", "-o", "a.pth"], "a.pth must end in .safetensors"),
        (["moeisr-tiny", "-s", "2", "--expert", "1"], "leave them out with --to spandrel"),
    ],
)
def test_refusals(
    here: Path, line: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", "--to", "spandrel", *line]) == 2
    assert sentence in one_sentence(capsys)
    assert list(here.iterdir()) == []


def test_without_spandrel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "spandrel", None)
    with pytest.raises(MissingExtraError, match=r"pixperts\[spandrel\]"):
        register()
