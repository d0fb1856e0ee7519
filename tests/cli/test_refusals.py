"""Wrong command lines and bad weights: one sentence, nothing begun."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from pixperts.cli.app import main
from pixperts.errors import UsageError
from pixperts.jobs.job import Job
from pixperts.jobs.plan import plan
from tests.helpers.command_line import names, one_sentence, picture


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["-s", "0"], "--scale must be a positive, finite number"),
        (["-s", "-2"], "--scale must be a positive, finite number"),
        (["-s", "nan"], "--scale must be a positive, finite number"),
        (["-s", "inf"], "--scale must be a positive, finite number"),
        (["-s", "two"], "Invalid value for '--scale'"),
        (["--size", "10"], "is not WIDTHxHEIGHT"),
        (["--width", "0"], "--width must be at least 1 pixel"),
        (["-s", "2", "--width", "7"], "--scale and --width contradict each other"),
        (["-s", "2", "--budget", "2"], "--budget is 2, but must be between 0 and 1"),
        (["-s", "2", "--budget", "nan"], "--budget is nan"),
        (["-s", "2", "--device", "toaster"], "device 'toaster' is unknown"),
        (["-s", "2", "--quality", "0"], "--quality is 0"),
        (["-s", "2", "--quality", "90"], "no output is jpeg, webp"),
        (["-s", "2", "--expert-map", "map.jpg"], "needs a name ending in .png"),
        (["-s", "2", "--no-such-option"], "No such option"),
    ],
)
def test_wrong_options(
    options: list[str],
    reason: str,
    tmp_path: Path,
    upscale: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = picture(tmp_path / "a.png")
    assert upscale(source, "-o", tmp_path / "b.png", *options) == 2
    assert reason in one_sentence(capsys)
    assert names(tmp_path) == ["a.png"]


def test_missing_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["upscale", "-o", "b.png", "-s", "2"]) == 2
    assert "Missing argument" in one_sentence(capsys)
    assert main(["enlarge"]) == 2
    assert "No such command 'enlarge'" in one_sentence(capsys)


def test_empty_names(
    tmp_path: Path, upscale: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = picture(tmp_path / "a.png"), tmp_path / "b.png"
    for line in (
        [source, "-o", ""],
        [source, "", "-o", target],
        [source, "-o", target, "--expert-map", ""],
    ):
        assert upscale(*line, "-s", 2) == 2
        assert "An empty name was given" in one_sentence(capsys)


def test_outputs_that_clash(tmp_path: Path) -> None:
    a, again = picture(tmp_path / "a.png"), picture(tmp_path / "other" / "a.png")
    link = tmp_path / "link.png"
    link.symlink_to(a)
    cases: list[tuple[list[Path], str, str | None, str]] = [
        ([a, again], "out/", None, "would both be written to out/a.png"),
        ([a, a], "out/", None, "a.png is given twice: leave one of them out"),
        ([a], str(a), None, "is an input as well"),
        ([a], str(link), None, "is an input as well"),
        ([a], f"{tmp_path}/other/../a.png", None, "is an input as well"),
        ([again], str(tmp_path), None, ""),  # replaces a.png, which is no input
        ([tmp_path], str(tmp_path), None, "is input and output at once"),
        ([a], "b.png", "b.png", "would both be written to b.png"),
        ([a], "b.png", str(a), "is an input as well"),
        ([a, again.rename(again.with_name("b.png"))], "b.png", None, "need a folder"),
        ([a, link], str(a), None, "need a folder"),
        ([tmp_path / "other"], "b.png", None, "need a folder"),
        ([a], "b", None, "a slash at the end for a new folder"),
        ([tmp_path / "none"], "out/", None, ""),  # found out when it is read
    ]
    (tmp_path / "empty").mkdir()
    cases.append(([a, tmp_path / "empty"], "out/", None, "holds no JPEG"))
    for inputs, output, chart, reason in cases:
        if not reason:
            assert len(plan(inputs, output, chart).jobs) == 1
            continue
        with pytest.raises(UsageError, match=reason):
            plan(inputs, output, chart)


def test_plan_of_a_folder_and_a_file(tmp_path: Path) -> None:
    b, a = picture(tmp_path / "in" / "b.png"), picture(tmp_path / "in" / "a.jpg")
    c = picture(tmp_path / "c.png")
    planned = plan([c, tmp_path / "in"], "out", "maps")
    roots = (Path("out"), Path("maps"))
    assert planned.jobs == [
        Job(c, Path("out/c.png"), Path("maps/c_experts.png"), *roots),
        Job(a, Path("out/a.jpg"), Path("maps/a_experts.png"), *roots),
        Job(b, Path("out/b.png"), Path("maps/b_experts.png"), *roots),
    ]
    assert planned.remarks == []
    assert planned.if_exists == "skip"


# Weights


def test_bad_weights(tmp_path: Path, weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = picture(tmp_path / "a.png")
    whole = weights.read_bytes()
    (tmp_path / "random.safetensors").write_bytes(np.random.default_rng(0).bytes(3000))
    (tmp_path / "cut.safetensors").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.safetensors").touch()
    save_file({"a": torch.zeros(3)}, tmp_path / "foreign.safetensors")
    (tmp_path / "old.pth").write_bytes(b"PK")
    cases = {
        "no-such-model": "unknown model 'no-such-model'",
        "liif-rdn": "model 'liif-rdn' is an architecture without packaged weights",
        "m" * 5000: "unknown model",
        str(tmp_path / "none.safetensors"): "there is no such weights file",
        str(tmp_path / "random.safetensors"): "is not a safetensors file",
        str(tmp_path / "cut.safetensors"): "is not a safetensors file, or it is damaged",
        str(tmp_path / "empty.safetensors"): "is not a safetensors file",
        str(tmp_path / "foreign.safetensors"): "holds no pixperts model",
        str(tmp_path / "old.pth"): "pixperts convert",
        str(tmp_path): "cannot be read",
    }
    for name, reason in cases.items():
        out = str(tmp_path / "b.png")
        # A wrong name is a mistake on the command line, a bad file is a failure.
        code = 2 if reason.startswith(("unknown", "model")) else 1
        assert main(["upscale", str(source), "-o", out, "-s", "2", "-m", name]) == code
        assert reason in one_sentence(capsys)
        assert not Path(out).exists()
