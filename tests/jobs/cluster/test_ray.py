"""Runs on Ray are those of this machine, also where a worker is killed in the middle."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import pixperts
from pixperts.inference.size_request import SizeRequest
from pixperts.jobs.enhance import Enhance
from pixperts.jobs.operation import Operation
from pixperts.jobs.operations import Restore, Upscale
from pixperts.jobs.options import FolderOptions
from pixperts.jobs.run import run_folder
from tests.helpers.folder_jobs import Recorder, picture, tree
from tests.helpers.places import ROOT

NAMES = ("a.png", "b.png", "deep/c.png", "d.tif", "e.webp", "f.png", "g.png")
BAD = "deep/bad.jpg"
TWICE = SizeRequest(scale=2)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ray")
    for number, name in enumerate(NAMES):
        picture(folder / "photos" / name, 40 + number, 48)
    (folder / "photos" / BAD).write_bytes(b"\xff\xd8\xff\xe0 nothing")
    return folder


@pytest.fixture(scope="module")
def facts(work: Path, files: dict[str, Path]) -> dict[str, Any]:
    """All runs on Ray, which starts once; in a process group that ends with them."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = str(Path(pixperts.__file__).parents[1])
    environment.pop("RAY_ADDRESS", None)
    script = ROOT / "tests" / "helpers" / "ray_runs.py"
    with subprocess.Popen(
        [sys.executable, "-P", script, files["upscale"], files["restore"], work],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    ) as process:  # fmt: skip
        try:
            out, err = process.communicate(timeout=900)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, err
    found: dict[str, Any] = json.loads(out.splitlines()[-1])
    return found


def lines(path: Path) -> dict[str, Any]:
    """What a manifest says of each input, but for times."""
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    for entry in entries:
        del entry["time"]
        entry.pop("seconds", None)
    assert len({entry["input"] for entry in entries}) == len(entries)
    return {entry["input"]: entry for entry in entries}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["upscaled", "restored", "enhanced"])
def test_a_run_on_ray_is_one_on_this_machine(
    name: str,
    facts: dict[str, Any],
    files: dict[str, Path],
    work: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    operation: Operation = {
        "upscaled": Upscale(TWICE),
        "restored": Restore(strength=0.5),
        "enhanced": Enhance(TWICE, restore_model=str(files["restore"])),
    }[name]
    ours = work / "ray" / name
    ours.parent.mkdir(exist_ok=True)
    maps = work / f"{name}-maps"
    (work / name).rename(ours)
    (work / f"{name}.jsonl").rename(work / f"{name}.ray.jsonl")
    if maps.exists():
        maps.rename(work / "ray" / maps.name)
    monkeypatch.chdir(work)
    listener = Recorder()
    done = run_folder(
        "photos", name, operation, files["restore" if name == "restored" else "upscale"],
        device="cpu", listener=listener, expert_map=maps.name if name == "upscaled" else None,
        options=FolderOptions(recursive=True, manifest=f"{name}.jsonl"),
    )  # fmt: skip
    assert vars(done) == {"done": len(NAMES), "skipped": 0, "failed": 1} == facts[name]["summary"]
    assert tree(ours) == tree(work / name)  # no temporary of a killed worker either
    if name == "upscaled":
        assert tree(work / "ray" / maps.name) == tree(maps)
    assert lines(work / f"{name}.ray.jsonl") == lines(work / f"{name}.jsonl")
    numbers, results = zip(*facts[name]["results"], strict=True)
    assert numbers == tuple(range(len(NAMES) + 1))
    wanted = {one.job.source.name: one.to_dict() for one in listener.outcomes}
    for one in (*results, *wanted.values()):
        one.pop("seconds", None)
    assert {Path(one["input"]).name: one for one in results} == json.loads(json.dumps(wanted))


@pytest.mark.slow
def test_a_worker_was_killed(facts: dict[str, Any]) -> None:
    assert facts["killed"] == 1
    notes = facts["upscaled"]["notes"]  # none where it died between two pictures
    assert all(note.endswith(": its worker died, and another took over.") for note in notes)


@pytest.mark.slow
def test_clusters_that_are_not_there(facts: dict[str, Any]) -> None:
    code, text = facts["127.0.0.1:1"]
    assert code == 2
    assert text.startswith("The Ray cluster 127.0.0.1:1 cannot be reached (Connection refused):")
    code, text = facts["auto"]
    assert code == 2
    assert text.startswith("The Ray cluster auto cannot be used (ConnectionError: ")
