"""`pixperts export`: files that other programs run, and what is refused.

An export costs seconds, so one file serves several tests.
"""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from pixperts.cli.app import main
from pixperts.errors import MissingExtraError, UsageError
from pixperts.export import export_model
from pixperts.export.engines import onnxruntime_engine, openvino_engine
from pixperts.export.forms import form_of
from pixperts.export.onnx_file import write_onnx
from pixperts.export.openvino_file import write_openvino
from pixperts.weights import store
from tests.helpers.command_line import one_sentence
from tests.helpers.light_models import light
from tests.helpers.tiny_models import picture, same, tiny

onnx = pytest.importorskip("onnx", reason="needs the export extra")
pytest.importorskip("openvino", reason="needs the openvino extra")

MODEL = {"bounded_color": True}


@pytest.fixture(scope="module")
def enlarging(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export")
    store.save(folder / "own.safetensors", light(**MODEL), store.Card("own", {}, license="CC0-1.0"))
    line = ["export", str(folder / "own.safetensors"), "--to", "onnx", "--scale", "1.5x"]
    assert main([*line, "--expert", "1", "-o", str(folder / "deep" / "own.onnx")]) == 0
    return folder / "deep" / "own.onnx"


@pytest.mark.slow
def test_onnx_holds_for_all_sizes(enlarging: Path, tmp_path: Path) -> None:
    form = form_of(light(**MODEL), "own", 1.5, 1)
    pair = tmp_path / "own.xml"
    write_openvino(enlarging, {"license": "CC0-1.0"}, pair)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["own.bin", "own.xml"]
    assert "CC0-1.0" in pair.read_text()
    for run in (onnxruntime_engine(enlarging), openvino_engine(pair)):
        for shape in ((1, 3, 1, 1), (1, 3, 50, 9), (3, 3, 12, 17)):
            lr = picture(*shape)
            with torch.inference_mode():
                same(run(lr), form.reference(lr))


@pytest.mark.slow
def test_onnx_says_what_it_is(enlarging: Path) -> None:
    graph = onnx.load(enlarging)
    facts = {entry.key: entry.value for entry in graph.metadata_props}
    assert facts["license"] == "CC0-1.0"
    assert facts["form"] == "x1.5 with expert 1"
    (given,), (result,) = graph.graph.input, graph.graph.output
    assert (given.name, result.name) == ("image", "enlarged")
    sides = [side.dim_param or side.dim_value for side in given.type.tensor_type.shape.dim]
    assert sides == ["batch", 3, "height", "width"]
    used = {node.op_type for node in graph.graph.node}
    assert not used & {"GridSample", "NonZero", "DFT", "If", "Loop"}


@pytest.mark.slow
def test_an_encoder_for_openvino(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store.save(here / "tiny.safetensors", tiny(), store.Card("tiny", {}))
    assert main(["export", "tiny.safetensors", "--to", "openvino"]) == 0
    said = one_sentence(capsys)
    assert said.startswith("tiny_encoder.xml: tiny.safetensors, encoder; at most ")
    names = sorted(path.name for path in here.iterdir())
    assert names == ["tiny.safetensors", "tiny_encoder.bin", "tiny_encoder.xml"]
    lr = picture(2, 3, 9, 6)
    with torch.inference_mode():
        same(openvino_engine(here / "tiny_encoder.xml")(lr), tiny().encode(lr))


SIGNAL_AFTER_TWO = """
import signal, sys
from pathlib import Path
from pixperts.export.engines import openvino_engine
signal.signal(signal.SIGUSR1, lambda *_: print("handled"))
first, second = (openvino_engine(Path(sys.argv[1])) for _ in range(2))
del first, second
signal.raise_signal(signal.SIGUSR1)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGUSR1")
def test_a_signal_after_openvino_is_handled(enlarging: Path) -> None:
    # Two cores on a processor with AMX: the signal killed the process.
    code = [sys.executable, "-c", SIGNAL_AFTER_TWO, str(enlarging)]
    assert subprocess.run(code, check=True, capture_output=True, text=True).stdout == "handled\n"


def test_what_is_missing_is_named(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    assert main(["export", "moeisr-photo", "--to", "onnx", "-s", "2"]) == 2
    assert one_sentence(capsys) == "Export needs an extra: pip install 'pixperts[export]'."
    for name, extra, open_engine in (
        ("openvino", "openvino", openvino_engine),
        ("onnxruntime", "onnxruntime", onnxruntime_engine),
    ):
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(MissingExtraError, match=rf"pixperts\[{extra}\]"):
            open_engine(here / "no.onnx")
    assert list(here.iterdir()) == []


def test_a_torch_that_is_too_old_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason="needs the export extra")
    monkeypatch.delattr(torch.export.Dim, "DYNAMIC", raising=False)
    with pytest.raises(UsageError, match=r"needs torch 2.6 or newer, not \d.*pip install"):
        write_onnx(torch.nn.Identity(), "features", {}, tmp_path / "a.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (["moce-ir-tiny"], "moce-ir-tiny repairs: only models that enlarge can be written so far."),
        (["moeisr-tiny", "-s", "2"], "moeisr-tiny chooses an expert for each pixel"),
        (["moeisr-photo", "-o", "a.xml"], "a.xml must end in .onnx"),
        (["moeisr-photo", "-s", "2", "--expert", "1"], "has a single expert, 0."),
        (["nothing"], "unknown model 'nothing'"),
    ],
)
def test_refusals(
    here: Path, line: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", "--to", "onnx", *line]) != 0
    assert sentence in one_sentence(capsys)
    assert list(here.iterdir()) == []


def test_unknown_formats_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "moeisr-photo", "--to", "tflite"]) == 2
    assert one_sentence(capsys) == "--to is 'tflite', but must be onnx, openvino or spandrel."
    with pytest.raises(ValueError, match="must be one of onnx, openvino"):
        export_model("moeisr-photo", "tflite")  # type: ignore[arg-type]
