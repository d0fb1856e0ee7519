"""Temporary files lie in a folder of their own, and go."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from pixperts.background import workspace as module
from pixperts.background.workspace import Workspace
from pixperts.io.scratch import remove_abandoned


def upload(folder: Path, text: str, name: str = "a.jpg") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    return folder / name


def test_uploads_of_one_name_are_kept_apart(tmp_path: Path) -> None:
    uploads = [upload(tmp_path / "1", "one"), upload(tmp_path / "2", "two")]
    with Workspace("app", tmp_path) as workspace:
        _, paths = workspace.begin("visitor/page", uploads)
        assert [path.name for path in paths] == ["a.jpg", "a_2.jpg"]
        assert [path.read_text() for path in paths] == ["one", "two"]
    assert not workspace.root.exists()


def test_a_run_replaces_the_one_before_of_its_name_only(tmp_path: Path) -> None:
    one = upload(tmp_path / "1", "one")
    with Workspace("app", tmp_path) as workspace:
        first, _ = workspace.begin("visitor/page", [one])
        other, _ = workspace.begin("visitor/trial", [one])
        stranger, _ = workspace.begin("visitors/page", [one])
        second, _ = workspace.begin("visitor/page", [one])
        assert [path.exists() for path in (first, other, stranger, second)] == [
            False, True, True, True,
        ]  # fmt: skip
        workspace.forget("visitor")
        assert [path.exists() for path in (other, stranger, second)] == [False, True, False]


def test_files_of_long_ago_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = upload(tmp_path / "1", "one")
    with Workspace("app", tmp_path) as workspace:
        first, _ = workspace.begin("visitor/page", [one])
        monkeypatch.setattr(module, "KEPT", -1.0)
        workspace.forget("somebody")
        assert not first.exists()


def test_what_a_killed_server_left_behind_is_removed(tmp_path: Path) -> None:
    dead = tmp_path / "pixperts-app-dead"
    upload(dead, "photo")
    (dead / ".lock").touch()
    foreign = tmp_path / "pixperts-app-foreign"  # without a lock, so it is not ours
    upload(foreign, "photo")
    other = tmp_path / "pixperts-serve-dead"
    upload(other, "photo")
    (other / ".lock").touch()
    with Workspace("app", tmp_path) as alive:
        assert not dead.exists()
        assert remove_abandoned("pixperts-app-", tmp_path) == 0
        assert alive.root.exists()
        assert foreign.exists()
        assert other.exists()


def test_only_its_owner_can_look_inside(tmp_path: Path) -> None:
    with Workspace("app", tmp_path) as workspace:
        assert workspace.root.stat().st_mode & 0o077 == 0


def interrupted_at(moment: int, make: Callable[[], object]) -> bool:
    """Raise `SystemExit`, as the handler of a signal does, before a line that makes a folder."""
    lines, raised = 0, False

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal lines, raised
        code = frame.f_code
        if code.co_name not in ("__init__", "__enter__") or "pixperts" not in code.co_filename:
            return None
        if event == "line":
            lines += 1
            if lines == moment:
                raised = True
                sys.settrace(None)
                raise SystemExit(0)
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        make()
    except SystemExit:
        assert raised
    finally:
        sys.settrace(before)
    return raised


def test_a_signal_while_it_is_made_leaves_nothing_behind(tmp_path: Path) -> None:
    def make() -> None:
        with Workspace("app", tmp_path):
            pass

    moment = 1
    while interrupted_at(moment, make):
        assert list(tmp_path.iterdir()) == [], moment
        moment += 1
    assert moment > 10  # lines of both classes
