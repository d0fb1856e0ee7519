"""Folder jobs: one result through every door, names, outputs that exist."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixperts.errors import UsageError
from pixperts.inference.restorer import Restorer
from pixperts.inference.upscaler import Upscaler
from pixperts.io.image import read_image, write_image
from pixperts.jobs.operation import Operation, software_tag
from pixperts.jobs.operations import Restore
from pixperts.jobs.options import POLICIES, FolderOptions
from pixperts.jobs.outcomes import Summary
from pixperts.jobs.plan import plan
from pixperts.jobs.run import run_folder
from tests.helpers.folder_jobs import TWICE, picture, tree

# One result through every door


@pytest.mark.parametrize("command", ["upscale", "restore"])
@pytest.mark.slow
def test_the_same_bytes_through_command_line_folder_job_and_python(
    command: str, here: Path, call: Callable[..., int], model: Upscaler,
    repairer: Restorer, files: dict[str, Path],
) -> None:  # fmt: skip
    for name in ("a.png", "b.jpg", "deep/c.webp", "deep/d.tif"):
        picture(f"in/{name}")
    operation: Operation = TWICE if command == "upscale" else Restore()
    for name in tree("in"):
        read = read_image(Path("in", name))
        if command == "upscale":
            name_of_model, pixels = model.name, model.upscale(read.pixels, scale=2)
        else:
            name_of_model, pixels = repairer.name, repairer.restore(read.pixels)
        sizes = [(array.shape[1], array.shape[0]) for array in (read.pixels, pixels)]
        software = software_tag(name_of_model, *sizes)
        write_image(Path("python", name), pixels, metadata=read.metadata, software=software)
        assert call(command, f"in/{name}", "-o", f"one/{name}", "-q") == 0
    assert call(command, "in", "-r", "-o", "folder", "-q") == 0
    assert call(command, "in/**/*.*", "-o", "pattern", "--workers", 3, "-q") == 0
    options = FolderOptions(recursive=True, workers=0)
    done = run_folder("in", "door", operation, files[command], options=options, device="cpu")
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
    assert "in/b.png holds no JPEG, PNG" in captured.err


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--name", "{artist}"], "unknown field {artist}: use stem, name, "),
        (["--name", "../{stem}"], "holds a slash"),
        (["--name", "same"], "in/a.jpg and in/b.jpg would both be written to out/same.jpg"),
        (["--name", "{stem}.png", "--format", "jpeg"], "contradict each other"),
        (["--format", "gifv"], "--format is 'gifv', which is unknown: use one of "),
        (
            ["--if-exists", "ask"],
            "--if-exists is 'ask', but must be skip, overwrite, rename or error",
        ),
        (["--workers", "-1"], "--workers is -1, but must be between 0 and 64."),
        (["--workers", "65"], "--workers is 65"),
        (["--manifest", "in/a.jpg"], "in/a.jpg is an input as well: name another manifest."),
        (["--manifest", "out/a.jpg"], "would both be written to out/a.jpg"),
        (["--manifest", "notes.txt"], "notes.txt is not a manifest of pixperts"),
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
        (
            ["--name", "{stem}"],
            "--name is for outputs in a folder, but b.png is a file: leave it out.",
        ),
        (["--format", "jpeg"], "b.png and --format jpeg contradict each other: leave one out."),
    ):
        assert call("upscale", "a.jpg", "-o", "b.png", *options) == 2
        assert capsys.readouterr().err.strip() == reason
    assert call("upscale", "a.jpg", "-o", "b.png", "--format", "PNG", "-q") == 0


def test_pictures_that_clash_cost_themselves(
    here: Path, call: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.jpg", "a.png", "b.png", "c.png"):
        picture(f"in/{name}")
    for command in ("upscale", "restore"):
        assert call(command, "in", "-o", command, "--format", "webp", "--json") == 1
        captured = capsys.readouterr()
        assert list(tree(command)) == ["b.webp", "c.webp"]
        told = (
            f"in/a.jpg and in/a.png would both be written to {command}/a.webp: put them into "
            "different folders, or give them different names, such as with --name '{stem}_{ext}'."
        )
        assert captured.err.splitlines() == [told, told]
        lines = [json.loads(line) for line in captured.out.splitlines()]
        assert [line.get("error") for line in lines] == [told, told, None, None]
        assert [line["input"] for line in lines[:2]] == ["in/a.jpg", "in/a.png"]
    options = ("--format", "webp", "--name", "{stem}_{ext}", "-q")
    assert call("upscale", "in", "-o", "told apart", *options) == 0
    assert len(tree("told apart")) == 4


def test_clashes_of_every_kind_leave_the_others(
    here: Path, call: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("in/a.png", "other/a.png", "in/b.png", "out/b.png"):
        picture(name)
    before = tree("out")
    inputs = ["in/a.png", "other/a.png", "in/b.png", "out/b.png"]
    assert call("restore", *inputs, picture("c.png"), "-o", "out/") == 1
    captured = capsys.readouterr().err
    assert captured.count("--name '{index}_{stem}'") == 2
    assert captured.count("out/b.png is an input as well: name another output") == 2
    assert tree("out").keys() == {"b.png", "c.png"}
    assert tree("out")["b.png"] == before["b.png"]


def test_two_of_one_name_after_a_change_of_format(here: Path, model: Upscaler) -> None:
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
    assert captured.err == "1 output existed and was kept; --if-exists overwrite makes it again.\n"
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


# The door


def test_the_door_takes_paths_and_refuses_what_makes_no_sense(
    here: Path, model: Upscaler, repairer: Restorer
) -> None:
    picture(Path("in/a.png"))
    done = run_folder([Path("in"), "in/../in/*.png"], Path("out"), TWICE, model)
    assert done == Summary(done=1, skipped=0, failed=0)
    assert run_folder(Path("in/a.png"), Path("b.png"), Restore(), repairer).done == 1
    for operation, by, options, reason in (
        (TWICE, repairer, {}, "use 'restore'"),
        (Restore(), model, {}, "use 'upscale'"),
        (Restore(), repairer, {"expert_map": "maps"}, "expert_map applies to enlarging"),
        (TWICE, model, {"expert_map": ""}, "An empty name was given"),
    ):
        with pytest.raises(UsageError, match=reason):
            run_folder("in", "new", operation, by, **options)  # type: ignore[arg-type]
    assert not Path("new").exists()
