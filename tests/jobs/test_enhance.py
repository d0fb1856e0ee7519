"""`pixperts enhance`: a repair and an enlargement in one, from Python and the command line."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pixperts.cli.app import main
from pixperts.errors import UsageError
from pixperts.inference.enhancer import Enhancer
from pixperts.inference.findings import RepairSettings
from pixperts.inference.restorer import Restorer
from pixperts.inference.size_request import SizeRequest
from pixperts.inference.upscaler import Upscaler
from pixperts.io.image import read_image, write_image
from pixperts.jobs import options
from pixperts.jobs.enhance import Enhance
from pixperts.jobs.run import run_folder
from pixperts.models.moce_ir_light.config import GROUPS
from pixperts.models.moce_ir_light.model import MoCEIRLight
from pixperts.weights import store
from tests.helpers.command_line import one_sentence
from tests.helpers.light_models import light
from tests.helpers.light_restoration import light_restorer
from tests.helpers.moce_models import mini
from tests.helpers.tiny_models import tiny


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("weights")
    for name, model in (("mini", mini()), ("light", light(bounded_color=True)), ("tiny", tiny())):
        store.save(folder / f"{name}.safetensors", model, store.Card(name, {}))
    return {path.stem: str(path) for path in folder.iterdir()}


def enhancer(models: dict[str, str], enlarges: str = "light") -> Enhancer:
    return Enhancer.load(models[enlarges], models["mini"], device="cpu")


def photo(path: Path, channels: int = 3, dtype: str = "uint8") -> Path:
    top = np.iinfo(dtype).max
    pixels = np.random.default_rng(3).integers(0, top, (24, 30, channels)).astype(dtype)
    write_image(path, pixels)
    return path


@pytest.mark.parametrize("size", [(60, 48), (30, 24), (15, 12), (75, 60)])
def test_it_is_a_repair_and_then_an_enlargement(
    models: dict[str, str], size: tuple[int, int]
) -> None:
    both, image = enhancer(models), torch.rand(2, 3, 24, 30, generator=torch.manual_seed(1))
    settings = RepairSettings(strength=0.7)
    shares: list[float] = []
    result = both.enhance(image, size=size, settings=settings, progress=shares.append)
    repaired = Restorer.load(models["mini"], device="cpu").restore(image, strength=0.7)
    assert torch.equal(
        result, Upscaler.load(models["light"], device="cpu").upscale(repaired, size=size)
    )
    assert not torch.equal(repaired, image)
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1)


def test_slight_faults_are_left_to_what_enlarges(models: dict[str, str]) -> None:
    """Where no side grows the repair is that of `restore`."""
    restorer = light_restorer(sure=(0.1, 0.2), sure_enlarged=(1.0, 1.1))
    assert isinstance(restorer.model, MoCEIRLight)
    with torch.no_grad():  # noise is probable, and nothing else
        restorer.model.scout.groups.weight.zero_()
        restorer.model.scout.groups.bias.fill_(-20)
        restorer.model.scout.groups.bias[GROUPS.index("noise")] = 2
    upscaler = Upscaler.load(models["light"], device="cpu")
    both, image = Enhancer(restorer, upscaler), torch.rand(1, 3, 24, 32)
    settings = RepairSettings(tone="off")
    large = both.enhance(image, size=(64, 48), settings=settings)
    assert torch.equal(large, upscaler.upscale(image, size=(64, 48)))
    same = both.enhance(image, size=(32, 24), settings=settings)
    assert torch.equal(same, restorer.restore(image, tone="off"))
    assert not torch.equal(same, image)


@pytest.mark.parametrize(("channels", "dtype"), [(3, "uint8"), (4, "uint16"), (1, "uint8")])
def test_rows_of_files_give_what_memory_gives(
    models: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    channels: int,
    dtype: str,
) -> None:
    source, operation = photo(tmp_path / "a.png", channels, dtype), Enhance(SizeRequest(scale=1.5))
    for name, limit in (("held.png", options.STREAMED_PIXELS), ("rows.png", 100)):
        monkeypatch.setattr(options, "STREAMED_PIXELS", limit)
        done = run_folder(source, tmp_path / name, operation, enhancer(models))
        assert (done.done, done.failed) == (1, 0)
    held, rows = (read_image(tmp_path / name).pixels for name in ("held.png", "rows.png"))
    assert held.shape == (36, 45, channels)
    assert held.dtype == dtype
    assert np.array_equal(held, rows)
    own = enhancer(models).enhance(read_image(source).pixels, scale=1.5)
    assert np.array_equal(own, held)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "held.png", "rows.png"]


def test_the_command_reports_and_resumes(
    models: dict[str, str], here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo(here / "a.png")
    line = ["enhance", "a.png", "-m", models["light"], "--restore-model", models["mini"]]
    line += ["--manifest", "m.jsonl", "--device", "cpu"]
    assert main([*line, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["output"] == "a_enhanced_x2.png"
    assert (report["new_width"], report["new_height"]) == (60, 48)
    assert report["model"] == "mini+light"
    assert report["multiply_adds"] > 0
    assert read_image("a_enhanced_x2.png").pixels.shape == (48, 60, 3)
    assert main(line) == 0
    assert "1 output existed and was kept" in capsys.readouterr().err
    assert main([*line, "--strength", "0.5"]) == 0
    assert "-> a_enhanced_x2.png: 30 x 24 -> 60 x 48" in capsys.readouterr().err
    entries = [json.loads(text) for text in Path("m.jsonl").read_text().splitlines()]
    assert [entry["settings"].get("strength") for entry in entries] == [None, 0.5]
    assert entries[0]["weights_sha256"] == entries[1]["weights_sha256"] != enhancer(
        models, "tiny"
    ).weights_sha256  # fmt: skip


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (["-m", "mini"], "mini repairs and does not enlarge: use 'restore'."),
        (["--restore-model", "light"], "light enlarges and does not repair: use 'upscale'."),
        (["--restore-model", "none"], "unknown model 'none'"),
        (["--budget", "0.5"], "light has a single expert: leave --budget out"),
        (["--denoise", "0.5"], "mini"),
        (["--scale", "2", "--width", "9"], "--width"),
    ],
)
def test_refusals(
    models: dict[str, str],
    here: Path,
    line: list[str],
    sentence: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    photo(here / "a.png")
    single = light(bounded_color=True, depths=(0,), widths=(0,))
    store.save(here / "light.safetensors", single, store.Card("light", {}))
    known = {**models, "light": str(here / "light.safetensors")}
    usual = {"-m": "light", "--restore-model": "mini"} | dict(
        zip(line[::2], line[1::2], strict=True)
    )
    words = [known.get(word, word) for pair in usual.items() for word in pair]
    assert main(["enhance", "a.png", "--device", "cpu", *words]) == 2
    assert sentence in one_sentence(capsys)
    assert sorted(path.name for path in here.iterdir()) == ["a.png", "light.safetensors"]


def test_single_models_are_refused(models: dict[str, str], tmp_path: Path) -> None:
    source = photo(tmp_path / "a.png")
    upscaler = Upscaler.load(models["light"], device="cpu")
    with pytest.raises(UsageError, match="light is one model"):
        run_folder(source, None, Enhance(SizeRequest(scale=2)), upscaler)
    from pixperts.jobs.operations import Restore, Upscale

    for operation, word in ((Upscale(SizeRequest(scale=2)), "enhance"), (Restore(), "enhance")):
        with pytest.raises(UsageError, match=rf"mini\+light repairs and enlarges: use '{word}'"):
            run_folder(source, None, operation, enhancer(models))


def test_a_map_of_the_experts_that_enlarge(
    models: dict[str, str], here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo(here / "a.png")
    line = ["enhance", "a.png", "-m", models["tiny"], "--restore-model", models["mini"]]
    line += ["--device", "cpu", "--expert-map", "map.png", "--budget", "0"]
    assert main([*line, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["method"], report["shares"][0], report["skipped"] > 0) == ("network", 1, True)
    assert len(report["experts"]) == len(report["gates"]) > 0
    chart = read_image("map.png").pixels
    assert chart.shape[1] == 60
    assert (chart[:48] == [68, 1, 84]).all()  # budget 0: the first expert everywhere
    # That of `upscale` over the repaired picture.
    settings = ["-m", models["tiny"], "--device", "cpu"]
    repair = ["restore", "a.png", "-m", models["mini"], "--device", "cpu", "-o", "r.tif", "-q"]
    assert main(repair) == 0
    assert main(["upscale", "r.tif", *settings, "-o", "b.tif", "--expert-map", "own.png"]) == 0
    assert main([*line[:-2], "-o", "c.png"]) == 0
    own, mine = (read_image(name).pixels[:48] for name in ("own.png", "map.png"))
    assert (own == mine).all(axis=2).mean() > 0.95  # r.tif was rounded to 8 bits
    # Nothing grows, and so there is no map.
    capsys.readouterr()
    assert main([*line, "-s", "1", "-o", "d.png"]) == 0
    assert "No expert worked on a.png" in capsys.readouterr().err
    report_of_copy = [*line[:-4], "-s", "1", "-o", "e.png", "--json"]
    assert main(report_of_copy) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["method"], report["shares"], report["mean_cost"]) == ("copy", None, None)
