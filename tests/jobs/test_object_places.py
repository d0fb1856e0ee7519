"""Paths that stand for objects, and folders of them; without a server."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pixperts.errors import ImageError, MissingExtraError, UsageError
from pixperts.inference.upscaler import Upscaler
from pixperts.io.object_store import Children, ObjectStore
from pixperts.io.urls import ObjectUrl
from pixperts.jobs.inputs import find
from pixperts.jobs.objects import ObjectPlaces
from pixperts.jobs.places import LOCAL, places_of
from pixperts.jobs.plan import plan
from pixperts.jobs.run import run_folder
from tests.helpers.folder_jobs import TWICE

KEYS: list[str] = []


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch) -> ObjectPlaces:
    """Those of a bucket that holds `KEYS`."""

    def below(self: ObjectStore, url: ObjectUrl) -> Iterator[str]:
        start = f"{url.key}/" if url.key else ""
        return (key for key in KEYS if key.startswith(start))

    def children(self: ObjectStore, url: ObjectUrl) -> Children:
        rest = [key[len(url.key) + bool(url.key) :] for key in below(self, url)]
        folders = {one.split("/")[0] for one in rest if "/" in one}
        return Children(list(folders), [one for one in rest if "/" not in one])

    def exists(self: ObjectStore, url: ObjectUrl) -> bool:
        return url.key in KEYS

    def is_folder(self: ObjectStore, url: ObjectUrl) -> bool:
        return any(below(self, url))

    for act in (below, children, exists, is_folder):
        monkeypatch.setattr(ObjectStore, act.__name__, act)
    KEYS[:] = ["a.png", "b/c.png", "b/.d.png", "b/e/f.png", "b/e/g.txt", "b/e", ".h/i.png", "b.png"]
    return ObjectPlaces(ObjectUrl("s3", "bucket"))


def test_paths_stand_for_objects(places: ObjectPlaces) -> None:
    for url in ("s3://bucket", "gs://b/c", "az://$web/a b/[*]?#%20ü/c.d.png"):
        path = places.path(url)
        assert not path.exists()
        assert places.name(path) == url
        assert (
            places.named(f"x {path}/y, {path.parent}/z") == f"x {url}/y, {url[: url.rfind('/')]}/z"
        )
    assert places.path("a/b.png") == Path("a/b.png")
    assert places.name(Path("a")) == str(Path("a").absolute())
    assert places.name(places.path("s3://b/c/d.png").with_name("e.png")) == "s3://b/c/e.png"
    assert places_of(["a", "/b", "file:///c"]) is LOCAL


def test_folders_are_walked_like_those_of_files(places: ObjectPlaces) -> None:
    def listed(name: str, *, recursive: bool = True, outputs: tuple[str, ...] = ()) -> list[str]:
        goals = [places.path(one) for one in outputs]
        found = find([places.path(name)], recursive=recursive, outputs=goals, places=places)
        return [places.name(one.path)[len("s3://bucket/") :] for one in found.found]

    assert listed("s3://bucket") == ["a.png", "b/c.png", "b/e/f.png", "b.png"]
    assert listed("s3://bucket", recursive=False) == ["a.png", "b.png"]
    assert listed("s3://bucket/b") == ["b/c.png", "b/e/f.png"]
    assert listed("s3://bucket", outputs=("s3://bucket/b/e",)) == ["a.png", "b/c.png", "b.png"]
    assert listed("s3://bucket/**/[cf].png") == ["b/c.png", "b/e/f.png"]
    assert listed("s3://bucket/b*", recursive=False) == ["b/c.png", "b.png"]
    assert listed("s3://bucket/b.png") == ["b.png"]
    remarks = find([places.path("s3://bucket/b")], places=places).remarks
    assert [places.named(text) for text in remarks] == [
        "s3://bucket/b: skipped 1 entry that is not a picture. recursive also takes the "
        "pictures in its subfolders."
    ]
    with pytest.raises(UsageError, match="input and output at once"):
        listed("s3://bucket/b", outputs=("s3://bucket/b",))
    KEYS.append("a.png/x.txt")  # a picture of the name of a folder is no folder
    assert "a.png" in listed("s3://bucket")


def test_names_that_cannot_be_told_apart(places: ObjectPlaces) -> None:
    KEYS.append("a.png")  # "/a.png", without its slash
    with pytest.raises(ImageError, match="names differ in slashes"):
        find([places.path("s3://bucket")], places=places)


def test_videos_are_refused(places: ObjectPlaces) -> None:
    jobs = plan(["s3://bucket/a.mp4", "s3://bucket/a.png"], "out/", places=places).jobs
    assert [job.problem is None for job in jobs] == [False, True]
    assert places.named(jobs[0].problem or "").startswith(
        "s3://bucket/a.mp4 is a video, whose parts"
    )


def test_errors_name_objects(places: ObjectPlaces) -> None:
    path = places.path("s3://bucket/x.png")
    with pytest.raises(UsageError, match=r"^s3://bucket/x\.png is odd\.$"), places:
        raise UsageError(f"{path} is odd.")


def test_the_extra_is_named_where_it_is_missing(
    monkeypatch: pytest.MonkeyPatch, model: Upscaler
) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(MissingExtraError, match=r"^gs://b/a\.png needs an extra: .*\[cloud\]'\.$"):
        run_folder("gs://b/a.png", "out/", TWICE, model)
