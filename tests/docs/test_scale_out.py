"""The job scripts of docs/scale_out.md: their syntax, and that the program takes their lines."""

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.helpers.folder_jobs import picture, tree

ROOT = Path(__file__).parents[2]
SLURM = ROOT / "examples/scale_out/slurm.sh"
KUBERNETES = ROOT / "examples/scale_out/kubernetes.yaml"


@pytest.fixture
def lines(here: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """What a script would call pixperts with, as if it were run by the scheduler."""

    def run(script: list[str], environment: dict[str, str]) -> list[str]:
        stub = here / "bin/pixperts"
        stub.parent.mkdir(exist_ok=True)
        stub.write_text("#!/bin/sh\nprintf '%s\\n' \"$@\"\n")
        stub.chmod(0o755)
        path = f"{stub.parent}{os.pathsep}{os.environ['PATH']}"
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        done = subprocess.run(
            script, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=True
        )
        return done.stdout.splitlines()

    return run


def test_the_job_of_slurm(
    here: Path, lines: Callable[..., list[str]], call: Callable[..., int]
) -> None:
    subprocess.run(["bash", "-n", str(SLURM)], check=True)
    directives = dict(re.findall(r"^#SBATCH --([\w-]+)=(.+)$", SLURM.read_text(), re.MULTILINE))
    assert directives["array"].startswith("1-64")
    picture("a photo/a.png")
    for task in range(1, 4):
        variables = {
            "PHOTOS": str(here / "a photo"), "RESULTS": str(here / "large"), "SHARDS": "3",
            "SLURM_ARRAY_TASK_ID": str(task),
        }  # fmt: skip
        command, *rest = lines([str(SLURM)], variables)
        assert call(command, *rest) == 0
    assert list(tree("large")) == ["a.png"]
    assert sorted(tree("large.parts")) == ["1.jsonl", "2.jsonl", "3.jsonl"]


def test_the_job_of_slurm_needs_folders() -> None:
    done = subprocess.run(["bash", str(SLURM)], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "PHOTOS: names the folder of photos" in done.stderr


def test_the_job_of_kubernetes(
    here: Path, lines: Callable[..., list[str]], call: Callable[..., int]
) -> None:
    job = yaml.safe_load(KUBERNETES.read_text(encoding="utf-8"))
    assert (job["apiVersion"], job["kind"]) == ("batch/v1", "Job")
    spec = job["spec"]
    assert spec["completionMode"] == "Indexed"
    pod = spec["template"]["spec"]
    (container,) = pod["containers"]
    variables = {one["name"]: one["value"] for one in container["env"]}
    assert variables["PIXPERTS_SHARD"] == f"auto/{spec['completions']}"
    rule = spec["podFailurePolicy"]["rules"][0]["onExitCodes"]
    assert rule["containerName"] == container["name"]
    assert pod["restartPolicy"] == "Never"  # required by backoffLimitPerIndex
    assert {one["name"] for one in container["volumeMounts"]} <= {
        one["name"] for one in pod["volumes"]
    }
    picture("photos/a.jpg")  # in the 59th shard of 64
    for index in (0, 58):
        variables["JOB_COMPLETION_INDEX"] = str(index)
        script = [*container["command"], *container["args"]]
        command, *rest = lines(script, variables)
        rest = [word.replace("/data/", f"{here}/") for word in rest]
        assert call(command, *rest) == 0
    assert list(tree("large")) == ["a.jpg"]
    assert sorted(tree("large.parts")) == ["0.jsonl", "58.jsonl"]


def test_the_page_names_the_scripts() -> None:
    text = (ROOT / "docs/scale_out.md").read_text(encoding="utf-8")
    for script in (SLURM, KUBERNETES):
        assert f"(../{script.relative_to(ROOT)})" in text
