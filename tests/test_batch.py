"""Folder jobs: what happens to names, links, outputs that exist, full disks and the manifest."""

import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from moce_models import mini
from tiny_models import tiny

from pixperts import checkpoint, restorer
from pixperts.batch import (
    Enlargement,
    FileOptions,
    FolderOptions,
    Outcome,
    Repair,
    Summary,
    Watcher,
    run_folder,
)
from pixperts.cli import main
from pixperts.errors import UsageError
from pixperts.filing import software_tag
from pixperts.image import read_image, write_image
from pixperts.leftovers import remove_leftovers
from pixperts.manifest import weights_sha256
from pixperts.planning import POLICIES, plan
from pixperts.sizes import SizeRequest
from pixperts.work import Wishes

TWICE = Enlargement(SizeRequest(scale=2))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("weights")
    checkpoint.save(folder / "tiny.safetensors", tiny(), checkpoint.Card("tiny", {}))
    checkpoint.save(folder / "mini.safetensors", mini(), checkpoint.Card("mini", {}))
    return {"upscale": folder / "tiny.safetensors", "restore": folder / "mini.safetensors"}


@pytest.fixture(scope="module")
def model(files: dict[str, Path]) -> restorer.Restorer:
    return restorer.load(files["upscale"], device="cpu")


@pytest.fixture(scope="module")
def repairer(files: dict[str, Path]) -> restorer.Restorer:
    return restorer.load(files["restore"], device="cpu")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def call(files: dict[str, Path]) -> Callable[..., int]:
    def run(command: str, *arguments: object) -> int:
        size = ["-s", "2"] if command == "upscale" else []
        line = [command, "-m", str(files[command]), "--device", "cpu", *size]
        return main([*line, *map(str, arguments)])

    return run


def picture(path: str | Path, height: int = 6, width: int = 8) -> Path:
    seed = sum(Path(path).name.encode())
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return write_image(path, pixels)


def tree(folder: str | Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file()
    }


class Listener(Watcher):
    """Keeps outcomes, and does something when one is told."""

    def __init__(self, then: Callable[[int], None] = lambda number: None) -> None:
        self.outcomes: list[Outcome] = []
        self._then = then

    def result(self, number: int, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        self._then(number)

    @property
    def errors(self) -> list[str]:
        return [outcome.error for outcome in self.outcomes if outcome.error is not None]


# One result through every door


@pytest.mark.parametrize("command", ["upscale", "restore"])
def test_the_same_bytes_through_command_line_folder_job_and_python(
    command: str, here: Path, call: Callable[..., int], model: restorer.Restorer,
    repairer: restorer.Restorer, files: dict[str, Path],
) -> None:  # fmt: skip
    for name in ("a.png", "b.jpg", "deep/c.webp", "deep/d.tif"):
        picture(f"in/{name}")
    wishes: Wishes = TWICE if command == "upscale" else Repair()
    for name in tree("in"):
        read = read_image(Path("in", name))
        by = model if command == "upscale" else repairer
        pixels = model.upscale(read.pixels, scale=2) if by is model else by.restore(read.pixels)
        sizes = [(array.shape[1], array.shape[0]) for array in (read.pixels, pixels)]
        software = software_tag(by.name, *sizes)
        write_image(Path("python", name), pixels, metadata=read.metadata, software=software)
        assert call(command, f"in/{name}", "-o", f"one/{name}", "-q") == 0
    assert call(command, "in", "-r", "-o", "folder", "-q") == 0
    assert call(command, "in/**/*.*", "-o", "pattern", "--workers", 3, "-q") == 0
    options = FolderOptions(recursive=True, workers=0)
    done = run_folder("in", "door", wishes, files[command], options=options, device="cpu")
    assert done == Summary(done=4, skipped=0, failed=0)
    expected = tree("python")
    assert len(expected) == 4
    for folder in ("one", "folder", "pattern", "door"):
        assert tree(folder) == expected


# Names


def test_names_and_formats(here: Path, call: Callable[..., int]) -> None:
    picture("in/a.jpg")
    picture("in/b.png", 5, 10)
    name = "{index:02}_{stem}_{model}_x{scale}_{width}x{height}"
    assert call("upscale", "in", "-o", "out", "--name", name, "--format", "tiff", "-q") == 0
    assert list(tree("out")) == ["01_a_tiny_x2_16x12.tif", "02_b_tiny_x2_20x10.tif"]
    assert read_image("out/01_a_tiny_x2_16x12.tif").format == "tiff"
    maps = ["--expert-map", "maps", "--name", "{stem}_big"]
    assert call("upscale", "in", "-o", "out2", *maps, "-q") == 0
    assert list(tree("maps")) == ["a_big_experts.png", "b_big_experts.png"]
    assert call("restore", "in/a.jpg", "-o", "out3/", "--name", "{stem}_x{scale}", "-q") == 0
    assert list(tree("out3")) == ["a_x1.jpg"]


def test_a_broken_picture_whose_size_is_asked_for_costs_itself(
    here: Path, call: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    picture("in/a.png")
    Path("in/b.png").write_text("these are words")
    Path("in/c.png").write_text("these as well")
    assert call("upscale", "in", "-o", "out", "--name", "x{width}", "--json") == 1
    captured = capsys.readouterr()
    assert list(tree("out")) == ["x16.png"]
    lines = [json.loads(line) for line in captured.out.splitlines()]
    assert [line.get("error") for line in lines[1:]] == captured.err.splitlines()
    assert "in/b.png cannot be decoded" in captured.err


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--name", "{artist}"], "unknown field {artist}: use stem, name, "),
        (["--name", "../{stem}"], "holds a slash"),
        (["--name", "same"], "in/a.jpg and in/b.jpg would both be written to out/same.jpg"),
        (["--name", "{stem}.png", "--format", "jpeg"], "contradict each other"),
        (["--format", "gifv"], "--format 'gifv' is unknown: use one of "),
        (["--if-exists", "ask"], "--if-exists 'ask' is unknown: use skip, overwrite, rename,"),
        (["--workers", "-1"], "--workers is -1, but must lie between 0 and 64."),
        (["--workers", "65"], "--workers is 65"),
        (["--manifest", "in/a.jpg"], "in/a.jpg is an input as well: name another manifest."),
        (["--manifest", "out/a.jpg"], "would both be written to out/a.jpg"),
        (["--manifest", "notes.txt"], "notes.txt is no manifest of pixperts"),
    ],
)
def test_what_is_refused_before_the_start(
    options: list[str], reason: str, here: Path, call: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    picture("in/a.jpg")
    picture("in/b.jpg")
    Path("notes.txt").write_text("Buy milk.\nAnd bread.")
    before = tree(".")
    for command in ("upscale", "restore"):
        assert call(command, "in", "-o", "out", *options) == 2
        captured = capsys.readouterr()
        assert reason in captured.err
        assert captured.err.count("\n") == 1
        assert tree(".") == before


def test_a_file_that_is_named_takes_no_other_name(
    here: Path, call: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    picture("a.jpg")
    for options, reason in (
        (["--name", "{stem}"], "--name is for outputs in a folder, but b.png is a file: drop it."),
        (["--format", "jpeg"], "b.png and --format jpeg contradict each other: drop one."),
    ):
        assert call("upscale", "a.jpg", "-o", "b.png", *options) == 2
        assert capsys.readouterr().err.strip() == reason
    assert call("upscale", "a.jpg", "-o", "b.png", "--format", "PNG", "-q") == 0


def test_two_of_one_name_after_a_change_of_format(here: Path, model: restorer.Restorer) -> None:
    picture("in/a.jpg")
    picture("in/a.png")
    with pytest.raises(UsageError, match=r"would both be written to out/a\.webp"):
        run_folder("in", "out", TWICE, model, options=FolderOptions(format="webp"))
    options = FolderOptions(format="webp", name="{stem}_{ext}")
    assert run_folder("in", "out", TWICE, model, options=options).done == 2
    assert list(tree("out")) == ["a_jpg.webp", "a_png.webp"]


# Outputs that exist


def test_a_named_file_is_replaced_and_files_in_a_folder_are_kept(
    here: Path, call: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    picture("in/a.png")
    picture("in/b.png")
    Path("out").mkdir()
    for name in ("b.png", "out/a.png"):
        Path(name).write_text("mine")
    assert call("upscale", "in/a.png", "-o", "b.png", "-q") == 0
    assert read_image("b.png").width == 16
    assert capsys.readouterr().err == ""
    assert call("upscale", "in", "-o", "out", "--json") == 0
    captured = capsys.readouterr()
    kept, made = map(json.loads, captured.out.splitlines())
    assert kept == {"input": "in/a.png", "output": "out/a.png", "skipped": True}
    assert made["new_width"] == 16
    assert Path("out/a.png").read_text() == "mine"
    assert (
        captured.err == "1 output existed and was kept; --if-exists overwrite makes them again.\n"
    )
    assert call("upscale", "in/a.png", "-o", "out", "-q") == 0  # a single one in a folder as well
    assert Path("out/a.png").read_text() == "mine"
    assert call("upscale", "in", "-o", "out", "--if-exists", "overwrite", "-q") == 0
    assert read_image("out/a.png").width == 16
    assert call("upscale", "in/a.png", "-o", "b.png", "--if-exists", "skip", "-s", "3", "-q") == 0
    assert read_image("b.png").width == 16


def test_rename_and_error(
    here: Path, call: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    picture("in/a.png")
    picture("in/a_1.png")
    line = ["upscale", "in", "-o", "out", "--expert-map", "maps", "-q"]
    assert call(*line) == 0
    first = tree("out")
    assert call(*line, "--if-exists", "error") == 2
    assert capsys.readouterr().err.startswith("out/a.png exists: ")
    for _ in range(2):
        assert call(*line, "--if-exists", "rename") == 0
    # a_1.png is a name of its own, so that the copies of a.png begin with a_2.png.
    assert list(tree("out")) == [
        "a.png", "a_1.png", "a_1_1.png", "a_1_2.png", "a_2.png", "a_3.png",
    ]  # fmt: skip
    assert list(tree("maps")) == [
        "a_1_1_experts.png", "a_1_2_experts.png", "a_1_experts.png",
        "a_2_experts.png", "a_3_experts.png", "a_experts.png",
    ]  # fmt: skip
    assert {name: tree("out")[name] for name in first} == first
    assert tree("out")["a_2.png"] == first["a.png"]
    assert call("upscale", "in/a.png", "-o", "in", "--if-exists", "rename", "-q") == 0
    assert "a_2.png" in tree("in")
    for _ in range(2):
        line = ["upscale", "in/a.png", "-o", "b.png", "--expert-map", "c.png", "-q"]
        assert call(*line, "--if-exists", "rename") == 0
    assert {"b.png", "b_1.png", "c.png", "c_1.png"} <= set(os.listdir("."))


def test_a_second_run_does_not_take_results_for_inputs(
    here: Path, call: Callable[..., int]
) -> None:
    picture("in/a.png")
    picture("in/deep/b.png")
    for _ in range(2):
        assert call("upscale", "in", "-r", "-o", "in/large", "-q") == 0
        assert list(tree("in/large")) == ["a.png", "deep/b.png"]


NAMES = st.sampled_from(["a.png", "a_1.png", "a_2.png", "b.jpg", "s/a.png", "s/b.jpg", "s/b_1.jpg"])


@settings(max_examples=60, deadline=None)
@given(
    sources=st.sets(NAMES, min_size=1),
    there=st.sets(NAMES),
    charts=st.booleans(),
    policy=st.sampled_from(POLICIES),
)
def test_no_plan_writes_over_an_input_or_twice_or_where_it_should_not(
    sources: set[str],
    there: set[str],
    charts: bool,
    policy: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    root = tmp_path_factory.mktemp("plan")
    for name in [f"in/{name}" for name in sources] + [f"out/{name}" for name in there]:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    options = FolderOptions(recursive=True, if_exists=policy)
    maps = str(root / "maps") if charts else None
    try:
        planned = plan([root / "in"], f"{root}/out", maps, options)
    except UsageError:
        assert policy == "error"
        assert sources & there
        return
    assert sorted(str(job.source.relative_to(root / "in")) for job in planned.jobs) == sorted(
        sources
    )
    targets = [path for job in planned.jobs for path in (job.target, job.expert_map) if path]
    assert len(set(targets)) == len(targets)
    for job in planned.jobs:
        assert job.target.parent == root / "out" / job.source.parent.relative_to(root / "in")
        if policy in {"rename", "error"}:
            assert not job.target.exists()
        else:
            assert job.target.name == job.source.name
        if job.expert_map is not None:
            assert job.expert_map.name == f"{job.target.stem}_experts.png"


# Links


def test_links_are_not_followed_out_of_the_output_folder(
    here: Path, model: restorer.Restorer
) -> None:
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
    listener = Listener()
    options = FolderOptions(recursive=True, if_exists="overwrite")
    done = run_folder("in", "out", TWICE, model, options=options, watcher=listener)
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


def test_a_map_behind_a_link_is_refused_as_well(here: Path, model: restorer.Restorer) -> None:
    picture("in/a.png")
    Path("maps").mkdir()
    Path("maps/a_experts.png").symlink_to(here / "x.png")
    listener = Listener()
    run_folder("in", "out", TWICE, model, expert_map="maps", watcher=listener)
    assert "maps/a_experts.png is a symbolic link" in listener.errors[0]
    assert list(tree(".")) == ["in/a.png"]


# Disks and folders that fail


@pytest.mark.parametrize("workers", [0, 2])
def test_a_full_disk_costs_the_pictures_that_do_not_fit(
    workers: int, here: Path, model: restorer.Restorer
) -> None:
    resource = pytest.importorskip("resource", reason="needs limits of processes")
    for name, height in (("a.png", 6), ("b.png", 90), ("c.tif", 90), ("d.webp", 6)):
        picture(f"in/{name}", height, 20)
    listener = Listener()
    options = FolderOptions(workers=workers)
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, usual[1]))  # then every write fails
    try:
        done = run_folder("in", "out", TWICE, model, options=options, watcher=listener)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert done == Summary(done=2, skipped=0, failed=2)
    assert len(listener.errors) == 2
    for error, name in zip(listener.errors, ("b.png", "c.tif"), strict=True):
        assert error.startswith(f"in/{name}: out/{name} could not be written (")
        assert error.endswith("check the free space and the permissions of its folder.")
    assert list(tree("out")) == ["a.png", "d.webp"]  # and nothing hidden
    assert run_folder("in", "out", TWICE, model) == Summary(done=2, skipped=2, failed=0)


def test_no_space_left(
    here: Path, model: restorer.Restorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.png", "b.png"):
        picture(f"in/{name}")
    real = os.replace

    def full(source: Any, target: Any) -> None:
        if Path(target).name == "a.png":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(source, target)

    monkeypatch.setattr(os, "replace", full)
    listener = Listener()
    assert run_folder("in", "out", TWICE, model, watcher=listener).failed == 1
    assert "could not be written (No space left on device): check the free" in listener.errors[0]
    assert list(tree("out")) == ["b.png"]


def test_folders_that_vanish(here: Path, model: restorer.Restorer) -> None:
    for name in ("a.png", "b.png", "c.png"):
        picture(f"in/{name}")
    listener = Listener(lambda number: shutil.rmtree("out") if number == 0 else None)
    options = FolderOptions(workers=0)
    done = run_folder("in", "out", TWICE, model, options=options, watcher=listener)
    assert done == Summary(done=1, skipped=0, failed=2)
    assert "because the folder out has vanished: bring it back" in listener.errors[0]
    assert not Path("out").exists()  # it may have been a disk that was pulled out
    listener = Listener(lambda number: shutil.rmtree("in") if number == 0 else None)
    done = run_folder("in", "out", TWICE, model, options=options, watcher=listener)
    assert done == Summary(done=1, skipped=0, failed=2)
    assert listener.errors[0] == "in/b.png does not exist: check the name."


def test_memory_that_writes_hold_is_waited_for(
    here: Path, model: restorer.Restorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.png", "b.png", "c.png"):
        picture(f"in/{name}")
    written, calls = threading.Event(), []
    compute, save = Enlargement.compute, Enlargement.save

    def short(self: Enlargement, loaded: Any, *rest: Any) -> Any:
        calls.append(loaded.job.source.name)
        if loaded.job.source.name == "c.png" or calls[-2:] == ["a.png", "b.png"]:
            written.set()
            raise MemoryError
        return compute(self, loaded, *rest)

    def slow(self: Enlargement, done: Any) -> Any:
        assert written.wait(20)
        return save(self, done)

    monkeypatch.setattr(Enlargement, "compute", short)
    monkeypatch.setattr(Enlargement, "save", slow)
    listener = Listener()
    done = run_folder("in", "out", TWICE, model, watcher=listener)
    assert done == Summary(done=2, skipped=0, failed=1)
    assert listener.errors == [
        "in/c.png: the memory does not suffice: ask for a smaller size or close other programs."
    ]
    assert calls[:3] == ["a.png", "b.png", "b.png"]  # once more, when a.png was written


def test_temporaries_of_the_dead_are_removed(here: Path, model: restorer.Restorer) -> None:
    picture("in/deep/a.png")
    folder = Path("out/deep")
    folder.mkdir(parents=True)
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        child = process.pid
    mine, others = f".pixperts-{os.getpid()}-aa.tmp", ".pixperts-x-aa.tmp"
    for name in (f".pixperts-{child}-00ff00ff.tmp", mine, others, f"{child}.tmp"):
        (folder / name).write_text("half a picture")
    options = FolderOptions(recursive=True)
    assert run_folder("in", "out", TWICE, model, options=options).done == 1
    assert sorted(os.listdir(folder)) == sorted([mine, others, f"{child}.tmp", "a.png"])
    assert remove_leftovers([folder, Path("none")]) == 0


# Interruption


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_an_interrupted_run_goes_on_where_it_was(
    workers: int, here: Path, model: restorer.Restorer
) -> None:
    for name in "abcde":
        picture(f"in/{name}.png", 10, 10)

    class Impatient(Listener):
        def progress(self, number: int, share: float) -> None:
            if number == 3 and share > 0:
                raise KeyboardInterrupt

    options = FolderOptions(workers=workers, manifest=Path("made.jsonl"))
    listener = Impatient()
    with pytest.raises(KeyboardInterrupt):
        run_folder("in", "out", TWICE, model, options=options, watcher=listener)
    assert len(listener.outcomes) == 3  # the writes in flight were finished, and told
    assert list(tree("out")) == ["a.png", "b.png", "c.png"]
    assert len(Path("made.jsonl").read_text().splitlines()) == 3
    done = run_folder("in", "out", TWICE, model, options=options)
    assert done == Summary(done=2, skipped=3, failed=0)
    run_folder("in", "whole", TWICE, model)
    assert tree("out") == tree("whole")


# The manifest


def lines(path: str = "made.jsonl") -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def sha256(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def test_what_the_manifest_tells(
    here: Path, call: Callable[..., int], model: restorer.Restorer, repairer: restorer.Restorer
) -> None:
    picture("in/a.jpg")
    Path("in/b.png").write_text("words")
    record = ["--manifest", "made.jsonl", "-q"]
    assert call("upscale", "in", "-o", "out", "--quality", 80, "--budget", 1, *record) == 1
    made, failed = lines()
    assert made["input"] == str(here / "in/a.jpg")
    assert made["output"] == str(here / "out/a.jpg")
    assert made["input_sha256"] == sha256("in/a.jpg")
    assert made["output_sha256"] == sha256("out/a.jpg")
    assert (made["model"], made["weights_sha256"]) == ("tiny", weights_sha256(model))
    assert made["settings"] == {
        "does": "Enlargement", "size": {"scale": 2.0}, "budget": 1.0, "files": {"quality": 80},
    }  # fmt: skip
    sizes = [made[key] for key in ("width", "height", "new_width", "new_height")]
    assert sizes == [8, 6, 16, 12]
    assert made["shares"] == [0.0, 0.0, 1.0]
    assert made["seconds"] >= 0
    assert made["error"] is None
    assert "holds no" in failed["error"]
    assert failed["input_sha256"] == sha256("in/b.png")
    assert failed["output_sha256"] is None
    assert call("restore", "in/a.jpg", "-o", "r.png", "--strength", 0.5, *record) == 0
    repaired = lines()[2]
    assert repaired["settings"] == {"does": "Repair", "strength": 0.5}
    assert repaired["weights_sha256"] == weights_sha256(repairer) != made["weights_sha256"]
    assert len(repaired["experts"]) == 4


def test_what_was_made_otherwise_is_made_again(here: Path, model: restorer.Restorer) -> None:
    picture("in/a.png")
    picture("in/b.png")
    options = FolderOptions(manifest=Path("made.jsonl"))

    def run(wishes: Wishes = TWICE, by: restorer.Restorer = model) -> tuple[int, int]:
        done = run_folder("in", "out", wishes, by, options=options)
        assert done.failed == 0
        assert len(lines()) == len(previous) + done.done
        previous[:] = lines()
        return done.done, done.skipped

    previous: list[dict[str, Any]] = []
    assert run() == (2, 0)
    assert run() == (0, 2)
    assert run(Enlargement(SizeRequest(scale=2), files=FileOptions())) == (0, 2)
    thrice = Enlargement(SizeRequest(scale=3))
    assert run(thrice) == (2, 0)
    assert read_image("out/a.png").width == 24
    picture("in/b.png", 6, 9)
    assert run(thrice) == (1, 1)
    assert read_image("out/b.png").width == 27
    os.unlink("out/a.png")
    assert run(thrice) == (1, 1)
    other = restorer.Restorer(tiny("lte"), model.card, device="cpu")
    assert run(thrice, other) == (2, 0)
    assert run(thrice, other) == (0, 2)


def test_a_failure_does_not_hide_how_an_output_was_made(
    here: Path, model: restorer.Restorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture("in/a.png")
    options = FolderOptions(manifest=Path("made.jsonl"))
    assert run_folder("in", "out", TWICE, model, options=options).done == 1
    thrice = Enlargement(SizeRequest(scale=3))
    with monkeypatch.context() as patch:
        patch.setattr(Enlargement, "compute", lambda *_: 1 / 0)
        assert run_folder("in", "out", thrice, model, options=options).failed == 1
    assert run_folder("in", "out", TWICE, model, options=options).skipped == 1
    assert run_folder("in", "out", thrice, model, options=options).done == 1
    assert read_image("out/a.png").width == 24


def test_an_output_that_the_manifest_does_not_know_is_kept_and_told_once(
    here: Path, model: restorer.Restorer
) -> None:
    picture("in/a.png")
    Path("out").mkdir()
    Path("out/a.png").write_text("mine")
    options = FolderOptions(manifest=Path("made.jsonl"))
    for wishes in (TWICE, TWICE, Enlargement(SizeRequest(scale=3))):
        assert run_folder("in", "out", wishes, model, options=options).skipped == 1
        (entry,) = lines()
        assert entry["skipped"] is True
        assert (entry["settings"], entry["model"], entry["error"]) == (None, None, None)
        assert entry["output_sha256"] == sha256("out/a.png")
    assert Path("out/a.png").read_text() == "mine"


def test_a_line_that_was_cut_off_is_replaced(here: Path, model: restorer.Restorer) -> None:
    for name in ("a.png", "b.png", "c.png"):
        picture(f"in/{name}")
    path = Path("made.jsonl")
    options = FolderOptions(manifest=path)
    run_folder("in", "out", TWICE, model, options=options)
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    os.unlink("out/c.png")
    assert run_folder("in", "out", TWICE, model, options=options).done == 1
    assert path.read_bytes().startswith(whole[:-700])
    assert [Path(entry["output"]).name for entry in lines()] == ["a.png", "b.png", "c.png"]


def test_a_manifest_that_cannot_be_written_is_told_for_each_picture(
    here: Path, model: restorer.Restorer
) -> None:
    resource = pytest.importorskip("resource", reason="needs limits of processes")
    picture("in/a.png")
    picture("in/b.png")
    path = Path("made.jsonl")
    options = FolderOptions(manifest=path)
    run_folder("in/a.png", "first/", TWICE, model, options=options)
    before = path.read_bytes()
    listener = Listener()
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 100, usual[1]))
    try:
        done = run_folder("in", "out", TWICE, model, options=options, watcher=listener)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert done.failed == 2
    assert all("The manifest made.jsonl could not be written (" in e for e in listener.errors)
    assert path.read_bytes() == before  # no half of a line
    assert len(tree("out")) == 2


# The door


def test_the_door_takes_paths_and_refuses_what_makes_no_sense(
    here: Path, model: restorer.Restorer, repairer: restorer.Restorer
) -> None:
    picture(Path("in/a.png"))
    done = run_folder([Path("in"), "in/../in/*.png"], Path("out"), TWICE, model)
    assert done == Summary(done=1, skipped=0, failed=0)
    assert run_folder(Path("in/a.png"), Path("b.png"), Repair(), repairer).done == 1
    for wishes, by, options, reason in (
        (TWICE, repairer, {}, "use 'restore'"),
        (Repair(), model, {}, "use 'upscale'"),
        (Repair(), repairer, {"expert_map": "maps"}, "--expert-map applies to enlarging"),
        (TWICE, model, {"expert_map": ""}, "An empty name was given"),
    ):
        with pytest.raises(UsageError, match=reason):
            run_folder("in", "new", wishes, by, **options)  # type: ignore[arg-type]
    assert not Path("new").exists()
