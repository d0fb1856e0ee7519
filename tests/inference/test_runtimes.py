"""Encoders in ONNX Runtime and OpenVINO: the same pictures, tiles and options as with torch."""

import json
import sys
from pathlib import Path

import pytest
import torch

from pixperts.cli.app import main
from pixperts.inference.loading import load
from pixperts.inference.upscaler import Upscaler
from pixperts.io.image import read_image
from pixperts.weights import store
from tests.helpers.command_line import one_sentence
from tests.helpers.command_line import picture as picture_file
from tests.helpers.light_models import light
from tests.helpers.tiny_models import picture, same

OTHERS = ["onnxruntime", "openvino"]
runtimes = pytest.mark.parametrize("runtime", OTHERS)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model; its graph is made once, as the cache is that of all tests here."""
    path = tmp_path_factory.mktemp("runtimes") / "own.safetensors"
    store.save(path, light(bounded_color=True), store.Card("own", {}))
    return path


@pytest.fixture(autouse=True)
def cache(own: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PIXPERTS_CACHE", str(own.parent / "cache"))
    return own.parent / "cache" / "graphs"


@pytest.mark.slow
@runtimes
def test_pictures_equal_those_of_torch(own: Path, cache: Path, runtime: str) -> None:
    pytest.importorskip(runtime)
    image = picture(2, 3, 70, 41)
    plain = Upscaler.load(own, device="cpu", precision="float32")
    other = Upscaler.load(own, precision="float32", runtime=runtime)
    assert (plain.runtime, other.runtime, str(other.device)) == ("torch", runtime, "cpu")
    (graph,) = cache.iterdir()
    written = graph.stat().st_mtime_ns
    for options in ({"scale": 2}, {"size": (90, 100)}, {"scale": 2.5, "budget": 1.0}):
        expected, expected_routing = plain.upscale_with_routing(image, **options)
        found, routing = other.upscale_with_routing(image, **options)
        same(found, expected)
        assert routing is not None
        assert expected_routing is not None
        assert (routing.experts == expected_routing.experts).float().mean() > 0.999
    tiled = load(own, tile=32, precision="float32", runtime=runtime)
    assert isinstance(tiled, Upscaler)
    same(tiled.upscale(image, scale=2), plain.upscale(image, scale=2))
    assert graph.stat().st_mtime_ns == written  # read, not made again


@pytest.mark.slow
def test_openvino_computes_in_bfloat16(own: Path) -> None:
    pytest.importorskip("openvino")
    image = picture(1, 3, 40, 41)
    exact = Upscaler.load(own, device="cpu", precision="float32").upscale(image, scale=2)
    half = Upscaler.load(own, runtime="openvino", precision="bfloat16").upscale(image, scale=2)
    difference = (exact - half).abs()
    assert 1e-4 < float(difference.max()) < 0.1  # experts may differ in a few pixels
    assert float(difference.mean()) < 2 / 255


@pytest.mark.slow
def test_the_command_line_and_its_manifest(own: Path, here: Path) -> None:
    pytest.importorskip("onnxruntime")
    picture_file(here / "a.png", 24, 30)
    line = ["upscale", "a.png", "-m", str(own), "--precision", "float32", "-q"]
    assert main([*line, "-o", "torch.png"]) == 0
    more = ["--runtime", "onnxruntime", "--manifest", "m.jsonl"]
    assert main([*line, *more, "-o", "other.png"]) == 0
    (entry,) = map(json.loads, (here / "m.jsonl").read_text().splitlines())
    assert entry["settings"]["runtime"] == "onnxruntime"
    one, two = (torch.tensor(read_image(here / f"{n}.png").pixels.astype(int)) for n in
                ("torch", "other"))  # fmt: skip
    assert int((one - two).abs().max()) <= 1


@runtimes
def test_a_missing_runtime_is_named(
    own: Path,
    here: Path,
    runtime: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PIXPERTS_CACHE", str(here / "cache"))
    monkeypatch.setitem(sys.modules, runtime, None)
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    picture_file(here / "a.png")
    assert main(["upscale", "a.png", "-m", str(own), "--runtime", runtime]) == 2
    assert "needs an extra: pip install 'pixperts[" in one_sentence(capsys)
    assert [path.name for path in here.iterdir()] == ["a.png"]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (["upscale", "--runtime", "tflite"], "--runtime is 'tflite', but must be torch"),
        (["upscale", "--runtime", "openvino", "--device", "cuda"], "openvino works on the CPU"),
        (
            ["upscale", "--runtime", "onnxruntime", "--precision", "bfloat16"],
            "onnxruntime computes in float32",
        ),
        (["upscale", "--runtime", "openvino", "-m", "moce-ir-tiny"], "moce-ir-tiny repairs"),
    ],
)
def test_refusals(
    here: Path, line: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    picture_file(here / "a.png")
    assert main([*line, "a.png"]) == 2
    assert sentence in one_sentence(capsys)
    with pytest.raises(ValueError, match="runtime is 'no'"):
        load("moeisr-photo", runtime="no")
