"""What `pixperts upscale` makes of files and folders."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pixperts.cli.app import main
from pixperts.errors import UsageError, explain
from pixperts.inference.upscaler import Upscaler
from pixperts.io.image import read_image, write_image
from pixperts.models.moeisr.model import MoEISR
from tests.helpers.command_line import MIXTURE, names, noise, one_sentence, picture


def test_one_file_in_one_file_out(
    tmp_path: Path, upscale: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = picture(tmp_path / "a.png"), tmp_path / "new" / "b.png"
    assert upscale(source, "-o", target, "-s", 2.5) == 0
    line = one_sentence(capsys)
    assert line.startswith(f"{source} -> {target}: 10 x 8 -> 25 x 20, ")
    assert "mean cost 0." in line
    result = read_image(target)
    assert result.pixels.shape == (20, 25, 3)
    assert names(target.parent) == ["b.png"]  # nothing temporary is left


def test_the_file_is_what_the_library_returns(
    tmp_path: Path, upscale: Callable[..., int], weights: Path
) -> None:
    target = tmp_path / "b.tif"
    pixels = noise(6, 7, 4, np.uint16)
    write_image(tmp_path / "a.tif", pixels)
    assert upscale(tmp_path / "a.tif", "-o", target, "--size", "16x9", "--budget", 0.5) == 0
    expected = Upscaler.load(weights, device="cpu").upscale(pixels, size=(16, 9), budget=0.5)
    assert read_image(target).pixels.dtype == np.uint16
    np.testing.assert_array_equal(read_image(target).pixels, expected)


@pytest.mark.parametrize(
    ("options", "size"),
    [
        (["-s", "1.5"], (15, 12)),
        (["--size", "17x3"], (17, 3)),
        (["--width", "20"], (20, 16)),
        (["--height", "24"], (30, 24)),
        (["--long-side", "5"], (5, 4)),
        (["--short-side", "12"], (15, 12)),
        (["--megapixels", "0.002"], (50, 40)),
    ],
)
def test_every_way_to_say_how_large(
    options: list[str], size: tuple[int, int], tmp_path: Path, upscale: Callable[..., int]
) -> None:
    assert upscale(picture(tmp_path / "a.png"), "-o", tmp_path / "b.png", *options) == 0
    result = read_image(tmp_path / "b.png")
    assert (result.width, result.height) == size


def test_a_folder_keeps_names_and_formats(
    tmp_path: Path, upscale: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = tmp_path / "in", tmp_path / "out"
    for name in ("b.webp", "a.jpg", "C.PNG", "d.tif"):
        picture(source / name)
    (source / "notes.txt").write_text("no picture")
    picture(source / "deeper" / "e.png")
    assert upscale(source, "-o", target, "-s", 2, "--quality", 80) == 0
    lines = capsys.readouterr().err.splitlines()
    remark, cure = lines[0].rsplit(". ", 1)
    assert remark == f"{source}: skipped 2 entries that are not pictures"
    assert cure == "-r also takes the pictures in its subfolders."
    assert [Path(line.split(" -> ")[0]).name for line in lines[1:]] == [
        "C.PNG", "a.jpg", "b.webp", "d.tif",
    ]  # fmt: skip
    assert names(target) == ["C.PNG", "a.jpg", "b.webp", "d.tif"]
    formats = {name: read_image(target / name).format for name in names(target)}
    assert formats == {"C.PNG": "png", "a.jpg": "jpeg", "b.webp": "webp", "d.tif": "tiff"}


def test_a_picture_without_suffix_keeps_its_format(
    tmp_path: Path, upscale: Callable[..., int]
) -> None:
    picture(tmp_path / "a.png").rename(tmp_path / "a")
    assert upscale(tmp_path / "a", "-o", f"{tmp_path / 'out'}/", "-s", 2) == 0
    assert read_image(tmp_path / "out" / "a").format == "png"


def test_json_lines(
    tmp_path: Path, upscale: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = picture(tmp_path / "a.png"), tmp_path / "none.png"
    out = tmp_path / "out"
    assert upscale(good, bad, "-o", out, "-s", 2, "--budget", 1, "--json") == 1
    captured = capsys.readouterr()
    first, second = map(json.loads, captured.out.splitlines())
    assert first.pop("seconds") >= 0
    model = MoEISR(MIXTURE)
    assert first == {
        "input": str(good),
        "output": str(out / "a.png"),
        "width": 10,
        "height": 8,
        "new_width": 20,
        "new_height": 16,
        "model": "small",
        "mean_cost": 1.0,
        "shares": [0.0, 1.0],
        "multiply_adds": model.multiply_adds((8, 10), (16, 20), (0.0, 1.0))["total"],
        "megapixels": 0.00032,
        "method": "network",
        "network": None,
        "notes": [],
    }
    assert second.keys() == {"input", "output", "error"}
    assert second["error"] == captured.err.strip() == f"{bad} does not exist: check the name."


def test_a_dense_model_has_no_shares(
    tmp_path: Path, dense: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["upscale", str(picture(tmp_path / "a.png")), "-o", str(tmp_path / "b.png"), "-s", "2"]
    assert main([*line, "-m", str(dense), "--json"]) == 0
    entry = json.loads(capsys.readouterr().out)
    assert entry["mean_cost"] is None
    assert entry["shares"] is None
    for extra in (["--budget", "0.5"], ["--expert-map", str(tmp_path / "c.png")]):
        assert main([*line, "-m", str(dense), *extra]) == 2
        assert f"single expert: leave {extra[0]} out" in one_sentence(capsys)


def test_expert_maps(tmp_path: Path, upscale: Callable[..., int]) -> None:
    a, b = picture(tmp_path / "a.png"), picture(tmp_path / "b.jpg")
    maps = tmp_path / "maps"
    assert upscale(a, b, "-o", tmp_path / "out", "-s", 2, "--expert-map", maps) == 0
    assert names(maps) == ["a_experts.png", "b_experts.png"]
    chart = tmp_path / "chart.png"
    assert upscale(a, "-o", tmp_path / "c.png", "-s", 2, "--budget", 0, "--expert-map", chart) == 0
    pixels = read_image(chart).pixels
    assert pixels.shape[1] == 20
    assert (pixels[:16] == [68, 1, 84]).all()  # budget 0: the first expert everywhere


def test_quiet_says_nothing(
    tmp_path: Path, upscale: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    picture(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "notes.txt").write_text("no picture")
    assert upscale(tmp_path / "in", "-o", tmp_path / "out", "-s", 2, "-q") == 0
    assert capsys.readouterr() == ("", "")


# Bad pictures: each costs one sentence and itself only


def test_bad_pictures_among_good_ones(
    tmp_path: Path, upscale: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    picture(folder / "a.png")
    (folder / "b.png").write_text("these are words")
    whole = picture(tmp_path / "whole.jpg", 64, 64).read_bytes()
    (folder / "c.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "d.png").touch()
    picture(folder / "e.png")
    assert upscale(folder, "-o", out, "-s", 2) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 5
    assert "holds no" in lines[1]
    assert "cut short" in lines[2]
    assert "is empty (0 bytes)" in lines[3]
    for line, name in zip(lines, "abcde", strict=True):
        assert str(folder / name) in line
    assert names(out) == ["a.png", "e.png"]


@pytest.mark.parametrize(
    ("name", "options", "reason"),
    [
        ("b.jpg", ["--width", "65501"], "holds at most 65500 per side"),
        ("b.webp", ["--height", "16384"], "holds at most 16383 per side"),
        ("b.png", ["--size", "1000000x1000000"], "GB are free"),
        ("b.png", ["-s", "200000"], "over the limit of 1000000 per side"),
    ],
)
def test_results_too_large(
    name: str,
    options: list[str],
    reason: str,
    tmp_path: Path,
    upscale: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = picture(tmp_path / "a.png", 2, 10)
    assert upscale(source, "-o", tmp_path / name, *options) == 1
    assert reason in one_sentence(capsys)
    assert names(tmp_path) == ["a.png"]


def test_nothing_is_computed_for_an_output_that_cannot_be_written(
    tmp_path: Path,
    upscale: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("the work was begun")

    monkeypatch.setattr(Upscaler, "upscale_rows", refuse)
    source = picture(tmp_path / "a.png")
    assert upscale(source, "-o", source / "below" / "b.png", "-s", 2) == 1
    assert f"{source} is not a folder" in one_sentence(capsys)
    chart = source / "below" / "c.png"
    assert upscale(source, "-o", tmp_path / "b.png", "-s", 2, "--expert-map", chart) == 1
    assert f"{source} is not a folder" in one_sentence(capsys)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError(), "there is not enough memory"),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), "not enough memory"),
        (RuntimeError("sizes\ndiffer"), "failed unexpectedly (RuntimeError: sizes differ)"),
        (UsageError("A result is too large."), "A result is too large."),
    ],
)
def test_a_failure_inside_the_network_costs_one_picture(
    error: Exception,
    words: str,
    tmp_path: Path,
    upscale: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = Upscaler.upscale_rows

    def sometimes(self: Upscaler, source: Any, *rest: Any, **options: Any) -> Any:
        if source.height == 8:
            raise error
        return real(self, source, *rest, **options)

    monkeypatch.setattr(Upscaler, "upscale_rows", sometimes)
    bad, good = picture(tmp_path / "a.png", 8), picture(tmp_path / "b.png", 9)
    assert upscale(bad, good, "-o", tmp_path / "out", "-s", 2) == 1
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith(f"{bad}: ")
    assert words in first
    assert second.startswith(f"{good} -> ")
    assert names(tmp_path / "out") == ["b.png"]


def test_explain_does_not_name_the_picture_twice() -> None:
    assert explain(Path("a.png"), UsageError("a.png is odd.")) == "a.png is odd."


def test_interrupting_exits_with_130(
    tmp_path: Path,
    upscale: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Upscaler, "upscale_rows", interrupt)
    assert upscale(picture(tmp_path / "a.png"), "-o", tmp_path / "b.png", "-s", 2) == 130
    assert one_sentence(capsys) == "Interrupted; finished files are kept."
    assert names(tmp_path) == ["a.png"]
