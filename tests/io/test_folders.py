"""The one walk through folders: order, hidden entries, links."""

import os
from pathlib import Path

import pytest

from pixperts.errors import ImageError
from pixperts.io.folders import walk


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    for name in ("b/x", "b/.hidden", "a/y", ".git/z", "c", "B"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("")
    (tmp_path / "far" / "deep").mkdir(parents=True)
    (tmp_path / "far" / "w").write_text("")
    (root / "a" / "far").symlink_to(tmp_path / "far")
    (root / "a" / "up").symlink_to(root)  # without end, if it were entered
    return root


def seen(root: Path, **options: object) -> list[tuple[str, list[str], list[str]]]:
    found = walk(root, **options)  # type: ignore[arg-type]
    return [(str(here.relative_to(root)), list(folders), names) for here, folders, names in found]


def test_folders_are_walked_in_order_without_hidden_entries(root: Path) -> None:
    assert seen(root) == [
        (".", ["a", "b"], ["B", "c"]),
        ("a", ["far", "up"], ["y"]),  # named, but not entered
        ("b", [], ["x"]),
    ]


def test_linked_folders_are_entered_once_that_is_wanted(root: Path) -> None:
    assert seen(root, links=True) == [
        (".", ["a", "b"], ["B", "c"]),
        ("a", ["far"], ["y"]),
        ("a/far", ["deep"], ["w"]),
        ("a/far/deep", [], []),
        ("b", [], ["x"]),
    ]


def test_barred_folders_are_not_named(root: Path) -> None:
    barred = {os.path.realpath(root / name) for name in ("b", "a/far")}
    assert seen(root, barred=barred) == [
        (".", ["a"], ["B", "c"]),
        ("a", ["up"], ["y"]),
    ]


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"folder .*/none cannot be listed .*: name one you can"):
        list(walk(tmp_path / "none"))
