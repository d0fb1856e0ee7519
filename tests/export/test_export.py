"""`pixperts export`: files that other programs run, and what is refused.

An export costs seconds, so one file serves several tests.
"""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from pixperts.cli.app import main
from pixperts.errors import MissingExtraError, UsageError
from pixperts.export import export_model
from pixperts.export.engines import onnxruntime_engine, openvino_engine
from pixperts.export.forms import EncoderForm, form_of
from pixperts.export.onnx_file import UNWANTED, write_onnx
from pixperts.export.openvino_file import write_openvino
from pixperts.export.repair_forms import WholeForm
from pixperts.models.moce_ir_light.model import MoCEIRLight
from pixperts.weights import store
from tests.helpers.command_line import one_sentence
from tests.helpers.light_models import light, paired
from tests.helpers.light_restoration import light_restorer
from tests.helpers.tiny_models import picture, same, tiny

onnx = pytest.importorskip("onnx", reason="needs the export extra")
pytest.importorskip("openvino", reason="needs the openvino extra")

MODEL = {"bounded_color": True}
FEW: dict[str, Any] = {  # layers: the exporter takes its time for each
    "latent_mixtures": 1,
    "decoder_mixtures": 1,
    "encoder_blocks": (0, 0),
    "decoder_blocks": 1,
}


@pytest.fixture(scope="module")
def enlarging(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export")
    store.save(folder / "own.safetensors", light(**MODEL), store.Card("own", {}, license="CC0-1.0"))
    line = ["export", str(folder / "own.safetensors"), "--to", "onnx", "--scale", "1.5x"]
    assert main([*line, "--expert", "1", "-o", str(folder / "deep" / "own.onnx")]) == 0
    return folder / "deep" / "own.onnx"


@pytest.mark.slow
def test_onnx_holds_for_all_sizes(enlarging: Path, tmp_path: Path) -> None:
    form = form_of(light(**MODEL), "own", 1.5, (1,))
    pair = tmp_path / "own.xml"
    write_openvino(enlarging, {"license": "CC0-1.0"}, pair)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["own.bin", "own.xml"]
    assert "CC0-1.0" in pair.read_text()
    for run in (onnxruntime_engine(enlarging), openvino_engine(pair)):
        for shape in ((1, 3, 1, 1), (1, 3, 50, 9), (3, 3, 12, 17)):
            lr = picture(*shape)
            with torch.inference_mode():
                same(run(lr)[0], form.reference(lr)[0])


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
    assert not {node.op_type for node in graph.graph.node} & UNWANTED


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
        same(openvino_engine(here / "tiny_encoder.xml")(lr)[0], tiny().encode(lr))


@pytest.mark.slow
def test_a_repair_in_one_graph(here: Path) -> None:
    model = light_restorer(**FEW).model
    assert isinstance(model, MoCEIRLight)
    assert model.tone.faults.bias is not None
    with torch.no_grad():
        model.tone.faults.bias.fill_(3.0)  # darkness and haze are seen, and undone
    store.save(here / "own.safetensors", model, store.Card("own", {}))
    assert main(["export", "own.safetensors", "--to", "onnx"]) == 0
    graph = onnx.load(here / "own.onnx").graph
    assert [one.name for one in (*graph.input, *graph.output)] == ["image", "repaired"]
    assert not {node.op_type for node in graph.node} & UNWANTED
    write_openvino(here / "own.onnx", {}, here / "own.xml")
    form = WholeForm(model, None)
    for run in (onnxruntime_engine(here / "own.onnx"), openvino_engine(here / "own.xml")):
        for shape in ((1, 3, 1, 1), (1, 3, 90, 31), (3, 3, 12, 140)):
            image = 0.4 * picture(*shape)
            with torch.inference_mode():
                (expected,) = form.reference(image)
                same(run(image)[0], expected)
            # A picture of one pixel is too small for a judgment on its light.
            assert (float((expected - image).abs().max()) > 0.01) == (shape[2] > 1)


@pytest.mark.slow
def test_a_part_names_what_it_takes_and_gives(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = light_restorer(**FEW).model
    store.save(here / "own.safetensors", model, store.Card("own", {}))
    line = ["export", "own.safetensors", "--to", "onnx", "--part", "detail", "--expert", "0,3"]
    assert main(line) == 0
    assert one_sentence(capsys).startswith("own_detail_e03.onnx: own.safetensors, repair of de")
    written = onnx.load(here / "own_detail_e03.onnx")
    given, (repaired,) = written.graph.input, written.graph.output
    assert [one.name for one in given] == ["image", "embedding", "undo", "shares"]
    assert repaired.name == "repaired"
    sides = [side.dim_param or side.dim_value for side in given[1].type.tensor_type.shape.dim]
    assert sides == ["batch", 8]
    facts = {entry.key: entry.value for entry in written.metadata_props}
    assert facts["shares"] == "noise, jpeg, rest"
    assert facts["form"] == "repair of detail with experts 0,3"
    assert "multiples of 32" in facts["tiles"]


@pytest.mark.parametrize("scale", [2.0, None])
def test_a_graph_holds_one_of_two_networks(scale: float | None) -> None:
    model, image = paired(), picture(1, 3, 12, 10)
    label = "encoder" if scale is None else "x2"
    for experts, network, name, summary in (
        (None, model.photo, label, label),
        ((0,), model.photo, label, label),
        ((1,), model.clean, f"{label}_clean", f"{label} of its network for clean pictures"),
    ):
        form = form_of(model, "own", scale, experts)
        assert (form.label, form.summary) == (name, summary)
        with torch.inference_mode():
            (found,) = form(image)[None]
            expected = network.encode(image)
            if scale is not None:
                expected = network(image, (24, 20)).image.clamp(0, 1)
        same(found, expected)


@pytest.mark.slow
def test_the_judge_is_a_graph_of_its_own(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = paired()
    store.save(here / "own.safetensors", model, store.Card("own", {}))
    assert main(["export", "own.safetensors", "--to", "onnx", "--part", "judge"]) == 0
    assert one_sentence(capsys).startswith("own_judge.onnx: own.safetensors, judge; at most ")
    written = onnx.load(here / "own_judge.onnx")
    assert not {node.op_type for node in written.graph.node} & UNWANTED
    facts = {entry.key: entry.value for entry in written.metadata_props}
    assert facts["choice"].endswith("below 1 times the sum of the other's")
    write_openvino(here / "own_judge.onnx", {}, here / "own.xml")
    image, size = picture(1, 3, 150, 100), (300, 200)
    with torch.inference_mode():
        expected = model.judged(image, size)
    pieces = torch.cat([image[:, :, a:b, c:d] for a, b, c, d in model.places(150, 100)])
    for run in (onnxruntime_engine(here / "own_judge.onnx"), openvino_engine(here / "own.xml")):
        (logarithms,) = run(pieces, torch.full((len(pieces), 2), 2.0))
        found = 64 * 64 * logarithms.double().exp().sum(dim=0)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=0)


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
        write_onnx(EncoderForm(tiny()), {}, tmp_path / "a.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (["moce-ir-light", "-s", "2"], "moce-ir-light repairs at the picture's own size"),
        (["moce-ir-tiny", "--part", "scout"], "looks at all pixels in every block"),
        (["moce-ir-light", "--expert", "1"], "the 4 blocks of moce-ir-light, such as 1,1,1,1."),
        (["moce-ir-light", "--expert", "1,2,3,4"], "must name one of the experts 0 to 3"),
        (["moce-ir-light", "--expert", "1,,2"], "--expert is '1,,2', but must be a number"),
        (["moce-ir-light", "--expert", "1,1,1,1", "--part", "tone"], "the tone has no experts"),
        (["moeisr-light", "--part", "tone"], "--part is for models that repair"),
        (["moeisr-light", "--part", "judge"], "--part judge is for moeisr-photo: leave it out."),
        (["moeisr-photo", "--part", "tone"], "'tone', but moeisr-photo has only the part judge."),
        (["moeisr-photo", "--part", "judge", "-s", "2"], "leave --scale and --expert out"),
        (["moeisr-tiny", "-s", "2"], "moeisr-tiny chooses an expert for each pixel"),
        (["moeisr-photo", "-o", "a.xml"], "a.xml must end in .onnx"),
        (["moeisr-light", "-s", "2", "--expert", "1"], "has a single expert, 0."),
        (["moeisr-photo", "-s", "2", "--expert", "2"], "has the experts 0 (photo) and 1 (clean)."),
        (["moeisr-photo", "--expert", "0,1"], "has the experts 0 (photo) and 1 (clean)."),
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
