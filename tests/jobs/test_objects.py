"""Objects of a store as inputs and outputs: the same as files, to the byte and the line."""

import itertools
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pixperts.cli.app import main
from pixperts.inference.upscaler import Upscaler
from pixperts.io.object_store import ObjectStore
from pixperts.io.urls import ObjectUrl
from pixperts.jobs import objects
from pixperts.jobs.options import FolderOptions
from pixperts.jobs.run import run_folder
from tests.helpers.command_line import Stdin, one_sentence
from tests.helpers.folder_jobs import TWICE, Recorder, picture, tree
from tests.helpers.s3_server import Server, s3_server

NAMES = ("a.png", "b b.png", "ü/c.jpg", "ü/a.png", "ü/er/e+%20.png", "f#.png", "g.png", ".x/h.png")
CHANGING = ("time", "seconds")
NUMBERS = itertools.count()

Call = Callable[..., int]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with s3_server() as running:
        yield running


@pytest.fixture
def bucket(server: Server, here: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A bucket with the same pictures below `in` as the folder `in`; temporary files in `tmp`."""
    for name, value in server.variables.items():
        monkeypatch.setenv(name, value)
    (here / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(here / "tmp"))
    name = f"bucket{next(NUMBERS)}"
    server.put(name)
    for path in NAMES:
        picture(f"in/{path}")
    Path("in/broken.png").write_text("words")
    Path("in/notes.txt").write_text("words")
    for path, body in tree("in").items():
        server.put(f"{name}/in/{path}", body)
    server.put(f"{name}/in/ü/", b"")  # as some programs make a folder
    return name


def entries(path: str, renamed: tuple[str, str] = ("", "")) -> list[dict[str, Any]]:
    """The lines of a manifest without what differs from run to run, other names put in."""
    text = Path(path).read_text().replace(*renamed)
    return [
        {key: value for key, value in json.loads(line).items() if key not in CHANGING}
        for line in text.splitlines()
    ]


@pytest.mark.parametrize("command", ["upscale", "restore"])
def test_objects_become_what_files_become(
    command: str, bucket: str, server: Server, call: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["-r", "--name", "{index:02}_{stem}", "--quality", 80]
    assert call(command, "in", *common, "-o", "out", "--manifest", "files.jsonl") == 1
    local = capsys.readouterr().err
    url = f"s3://{bucket}"
    run = [command, f"{url}/in", *common, "-o", f"{url}/out", "--manifest", "objects.jsonl"]
    assert call(*run) == 1  # for the broken one
    assert server.tree(bucket, "out") == tree("out")
    assert len(tree("out")) == len(NAMES) - 1  # without the hidden one
    assert server.content_type(f"{bucket}/out/{next(n for n in tree('out') if 'c' in n)}") == (
        "image/jpeg"
    )
    said = capsys.readouterr().err
    assert [line.split(":")[0] for line in said.replace(f"{url}/", "").splitlines()] == [
        line.split(":")[0] for line in local.splitlines()
    ]
    base = json.dumps(str(Path.cwd()))[1:-1]
    files = entries("files.jsonl", (f"{base}/", f"{url}/"))
    for entry in files:  # what is reported names files as they were given
        for key in ("input", "output"):
            entry[key] = entry[key].removeprefix(f"{url}/")
        if entry["error"]:
            entry["error"] = f"{url}/{entry['error']}"
    made = entries("objects.jsonl")
    for entry in made:
        for key in ("input", "output"):
            assert entry[key].startswith(f"{url}/")
            entry[key] = entry[key].removeprefix(f"{url}/")
    assert made == files
    assert list(Path("tmp").iterdir()) == []

    # A second time, nothing is made, whether outputs are looked up or listed.
    before = Path("objects.jsonl").read_bytes()
    for few in (objects.FEW, 1):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(objects, "FEW", few)
            assert call(*run, "--json") == 1
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert [line.get("skipped") for line in lines].count(True) == len(NAMES) - 1
        assert all(line["output"].startswith(f"{url}/out/") for line in lines)
    assert Path("objects.jsonl").read_bytes().startswith(before)
    assert len(entries("objects.jsonl")) == len(made) + 2  # the broken one, twice more

    # Other settings are made again, by the manifest.
    assert call(*run[:-2], "--manifest", "objects.jsonl", "--color-fix", "mean", "-q") == 1
    assert server.tree(bucket, "out").keys() == tree("out").keys()
    assert server.tree(bucket, "out") != tree("out")


def test_shards_are_those_of_files(bucket: str, server: Server, call: Call) -> None:
    assert call("upscale", "in", "-r", "-o", "out", "-q") == 1
    seen = []
    for number in (2, 1, 3):
        at = ["--shard", f"{number}/3", "-q", "--manifest"]
        call("upscale", "in", "-r", "-o", f"local{number}", *at, f"l{number}.jsonl")
        call("upscale", f"s3://{bucket}/in/", "-r", "-o", f"s3://{bucket}/out/", *at, f"{number}.j")
        names = [entry["input"] for entry in entries(f"{number}.j")]
        files = [entry["input"] for entry in entries(f"l{number}.jsonl")]
        start = len(f"s3://{bucket}/in/")
        assert [name[start:] for name in names] == [
            str(Path(file).relative_to(Path("in").absolute())) for file in files
        ]
        seen += names
    assert len(set(seen)) == len(seen) == len(NAMES)  # the broken one, and not the hidden one
    assert server.tree(bucket, "out") == tree("out")


def test_ways_to_name_inputs_and_outputs(bucket: str, server: Server, call: Call) -> None:
    url = f"s3://{bucket}"
    assert call("upscale", "in", "-r", "-o", "out", "-q") == 1
    wanted = tree("out")

    def made(*arguments: str) -> dict[str, bytes]:
        folder = f"o{len(server.tree(bucket))}"
        assert call("upscale", *arguments, "-q", "-o", f"{url}/{folder}/") == 0
        return server.tree(bucket, folder)

    assert made(f"{url}/in/ü/**/*.png") == {
        name.removeprefix("ü/"): body
        for name, body in wanted.items()
        if name.startswith("ü/") and name.endswith(".png")
    }
    assert made(f"{url}/in/f?.png") == {"f#.png": wanted["f#.png"]}
    assert made(f"{url}/in/a.png", f"{url}/in/g.png") == {
        name: wanted[name] for name in ("a.png", "g.png")
    }
    assert made("in/a.png", f"{url}/in/g.png") == {
        name: wanted[name] for name in ("a.png", "g.png")
    }
    # From the store to this machine, by a path and by a URL.
    assert call("upscale", f"{url}/in/a.png", "-o", "one.png", "-q") == 0
    here = Path.cwd().as_uri()
    assert call("upscale", f"{here}/in/b%20b.png", "-o", f"{here}/two.png", "-q") == 0
    assert Path("one.png").read_bytes() == wanted["a.png"]
    assert Path("two.png").read_bytes() == wanted["b b.png"]
    # A file, and results that nobody named.
    assert call("upscale", f"{url}/in/a.png", "-o", f"{url}/x/y.png", "-q") == 0
    assert server.tree(bucket, "x") == {"y.png": wanted["a.png"]}
    assert call("upscale", f"{url}/in/ü", f"{url}/in/g.png", "-q") == 0
    assert server.tree(bucket, "in/ü_x2")["a.png"] == wanted["ü/a.png"]
    assert server.get(f"{bucket}/in/g_x2.png") == wanted["g.png"]


def test_names_that_need_the_size_pages_and_maps(bucket: str, server: Server, call: Call) -> None:
    url = f"s3://{bucket}"
    common = ["-q", "--name", "{stem}_{width}", "--page", "all"]
    for source, goal in (("in/ü", ""), (f"{url}/in/ü", f"{url}/")):
        maps = ["--expert-map", f"{goal}maps/"]
        assert call("upscale", source, "-r", *common, "-o", f"{goal}out", *maps) == 0
    assert server.tree(bucket, "out") == tree("out")
    assert server.tree(bucket, "maps") == tree("maps")
    assert len(tree("maps")) == 3
    for _ in range(2):
        rename = ["--if-exists", "rename", "-q"]
        assert call("upscale", f"{url}/in/a.png", "-o", f"{url}/again/", *rename) == 0
    assert sorted(server.tree(bucket, "again")) == ["a.png", "a_1.png"]
    assert call("upscale", f"{url}/in/a.png", "-o", f"{url}/again/", "--if-exists", "error") == 2


def test_in_place(bucket: str, server: Server, call: Call) -> None:
    assert call("upscale", "in/ü", "-r", "--in-place", "-q", "--manifest", "files.jsonl") == 0
    before = server.tree(bucket, "in/ü")
    run = ["upscale", f"s3://{bucket}/in/ü", "-r", "--in-place", "-q", "--manifest", "m.jsonl"]
    for _ in range(2):  # the second time, the manifest knows them
        assert call(*run) == 0
        assert server.tree(bucket, "in/ü") == tree("in/ü") != before
    assert len(entries("m.jsonl")) == 3


def test_only_pictures_in_work_take_room(bucket: str, model: Upscaler) -> None:
    held = []

    class Count(Recorder):
        def progress(self, number: int, share: float) -> None:
            (scratch,) = Path("tmp").iterdir()
            held.append(sum(1 for path in scratch.iterdir() if path.is_dir()))

    listener = Count()
    options = FolderOptions(recursive=True)
    summary = run_folder(
        f"s3://{bucket}/in", f"s3://{bucket}/out", TWICE, model, options=options, listener=listener
    )
    assert summary.done == len(NAMES) - 1
    assert summary.failed == 1
    assert 1 <= max(held) <= 4  # one read, one computed, one written, and one that waits
    assert list(Path("tmp").iterdir()) == []
    done = [outcome.to_dict() for outcome in listener.outcomes]
    assert all(one["input"].startswith(f"s3://{bucket}/in/") for one in done)


def test_what_fails_leaves_nothing(
    bucket: str, server: Server, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"s3://{bucket}"

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ObjectStore, "put", stop)
        assert call("upscale", f"{url}/in/a.png", "-o", f"{url}/out/", "-q") == 130
    assert server.tree(bucket, "out") == {}
    assert list(Path("tmp").iterdir()) == []
    large = Path("large.png")
    large.write_bytes(bytes(range(256)) * (1 << 16))  # 16 MiB, so that it goes in parts
    store = ObjectStore(ObjectUrl("s3", bucket))
    store.put(large, ObjectUrl("s3", bucket, "large.png"))
    assert server.get(f"{bucket}/large.png") == large.read_bytes()


def test_refusals(
    bucket: str,
    server: Server,
    call: Call,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = f"s3://{bucket}"
    server.put(f"{bucket}odd")
    server.put(f"{bucket}odd/x//y.png", b"")
    cases: list[tuple[list[str], int, str]] = [
        (["s3://missing-bucket/in", "-o", "out/"], 2, "no bucket missing-bucket"),
        (["in/a.png", "-o", "s3://missing-bucket/out/"], 2, "no bucket missing-bucket"),
        ([f"{url}/none.png", "-o", "out/"], 1, f"{url}/none.png does not exist"),
        ([f"{url}/in/no*.png", "-o", "out/"], 2, f"Nothing matches {url}/in/no*.png"),
        ([f"{url}/in", "-r", "-o", f"{url}/in"], 2, f"{url}/in is input and output at once"),
        ([url, "-r"], 2, f"{url} has no folder above it"),
        ([f"{url}odd", "-r", "-o", "out/"], 1, f"{url}odd cannot be listed, because an object"),
        ([f"{url}/in/a.png", "-o", "-"], 2, "give --format"),
        (["in/a.png", "--manifest", f"{url}/m.jsonl"], 2, "name a file of this machine"),
    ]
    monkeypatch.setattr(sys, "stdin", Stdin(b""))
    for arguments, code, words in cases:
        assert call("upscale", *arguments) == code, arguments
        said = one_sentence(capsys)
        assert words in said
    assert not Path("out").exists()
    assert list(Path("tmp").iterdir()) == []


def test_manifests_are_checked_in_the_store(
    bucket: str, server: Server, call: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"s3://{bucket}"
    assert call("upscale", f"{url}/in/ü", "-r", "-o", f"{url}/out", "-q", "--manifest", "m") == 0
    assert main(["manifest", "check", "m"]) == 0
    server.put(f"{bucket}/out/a.png", b"another")
    server.delete(f"{bucket}/out/c.jpg")
    capsys.readouterr()
    for flags, wrong in ((["--no-checksums"], ["missing"]), ([], ["changed", "missing"])):
        assert main(["manifest", "check", "m", "--json", *flags]) == 1
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert sorted(line["kind"] for line in lines[:-1]) == wrong
        assert all(line["output"].startswith(f"{url}/out/") for line in lines[:-1])
