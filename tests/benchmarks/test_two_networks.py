"""The table of what each of two networks gains."""

import sys
from pathlib import Path

import numpy as np
import pytest

import two_networks
from pixperts.io.image import write_image
from pixperts.weights import store
from tests.helpers.light_models import paired


def test_a_line_for_each_case(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "CID22-val"
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(2):
        write_image(folder / f"{number}.png", random.integers(0, 256, (96, 96, 3), np.uint8))
    store.save(tmp_path / "own.safetensors", paired(), store.Card("own", {}))
    cases = ["clean", "jpeg60", "phone", "screen", "screen_jpeg75"]
    line = [str(tmp_path / "own.safetensors"), "--bench", str(tmp_path), "--scales", "2"]
    monkeypatch.setattr(sys, "argv", ["two_networks.py", *line, "--cases", *cases])
    two_networks.main()
    rows = capsys.readouterr().out.splitlines()[2:]
    assert [row.split(" | ")[0] for row in rows] == [f"| x2 {case}" for case in cases]
    for row in rows:
        photo, clean, picked, share = row.strip("| ").split(" | ")[1:]
        assert share in ("0 of 2", "1 of 2", "2 of 2")
        if share != "1 of 2":
            assert picked == (clean if share == "2 of 2" else photo)
