"""`pixperts restore` and `pixperts analyze`: files in and out, one sentence for each fault."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pixperts.cli.app import main
from pixperts.inference.analysis import analyze
from pixperts.inference.restorer import Restorer
from pixperts.io.image import read_image, write_image
from pixperts.jobs.operation import software_tag
from pixperts.weights import store
from tests.helpers.command_line import Stdin
from tests.helpers.moce_models import mini
from tests.helpers.tiny_models import tiny

BLOCKS = ["level 2 block 0", "level 1 block 0", "level 1 block 1", "level 0 block 0"]
SIGNATURES = {  # of four blocks of 32, 16, 16 and 8 channels
    "tasks": ["noise25", "clean"],
    "means": [[0.1], [-0.1]],
    "projection": [[0.05]] * 72,
}


def noise(*shape: int, dtype: Any = np.uint8) -> NDArray[Any]:
    top = 1 + int(np.iinfo(dtype).max)
    return np.random.default_rng(sum(shape)).integers(0, top, shape, dtype)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "mini.safetensors"
    store.save(path, mini(top_k=2), store.Card("mini", {}))
    return path


@pytest.fixture(scope="module")
def enlarging(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    store.save(path, tiny(), store.Card("small", {}))
    return path


@pytest.fixture
def restore(weights: Path) -> Callable[..., int]:
    def call(*arguments: object) -> int:
        return main(["restore", "-m", str(weights), "--device", "cpu", *map(str, arguments)])

    return call


def picture(path: Path, height: int = 8, width: int = 10, dtype: Any = np.uint8) -> Path:
    write_image(path, noise(height, width, 3, dtype=dtype))
    return path


def one_sentence(capsys: pytest.CaptureFixture[str]) -> str:
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1, captured.err
    return captured.err.strip()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.slow
def test_a_file_is_what_python_returns_byte_for_byte(
    tmp_path: Path,
    restore: Callable[..., int],
    weights: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source, target = picture(tmp_path / "a.png"), tmp_path / "new" / "b.png"
    assert restore(source, "-o", target, "--strength", 0.5) == 0
    line = one_sentence(capsys)
    assert line.startswith(f"{source} -> {target}: 10 x 8, ")
    result, routings = Restorer.load(weights).restore_with_routing(
        read_image(source).pixels, strength=0.5
    )
    experts = ["+".join(map(str, routing.experts[0].tolist())) for routing in routings]
    assert line.endswith(f", experts {' '.join(experts)}")
    software = software_tag("mini", (10, 8), (10, 8))
    write_image(tmp_path / "c.png", result, software=software)
    assert target.read_bytes() == (tmp_path / "c.png").read_bytes()
    assert names(target.parent) == ["b.png"]


def test_strength_0_writes_the_pixels_that_were_read(
    tmp_path: Path, restore: Callable[..., int]
) -> None:
    for name, dtype in (("a.png", np.uint8), ("b.tif", np.uint16)):
        source = picture(tmp_path / name, dtype=dtype)
        assert restore(source, "-o", tmp_path / "out" / name, "--strength", 0, "-q") == 0
        result = read_image(tmp_path / "out" / name).pixels
        assert result.dtype == dtype
        assert np.array_equal(result, read_image(source).pixels)


def test_json_lines_of_several_files_with_a_bad_one_among_them(
    tmp_path: Path,
    restore: Callable[..., int],
    weights: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    good, bad, last = picture(tmp_path / "a.png"), tmp_path / "b.jpg", picture(tmp_path / "c.webp")
    bad.write_text("these are words")
    out = tmp_path / "out"
    assert restore(good, bad, last, "-o", out, "--json") == 1
    captured = capsys.readouterr()
    first, second, third = map(json.loads, captured.out.splitlines())
    assert second.keys() == {"input", "output", "error"}
    assert second["error"] == captured.err.strip()
    assert str(bad) in second["error"]
    assert names(out) == ["a.png", "c.webp"]
    assert third["output"] == str(out / "c.webp")
    restorer = Restorer.load(weights)
    routings = restorer.restore_with_routing(read_image(good).pixels)[1]
    spent = restorer.model.multiply_adds((8, 10), routings)["total"]
    every = restorer.model.multiply_adds((8, 10), every=True)["total"]
    assert first.pop("seconds") >= 0
    assert first.pop("gates") == [
        pytest.approx(routing.gates[0].tolist(), abs=1e-4)
        for routing in routings
        if routing.gates is not None
    ]
    assert first.pop("skipped") == pytest.approx(1 - spent / every, abs=1e-4)
    assert first == {
        "input": str(good),
        "output": str(out / "a.png"),
        "width": 10,
        "height": 8,
        "findings": None,
        "found": None,
        "model": "mini",
        "strength": 1.0,
        "experts": [routing.experts[0].tolist() for routing in routings],
        "task": None,
        "confidence": None,
        "motion": None,
        "multiply_adds": spent,
        "megapixels": 8e-5,
        "notes": [],
    }


def test_a_folder_keeps_names_and_formats(
    tmp_path: Path, restore: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = tmp_path / "in", tmp_path / "out"
    for name in ("b.webp", "a.jpg", "d.tif"):
        picture(source / name)
    (source / "notes.txt").write_text("no picture")
    assert restore(source, "-o", target, "--quality", 80) == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == f"{source}: skipped 1 entry that is not a picture."
    assert [Path(line.split(" -> ")[0]).name for line in lines[1:]] == ["a.jpg", "b.webp", "d.tif"]
    formats = {name: read_image(target / name).format for name in names(target)}
    assert formats == {"a.jpg": "jpeg", "b.webp": "webp", "d.tif": "tiff"}


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--strength", "1.5"], "--strength is 1.5, but must be between 0 and 1."),
        (["--strength", "-1"], "--strength is -1, but must be between 0 and 1."),
        (["--strength", "nan"], "--strength is nan, but must be between 0 and 1."),
        (["--strength", "half"], "Invalid value for '--strength'"),
        (["--quality", "90"], "no output is jpeg, webp"),
        (["--quality", "0"], "--quality is 0"),
        (["--device", "toaster"], "device 'toaster' is unknown"),
        (["--scale", "2"], "pixperts upscale"),
        (["-m", ""], "An empty name was given"),
    ],
)
@pytest.mark.slow
def test_wrong_options(
    options: list[str],
    reason: str,
    tmp_path: Path,
    restore: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = picture(tmp_path / "a.png")
    assert restore(source, "-o", tmp_path / "b.png", *options) == 2
    assert reason in one_sentence(capsys)
    assert names(tmp_path) == ["a.png"]


def test_weights_of_the_wrong_family_are_refused_by_name(
    tmp_path: Path, weights: Path, enlarging: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = str(picture(tmp_path / "a.png")), str(tmp_path / "b.png")
    enlarge = ["upscale", source, "-o", target, "-s", "2", "-m", str(weights)]
    repair = ["restore", source, "-o", target, "-m", str(enlarging)]
    repairs = "mini repairs and does not enlarge: use 'restore'."
    enlarges = "small enlarges and does not repair: use 'upscale'."
    for line, sentence in (
        (enlarge, repairs),
        ([*enlarge, "--budget", "1"], repairs),
        (repair, enlarges),
        ([*repair, "--json"], enlarges),
        (["analyze", source, "-m", str(enlarging)], enlarges),
    ):
        assert main(line) == 2
        assert one_sentence(capsys) == sentence
        assert names(tmp_path) == ["a.png"]


def test_empty_names_and_clashes(
    tmp_path: Path, restore: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    source = picture(tmp_path / "a.png")
    for line, reason in (
        ([source, "-o", ""], "An empty name was given"),
        ([source, "-o", source], "is an input as well"),
        ([source, source, "-o", tmp_path / "b.png"], "several pictures need a folder"),
    ):
        assert restore(*line) == 2
        assert reason in one_sentence(capsys)


# ---------------------------------------------------------------- signatures and analyze


@pytest.fixture(scope="module")
def knowing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights that hold signatures."""
    path = tmp_path_factory.mktemp("weights") / "knowing.safetensors"
    card = store.Card("knowing", {}, notes={"signatures": SIGNATURES})
    store.save(path, mini(), card)
    return path


@pytest.mark.slow
def test_the_nearest_task_is_told(
    tmp_path: Path, knowing: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = picture(tmp_path / "a.png"), tmp_path / "b.png"
    line = ["restore", str(source), "-o", str(target), "-m", str(knowing)]
    found = analyze(Restorer.load(knowing), read_image(source).pixels)
    assert found.confidence is not None
    assert main(line) == 0
    assert one_sentence(capsys).endswith(f", looks like {found.task} ({found.confidence:.0%})")
    assert main([*line, "--json"]) == 0
    entry = json.loads(capsys.readouterr().out)
    assert (entry["task"], entry["confidence"]) == (found.task, round(found.confidence, 4))


@pytest.mark.parametrize(
    ("signatures", "reason"),
    [
        ({"tasks": ["a"]}, "the routing signatures of these weights are damaged."),
        (
            {"tasks": ["a"], "means": [[0.0]], "projection": [[1.0]]},
            "the routing signatures of these weights fit another model.",
        ),
    ],
)
@pytest.mark.slow
def test_damaged_signatures_cost_one_sentence_and_nothing_is_written(
    signatures: dict[str, Any],
    reason: str,
    tmp_path: Path,
    restore: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "damaged.safetensors"
    store.save(path, mini(), store.Card("m", {}, notes={"signatures": signatures}))
    source = picture(tmp_path / "a.png")
    assert restore(source, "-o", tmp_path / "b.png", "-m", path) == 1
    assert one_sentence(capsys) == f"{source}: {reason}"
    assert main(["analyze", str(source), "-m", str(path)]) == 1
    assert one_sentence(capsys) == reason
    assert names(tmp_path) == ["a.png", "damaged.safetensors"]


@pytest.mark.slow
def test_analyze_as_text(
    tmp_path: Path, weights: Path, knowing: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = picture(tmp_path / "a.png")
    for model in (weights, knowing):
        assert main(["analyze", str(source), "-m", str(model)]) == 0
        captured = capsys.readouterr()
        assert captured.err == ""
        found = analyze(Restorer.load(model), read_image(source).pixels)
        assert captured.out == found.to_text() + "\n"
        lines = captured.out.splitlines()
        if found.task is not None:
            assert lines.pop(0).startswith(f"most similar to: {found.task} ")
        for line, block in zip(lines, found.blocks, strict=False):
            said = [
                f"expert {e} with gate {g:.2f}"
                for e, g in zip(block.experts, block.gates, strict=True)
            ]
            assert line.startswith(f"{block.name}: {', '.join(said)} (probabilities ")
        assert f"{found.skipped:.1%} fewer than with all experts" in lines[4]
        assert len(lines) == 5
    assert found.task is not None


@pytest.mark.slow
def test_analyze_as_json(
    tmp_path: Path, weights: Path, knowing: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = picture(tmp_path / "a.png")
    entries = []
    for model in (weights, knowing):
        assert main(["analyze", str(source), "-m", str(model), "--json"]) == 0
        entries.append(json.loads(capsys.readouterr().out))
    for entry in entries:
        assert entry["input"] == str(source)
        assert [block["name"] for block in entry["blocks"]] == BLOCKS
        for block in entry["blocks"]:
            assert sum(block["probabilities"]) == pytest.approx(1, abs=1e-6)
            shares = block["probabilities"]
            best = sorted(range(4), key=shares.__getitem__, reverse=True)
            assert block["experts"] == best[: len(block["experts"])]
            assert block["gates"] == [block["probabilities"][j] for j in block["experts"]]
        assert 0 < entry["skipped"] < 1
    plain, known = entries
    assert (plain["tasks"], plain["task"], plain["confidence"]) == ([], None, None)
    assert {task for task, _ in known["tasks"]} == {"noise25", "clean"}
    assert sum(share for _, share in known["tasks"]) == pytest.approx(1)
    assert [known["task"], known["confidence"]] == known["tasks"][0]


@pytest.mark.slow
def test_analyze_of_standard_input_is_that_of_the_file(
    tmp_path: Path,
    weights: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = picture(tmp_path / "a.png")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    entries = []
    for given in (str(source), "-"):
        monkeypatch.setattr(sys, "stdin", Stdin(source.read_bytes()))
        assert main(["analyze", given, "-m", str(weights), "--json"]) == 0
        entries.append(json.loads(capsys.readouterr().out))
    assert [entry.pop("input") for entry in entries] == [str(source), "standard input"]
    assert entries[0] == entries[1]
    assert names(tmp_path) == ["a.png"]
    for data, words in (
        (b"", "Standard input is empty"),
        (b"\x89PNG\r\n\x1a\n..", "standard input "),
    ):
        monkeypatch.setattr(sys, "stdin", Stdin(data))
        assert main(["analyze", "-", "-m", str(weights)]) == 1
        assert one_sentence(capsys).startswith(words)
    assert names(tmp_path) == ["a.png"]


def test_analyze_refuses(tmp_path: Path, weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "broken.png").write_text("these are words")
    for name, code, reason in (
        ("none.png", 1, "does not exist"),
        ("broken.png", 1, "holds no JPEG, PNG, WebP or TIFF picture"),
        ("", 1, "is a folder: name a picture inside it"),
    ):
        assert main(["analyze", str(tmp_path / name), "-m", str(weights)]) == code
        assert reason in one_sentence(capsys)
    assert main(["analyze", "-m", str(weights)]) == 2
    assert "Missing argument 'PHOTO'" in one_sentence(capsys)
