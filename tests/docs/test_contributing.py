"""The files for strangers: the worked diffs are right for the code, the citation is complete."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import pixperts

ROOT = Path(__file__).parents[2]
DIFFS = re.findall(
    r"^## (Add .*?)\n.*?^```diff\n(.*?)^```",
    (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"),
    re.MULTILINE | re.DOTALL,
)
# What is true once each diff is there.
PROMISES = {
    "Add a model": """
import torch, pixperts
model = pixperts.create_model("moeisr-plain").eval()
with torch.inference_mode():
    image = torch.rand(1, 3, 9, 10)
    print(tuple(model(image, (20, 25)).image.shape), len(model.costs))
""",
    "Add a degradation": """
import torch
from pixperts.degradations import degrade
clean = torch.full((3, 64, 64), 0.5)
clean[:, :, 32:] = 0.05
noise = degrade(clean, "speckle", seed=0) - clean
print(bool(noise[:, :, :32].std() > 5 * noise[:, :, 32:].std() > 0), degrade.__name__)
""",
    "Add a format": """
import numpy as np, pixperts
from PIL import Image
pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
Image.fromarray(pixels).save("a.pcx")
picture = pixperts.read_image("a.pcx")
print(picture.format, bool((picture.pixels == pixels).all()))
""",
}
SAID = {
    "Add a model": "(1, 3, 20, 25) 2",
    "Add a degradation": "True degrade",
    "Add a format": "pcx True",
}


def citation() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    return loaded


def test_there_are_three_diffs() -> None:
    assert [title for title, _ in DIFFS] == list(PROMISES)


@pytest.mark.slow
@pytest.mark.parametrize(("title", "diff"), DIFFS, ids=list(PROMISES))
def test_a_worked_diff_does_what_it_promises(title: str, diff: str, tmp_path: Path) -> None:
    source = tmp_path / "src/pixperts"
    ignored = shutil.ignore_patterns("*.safetensors", "__pycache__")
    shutil.copytree(ROOT / "src/pixperts", source, ignore=ignored)
    done = subprocess.run(
        ["git", "apply", "-"], input=diff, text=True, cwd=tmp_path, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    shown = subprocess.run(
        [sys.executable, "-c", PROMISES[title]],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown.stdout.strip() == SAID[title], shown.stderr
    for check in (["check"], ["format", "--check"]):
        command = [sys.executable, "-m", "ruff", *check, "--config", str(ROOT / "pyproject.toml")]
        style = subprocess.run([*command, str(source)], capture_output=True, text=True, check=False)
        assert style.returncode == 0, style.stdout


def test_the_citation_is_complete() -> None:
    """The fields that version 1.2.0 of the format requires, and those that would grow old."""
    cited = citation()
    assert cited["cff-version"] == "1.2.0"
    assert cited["version"] == pixperts.__version__
    assert cited["license"] == "Apache-2.0"
    for entry in (cited, *cited["references"]):
        assert entry["title"]
        assert entry["authors"]
        for author in entry["authors"]:
            assert set(author) in ({"name"}, {"given-names", "family-names"})
    assert {entry["type"] for entry in cited["references"]} <= {"article", "conference-paper"}
    papers = {entry["url"].rsplit("/", 1)[1] for entry in cited["references"]}
    assert papers == {"2311.12077", "2411.18466", "2012.09161"}


def test_versions_agree() -> None:
    """What pyproject.toml promises, the workflow runs and the page on installing says."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    prefix = "Programming Language :: Python :: 3."
    promised = {one.removeprefix(prefix) for one in project["classifiers"] if prefix in one}
    text = (ROOT / ".github/workflows/checks.yml").read_text(encoding="utf-8")
    jobs = yaml.safe_load(text)["jobs"]["versions"]["strategy"]["matrix"]["include"]
    assert {job["python"].removeprefix("3.") for job in jobs} == promised
    oldest = f"3.{min(promised, key=int)}"
    assert project["requires-python"] == f">={oldest}"
    torch = next(one for one in project["dependencies"] if one.startswith("torch>="))
    torch = torch.removeprefix("torch>=")
    assert any(
        job["python"] == oldest and job["torch"].startswith(f"torch=={torch}.") for job in jobs
    )
    install = (ROOT / "docs/install.md").read_text(encoding="utf-8")
    assert f"Python {oldest} or newer and torch {torch} or newer" in install
    for page in ("README.md", "docs/quick_start.md", "CONTRIBUTING.md"):
        assert f"Python {oldest} or newer" in (ROOT / page).read_text(encoding="utf-8")


def test_forms_and_workflows_are_whole() -> None:
    forms = sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"))
    assert [form.stem for form in forms] == ["config", "fault", "proposal", "result"]
    for form in forms[1:]:
        loaded = yaml.safe_load(form.read_text(encoding="utf-8"))
        assert {"name", "description", "body"} <= set(loaded)
        asked = [part["id"] for part in loaded["body"] if part["type"] != "markdown"]
        assert len(set(asked)) == len(asked) > 1
    text = (ROOT / ".github/workflows/checks.yml").read_text(encoding="utf-8")
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    called = set(re.findall(r"\bmake (\w+)", text))
    assert called <= set(targets)
    # The same commands as .ci/run, which is called as it is.
    assert "bash .ci/run" in text
    assert {"check", "docs", "test"} <= {
        word for line in (ROOT / ".ci/run").read_text().splitlines()
        for word in line.split() if line.startswith("make ")
    }  # fmt: skip
