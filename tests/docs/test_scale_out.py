"""The job scripts of docs/scale_out.md: their syntax, and that the program takes their lines."""

import os
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from pixperts.cli.app import main
from pixperts.jobs import run as jobs_run
from pixperts.jobs.cluster.options import EngineOptions
from pixperts.jobs.outcomes import Summary
from tests.helpers.folder_jobs import picture, tree

ROOT = Path(__file__).parents[2]
SLURM = ROOT / "examples/scale_out/slurm.sh"
KUBERNETES = ROOT / "examples/scale_out/kubernetes.yaml"
RAY_SLURM = ROOT / "examples/scale_out/ray_slurm.sh"
RAY_KUBERNETES = ROOT / "examples/scale_out/ray_kubernetes.yaml"
PAGE = ROOT / "docs/scale_out.md"


@pytest.fixture
def lines(here: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """What a script would call pixperts with, as if it were run by the scheduler."""

    def run(script: list[str], environment: dict[str, str]) -> list[str]:
        (here / "bin").mkdir(exist_ok=True)
        for name in ("pixperts", "ray", "srun"):
            stub = here / "bin" / name
            said = '"$@"' if name == "pixperts" else f'"{name} $*" >&2'
            stub.write_text(f"#!/bin/sh\nprintf '%s\\n' {said}\n")
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


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What runs the command line would start."""
    found: list[dict[str, Any]] = []

    def run_folder(*given: Any, **options: Any) -> Summary:
        found.append(options)
        return Summary(0, 0, 0)

    monkeypatch.setattr(jobs_run, "run_folder", run_folder)
    return found


def test_ray_on_slurm(
    here: Path, lines: Callable[..., list[str]], started: list[dict[str, Any]]
) -> None:
    subprocess.run(["bash", "-n", str(RAY_SLURM)], check=True)
    directives = dict(re.findall(r"^#SBATCH --([\w-]+)=(.+)$", RAY_SLURM.read_text(), re.MULTILINE))
    assert directives["ntasks-per-node"] == "1"
    variables = {
        "PHOTOS": "a photo", "RESULTS": "large", "SLURM_JOB_NUM_NODES": directives["nodes"],
        "SLURM_CPUS_PER_TASK": directives["cpus-per-task"],
    }  # fmt: skip
    assert main(lines([str(RAY_SLURM)], variables)) == 0
    (options,) = started
    head = os.uname().nodename
    assert options["engine"] == EngineOptions("ray", f"{head}:6379", processes=64)
    assert options["options"].manifest == "large.jsonl"


def test_ray_on_slurm_needs_folders() -> None:
    done = subprocess.run(["bash", str(RAY_SLURM)], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "PHOTOS: names the folder of photos" in done.stderr


def test_ray_on_kubernetes(started: list[dict[str, Any]]) -> None:
    job = yaml.safe_load(RAY_KUBERNETES.read_text(encoding="utf-8"))
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    spec = job["spec"]
    program, *line = shlex.split(spec["entrypoint"])
    assert program == "pixperts"
    assert main(line) == 0
    (options,) = started
    cluster = spec["rayClusterSpec"]
    (workers,) = cluster["workerGroupSpecs"]
    assert workers["minReplicas"] <= workers["replicas"] <= workers["maxReplicas"]
    room = workers["maxReplicas"] * int(workers["rayStartParams"]["num-cpus"])
    assert options["engine"] == EngineOptions("ray", processes=room)  # the address is RAY_ADDRESS
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    assert f"\nray=={cluster['rayVersion']}\n" in pins
    for group in (cluster["headGroupSpec"], workers):
        pod = group["template"]["spec"]
        (container,) = pod["containers"]
        assert container["image"] in PAGE.read_text(encoding="utf-8")
        mounts = {one["name"]: one["mountPath"] for one in container["volumeMounts"]}
        assert mounts["shm"] == "/dev/shm"
        assert mounts.keys() <= {one["name"] for one in pod["volumes"]}


def test_the_page_names_the_scripts() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for script in (SLURM, KUBERNETES, RAY_SLURM, RAY_KUBERNETES):
        assert f"(../{script.relative_to(ROOT)})" in text


def test_the_lines_for_ray_are_taken(started: list[dict[str, Any]]) -> None:
    found = re.findall(r"^pixperts (.*--engine ray[^#\n]*)", PAGE.read_text(), re.MULTILINE)
    assert len(found) >= 3
    for line in found:
        assert main(shlex.split(line)) == 0
    assert all(one["engine"].engine == "ray" for one in started)
