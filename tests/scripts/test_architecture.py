"""The picture of the layers is that of the imports."""

import sys
from collections import Counter
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

import architecture


def test_the_picture_is_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["architecture.py", "--check"])
    architecture.main()


def test_an_old_picture_is_noticed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    old = tmp_path / "old.svg"
    old.write_text(architecture.PICTURE.read_text(encoding="utf-8").replace("cli", "gui"))
    monkeypatch.setattr(architecture, "PICTURE", old)
    monkeypatch.setattr(sys, "argv", ["architecture.py", "--check"])
    with pytest.raises(SystemExit, match="out of date"):
        architecture.main()


def test_arrows_upwards_and_sideways_are_found() -> None:
    rows = [["cli"], ["jobs", "training"], ["io"]]
    arrows = Counter({("cli", "io"): 3, ("io", "jobs"): 1, ("jobs", "training"): 1})
    assert architecture.upwards(rows, arrows) == [("io", "jobs"), ("jobs", "training")]
