"""docs/cli.md is what the program's own tables say."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

import make_cli_docs


def test_the_page_is_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["make_cli_docs.py", "--check"])
    assert make_cli_docs.main() == 0


def test_an_old_page_is_noticed_and_written_anew(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = tmp_path / "cli.md"
    old.write_text("once")
    monkeypatch.setattr(make_cli_docs, "PAGE", old)
    monkeypatch.setattr(sys, "argv", ["make_cli_docs.py", "--check"])
    assert make_cli_docs.main() == 1
    assert "out of date" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", ["make_cli_docs.py"])
    assert make_cli_docs.main() == 0
    assert "| `--scale`, `-s` `NUMBER` | Factor for both sides" in old.read_text()
