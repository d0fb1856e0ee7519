"""`pixperts enhance` with one network for both, from Python and the command line."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pixperts.cli.app import main
from pixperts.inference.enhancer import Enhancer
from pixperts.inference.expert_maps import draw
from pixperts.inference.restorer import Restorer
from pixperts.inference.size_request import SizeRequest
from pixperts.io.image import read_image, write_image
from pixperts.jobs import options
from pixperts.jobs.enhance import Enhance
from pixperts.jobs.run import run_folder
from pixperts.models.moce_isr_light.model import MoCEISRLight
from pixperts.weights import store
from tests.helpers.one_network import one_network


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("weights") / "one.safetensors"
    store.save(path, one_network(), store.Card("one", {}))
    return str(path)


def photo(path: Path, channels: int = 3, dtype: str = "uint8") -> Path:
    top = np.iinfo(dtype).max
    pixels = np.random.default_rng(3).integers(0, top, (24, 30, channels)).astype(dtype)
    write_image(path, pixels)
    return path


@pytest.mark.parametrize(("channels", "dtype"), [(3, "uint8"), (4, "uint16"), (1, "uint8")])
def test_rows_of_files_give_what_memory_gives(
    weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, channels: int, dtype: str
) -> None:
    source, operation = photo(tmp_path / "a.png", channels, dtype), Enhance(SizeRequest(scale=1.5))
    one = Enhancer.load(weights, device="cpu")
    for name, limit in (("held.png", options.STREAMED_PIXELS), ("rows.png", 100)):
        monkeypatch.setattr(options, "STREAMED_PIXELS", limit)
        assert run_folder(source, tmp_path / name, operation, one).done == 1
    held, rows = (read_image(tmp_path / name).pixels for name in ("held.png", "rows.png"))
    assert held.shape == (36, 45, channels)
    assert np.array_equal(held, rows)
    assert np.array_equal(one.enhance(read_image(source).pixels, scale=1.5), held)


@pytest.mark.parametrize("size", [(30, 24), (15, 12), (40, 12), (60, 48)])
def test_sizes_of_all_kinds(weights: str, size: tuple[int, int]) -> None:
    one, image = Enhancer.load(weights, device="cpu"), torch.rand(2, 3, 24, 30)
    shares: list[float] = []
    result = one.enhance(image, size=size, progress=shares.append)
    assert result.shape == (2, 3, size[1], size[0])
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1)
    if size == (30, 24):
        assert torch.equal(result, Restorer.load(weights, device="cpu").restore(image))


def test_the_command_reports_what_it_did(
    weights: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo(here / "a.png")
    line = ["enhance", "a.png", "-m", weights, "--device", "cpu", "--json"]
    assert main([*line, "--restore-model", "mini"]) == 2
    assert "one repairs and enlarges: leave --restore-model out" in capsys.readouterr().err
    assert main(line) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["model"] == "one"
    assert (report["new_width"], report["new_height"]) == (60, 48)
    assert report["findings"] is not None
    adds = []
    for budget in ("0", "1"):
        assert main([*line, "--budget", budget, "-o", f"{budget}.png"]) == 0
        adds.append(json.loads(capsys.readouterr().out)["multiply_adds"])
    assert adds[0] < adds[1]


def test_a_map_shows_the_depths(weights: str, here: Path) -> None:
    photo(here / "a.png")
    line = ["enhance", "a.png", "-m", weights, "--device", "cpu"]
    assert main([*line, "--expert-map", "map.png", "--budget", "0.5", "-o", "b.png"]) == 0
    one = Enhancer.load(weights, device="cpu")
    assert isinstance(one.restorer.model, MoCEISRLight)
    image = torch.from_numpy(read_image(here / "a.png").pixels).permute(2, 0, 1)[None] / 255
    with torch.inference_mode():
        pinned, rest = one.restorer.model.plan(one.restorer.model.count(image), 0.5, "auto")
        output = one.restorer.model.enhance(
            image, (48, 60), budget=rest, pinned=pinned, tone="auto"
        )
    assert np.array_equal(read_image(here / "map.png").pixels, draw(output.routings[-1]))
    assert main([*line, "--expert-map", "none.png", "--scale", "1", "-o", "c.png"]) == 0
    assert not (here / "none.png").exists()


def test_it_says_what_else_it_is_for(
    weights: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo(here / "a.png")
    assert main(["upscale", "a.png", "-m", weights]) == 2
    assert "one repairs and enlarges: use 'enhance'." in capsys.readouterr().err
    assert main(["restore", "a.png", "-m", weights, "--device", "cpu"]) == 0
