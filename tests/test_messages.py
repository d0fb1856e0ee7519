"""Messages name arguments of Python, and options in the command line."""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import pixperts
from pixperts.app.options import AppOptions
from pixperts.cli.app import main
from pixperts.data.options import PackOptions
from pixperts.errors import PixpertsError, UsageError, named, names_options, naming_options
from pixperts.export.run import export_model
from pixperts.inference.size_request import SizeRequest
from pixperts.jobs.cluster.options import EngineOptions
from pixperts.jobs.operations import Restore, Upscale
from pixperts.jobs.options import FileOptions, FolderOptions, RestoreOptions
from pixperts.jobs.run import run_folder
from pixperts.serve.options import ServeOptions
from pixperts.video.codecs import VideoOptions
from tests.helpers.command_line import picture

SOURCE = Path(pixperts.__file__).parent
# An option of a command line, also one whose name is filled in.
OPTION = re.compile(r"(?<![\w-])(--([a-z]|$)|-[a-z](?![\w-]))")
# Options of other programs: curl, the command of Slurm, npm.
OTHERS = ("curl --data-binary", "--array=1-", "--silent", "--pack-destination")
# Parts that are only for the command line: its own package, starting it from a menu, and where the
# names of options are made.
ONLY_THERE = ("cli/", "integrations/desktop.py", "errors.py", "options.py")


def texts(tree: ast.AST) -> Iterator[ast.Constant]:
    """Texts that may get into a message: no docstrings, no summaries of options for the help."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("option", "Option", "named"):
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node
        yield from texts(node)


def test_no_message_of_the_library_names_an_option_itself() -> None:
    found, seen = [], 0
    for path in sorted(SOURCE.rglob("*.py")):
        if path.relative_to(SOURCE).as_posix().startswith(ONLY_THERE):
            continue
        for text in texts(ast.parse(path.read_text(encoding="utf-8"))):
            seen += 1
            value = str(text.value)
            if OPTION.search(value) and not any(other in value for other in OTHERS):
                found.append(f"{path.relative_to(SOURCE)}:{text.lineno}: {value}")
    assert seen > 5000
    assert found == []


def test_what_counts_as_an_option() -> None:
    named_in = ["leave --scale out", "--in-place", "give -r", "'-m moeisr-tiny'", "leave --"]
    assert all(OPTION.search(text) for text in named_in)
    assert not any(OPTION.search(text) for text in ["moeisr-photo", "a -- b", "-1", "x-y", "-inf"])


def test_names_and_values() -> None:
    assert named("long_side") == "long_side"
    assert named("target", "onnx", option="--to") == "target='onnx'"
    with naming_options():
        assert names_options()
        assert named("long_side") == "--long-side"
        assert named("target", "onnx", option="--to") == "--to onnx"
        assert named("name", "{stem} x") == "--name '{stem} x'"
        with naming_options(False):
            assert named("long_side") == "long_side"
        assert named("long_side") == "--long-side"
    assert not names_options()


CASES: list[tuple[str, Callable[[], Any], str]] = [
    ("scale", lambda: SizeRequest(scale=-1), "--scale"),
    ("long_side", lambda: SizeRequest(long_side=0), "--long-side"),
    ("scale and width", lambda: SizeRequest(scale=2, width=9), "--scale and --width"),
    ("strength", lambda: RestoreOptions(strength=2), "--strength"),
    ("max_pixels", lambda: FileOptions(max_pixels=0), "--max-pixels"),
    ("page", lambda: FileOptions(page="first"), "--page"),
    ("crf", lambda: VideoOptions(crf=99), "--crf"),
    ("if_exists", lambda: FolderOptions(if_exists="ask"), "--if-exists"),
    ("leave if_exists", lambda: FolderOptions(in_place=True, if_exists="skip"),
     "leave --if-exists"),
    ("name='a/b'", lambda: FolderOptions(name="a/b"), "--name a/b"),
    ("shard", lambda: FolderOptions(shard="9/3"), "--shard"),
    ("engine='ray'", lambda: EngineOptions(threads=2), "--engine ray"),
    ("less than crop", lambda: PackOptions(overlap=2), "less than --crop"),
    ("target", lambda: export_model("moeisr-tiny", "tflite"), "--to"),  # type: ignore[arg-type]
    ("part", lambda: export_model("moeisr-photo", "onnx", part="tone"), "--part"),
    ("give token", lambda: ServeOptions(host="0.0.0.0").check_access(), "give --token"),
    ("give auth", lambda: AppOptions(host="0.0.0.0"), "give --auth"),
]  # fmt: skip


@pytest.mark.parametrize(("argument", "call", "option"), CASES, ids=[one[0] for one in CASES])
def test_the_same_mistake_in_both(argument: str, call: Callable[[], Any], option: str) -> None:
    with pytest.raises(PixpertsError) as caught:
        call()
    assert argument in str(caught.value)
    assert "--" not in str(caught.value)
    with naming_options(), pytest.raises(PixpertsError) as caught:
        call()
    assert option in str(caught.value)


def test_runs_from_python_and_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    picture(tmp_path / "a.png")
    with pytest.raises(UsageError, match=r"^in_place replaces the inputs: leave output='b' out"):
        run_folder("a.png", "b", Restore(), "moce-ir-tiny", options=FolderOptions(in_place=True))
    assert main(["restore", "a.png", "--in-place", "-o", "b", "-m", "moce-ir-tiny"]) == 2
    said = capsys.readouterr().err
    assert said == "--in-place replaces the inputs: leave --output b out.\n"
    assert main(["upscale", "a.png", "--page", "first"]) == 2
    assert "--page is 'first'" in capsys.readouterr().err
    assert not names_options()
    operation = Upscale(SizeRequest(), files=FileOptions(max_pixels=10))
    summary = run_folder("a.png", "b.png", operation, "moeisr-tiny")
    assert summary.failed == 1
