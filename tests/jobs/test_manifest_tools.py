"""`pixperts manifest join` and `check`."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pixperts.cli.app import main
from pixperts.inference.upscaler import Upscaler
from pixperts.jobs.options import FolderOptions
from pixperts.jobs.run import run_folder
from pixperts.jobs.scale_out.check import Problem, check
from tests.helpers.command_line import one_sentence
from tests.helpers.folder_jobs import TWICE, picture, tree

FIELDS = {"output": "/o/a.png", "error": None}


def entry(time: str, source: str = "/i/a.png", **more: Any) -> str:
    return json.dumps({"input": source, **FIELDS, "time": time, **more}) + "\n"


def problems(manifest: str, **options: Any) -> list[Problem]:
    found: list[Problem] = []
    check(Path(manifest), found.append, **options)
    return found


def kinds(manifest: str, **options: Any) -> list[tuple[str, str]]:
    found = problems(manifest, **options)
    return sorted((one.kind, Path(one.output).name) for one in found)


def test_lines_are_joined_by_time(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    early, late, back, new = (entry(time) for time in ("10:00", "12:00", "09:00", "11:00"))
    Path("1.jsonl").write_text(early + late + back)  # the clock was set back
    Path("2.jsonl").write_text(new + late + new[:40])  # and killed
    Path("3.jsonl").write_text("")
    assert main(["manifest", "join", "all.jsonl", "1.jsonl", "2.jsonl", "3.jsonl"]) == 0
    assert Path("all.jsonl").read_text() == early + new + late + back
    assert "4 lines, 1 repeated ones left out" in one_sentence(capsys)
    last = entry("13:00")
    Path("3.jsonl").write_text(last)
    assert main(["manifest", "join", "all.jsonl", "3.jsonl", "1.jsonl", "--json"]) == 0
    assert Path("all.jsonl").read_text() == early + new + late + back + last
    report = {"output": "all.jsonl", "lines": 5, "repeated": 3}
    assert json.loads(capsys.readouterr().out) == report


def test_many_lines_are_read_in_blocks(here: Path) -> None:
    one, two = ([entry(f"{n:06}", f"/{k}/{n}.png") for n in range(2000)] for k in (1, 2))
    Path("1.jsonl").write_text("".join(one))
    Path("2.jsonl").write_text("".join(two))
    assert Path("1.jsonl").stat().st_size > 2 * 65536
    assert main(["manifest", "join", "all.jsonl", "1.jsonl", "2.jsonl"]) == 0
    wanted = [line for pair in zip(one, two, strict=True) for line in pair]
    assert Path("all.jsonl").read_text() == "".join(wanted)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("join all.jsonl 1.jsonl 9.jsonl", "9.jsonl does not exist: run its shard"),
        ("join all.jsonl 1.jsonl notes.txt", "notes.txt is not a manifest of pixperts"),
        ("join notes.txt 1.jsonl", "notes.txt is not a manifest of pixperts"),
        ("join all.jsonl", "takes the file to write and then its parts"),
        ("join all.jsonl 1.jsonl --no-checksums", "leave it out"),
        ("check 9.jsonl", "9.jsonl does not exist"),
        ("check notes.txt", "notes.txt is not a manifest of pixperts"),
        ("check 1.jsonl 1.jsonl", "takes one manifest: join them first"),
        ("mend 1.jsonl", "must be join or check"),
        ("check", "Missing argument 'FILE'"),
    ],
)
def test_refusals(line: str, sentence: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("1.jsonl").write_text(entry("10:00"))
    Path("notes.txt").write_text("notes\n")
    before = tree(".")
    assert main(["manifest", *line.split()]) == 2
    assert sentence in one_sentence(capsys)
    assert tree(".") == before


def test_a_folder_is_no_manifest(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("folder").mkdir()
    for line in ("check folder", "join all.jsonl folder"):
        assert main(["manifest", *line.split()]) == 1
        assert "folder cannot be read" in one_sentence(capsys)
    assert not Path("all.jsonl").exists()


def test_what_is_wrong_is_found(
    here: Path, model: Upscaler, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.png", "b.png", "c.png"):
        picture(f"in/{name}")
    Path("in/d.png").write_text("words")
    options = FolderOptions(manifest="made.jsonl")
    run_folder("in", "out", TWICE, model, options=options, expert_map="maps/")
    assert kinds("made.jsonl") == [("failed", "d.png")]
    picture("in/d.png")
    run_folder("in", "out", TWICE, model, options=options, expert_map="maps/")
    assert main(["manifest", "check", "made.jsonl"]) == 0
    assert one_sentence(capsys) == "made.jsonl: 4 outputs, all as they were made."
    os.unlink("out/a.png")
    os.unlink("maps/d_experts.png")
    picture("out/b.png")
    assert main(["manifest", "check", "made.jsonl"]) == 1
    *found, last = capsys.readouterr().err.splitlines()
    assert len(found) == 3
    assert last == "made.jsonl: 4 outputs, 2 missing, 1 changed."
    assert main(["manifest", "check", "made.jsonl", "--json"]) == 1
    *told, counts = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {(one["kind"], Path(one["output"]).name) for one in told} == {
        ("missing", "a.png"), ("missing", "d_experts.png"), ("changed", "b.png"),
    }  # fmt: skip
    assert counts == {
        "manifest": "made.jsonl", "outputs": 4, "failed": 0, "duplicate": 0, "missing": 2,
        "changed": 1, "unreadable": 0,
    }  # fmt: skip
    wanted = [("missing", "a.png"), ("missing", "d_experts.png")]
    assert kinds("made.jsonl", checksums=False) == wanted


def test_two_inputs_of_one_output(here: Path, model: Upscaler) -> None:
    for name in ("a.jpg", "a.png"):
        picture(f"in/{name}")
        options = FolderOptions(manifest=f"{name}.jsonl", if_exists="overwrite")
        for _ in range(2):  # a second time is no problem
            run_folder(f"in/{name}", "out/a.webp", TWICE, model, options=options)
        assert kinds(f"{name}.jsonl") == []
    assert main(["manifest", "join", "all.jsonl", "a.jpg.jsonl", "a.png.jsonl"]) == 0
    (found,) = problems("all.jsonl")
    assert (found.kind, Path(found.output).name) == ("duplicate", "a.webp")
    assert "in/a.jpg and" in found.detail


def test_results_in_place_are_no_duplicates(here: Path, call: Callable[..., int]) -> None:
    picture("in/a.png")
    picture("in/b.png")
    assert call("upscale", "in", "--in-place", "--manifest", "made.jsonl", "-q") == 0
    assert kinds("made.jsonl") == []


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root reads everything")
def test_an_output_that_cannot_be_read(here: Path, model: Upscaler) -> None:
    picture("in/a.png")
    run_folder("in", "out", TWICE, model, options=FolderOptions(manifest="made.jsonl"))
    Path("out/a.png").chmod(0)
    assert kinds("made.jsonl") == [("unreadable", "a.png")]
