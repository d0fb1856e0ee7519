"""Which pictures INPUT stands for."""

import errno
import glob
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixperts.errors import ImageError, UsageError
from pixperts.jobs.inputs import Found, find


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Only names count here, so the files are empty."""
    for name in (
        "p/b.jpg", "p/a.PNG", "p/notes.txt", "p/.hidden.jpg", "p/x/c.jpg", "p/x/y/d.tif",
        "p/x/list.csv", "p/.git/e.jpg", "p/z/f.jpg", "p/z/[1].jpg", "q/a.jpg",
    ):  # fmt: skip
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def paths(*inputs: str, recursive: bool = False, outputs: tuple[str, ...] = ()) -> list[str]:
    listing = find(inputs, recursive=recursive, outputs=[Path(o) for o in outputs])
    return [str(one.path) for one in listing.found]


def test_a_folder_alone_and_with_its_tree(tree: Path) -> None:
    assert paths("p") == ["p/a.PNG", "p/b.jpg"]
    listing = find(["p"])
    assert listing.several
    assert listing.remarks == [
        "p: skipped 3 entries that are not pictures. recursive also takes the pictures in its "
        "subfolders."
    ]
    listing = find(["p"], recursive=True)
    p = Path("p")
    assert listing.found == [
        Found(Path("p/a.PNG"), folder=p),
        Found(Path("p/b.jpg"), folder=p),
        Found(Path("p/x/c.jpg"), Path("x"), p),
        Found(Path("p/x/y/d.tif"), Path("x/y"), p),
        Found(Path("p/z/[1].jpg"), Path("z"), p),
        Found(Path("p/z/f.jpg"), Path("z"), p),
    ]
    assert listing.remarks == ["p: skipped 2 entries that are not pictures."]


def test_patterns(tree: Path) -> None:
    assert paths("p/*.jpg") == ["p/b.jpg"]
    assert paths("p/**/*.jpg") == ["p/b.jpg", "p/x/c.jpg", "p/z/[1].jpg", "p/z/f.jpg"]
    assert paths("**/*.jpg") == [*paths("p/**/*.jpg"), "q/a.jpg"]
    assert paths(f"{tree}/p/?/c.jpg") == [f"{tree}/p/x/c.jpg"]
    assert paths("[pq]/a.*") == ["p/a.PNG", "q/a.jpg"]
    assert find(["p/**/*.jpg"]).found[1] == Found(Path("p/x/c.jpg"), Path("x"))
    assert find(["p/**"]).remarks == ["p/**: skipped 2 entries that are not pictures."]
    assert find(["p/b.*"]).several  # also if it is one
    # A folder that matches counts as if it were named, once.
    assert paths("p/[xz]") == ["p/x/c.jpg", "p/z/[1].jpg", "p/z/f.jpg"]
    assert paths("p/[xz]", "p/x/*.jpg", "p", recursive=True) == [
        "p/x/c.jpg", "p/x/y/d.tif", "p/z/[1].jpg", "p/z/f.jpg", "p/a.PNG", "p/b.jpg",
    ]  # fmt: skip


def test_a_name_with_brackets_is_a_name_where_it_exists(tree: Path) -> None:
    assert paths("p/z/[1].jpg") == ["p/z/[1].jpg"]
    assert not find(["p/z/[1].jpg"]).several
    assert paths("p/z/[2].jpg") == ["p/z/[2].jpg"]  # told as missing when it is read
    Path("odd [x]").mkdir()
    Path("odd [x]/g*.jpg").touch()
    Path("odd [x]/go.jpg").touch()
    assert paths("odd [x]") == ["odd [x]/g*.jpg", "odd [x]/go.jpg"]
    assert paths("odd [x]/g*.jpg") == ["odd [x]/g*.jpg"]


def test_what_holds_nothing(tree: Path) -> None:
    Path("empty").mkdir()
    for inputs, reason in (
        (["empty"], "camera raw or GIF: name another folder, or give recursive."),
        (["p/*.gif"], "Nothing matches p/*.gif"),
        (["none/**/*.jpg"], "Nothing matches none/**/*.jpg"),
        (["p/*.txt"], "p/*.txt matches no JPEG, PNG, WebP, TIFF"),
    ):
        with pytest.raises(UsageError) as caught:
            find(inputs)
        assert reason in str(caught.value)


def test_results_are_not_taken_for_inputs(tree: Path) -> None:
    assert paths("p", recursive=True, outputs=("p/x",)) == [
        "p/a.PNG", "p/b.jpg", "p/z/[1].jpg", "p/z/f.jpg",
    ]  # fmt: skip
    assert paths("p/**/*.jpg", outputs=("p/x/../z", "p/x")) == ["p/b.jpg"]
    assert paths("p/[xz]/*.jpg", outputs=("p/z",)) == ["p/x/c.jpg"]
    for inputs in (["p"], ["p/*.jpg"]):
        with pytest.raises(UsageError, match="results would be used as inputs"):
            find(inputs, recursive=True, outputs=[Path("q/../p")])


def test_linked_folders_are_not_entered(tree: Path) -> None:
    Path("p/loop").symlink_to(tree / "p")
    Path("p/other").symlink_to(tree / "q")
    Path("p/l.jpg").symlink_to(tree / "q" / "a.jpg")  # a linked file is a file
    assert "p/l.jpg" in paths("p")
    for found in (paths("p", recursive=True), paths("p/**/*.jpg")):
        assert not [path for path in found if "loop" in path or "other" in path]


def test_a_folder_that_cannot_be_listed(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.scandir

    def refuse(path: str) -> Any:  # as root, permissions would not
        if str(path).endswith("x"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", refuse)
    for inputs in (["p"], ["p/**/*.jpg"]):
        with pytest.raises(ImageError, match=r"p/x cannot be listed \(Permission denied\)"):
            find(inputs, recursive=True)


PARTS = st.sampled_from(["a", "b", "ab", "c.jpg", "d.jpg"])
WANTED = st.sampled_from(["a", "*", "?", "**", "a*", "[ab]", "*.jpg", "c.*"])


@settings(max_examples=60, deadline=None)
@given(
    files=st.sets(st.tuples(PARTS, PARTS, PARTS), min_size=1, max_size=6),
    pattern=st.lists(WANTED, min_size=1, max_size=4),
)
@pytest.mark.slow
def test_patterns_match_as_those_of_the_standard_library(
    files: set[tuple[str, ...]], pattern: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("tree")
    for parts in files:
        # Folders have no ending of a picture, and files do.
        path = root.joinpath(*(part.removesuffix(".jpg") for part in parts[:-1]))
        path.mkdir(parents=True, exist_ok=True)
        (path / f"{parts[-1].removesuffix('.jpg')}.jpg").touch()
    text = str(root.joinpath(*pattern, "*.jpg"))
    wanted = sorted({Path(p) for p in glob.glob(text, recursive=True) if os.path.isfile(p)})
    if not wanted:
        with pytest.raises(UsageError):
            find([text])
    elif set("".join(pattern)) & set("*?["):
        assert [one.path for one in find([text]).found] == wanted
