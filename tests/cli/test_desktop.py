"""Entries for file managers: valid by the system's own checker, and they start this program."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pixperts.cli.app import main
from pixperts.integrations import desktop
from tests.helpers.command_line import names, one_sentence, picture

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="is for Linux")


@pytest.fixture
def applications(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "data" / "applications"


def test_entries_are_valid(applications: Path) -> None:
    # In a process of its own: a process of pytest-xdist that had run many tests ended here.
    line = [sys.executable, "-m", "pixperts", "desktop", "install"]
    made = subprocess.run(line, capture_output=True, text=True, check=False, close_fds=False)
    assert made.returncode == 0
    written = made.stdout.splitlines()
    assert {Path(path).name for path in written} >= {
        "pixperts-repair.desktop", "pixperts-enlarge.desktop", "pixperts-enhance.desktop",
    }  # fmt: skip
    assert all(Path(path).parent == applications for path in written)
    checker = shutil.which("desktop-file-validate")
    if checker is None and not os.environ.get("CI"):
        pytest.skip("needs desktop-file-utils")
    assert checker is not None
    line = [checker, *written]
    done = subprocess.run(line, capture_output=True, text=True, check=False, close_fds=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_second_time_changes_nothing_and_all_can_be_removed(applications: Path) -> None:
    first = desktop.install()
    texts = [path.read_text() for path in first]
    assert [path.read_text() for path in desktop.install()] == texts
    (applications / "other.desktop").write_text("mine")
    assert main(["desktop", "remove"]) == 0
    assert [name for name in names(applications) if name.endswith(".desktop")] == ["other.desktop"]
    assert desktop.remove() == []


def test_an_entry_does_its_work(
    applications: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)  # python -m pixperts
    repair = next(path for path in desktop.install() if path.stem == "pixperts-repair")
    lines = dict(line.split("=", 1) for line in repair.read_text().splitlines()[1:])
    command = shlex.split(lines["Exec"])
    assert command[-2:] == ["restore", "%F"]
    photo = picture(tmp_path / "a b.png")
    assert main([*command[3:-1], str(photo), "-q"]) == 0
    assert (tmp_path / "a b_restored.png").exists()
    assert "image/jpeg;" in lines["MimeType"]


def test_paths_with_blanks_and_signs_are_quoted(
    applications: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = {"pixperts": "/opt/my tools/100%/pixperts"}
    monkeypatch.setattr(shutil, "which", places.get)
    text = next(iter(desktop.install())).read_text()
    assert 'Exec="/opt/my tools/100%%/pixperts" restore %F\n' in text


def test_other_work_is_refused(applications: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["desktop", "paint"]) == 2
    assert "but must be install or remove" in one_sentence(capsys)
    assert not applications.exists()
