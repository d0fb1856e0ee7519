"""What the manifest of a folder job tells, and what follows from it."""

import hashlib
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pixperts.errors import UsageError
from pixperts.inference.restorer import Restorer
from pixperts.inference.size_request import SizeRequest
from pixperts.inference.upscaler import Upscaler
from pixperts.io import atomic
from pixperts.io.image import read_image
from pixperts.jobs.manifest import Manifest
from pixperts.jobs.operation import Operation
from pixperts.jobs.operations import Upscale
from pixperts.jobs.options import FileOptions, FolderOptions
from pixperts.jobs.run import run_folder
from pixperts.weights.checksums import network_sha256
from tests.helpers.folder_jobs import TWICE, Recorder, picture, tree
from tests.helpers.tiny_models import tiny


def lines(path: str = "made.jsonl") -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def sha256(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def test_what_the_manifest_tells(
    here: Path, call: Callable[..., int], model: Upscaler, repairer: Restorer
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
    assert (made["model"], made["weights_sha256"]) == ("tiny", network_sha256(model.model))
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
    assert repaired["weights_sha256"] == network_sha256(repairer.model) != made["weights_sha256"]
    assert len(repaired["experts"]) == 4


def test_what_was_made_otherwise_is_made_again(here: Path, model: Upscaler) -> None:
    picture("in/a.png")
    picture("in/b.png")
    options = FolderOptions(manifest=Path("made.jsonl"))

    def run(operation: Operation = TWICE, by: Upscaler = model) -> tuple[int, int]:
        done = run_folder("in", "out", operation, by, options=options)
        assert done.failed == 0
        assert len(lines()) == len(previous) + done.done
        previous[:] = lines()
        return done.done, done.skipped

    previous: list[dict[str, Any]] = []
    assert run() == (2, 0)
    assert run() == (0, 2)
    assert run(Upscale(SizeRequest(scale=2), files=FileOptions())) == (0, 2)
    thrice = Upscale(SizeRequest(scale=3))
    assert run(thrice) == (2, 0)
    assert read_image("out/a.png").width == 24
    picture("in/b.png", 6, 9)
    assert run(thrice) == (1, 1)
    assert read_image("out/b.png").width == 27
    os.unlink("out/a.png")
    assert run(thrice) == (1, 1)
    other = Upscaler(tiny("lte"), model.card, device="cpu")
    assert run(thrice, other) == (2, 0)
    assert run(thrice, other) == (0, 2)


def test_a_failure_does_not_hide_how_an_output_was_made(
    here: Path, model: Upscaler, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture("in/a.png")
    options = FolderOptions(manifest=Path("made.jsonl"))
    assert run_folder("in", "out", TWICE, model, options=options).done == 1
    thrice = Upscale(SizeRequest(scale=3))
    with monkeypatch.context() as patch:
        patch.setattr(Upscale, "compute", lambda *_: 1 / 0)
        assert run_folder("in", "out", thrice, model, options=options).failed == 1
    assert run_folder("in", "out", TWICE, model, options=options).skipped == 1
    assert run_folder("in", "out", thrice, model, options=options).done == 1
    assert read_image("out/a.png").width == 24


def test_an_output_that_the_manifest_does_not_know_is_kept_and_told_once(
    here: Path, model: Upscaler
) -> None:
    picture("in/a.png")
    Path("out").mkdir()
    Path("out/a.png").write_text("mine")
    options = FolderOptions(manifest=Path("made.jsonl"))
    for operation in (TWICE, TWICE, Upscale(SizeRequest(scale=3))):
        assert run_folder("in", "out", operation, model, options=options).skipped == 1
        (entry,) = lines()
        assert entry["skipped"] is True
        assert (entry["settings"], entry["model"], entry["error"]) == (None, None, None)
        assert entry["output_sha256"] == sha256("out/a.png")
    assert Path("out/a.png").read_text() == "mine"


def test_a_line_that_was_cut_off_is_replaced(here: Path, model: Upscaler) -> None:
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
    here: Path, model: Upscaler
) -> None:
    resource = pytest.importorskip("resource", reason="needs limits of processes")
    picture("in/a.png")
    picture("in/b.png")
    path = Path("made.jsonl")
    options = FolderOptions(manifest=path)
    run_folder("in/a.png", "first/", TWICE, model, options=options)
    before = path.read_bytes()
    listener = Recorder()
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 100, usual[1]))
    try:
        done = run_folder("in", "out", TWICE, model, options=options, listener=listener)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert done.failed == 2
    assert all("The manifest made.jsonl could not be written (" in e for e in listener.errors)
    assert path.read_bytes() == before  # no half of a line
    assert len(tree("out")) == 2


@pytest.mark.slow
def test_all_that_changes_pixels_counts(here: Path, call: Callable[..., int]) -> None:
    picture("in/a.png")
    record = ["in", "-o", "out", "--manifest", "made.jsonl", "-q"]
    options: list[list[object]] = [
        [], ["--precision", "bfloat16"], ["--tile", 128], ["--color", "srgb"],
        ["--color-fix", "mean"], ["--color-fix", "wavelet"], ["--strip-metadata"],
    ]  # fmt: skip
    own: dict[str, list[list[object]]] = {
        "upscale": [["--budget", 0], ["--budget", 0.5]],
        "restore": [["--strength", 0.5]],
    }
    for command in ("upscale", "restore"):
        for more in options + own[command]:
            before = len(lines()) if Path("made.jsonl").exists() else 0
            assert call(command, *record, *more) == 0
            assert len(lines()) == before + 1, more
            unchanging = ["--max-memory", "4G", "--max-pixels", 1000, "--workers", 0]
            assert call(command, *record, *more, *unchanging) == 0
            assert len(lines()) == before + 1, more
    told = [entry["settings"] for entry in lines()]
    assert told[1] == {"does": "Enlargement", "size": {"scale": 2.0}, "precision": "bfloat16"}
    assert told[2]["tile"] == 128


def test_how_files_are_written_counts(here: Path, call: Callable[..., int]) -> None:
    picture("in/a.webp")
    record = ["in", "-o", "out", "--manifest", "made.jsonl", "-q"]
    options: list[list[object]] = [[], ["--quality", 80], ["--lossless"]]
    for number, more in enumerate(options, start=1):
        for _ in range(2):
            assert call("upscale", *record, *more) == 0
            assert len(lines()) == number


# Runs that share a manifest


def entry(name: str) -> dict[str, Any]:
    return {"input": "x", "output": f"/{name}", "error": None}


def test_a_manifest_is_locked_while_a_line_is_added(tmp_path: Path) -> None:
    path = tmp_path / "made.jsonl"
    Manifest(path).append(entry("a"))
    before = path.read_bytes()
    other = threading.Thread(target=Manifest(path).append, args=[entry("b")])
    with path.open("ab") as handle:
        assert atomic.lock(handle)
        other.start()
        other.join(0.5)
        assert other.is_alive()
        assert path.read_bytes() == before
    other.join(20)
    assert path.read_bytes().count(b"\n") == 2


def test_only_what_is_cut_off_is_removed_from_a_manifest(tmp_path: Path) -> None:
    path = tmp_path / "made.jsonl"
    Manifest(path).append(entry("a"))
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:-1])
    first, second = Manifest(path), Manifest(path)
    first.append(entry(""))  # the file is as long as before
    assert path.stat().st_size == 2 * len(whole) - 1
    second.append(entry("b"))
    assert path.read_bytes() == whole + whole.replace(b"/a", b"/") + whole.replace(b"/a", b"/b")


def test_a_long_line_that_was_cut_off_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "made.jsonl"
    record = Manifest(path)
    record.append(entry("a"))
    whole = path.read_bytes()
    for tail in (b'{"input": "' + b"x" * 300_000, b'{"in'):
        path.write_bytes(whole + tail)
        Manifest(path).append(entry("b"))
        assert path.read_bytes() == whole + whole.replace(b"/a", b"/b")
    path.write_bytes(whole + b"words")
    with pytest.raises(UsageError, match=r"made\.jsonl is not a manifest"):
        record.append(entry("b"))
    assert path.read_bytes() == whole + b"words"
