"""Parts of a run: which inputs they take, and that together they do what one run does."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pixperts.cli.app import main
from pixperts.errors import UsageError
from pixperts.inference.upscaler import Upscaler
from pixperts.jobs.options import FolderOptions
from pixperts.jobs.run import run_folder
from pixperts.jobs.scale_out.shard import Shard, parse_shard, scheduled
from tests.helpers.command_line import Stdin, one_sentence
from tests.helpers.folder_jobs import TWICE, Recorder, picture, tree

NAMES = ("a.png", "b.png", "c.jpg", "deep/a.png", "deep/d.png", "deep/er/e.png", "f.png", "g.png")
TIMES = ("time", "seconds")


def lines(path: str | Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def test_every_name_is_in_one_shard_for_good() -> None:
    shards = [Shard(number, 16) for number in range(1, 17)]
    names = [f"2019/IMG_{number:04}.jpg" for number in range(3200)]
    sizes = [sum(shard.holds(name) for name in names) for shard in shards]
    assert sum(sizes) == len(names)
    assert all(sum(shard.holds(name) for shard in shards) == 1 for name in names[:100])
    assert 140 < min(sizes) < max(sizes) < 260  # 200 and four standard deviations
    # Machines with different versions must agree.
    pinned = {"a/b.jpg": 9, "a.jpg": 11, "2019/summer/IMG_0001.JPG": 5, "ü.png": 1}
    assert all(shards[number - 1].holds(name) for name, number in pinned.items())
    assert Shard(1, 1).holds("\udcff.jpg")  # a name that is no text


@pytest.mark.parametrize("command", ["upscale", "restore"])
def test_shards_make_what_one_run_makes(
    command: str, here: Path, call: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    for name in NAMES:
        picture(f"in/{name}")
    Path("in/broken.png").write_text("words")
    common = ["in", "-r", "--name", "{index:02}_{stem}", "--quality", 80]
    assert call(command, *common, "-o", "whole/", "--manifest", "whole.jsonl") == 1
    parts, codes, seen = [], [], []
    for number in (3, 1, 4, 2):
        parts.append(f"parts/{number}.jsonl")
        run = [*common, "-o", "out/", "--shard", f"{number}/4", "--manifest", parts[-1]]
        codes.append(call(command, *run))
        seen += [entry["input"] for entry in lines(parts[-1])]
    assert sorted(codes) == [0, 0, 0, 1]  # the broken one costs its shard only
    assert tree("out") == tree("whole")
    assert len(tree("out")) == len(NAMES)
    assert len(seen) == len(set(seen)) == len(NAMES) + 1
    assert main(["manifest", "join", "all.jsonl", *parts]) == 0

    def plain(path: str) -> list[str]:
        kept = [{k: v for k, v in one.items() if k not in TIMES} for one in lines(path)]
        return sorted(json.dumps(one).replace("/whole/", "/out/") for one in kept)

    assert plain("all.jsonl") == plain("whole.jsonl")
    capsys.readouterr()
    again = [*common, "-o", "out/", "--manifest", "all.jsonl", "--json", "-q"]
    assert call(command, *again) == 1
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert sum("skipped" in one for one in told) == len(NAMES)
    assert sum("error" in one for one in told) == 1


def test_what_is_added_moves_nothing(here: Path, model: Upscaler) -> None:
    def sources(shard: str) -> set[str]:
        recorder = Recorder()
        options = FolderOptions(recursive=True, shard=shard, if_exists="overwrite")
        run_folder("in", "out/", TWICE, model, options=options, listener=recorder)
        return {str(outcome.job.source) for outcome in recorder.outcomes}

    for name in NAMES:
        picture(f"in/{name}")
    before = [sources(f"{number}/3") for number in (1, 2, 3)]
    picture("in/a0.png")
    after = [sources(f"{number}/3") for number in (1, 2, 3)]
    assert {*after[0], *after[1], *after[2]} - {*before[0], *before[1], *before[2]} == {"in/a0.png"}
    assert all(old <= new for old, new in zip(before, after, strict=True))


def test_an_empty_shard_says_so(
    here: Path, call: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    picture("in/a.jpg")  # in the 11th of 16
    run = ["in", "-o", "out", "--manifest", "made.jsonl", "--quality", 80]
    assert call("upscale", *run, "--shard", "1/16") == 0
    assert one_sentence(capsys) == "Shard 1/16 holds 0 of 1 pictures."
    assert Path("made.jsonl").read_bytes() == b""
    assert not Path("out").exists()
    assert call("upscale", *run, "--shard", "11/16") == 0
    assert len(lines("made.jsonl")) == 1


def test_only_what_is_its_own_must_not_exist(here: Path, model: Upscaler) -> None:
    for name in ("a.jpg", "b.jpg"):  # 2 and 1 of 3
        picture(f"in/{name}")
    first, second, third = (FolderOptions(shard=f"{n}/3", if_exists="error") for n in (1, 2, 3))
    assert run_folder("in", "out", TWICE, model, options=second).done == 1
    assert run_folder("in", "out", TWICE, model, options=first).done == 1
    assert run_folder("in", "out", TWICE, model, options=third).done == 0
    with pytest.raises(UsageError, match="exists"):
        run_folder("in", "out", TWICE, model, options=first)


def test_names_that_clash_are_refused_by_their_shards(here: Path, model: Upscaler) -> None:
    for name in ("a.jpg", "a.png", "b.jpg"):
        picture(f"in/{name}")
    errors, done = [], 0
    for number in range(1, 9):
        recorder = Recorder()
        options = FolderOptions(shard=Shard(number, 8), format="webp")
        done += run_folder("in", "out", TWICE, model, options=options, listener=recorder).done
        errors += recorder.errors
    assert done == 1
    assert len(errors) == 2
    assert all("would both be written to" in error for error in errors)


def test_the_environment_names_a_shard(
    here: Path,
    call: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    picture("in/a.jpg")
    monkeypatch.setenv("PIXPERTS_SHARD", "auto/16")
    monkeypatch.setenv("JOB_COMPLETION_INDEX", "9")
    assert call("upscale", "in", "-o", "out") == 0
    assert one_sentence(capsys) == "Shard 10/16 holds 0 of 1 pictures."
    monkeypatch.setenv("JOB_COMPLETION_INDEX", "10")
    assert call("upscale", "in", "-o", "out") == 0
    assert list(tree("out")) == ["a.jpg"]
    assert call("upscale", "in", "-o", "out", "--shard", "3/16") == 0
    assert "Shard 3/16 holds 0" in capsys.readouterr().err
    monkeypatch.setattr("sys.stdin", Stdin(Path("in/a.jpg").read_bytes()))
    assert call("upscale", "-", "-o", "b.png") == 2
    assert "divides files" in one_sentence(capsys)
    monkeypatch.setenv("PIXPERTS_SHARD", "some")
    assert call("upscale", "in", "-o", "out") == 2
    assert one_sentence(capsys).startswith("PIXPERTS_SHARD is 'some': give a shard")
    monkeypatch.setenv("PIXPERTS_SHARD", "")
    assert call("upscale", "in", "-o", "new") == 0
    assert list(tree("new")) == ["a.jpg"]


@pytest.mark.parametrize("text", ["", "3", "0/4", "5/4", "-1/4", "1/0", "a/b", "1/2/3", "auto/0"])
def test_what_is_no_shard(text: str) -> None:
    with pytest.raises(UsageError, match=r"shard is .* such as 3/16"):
        parse_shard(text)
    with pytest.raises(UsageError, match="shard is"):
        FolderOptions(shard=text)


def _slurm(index: int, low: int, high: int, count: int) -> dict[str, str]:
    values = {"ID": index, "MIN": low, "MAX": high, "COUNT": count}
    return {f"SLURM_ARRAY_TASK_{name}": str(value) for name, value in values.items()}


@pytest.mark.parametrize(
    ("environment", "count", "shard"),
    [
        (_slurm(0, 0, 15, 16), None, "1/16"),
        (_slurm(15, 0, 15, 16), None, "16/16"),
        (_slurm(7, 5, 8, 4), None, "3/4"),
        (_slurm(7, 3, 7, 2), 16, "7/16"),  # two of sixteen again
        (_slurm(16, 1, 16, 16), 16, "16/16"),
        ({"JOB_COMPLETION_INDEX": "0"}, 16, "1/16"),
        ({"JOB_COMPLETION_INDEX": "15"}, 16, "16/16"),
    ],
)
def test_what_schedulers_say(environment: dict[str, str], count: int | None, shard: str) -> None:
    assert str(scheduled(environment, count)) == shard


@pytest.mark.parametrize(
    ("environment", "count", "sentence"),
    [
        ({}, None, "finds neither SLURM_ARRAY_TASK_ID nor JOB_COMPLETION_INDEX"),
        (_slurm(3, 3, 7, 2), None, "2 tasks from 3 to 7: give the number of shards"),
        (_slurm(0, 0, 15, 16), 16, "shard 0 of 16: number the array from 1, as by --array=1-16"),
        (_slurm(17, 1, 17, 17), 16, "shard 17 of 16"),
        ({"SLURM_ARRAY_TASK_ID": "3"}, None, "SLURM_ARRAY_TASK_MIN is not set"),
        ({"SLURM_ARRAY_TASK_ID": "x"}, 16, "SLURM_ARRAY_TASK_ID is 'x'"),
        ({"JOB_COMPLETION_INDEX": "3"}, None, "give shard auto/16"),
        ({"JOB_COMPLETION_INDEX": "16"}, 16, "the job must have 16 completions"),
    ],
)
def test_schedulers_that_do_not_say_enough(
    environment: dict[str, str], count: int | None, sentence: str
) -> None:
    with pytest.raises(UsageError, match=sentence):
        scheduled(environment, count)
