"""Pictures from standard input and to standard output."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import pixperts
from pixperts.inference.upscaler import Upscaler
from tests.helpers.command_line import Stdin, names, noise, picture


@pytest.fixture
def pipe(
    here: Path, upscale: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., int]:
    def run(data: bytes, *arguments: object, terminal: bool = False) -> int:
        monkeypatch.setattr(sys, "stdin", Stdin(data, terminal))
        monkeypatch.setattr("tempfile.tempdir", str(here))
        return upscale(*arguments)

    return run


def decoded(data: bytes) -> tuple[str | None, np.ndarray]:
    with Image.open(io.BytesIO(data)) as image:
        return image.format, np.asarray(image)


def test_through_both_pipes(
    here: Path, pipe: Callable[..., int], weights: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    data = picture(here / "a.png").read_bytes()
    assert pipe(data, "-", "-o", "-", "--format", "tiff") == 0
    out, err = capfdbinary.readouterr()
    kind, pixels = decoded(out)
    assert kind == "TIFF"
    expected = Upscaler.load(weights, device="cpu").upscale(noise(8, 10), scale=2)
    np.testing.assert_array_equal(pixels, expected)
    assert err.startswith(b"standard input -> standard output: 10 x 8 -> 20 x 16, ")
    assert names(here) == ["a.png"]  # nothing temporary is left


def test_the_format_of_the_input_by_default(
    here: Path, pipe: Callable[..., int], capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    for name, kind in (("a.webp", "WEBP"), ("a.jpg", "JPEG"), ("a.png", "PNG")):
        assert pipe(picture(here / name).read_bytes(), "-") == 0
        assert decoded(capfdbinary.readouterr().out)[0] == kind
    buffer = io.BytesIO()
    Image.fromarray(noise(8, 10)).save(buffer, "GIF")
    assert pipe(buffer.getvalue(), "-") == 0
    assert decoded(capfdbinary.readouterr().out)[0] == "PNG"


def test_one_end_alone(
    here: Path, pipe: Callable[..., int], capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    source = picture(here / "a.png")
    assert pipe(b"", source, "-o", "-", "--quiet") == 0
    out, err = capfdbinary.readouterr()
    assert decoded(out)[1].shape == (16, 20, 3)
    assert err == b""
    assert pipe(source.read_bytes(), "-", "-o", "b.png") == 0
    assert decoded((here / "b.png").read_bytes())[1].shape == (16, 20, 3)
    assert pipe(source.read_bytes(), "-i", "-", source, "-o", "out") == 0
    assert names(here / "out") == ["a.png", "stdin.png"]


def test_json_leaves_the_picture_alone(
    here: Path, pipe: Callable[..., int], capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert pipe(picture(here / "a.png").read_bytes(), "-", "--json") == 0
    out, err = capfdbinary.readouterr()
    assert decoded(out)[1].shape == (16, 20, 3)
    entry = json.loads(err)
    assert (entry["input"], entry["output"]) == ("standard input", "standard output")


@pytest.mark.parametrize(
    ("data", "options", "code", "words"),
    [
        (b"", ["-"], 1, "Standard input is empty: pipe a picture into it."),
        (b"words", ["-"], 1, "standard input holds no JPEG"),
        (b"\x89PNG\r\n\x1a\n....", ["-"], 1, "standard input "),
        (b"x" * 3000, ["-", "--max-memory", "2K"], 1, "holds more than 0.002 MB: name a file"),
        (b"x", ["-", "-"], 2, "Standard input holds one picture"),
        (b"x", ["-", "a.png", "-o", "-"], 2, "Standard output takes one picture"),
        (b"x", ["-", "a.png"], 2, "has no name: name a folder with -o"),
        (b"x", ["-", "--in-place"], 2, "cannot be used with standard input"),
        (b"x", ["a.png", "-o", "-", "--manifest", "m.jsonl"], 2, "--manifest records files"),
        (b"x", ["a.png", "-o", "-", "--format", "bmp"], 2, "--format is 'bmp', which is unknown"),
        (b"x", ["none.png", "-o", "-"], 1, "none.png does not exist"),
    ],
)
def test_refusals(
    data: bytes,
    options: list[str],
    code: int,
    words: str,
    here: Path,
    pipe: Callable[..., int],
    capfd: pytest.CaptureFixture[str],
) -> None:
    picture(here / "a.png")
    assert pipe(data, *options) == code
    out, err = capfd.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert words in err
    assert "pixperts-" not in err  # the temporary file is called what it stands for
    assert names(here) == ["a.png"]


def test_terminals(
    here: Path,
    pipe: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = picture(here / "a.png")
    assert pipe(b"", "-", terminal=True) == 2
    assert "Nothing is piped in" in capsys.readouterr().err
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert pipe(b"", source, "-o", "-") == 2
    assert "cannot be shown in a terminal" in capsys.readouterr().err


@pytest.mark.slow
def test_a_reader_that_goes_away(here: Path, weights: Path) -> None:
    source = picture(here / "a.png", 200, 200)
    environment = {**os.environ, "PYTHONPATH": str(Path(pixperts.__file__).parents[1])}
    with subprocess.Popen(
        [sys.executable, "-m", "pixperts", "upscale", source, "-m", weights, "-o", "-"],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        lines = process.stderr.read().decode().splitlines()
        assert process.wait() == 1
    assert lines[-1] == "The picture could not be written to standard output (Broken pipe)."


@pytest.mark.slow
@pytest.mark.parametrize(("line", "code"), [(["models", "--json"], 141), (["formats"], 1)])
def test_a_reader_that_ends_early_is_no_failure_of_ours(line: list[str], code: int) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    program = [sys.executable, "-m", "pixperts", *line]
    done = subprocess.run(program, stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert (done.returncode, done.stderr) == (code, "")  # tables come from rich, which says 1
