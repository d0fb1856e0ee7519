"""The other commands, and the process as a whole."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import pixperts
from pixperts.cli.app import SPIN_COUNT, main
from pixperts.models.presets import PRESETS, as_upscaler
from pixperts.weights import packaged, store
from tests.helpers.command_line import names, one_sentence, picture, shell


@pytest.mark.slow
def test_models(
    weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model, card = store.load(weights)
    notes = {"quality": {"Set5 x2": 37.6}, "shares": [0.75, 0.25]}
    told = store.Card("moeisr-tiny", card.config, "Apache-2.0", notes=notes)
    store.save(tmp_path / "moeisr-tiny.safetensors", model, told)
    monkeypatch.setattr(packaged, "WEIGHTS", tmp_path)
    assert main(["models", "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    cost = as_upscaler(model).multiply_adds((500, 500), (1000, 1000), (0.75, 0.25))["total"] / 1e9
    assert lines[0] == {
        "name": "moeisr-tiny",
        "trained": True,
        "summary": PRESETS["moeisr-tiny"].summary,
        "parameters": sum(value.numel() for value in model.parameters()),
        "does": "enlarge",
        "gmac_per_megapixel": cost,
        "quality": {"Set5 x2": 37.6},
        "license": "Apache-2.0",
        "experts": 2,
    }
    assert [line["name"] for line in lines[1:]] == sorted(PRESETS.keys() - {"moeisr-tiny"})
    assert not any(line["trained"] for line in lines[1:])
    assert main(["models"]) == 0
    table = capsys.readouterr().out.splitlines()
    assert len(table) == 1 + len(PRESETS)
    assert "Set5 x2 37.6 " in table[1]
    assert "Apache-2.0" in table[1]
    many = {f"Set5 x{scale}": 30 + scale for scale in range(1, 7)}
    long = store.Card("moeisr-tiny", card.config, "Apache-2.0", notes={"quality": many})
    store.save(tmp_path / "moeisr-tiny.safetensors", model, long)
    assert main(["models"]) == 0
    line = capsys.readouterr().out.splitlines()[1]
    assert "Set5 x1 31, Set5 x2 32, Set5 x3 33 and 3 more" in line


def test_evaluate(tmp_path: Path, weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "Set2"
    picture(data / "a.png", 40, 44)
    picture(data / "b.png", 44, 40)
    assert main(["evaluate", "bicubic", str(data), "--scale", "2,3"]) == 0
    table = capsys.readouterr().out
    assert table.startswith("bicubic on Set2; y-shave: BT.601 luma")
    assert len([line for line in table.splitlines() if line.startswith("|")]) == 4
    line = ["evaluate", str(weights), str(data), "-s", "2", "--budget", "0", "--json"]
    assert main([*line, "--protocol", "rgb-shave"]) == 0
    score = json.loads(capsys.readouterr().out)
    assert score["model"] == str(weights)
    assert score["protocol"] == "rgb-shave"
    assert score["shares"] == [1.0, 0.0]
    assert score["images"] == 2


def test_evaluate_refuses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture(tmp_path / "a.png", 40, 40)
    none = str(tmp_path / "none")
    cases = [
        (["bicubic", str(tmp_path), "-s", "two"], 2, "--scale takes numbers"),
        (["bicubic", str(tmp_path), "-s", ""], 2, "--scale takes numbers"),
        (["bicubic", str(tmp_path), "-s", "0.5"], 2, "0.5"),
        (["bicubic", str(tmp_path), "-s", "2", "--protocol", "y"], 2, "protocol must be one of"),
        (["bicubic", str(tmp_path), "-s", "2", "--budget", "1"], 2, "leave the budget out"),
        (["moce-ir-tiny", none, "--target", none, "--seed", "3"], 2, "--seed applies to --task"),
        (["bicubic", none, "-s", "2"], 1, "is not a folder"),
        (["nobody", str(tmp_path), "-s", "2"], 2, "unknown model 'nobody'"),
    ]
    for arguments, code, reason in cases:
        assert main(["evaluate", *arguments]) == code
        assert reason in one_sentence(capsys)


def test_convert_refuses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"model": {"sd": {"a": torch.zeros(2)}}}, tmp_path / "foreign.pth")
    (tmp_path / "random.pth").write_bytes(np.random.default_rng(0).bytes(300))
    ours = str(tmp_path / "out.safetensors")
    cases = [
        (["none.pth", ours], 1, "there is no such file"),
        (["foreign.pth", ours], 1, "no architecture that can be converted"),
        (["foreign.pth", ours, "--name", "nobody"], 1, "'nobody' was never published"),
        (["random.pth", ours], 1, "damaged"),
        (["foreign.pth", str(tmp_path / "out.pth")], 2, "ending in .safetensors"),
    ]
    for (name, *rest), code, reason in cases:
        assert main(["convert", str(tmp_path / name), *rest]) == code
        assert reason in one_sentence(capsys)
    assert names(tmp_path) == ["foreign.pth", "random.pth"]


def test_convert_hands_everything_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[Any] = []

    def note(source: Path, target: Path, **options: Any) -> str:
        seen.append((source, target, options))
        return "liif-edsr"

    monkeypatch.setattr("pixperts.weights.convert.convert_file", note)
    source, target = tmp_path / "a.pth", tmp_path / "b.safetensors"
    assert main(["convert", str(source), str(target), "--license", "BSD-3-Clause"]) == 0
    assert seen == [(source, target, {"name": None, "license_name": "BSD-3-Clause"})]
    assert one_sentence(capsys) == f"{target}: liif-edsr, license BSD-3-Clause"


def test_train_refuses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = ["-o", str(tmp_path / "run")]
    for time in ("2h", "00:00:00", "1:75:00"):
        assert main(["train", "a.yaml", *run, "--max-time", time]) == 2
        assert "must be hours:minutes:seconds" in one_sentence(capsys)
    assert main(["train", "a.yaml", *run, "--max-steps", "0"]) == 2
    assert "--max-steps" in one_sentence(capsys)
    monkeypatch.setitem(sys.modules, "lightning", None)
    assert main(["train", "a.yaml", *run]) == 2
    assert "pip install 'pixperts[train]'" in one_sentence(capsys)
    assert names(tmp_path) == []


# The real thing, in a process of its own


def test_help_waits_for_nothing_heavy() -> None:
    code = (
        "import sys; from pixperts.cli.app import main; code = main(['--help']); "
        "print([m for m in ('torch', 'lightning', 'pyvips', 'numpy') if m in sys.modules]); "
        "sys.exit(code)"
    )
    done = shell("-c", code)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "[]"
    for command in ("upscale", "models", "evaluate", "convert", "train"):
        assert f" {command} " in done.stdout


def test_a_wrong_command_line_waits_for_nothing_heavy() -> None:
    code = (
        "import sys; from pixperts.cli.app import main; "
        "code = main(['upscale', 'a.png', '-o', 'b.png', '-s', '2', '--workers', '65']); "
        "print([m for m in ('torch', 'pyvips', 'numpy', 'rich') if m in sys.modules]); "
        "print([m for m in sys.modules if m.startswith('pixperts.cli.')]); sys.exit(code)"
    )
    done = shell("-c", code)
    assert done.returncode == 2
    heavy, modules = done.stdout.splitlines()
    assert heavy == "[]"
    assert "pixperts.cli.pictures" in modules
    for other in ("train", "data", "evaluate", "models", "convert"):
        assert f"pixperts.cli.{other}'" not in modules


def test_waiting_threads_sleep_unless_the_user_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "import os; from pixperts.cli.app import main; main(['--version']); "
        "print([os.environ.get(n) for n in ('GOMP_SPINCOUNT', 'KMP_BLOCKTIME')])"
    )
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"):
        monkeypatch.delenv(name, raising=False)
    assert shell("-c", code).stdout.splitlines()[-1] == f"['{SPIN_COUNT}', '0']"
    late = f"import sys; sys.modules['torch'] = sys; {code}"  # too late to have an effect
    assert shell("-c", late).stdout.splitlines()[-1] == "[None, None]"
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    assert shell("-c", code).stdout.splitlines()[-1] == "[None, None]"


def test_help_is_in_groups(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    for command, panels in (
        ("upscale", ["Size", "Model", "Output", "Folder jobs"]),
        ("restore", ["Model", "Output", "Folder jobs"]),
    ):
        assert main([command, "--help"]) == 0
        text = capsys.readouterr().out
        for panel in panels:
            assert f" {panel} ─" in text
        for option in ("--recursive", "--name", "--if-exists", "--workers", "--manifest"):
            assert option in text


def test_version() -> None:
    done = shell("-m", "pixperts", "--version")
    assert (done.returncode, done.stdout) == (0, f"pixperts {pixperts.__version__}\n")


def test_unexpected_errors_are_one_sentence_unless_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise RuntimeError("some\nfault")

    monkeypatch.setattr("pixperts.weights.catalogue.list_models", fail)
    assert main(["models"]) == 1
    assert "failed unexpectedly (RuntimeError: some fault)" in one_sentence(capsys)
    monkeypatch.setenv("PIXPERTS_TRACEBACK", "1")
    with pytest.raises(RuntimeError, match="some"):
        main(["models"])


@pytest.mark.slow
def test_a_process_with_a_broken_picture(tmp_path: Path, weights: Path) -> None:
    whole = picture(tmp_path / "whole.jpg", 64, 64).read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    inputs = [tmp_path / "whole.jpg", tmp_path / "cut.jpg"]
    done = shell("-m", "pixperts", "upscale", *inputs, "-o", tmp_path / "out", "-s", 2, "-m",
                 weights)  # fmt: skip
    assert done.returncode == 1
    assert done.stdout == ""
    first, second = done.stderr.splitlines()  # and nothing that libvips says by itself
    assert "64 x 64 -> 128 x 128" in first
    assert second.startswith(str(inputs[1]))
    assert names(tmp_path / "out") == ["whole.jpg"]


@pytest.mark.slow
def test_a_process_that_is_interrupted(tmp_path: Path, weights: Path) -> None:
    inputs = [picture(tmp_path / "a.png", 4, 4), picture(tmp_path / "b.png", 300, 300)]
    arguments = ["-m", "pixperts", "upscale", *inputs, "-o", tmp_path / "out", "-s", 16, "--json",
                 "-m", weights]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = str(Path(pixperts.__file__).parents[1])
    with subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        # A shell's background jobs ignore SIGINT, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:  # fmt: skip
        assert process.stdout is not None
        first = json.loads(process.stdout.readline())  # the second picture has begun
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=300)
    assert first["new_width"] == 64
    assert (process.returncode, rest) == (130, "")
    # libvips may print, ahead of ours, that it dropped the exception in a callback of its own.
    assert errors.endswith("Interrupted; finished files are kept.\n")
    assert names(tmp_path / "out") == ["a.png"]
