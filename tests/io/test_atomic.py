"""Writers that share a folder: temporaries of others stay, and folders appear at once."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pixperts.io import atomic
from pixperts.io.atomic import Temporary, remove_leftovers, replacing, replacing_folder


def test_a_temporary_of_another_container_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        gone = process.pid
    # There it is the number of a living process, here of none.
    monkeypatch.setattr(os, "getpid", lambda: gone)
    with replacing(tmp_path / "a.txt") as temporary:
        temporary.write_text("half")
        assert remove_leftovers([tmp_path]) == 0
        temporary.write_text("whole")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "whole"


def test_a_temporary_that_is_removed_before_it_is_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = atomic.lock, []

    def late(handle: Any, *, wait: bool = True) -> bool:
        calls.append(wait)
        if len(calls) == 1:
            assert remove_leftovers([tmp_path]) == 1
        return real(handle, wait=wait)

    monkeypatch.setattr(atomic, "lock", late)
    temporary = Temporary(tmp_path / "a.txt")
    assert calls == [True, False, True]
    assert temporary.path.exists()
    assert remove_leftovers([tmp_path]) == 0
    temporary.remove()
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_locked_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".pixperts-1-aa.tmp").write_text("half")
    with monkeypatch.context() as patch:
        patch.setattr(atomic, "lock", lambda handle, *, wait=True: False)
        assert remove_leftovers([tmp_path]) == 0
    assert remove_leftovers([tmp_path]) == 1


def test_a_folder_appears_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, flushed = tmp_path / "deep" / "pack", []
    monkeypatch.setattr(atomic, "sync", lambda path: flushed.append(path.name))

    def fail() -> None:
        with replacing_folder(target) as hidden:
            (hidden / "one").write_text("1")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert list(target.parent.iterdir()) == []
    with replacing_folder(target) as hidden:
        (hidden / "one").write_text("1")
        assert not target.exists()
    assert flushed == ["one"]
    assert [path.name for path in target.parent.iterdir()] == ["pack"]
    with pytest.raises(OSError, match="not empty"), replacing_folder(target) as hidden:
        pass
    assert (target / "one").read_text() == "1"
