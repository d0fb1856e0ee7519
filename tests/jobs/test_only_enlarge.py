"""Mixed folders: what shrinks, what keeps its size, and what is copied as it is."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from pixperts.inference.size_request import SizeRequest
from pixperts.inference.upscaler import Upscaler
from pixperts.jobs import options
from tests.helpers.command_line import names, noise, one_sentence, picture


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


@pytest.fixture
def streaming(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(options, "STREAMED_PIXELS", 100)


@pytest.mark.parametrize(
    ("channels", "suffix", "size"),
    [(3, ".png", "21x13"), (4, ".png", "50x7"), (1, ".tif", "5x60"), (3, ".tif", "41x31")],
)
def test_streamed_pixels_are_those_of_memory(
    channels: int,
    suffix: str,
    size: str,
    here: Path,
    upscale: Callable[..., int],
    weights: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = picture(here / f"a{suffix}", 31, 41, channels)
    assert upscale(source, "-o", f"held{suffix}", "--size", size) == 0
    monkeypatch.setattr(options, "STREAMED_PIXELS", 100)
    assert upscale(source, "-o", f"rows{suffix}", "--size", size) == 0
    held = pixels(here / f"held{suffix}")
    np.testing.assert_array_equal(pixels(here / f"rows{suffix}"), held)
    width, height = map(int, size.split("x"))
    expected = Upscaler.load(weights, device="cpu").upscale(
        noise(31, 41, channels), size=(width, height)
    )
    np.testing.assert_array_equal(held, expected.reshape(held.shape))


def test_a_reduced_picture_says_so(
    here: Path, upscale: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    picture(here / "a.png", 40, 60)
    assert upscale("a.png", "-o", "b.png", "--width", 30, "--expert-map", "map.png") == 0
    line, note = capsys.readouterr().err.splitlines()
    assert "60 x 40 -> 30 x 20" in line
    assert line.endswith("reduced by Lanczos")
    assert note == "No expert worked on a.png, which did not grow, so there is no map."
    assert names(here) == ["a.png", "b.png"]
    assert upscale("a.png", "-o", "c.png", "--width", 30, "--json") == 0
    entry: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert entry["method"] == "lanczos"
    assert entry["multiply_adds"] == 0
    assert entry["shares"] is None
    assert upscale("a.png", "-o", "d.png", "--size", "30x50", "--json") == 0
    assert json.loads(capsys.readouterr().out)["method"] == "both"


def test_only_enlarge_copies_what_is_large_enough(
    here: Path, upscale: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    for name, width in (("small.png", 20), ("equal.jpg", 30), ("large.jpg", 44)):
        picture(here / "in" / name, 10, width)
    before = {path.name: path.read_bytes() for path in (here / "in").iterdir()}
    assert upscale("in", "-o", "out", "--width", 30, "--only-enlarge") == 0
    assert pixels(here / "out" / "small.png").shape == (15, 30, 3)
    for name in ("equal.jpg", "large.jpg"):
        assert (here / "out" / name).read_bytes() == before[name]
    lines = capsys.readouterr().err.splitlines()
    assert [line.endswith("size kept") for line in lines] == [True, True, False]


def test_only_enlarge_has_a_name_of_its_own(here: Path, upscale: Callable[..., int]) -> None:
    picture(here / "a.png", 10, 44)
    assert upscale("a.png", "--width", 30) == 0
    assert upscale("a.png", "--width", 30, "--only-enlarge") == 0
    assert pixels(here / "a_w30.png").shape == (7, 30, 3)
    assert (here / "a_w30_only_enlarge.png").read_bytes() == (here / "a.png").read_bytes()
    assert SizeRequest(scale=2, only_enlarge=True).label == "x2"  # nothing gets smaller anyway
    assert SizeRequest(scale=0.5, only_enlarge=True).label == "x0.5_only_enlarge"


def test_only_enlarge_with_two_sides(here: Path, upscale: Callable[..., int]) -> None:
    source = picture(here / "a.png", 10, 44)
    assert upscale(source, "-o", "b.png", "--size", "40x20", "--only-enlarge") == 0
    assert (here / "b.png").read_bytes() == source.read_bytes()
    assert upscale(source, "-o", "c.png", "--size", "44x20", "--only-enlarge") == 0
    assert pixels(here / "c.png").shape == (20, 44, 3)


def test_another_format_or_option_is_written_anew_with_the_same_pixels(
    here: Path, upscale: Callable[..., int]
) -> None:
    source, text = here / "a.png", PngInfo()
    text.add_text("Comment", "mine")
    Image.fromarray(noise(10, 44)).save(source, pnginfo=text)
    line = [source, "--width", 30, "--only-enlarge"]
    assert upscale(*line, "-o", "b.webp", "--lossless") == 0
    assert upscale(*line, "-o", "c.png", "--strip-metadata") == 0
    for name in ("b.webp", "c.png"):
        assert (here / name).read_bytes() != source.read_bytes()
        np.testing.assert_array_equal(pixels(here / name), noise(10, 44))


def test_what_is_copied_must_be_whole(
    here: Path, upscale: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    whole = picture(here / "a.png", 64, 64).read_bytes()
    (here / "a.png").write_bytes(whole[: len(whole) // 2])
    assert upscale("a.png", "-o", "b.png", "-s", 1) == 1
    assert "cut short" in one_sentence(capsys)
    assert names(here) == ["a.png"]


@pytest.mark.usefixtures("streaming")
def test_large_files_are_copied_and_checked_by_rows(
    here: Path, upscale: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    source = picture(here / "a.png", 64, 64)
    whole = source.read_bytes()
    assert upscale("a.png", "-o", "b.png", "-s", 1) == 0
    assert (here / "b.png").read_bytes() == whole
    stamp = source.stat().st_mtime_ns
    assert upscale("a.png", "-s", 1, "--in-place") == 0
    assert (source.read_bytes(), source.stat().st_mtime_ns) == (whole, stamp)
    source.write_bytes(whole[: len(whole) // 2])
    capsys.readouterr()
    assert upscale("a.png", "-o", "c.png", "-s", 1) == 1
    assert "cut short" in one_sentence(capsys)


@pytest.mark.parametrize("streamed", [False, True])
def test_a_copy_of_a_picture_that_ends_early_says_so(
    streamed: bool,
    here: Path,
    upscale: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if streamed:
        monkeypatch.setattr(options, "STREAMED_PIXELS", 100)
    whole = picture(here / "a.jpg", 200, 200).read_bytes()
    (here / "a.jpg").write_bytes(whole[:-2])
    assert upscale("a.jpg", "-o", "b.jpg", "-s", 1) == 0
    line, note = capsys.readouterr().err.splitlines()
    assert line.endswith("size kept")
    assert note.startswith("a.jpg lacks its end mark")
    assert (here / "b.jpg").read_bytes() == (here / "a.jpg").read_bytes()


def test_all_frames_are_copied(
    here: Path, upscale: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    frames = [Image.fromarray(noise(8, 10 + shift)[:, :10]) for shift in range(2)]
    frames[0].save(here / "a.webp", save_all=True, append_images=frames[1:])
    assert upscale("a.webp", "-o", "b.webp", "-s", 1) == 0
    assert len(capsys.readouterr().err.splitlines()) == 1  # nothing was left out
    with Image.open(here / "b.webp") as copied:
        assert getattr(copied, "n_frames", 1) == 2
