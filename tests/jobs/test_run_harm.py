"""Folder jobs among links, full disks, folders that vanish, and interruptions."""

import errno
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pixperts.inference.upscaler import Upscaler
from pixperts.io.atomic import Temporary, remove_leftovers
from pixperts.jobs import options as job_options
from pixperts.jobs.operations import Upscale
from pixperts.jobs.options import FolderOptions
from pixperts.jobs.outcomes import Summary
from pixperts.jobs.run import run_folder
from tests.helpers.folder_jobs import TWICE, Recorder, picture, tree

# Links


@pytest.mark.slow
def test_links_are_not_followed_out_of_the_output_folder(here: Path, model: Upscaler) -> None:
    for name in ("a.png", "deep/b.png", "c.png", "near/d.png"):
        picture(f"in/{name}")
    Path("elsewhere").mkdir()
    Path("elsewhere/precious.png").write_text("mine")
    Path("real/inner").mkdir(parents=True)
    Path("out").symlink_to("real")  # the folder that was named may be a link
    Path("out/a.png").symlink_to(here / "elsewhere/precious.png")
    Path("out/c.png").symlink_to(here / "elsewhere/new.png")
    Path("out/deep").symlink_to(here / "elsewhere")
    Path("out/near").symlink_to("inner")  # stays inside
    listener = Recorder()
    options = FolderOptions(recursive=True, if_exists="overwrite")
    done = run_folder("in", "out", TWICE, model, options=options, listener=listener)
    assert done == Summary(done=1, skipped=0, failed=3)
    assert [error.split(": ")[0] for error in listener.errors] == [
        "in/a.png", "in/c.png", "in/deep/b.png",
    ]  # fmt: skip
    assert "out/a.png is a symbolic link, which is not followed" in listener.errors[0]
    assert "outside of out, through a symbolic link" in listener.errors[2]
    assert tree("elsewhere") == {"precious.png": b"mine"}
    assert list(tree("real/inner")) == ["d.png"]
    # What a link leads to exists, and is kept where that is asked for.
    options = replace(options, if_exists="skip")
    assert run_folder("in", "out", TWICE, model, options=options).skipped == 2


def test_a_map_behind_a_link_is_refused_as_well(here: Path, model: Upscaler) -> None:
    picture("in/a.png")
    Path("maps").mkdir()
    Path("maps/a_experts.png").symlink_to(here / "x.png")
    listener = Recorder()
    run_folder("in", "out", TWICE, model, expert_map="maps", listener=listener)
    assert "maps/a_experts.png is a symbolic link" in listener.errors[0]
    assert list(tree(".")) == ["in/a.png"]


# Disks and folders that fail


@pytest.mark.parametrize("workers", [0, 2])
def test_a_full_disk_costs_the_pictures_that_do_not_fit(
    workers: int, here: Path, model: Upscaler
) -> None:
    resource = pytest.importorskip("resource", reason="needs limits of processes")
    for name, height in (("a.png", 6), ("b.png", 90), ("c.tif", 90), ("d.webp", 6)):
        picture(f"in/{name}", height, 20)
    listener = Recorder()
    options = FolderOptions(workers=workers)
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, usual[1]))  # then every write fails
    try:
        done = run_folder("in", "out", TWICE, model, options=options, listener=listener)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert done == Summary(done=2, skipped=0, failed=2)
    assert len(listener.errors) == 2
    for error, name in zip(listener.errors, ("b.png", "c.tif"), strict=True):
        assert error.startswith(f"in/{name}: out/{name} could not be written (")
        assert error.endswith("check the free space and the permissions of its folder.")
    assert list(tree("out")) == ["a.png", "d.webp"]  # and nothing hidden
    assert run_folder("in", "out", TWICE, model) == Summary(done=2, skipped=2, failed=0)


def test_no_space_left(here: Path, model: Upscaler, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a.png", "b.png"):
        picture(f"in/{name}")
    real = os.replace

    def full(source: Any, target: Any) -> None:
        if Path(target).name == "a.png":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(source, target)

    monkeypatch.setattr(os, "replace", full)
    listener = Recorder()
    assert run_folder("in", "out", TWICE, model, listener=listener).failed == 1
    assert "could not be written (No space left on device): check the free" in listener.errors[0]
    assert list(tree("out")) == ["b.png"]


def test_folders_that_vanish(here: Path, model: Upscaler) -> None:
    for name in ("a.png", "b.png", "c.png"):
        picture(f"in/{name}")
    listener = Recorder(lambda number: shutil.rmtree("out") if number == 0 else None)
    options = FolderOptions(workers=0)
    done = run_folder("in", "out", TWICE, model, options=options, listener=listener)
    assert done == Summary(done=1, skipped=0, failed=2)
    assert "because the folder out no longer exists: restore it" in listener.errors[0]
    assert not Path("out").exists()  # it may have been a disk that was pulled out
    listener = Recorder(lambda number: shutil.rmtree("in") if number == 0 else None)
    done = run_folder("in", "out", TWICE, model, options=options, listener=listener)
    assert done == Summary(done=1, skipped=0, failed=2)
    assert listener.errors[0] == "in/b.png does not exist: check the name."


def test_memory_that_writes_hold_is_waited_for(
    here: Path, model: Upscaler, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.png", "b.png", "c.png"):
        picture(f"in/{name}")
    written, calls = threading.Event(), []
    compute, save = Upscale.compute, Upscale.save

    def short(self: Upscale, loaded: Any, *rest: Any) -> Any:
        calls.append(loaded.job.source.name)
        if loaded.job.source.name == "c.png" or calls[-2:] == ["a.png", "b.png"]:
            written.set()
            raise MemoryError
        return compute(self, loaded, *rest)

    def slow(self: Upscale, done: Any) -> Any:
        assert written.wait(20)
        return save(self, done)

    monkeypatch.setattr(Upscale, "compute", short)
    monkeypatch.setattr(Upscale, "save", slow)
    listener = Recorder()
    done = run_folder("in", "out", TWICE, model, listener=listener)
    assert done == Summary(done=2, skipped=0, failed=1)
    assert listener.errors == [
        "in/c.png: there is not enough memory: choose a smaller size or close other programs."
    ]
    assert calls[:3] == ["a.png", "b.png", "b.png"]  # once more, when a.png was written


def test_temporaries_of_the_dead_are_removed(here: Path, model: Upscaler) -> None:
    picture("in/deep/a.png")
    folder = Path("out/deep")
    folder.mkdir(parents=True)
    killed = "from pathlib import Path; from pixperts.io.atomic import Temporary; import os"
    killed += "; Temporary(Path('out/deep/a.png')).path.write_text('half'); os._exit(9)"
    subprocess.run([sys.executable, "-c", killed])
    assert len(os.listdir(folder)) == 1
    others = [".pixperts-x-aa.tmp", "12.tmp"]
    for name in others:
        (folder / name).write_text("not ours")
    mine = Temporary(folder / "b.png")
    options = FolderOptions(recursive=True)
    assert run_folder("in", "out", TWICE, model, options=options).done == 1
    assert sorted(os.listdir(folder)) == sorted([mine.path.name, *others, "a.png"])
    assert remove_leftovers([folder, Path("none")]) == 0
    mine.remove()
    assert sorted(os.listdir(folder)) == sorted([*others, "a.png"])


# Interruption


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_an_interrupted_run_goes_on_where_it_was(workers: int, here: Path, model: Upscaler) -> None:
    for name in "abcde":
        picture(f"in/{name}.png", 10, 10)

    class Impatient(Recorder):
        def progress(self, number: int, share: float) -> None:
            if number == 3 and share > 0:
                raise KeyboardInterrupt

    options = FolderOptions(workers=workers, manifest=Path("made.jsonl"))
    listener = Impatient()
    with pytest.raises(KeyboardInterrupt):
        run_folder("in", "out", TWICE, model, options=options, listener=listener)
    assert len(listener.outcomes) == 3  # the writes in flight were finished, and told
    assert list(tree("out")) == ["a.png", "b.png", "c.png"]
    assert len(Path("made.jsonl").read_text().splitlines()) == 3
    done = run_folder("in", "out", TWICE, model, options=options)
    assert done == Summary(done=2, skipped=3, failed=0)
    run_folder("in", "whole", TWICE, model)
    assert tree("out") == tree("whole")


# Large pictures, which are written while they are computed


def late(happens: Callable[[], None], share: float = 0.3) -> Recorder:
    """A listener that lets something happen once, in the midst of the work."""

    class Late(Recorder):
        def progress(self, number: int, done: float) -> None:
            if done > share and not self.happened:
                self.happened = True
                happens()

        happened = False

    return Late()


def linked() -> None:
    Path("elsewhere").mkdir()
    Path("out/a.png").symlink_to(Path("elsewhere/a.png").absolute())


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize(
    ("happens", "reason"),
    [
        (lambda: shutil.rmtree("out"), "the folder out no longer exists: restore it"),
        (linked, "out/a.png is a symbolic link, which is not followed"),
        (lambda: shutil.rmtree("maps"), "the folder maps no longer exists: restore it"),
    ],
)
def test_a_streamed_picture_is_not_put_where_it_may_not_be(
    happens: Callable[[], None], reason: str, workers: int, here: Path, files: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    picture("in/a.png", 90, 40)
    for folder in ("out", "maps"):
        Path(folder).mkdir()
    monkeypatch.setattr(job_options, "STREAMED_PIXELS", 100)
    by = Upscaler.load(files["upscale"], device="cpu", tile=32)
    listener = late(happens)
    options = FolderOptions(workers=workers)
    run_folder("in", "out", TWICE, by, options=options, expert_map="maps", listener=listener)
    (error,) = listener.errors
    assert reason in error
    written = {*tree("."), *tree("elsewhere")} if Path("elsewhere").exists() else {*tree(".")}
    assert {name for name in written if not name.startswith("maps/")} == {"in/a.png"}
    assert Path("out").exists() == (happens is linked or "maps" in reason)


def test_a_streamed_picture_is_not_begun_where_it_may_not_be(
    here: Path, model: Upscaler, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture("in/a.png")
    picture("in/b.png")
    monkeypatch.setattr(job_options, "STREAMED_PIXELS", 100)
    gone = threading.Event()

    def remove(number: int) -> None:
        if number == 0:
            shutil.rmtree("out")
            gone.set()

    listener = Recorder(remove)
    # The second picture has been read when the folder goes.
    computed = []
    begin = Upscale.compute

    def compute(self: Upscale, loaded: Any, *rest: Any) -> Any:
        if loaded.job.source.name == "b.png":
            assert gone.wait(60)
        done = begin(self, loaded, *rest)
        computed.append(loaded.job.source.name)
        return done

    monkeypatch.setattr(Upscale, "compute", compute)
    run_folder("in", "out", TWICE, model, listener=listener)
    assert computed == ["a.png"]
    assert "the folder out no longer exists" in listener.errors[0]
    assert not Path("out").exists()
