"""What the commands take for granted: names beside the inputs, twice as large, in place."""

import hashlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from pixperts.cli.app import main
from pixperts.inference.upscaler import Upscaler
from pixperts.io.encoders import foreign
from pixperts.io.image import read_image, write_image
from pixperts.io.lossless import is_lossless
from pixperts.jobs import options
from tests.helpers.command_line import names, noise, one_sentence, picture


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def test_twice_as_large_beside_the_picture(
    tmp_path: Path, upscale: Callable[..., int], weights: Path
) -> None:
    source = picture(tmp_path / "a.png")
    assert upscale(source) == 0
    assert names(tmp_path) == ["a.png", "a_x2.png"]
    expected = Upscaler.load(weights, device="cpu").upscale(noise(8, 10), scale=2)
    np.testing.assert_array_equal(pixels(tmp_path / "a_x2.png"), expected)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        (["-s", "2.5"], "a_x2.5.png"),
        (["-s", "3x"], "a_x3.png"),
        (["-s", "x1.5"], "a_x1.5.png"),
        (["-s", "150%"], "a_x1.5.png"),
        (["--size", "17x30"], "a_17x30.png"),
        (["--width", "20"], "a_w20.png"),
        (["--height", "24"], "a_h24.png"),
        (["--long-side", "15"], "a_long15.png"),
        (["--short-side", "12"], "a_short12.png"),
        (["--megapixels", "0.002"], "a_0.002mp.png"),
        (["--format", "webp"], "a_x2.webp"),
        (["--name", "{stem}-big"], "a-big.png"),
    ],
)
def test_names_beside_the_input(
    options: list[str], name: str, tmp_path: Path, upscale: Callable[..., int]
) -> None:
    source = picture(tmp_path / "a.png")
    assert upscale(source, *options) == 0
    assert names(tmp_path) == sorted(["a.png", name])


def test_restored_beside_the_input(
    tmp_path: Path, call: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    source = picture(tmp_path / "a.jpg", 24, 32)
    assert call("restore", source) == 0
    assert names(tmp_path) == ["a.jpg", "a_restored.jpg"]
    assert one_sentence(capsys).startswith(f"{source} -> {tmp_path / 'a_restored.jpg'}: ")


def test_what_exists_is_kept_and_said(
    tmp_path: Path, upscale: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    source = picture(tmp_path / "a.png")
    (tmp_path / "a_x2.png").write_text("mine")
    assert upscale(source) == 0
    assert "1 output existed and was kept; --if-exists overwrite" in one_sentence(capsys)
    assert (tmp_path / "a_x2.png").read_text() == "mine"
    assert upscale(source, "--if-exists", "error") == 2
    capsys.readouterr()
    assert upscale(source, "--if-exists", "overwrite") == 0
    assert pixels(tmp_path / "a_x2.png").shape == (16, 20, 3)


def test_a_link_under_the_name_is_not_written_through(
    tmp_path: Path, upscale: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    source = picture(tmp_path / "a.png")
    (tmp_path / "a_x2.png").symlink_to(tmp_path / "elsewhere.png")
    assert upscale(source) == 1
    assert "is a symbolic link" in one_sentence(capsys)
    assert not (tmp_path / "elsewhere.png").exists()


def test_results_of_an_earlier_run_are_no_inputs(
    here: Path, upscale: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    picture(here / "a.png")
    picture(here / "b.png", 9)
    assert upscale("a.png", "b.png") == 0
    capsys.readouterr()
    for line in (["a.png", "a_x2.png", "b.png", "b_x2.png"], ["*.png"]):
        assert upscale(*line) == 0
        assert names(here) == ["a.png", "a_x2.png", "b.png", "b_x2.png"]
        first, second = capsys.readouterr().err.splitlines()
        assert first == "2 inputs were left out: by their names, they are results of other inputs."
        assert "2 outputs existed and were kept" in second


def test_a_folder_becomes_a_folder_beside_it(here: Path, upscale: Callable[..., int]) -> None:
    picture(here / "photos" / "a.png")
    picture(here / "photos" / "deep" / "b.png", 9)
    for _ in range(2):
        assert upscale("photos", "-r") == 0
        assert names(here) == ["photos", "photos_x2"]
        assert names(here / "photos_x2") == ["a.png", "deep"]
    assert pixels(here / "photos_x2" / "deep" / "b.png").shape == (18, 20, 3)
    os.chdir("photos")
    assert upscale(".", "-s", 3) == 0
    assert names(here) == ["photos", "photos_x2", "photos_x3"]
    assert names(here / "photos") == ["a.png", "deep"]


def test_inputs_as_other_tools_take_them(here: Path, upscale: Callable[..., int]) -> None:
    picture(here / "a.png")
    picture(here / "b.png", 9)
    assert upscale("-i", "a.png", "-o", "c.png") == 0
    assert upscale("--input=a.png", "--input", "b.png", "-o", "out") == 0
    assert pixels(here / "c.png").shape == (16, 20, 3)
    assert names(here / "out") == ["a.png", "b.png"]


def test_options_of_another_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["restore", "a.png", "--scale", "4"]) == 2
    line = one_sentence(capsys)
    assert line.startswith("'restore' has no option '--scale', but 'pixperts upscale' has: ")
    assert main(["restore", "a.png", "-s", "4"]) == 2
    assert "'pixperts upscale' has: factor" in one_sentence(capsys)
    assert main(["upscale", "a.png", "--strength=0.5"]) == 2
    assert "'pixperts restore' has" in one_sentence(capsys)


# In place


def test_in_place(tmp_path: Path, upscale: Callable[..., int], weights: Path) -> None:
    source = picture(tmp_path / "a.png")
    source.chmod(0o640)
    assert upscale(source, "--in-place") == 0
    assert names(tmp_path) == ["a.png"]
    expected = Upscaler.load(weights, device="cpu").upscale(noise(8, 10), scale=2)
    np.testing.assert_array_equal(pixels(source), expected)
    assert source.stat().st_mode & 0o777 == 0o640


def test_in_place_keeps_the_format_whatever_the_name(
    tmp_path: Path, upscale: Callable[..., int]
) -> None:
    source = picture(tmp_path / "a.png").rename(tmp_path / "a.jpg")
    assert upscale(source, "--in-place") == 0
    with Image.open(source) as image:
        assert (image.format, image.size) == ("PNG", (20, 16))


def test_in_place_is_refused_where_something_would_be_lost(
    tmp_path: Path, upscale: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    frames = [Image.fromarray(noise(8, 10 + shift)[:, :10]) for shift in range(2)]
    for name, words in (
        ("a.gif", "is GIF, which cannot be written"),
        ("a.tif", "holds 2 pictures, and only one would be left"),
        ("a.webp", "holds 2 pictures, and only one would be left"),
    ):
        path = tmp_path / name
        frames[0].save(path, save_all=True, append_images=frames[1:])
        before = path.read_bytes()
        assert upscale(path, "--in-place") == 1
        assert words in one_sentence(capsys)
        assert path.read_bytes() == before


def test_a_failure_in_place_leaves_the_picture(
    tmp_path: Path,
    upscale: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    source = picture(tmp_path / "a.png")
    before = source.read_bytes()
    monkeypatch.setattr("pixperts.io.atomic.sync", refuse)
    assert upscale(source, "--in-place") == 1
    assert "could not be written" in one_sentence(capsys)
    assert source.read_bytes() == before
    assert names(tmp_path) == ["a.png"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["-o", "b.png"], "leave --output b.png out"),
        (["--name", "{stem}"], "leave --name out"),
        (["--format", "png"], "leave --format out"),
        (["--if-exists", "skip"], "leave --if-exists out"),
    ],
)
def test_in_place_alone(
    options: list[str],
    words: str,
    here: Path,
    upscale: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    picture(here / "a.png")
    assert upscale("a.png", "--in-place", *options) == 2
    assert words in one_sentence(capsys)


def test_in_place_with_a_manifest_is_done_once(
    here: Path, upscale: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    picture(here / "a.png")
    line = ["a.png", "--in-place", "--manifest", "done.jsonl"]
    assert upscale(*line) == 0
    once = (here / "a.png").read_bytes()
    entry = json.loads((here / "done.jsonl").read_text())
    assert entry["output_sha256"] == hashlib.sha256(once).hexdigest()
    capsys.readouterr()
    assert upscale(*line) == 0
    assert "1 picture was done before" in one_sentence(capsys)
    assert (here / "a.png").read_bytes() == once
    picture(here / "a.png", 9)  # another picture under the name
    assert upscale(*line) == 0
    assert pixels(here / "a.png").shape == (18, 20, 3)


def test_a_format_of_an_extra_becomes_a_png_beside_it(
    here: Path, upscale: Callable[..., int], weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels_in = noise(8, 10)
    Image.fromarray(pixels_in).save(here / "a.bmp")
    assert upscale("a.bmp") == 0
    expected = Upscaler.load(weights, device="cpu").upscale(pixels_in, scale=2)
    np.testing.assert_array_equal(pixels(here / "a_x2.png"), expected)
    monkeypatch.setattr(options, "STREAMED_PIXELS", 10)
    assert upscale("a.bmp", "-o", "b.png") == 0
    np.testing.assert_array_equal(pixels(here / "b.png"), expected)


def test_a_missing_extra_costs_its_picture_only(
    here: Path,
    upscale: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Image.fromarray(noise(8, 10)).save(here / "a.bmp")
    picture(here / "b.png")
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert upscale("a.bmp", "b.png", "-o", "out") == 1
    first, _ = capsys.readouterr().err.splitlines()
    assert first == "a.bmp is BMP, which needs an extra: pip install 'pixperts[bmp]'."
    assert names(here / "out") == ["b.png"]


def test_what_cannot_be_written_becomes_png(here: Path, upscale: Callable[..., int]) -> None:
    image = noise(16, 20)
    Image.fromarray(image).save(here / "a.tga")
    assert upscale("a.tga", "-s", 1) == 0
    np.testing.assert_array_equal(pixels(here / "a_x1.png"), image)
    assert upscale("a.tga", "-s", 1, "-o", "out/") == 0
    assert names(here / "out") == ["a.png"]


@pytest.mark.parametrize(
    ("name", "ending"),
    [
        ("a.heic", ".heic"),
        ("a.hif", ".hif"),
        ("a.jxl", ".jxl"),
        ("a.j2k", ".jp2"),
    ],
)
def test_formats_of_extras_stay_where_they_can_be_written(
    name: str,
    ending: str,
    here: Path,
    upscale: Callable[..., int],
    weights: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    image = noise(16, 20)
    kind = {".hif": "heic", ".j2k": "jp2"}.get(Path(name).suffix, Path(name).suffix[1:])
    write_image(here / name, image, format=kind, lossless=True)
    if name == "a.j2k":
        (here / name).write_bytes(imagecodecs.jpeg2k_encode(image, level=0, reversible=True))
    assert upscale(name) == 0
    expected = Upscaler.load(weights, device="cpu").upscale(image, scale=2)
    result = read_image(here / f"a_x2{ending}")
    assert result.format == kind
    np.testing.assert_array_equal(result.pixels, expected)  # lossless, as the input is
    assert upscale(name, "--quality", 50, "-o", "lossy/") == 0
    assert not is_lossless(here / "lossy" / f"a{ending}", kind)
    assert upscale(name, "--in-place") == 0
    if ending == Path(name).suffix:
        np.testing.assert_array_equal(read_image(here / name).pixels, expected)
    # Where the libraries read but do not write, the result is a PNG.
    monkeypatch.setattr(foreign, "find_spec", lambda name: None)
    assert upscale(name, "-s", 1, "-o", "out/") == 0
    assert names(here / "out") == ["a.png"]


@pytest.mark.parametrize("name", ["b.bmp", "b.gif", "b.jfif", "b.xyz"])
def test_an_output_of_a_format_that_cannot_be_written_is_refused(
    name: str, here: Path, upscale: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    picture(here / "a.png")
    assert upscale("a.png", "-o", name) == 2
    told = one_sentence(capsys)
    assert "use one of" in told or "give it one of these endings" in told
    assert ".heic, .heif, .hif, .jxl, .jp2" in told or "heic, jxl, jp2" in told
    assert names(here) == ["a.png"]


def test_only_what_can_be_written_is_listed(
    here: Path,
    upscale: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(foreign, "find_spec", lambda name: None)
    picture(here / "a.png")
    for line in (["-o", "b.xyz"], ["-o", "b.bmp"], ["--format", "gif"], ["--format", "xyz"]):
        assert upscale("a.png", *line) == 2
        told = one_sentence(capsys)
        assert "jxl" not in told
        assert "jp2" not in told
        assert "webp" in told
    for name in ("jxl", "heic"):
        for line in (["-o", f"b.{name}"], ["--format", name]):
            assert upscale("a.png", *line) == 2
            assert f"needs an extra: pip install 'pixperts[{name}]'" in one_sentence(capsys)
    assert names(here) == ["a.png"]
