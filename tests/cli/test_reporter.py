"""What is printed of a run is one harmless line a sentence, whatever files are called."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import pixperts
from pixperts.errors import explain
from pixperts.jobs.reports import UpscaleReport
from tests.helpers.folder_jobs import picture

EVIL = "two\nlines  and \x1b[31m\u202e"
SHOWN = "two\\nlines  and \\x1b[31m\\u202e"


@pytest.mark.parametrize("command", ["upscale", "restore"])
def test_results_are_one_line_a_picture(
    command: str, here: Path, call: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    for name in (f"{EVIL}.png", "b.png"):
        picture(f"in {EVIL}/{name}")
    Path(f"in {EVIL}/words").write_text("no picture")
    assert call(command, f"in {EVIL}", "-o", f"out {EVIL}") == 0
    skipped, *told = capsys.readouterr().err.splitlines()
    assert skipped == f"in {SHOWN}: skipped 1 entry that is not a picture."
    assert len(told) == 2
    assert told[1].startswith(f"in {SHOWN}/{SHOWN}.png -> out {SHOWN}/{SHOWN}.png: 8 x 6")
    assert all(line.isprintable() for line in told)


def test_json_keeps_the_names_in_one_line(
    here: Path, call: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    picture(f"{EVIL}.png")
    assert call("upscale", f"{EVIL}.png", "-o", f"o{EVIL}.png", "--json") == 0
    output = capsys.readouterr().out
    assert output.isascii()
    assert output.count("\n") == 1
    told = json.loads(output)
    assert (told["input"], told["output"]) == (f"{EVIL}.png", f"o{EVIL}.png")


def test_failures_are_one_line_and_name_the_picture_once(
    here: Path, call: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    Path(f"{EVIL}.png").write_text("no picture")
    picture("b.png")
    assert call("upscale", f"{EVIL}.png", "b.png", "-o", "out", "-q") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{SHOWN}.png holds no JPEG")


@pytest.mark.parametrize("error", [MemoryError(), OSError(5, "bad", "\x1b[2J"), ValueError("\x07")])
def test_unforeseen_failures_are_one_line(error: Exception) -> None:
    line = explain(Path(f"{EVIL}.png"), error)
    assert line.startswith(f"{SHOWN}.png: ")
    assert line.isprintable()


def test_notes_are_lines_of_their_own() -> None:
    report = UpscaleReport(
        "a", EVIL, 1, 1, 2, 2, 0.1, "m", None, None, 1.0, 0.0, "network", notes=["x\r", EVIL]
    )
    assert report.to_line().splitlines()[1:] == ["x\\r", SHOWN]


@pytest.mark.parametrize(
    ("network", "words"), [("photo", "network for photos"), ("clean", "network for clean pictures")]
)
def test_the_line_names_the_network_that_was_taken(network: str, words: str) -> None:
    report = UpscaleReport(
        "a", "b", 1, 1, 2, 2, 0.1, "m", None, None, 1.0, 0.0, "network", network
    )  # fmt: skip
    assert report.to_line() == f"a -> b: 1 x 1 -> 2 x 2, 0.1 s, {words}"


@pytest.mark.slow
def test_half_precision_on_a_cpu_is_warned_of(
    here: Path, call: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("in/a.png", "in/b.png"):
        picture(name)
    for command in ("upscale", "restore"):
        told = []
        for more in (["--precision", "bfloat16"], ["--precision", "bfloat16", "-q"], []):
            assert call(command, "in", "-o", "out", "--if-exists", "overwrite", *more) == 0
            told.append([x for x in capsys.readouterr().err.splitlines() if "slower" in x])
        assert told == [
            [
                "--precision bfloat16 is many times slower than float32 for this model or on this "
                "processor: leave it out, or use a GPU."
            ],
            [],
            [],
        ]


@pytest.mark.slow
def test_headers_that_lie_make_no_library_speak(here: Path) -> None:
    data = picture("a.avif", 64, 64).read_bytes()
    width = data.index(b"ispe") + 8  # ISO/IEC 23008-12, 6.5.3: after the version and flags
    Path("a.avif").write_bytes(data[:width] + b"\x7f\xff\xff\xff" + data[width + 4 :])
    command = [sys.executable, "-m", "pixperts", "upscale", "a.avif", "-o", "b.png", "-s", "2"]
    path = os.pathsep.join([str(Path(pixperts.__file__).parents[1]), *sys.path])
    done = subprocess.run(
        [*command, "--device", "cpu"],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("a.avif ")
