import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

import pixperts
from pixperts import checkpoint, progress, restorer
from pixperts.batch import Job, plan
from pixperts.cli import SPIN_COUNT, main
from pixperts.errors import UsageError, explain
from pixperts.image import read_image, write_image
from pixperts.models import PRESETS, MoEISR, MoEISRConfig, as_upscaler
from pixperts.progress import ProgressBar

SMALL: dict[str, Any] = {
    "encoder_options": {"channels": 8, "blocks": 1},
    "width": 8,
    "mapper_width": 8,
    "mapper_layers": 2,
}
MIXTURE = MoEISRConfig(**SMALL, depths=(0, 1), widths=(8, 8))
DENSE = MoEISRConfig(**SMALL, depths=(1,), widths=(8,))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two experts whose mapper chooses by the picture, not at random."""
    torch.manual_seed(1)
    model = MoEISR(MIXTURE)
    assert model.mapper is not None
    last = model.mapper.layers[-1]
    assert isinstance(last, torch.nn.Conv2d)
    torch.nn.init.normal_(last.weight)
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    checkpoint.save(path, model, checkpoint.Card("small", {}, licence="CC0-1.0"))
    return path


@pytest.fixture(scope="module")
def dense(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "dense.safetensors"
    checkpoint.save(path, MoEISR(DENSE), checkpoint.Card("dense", {}))
    return path


@pytest.fixture
def upscale(weights: Path) -> Callable[..., int]:
    def call(*arguments: object) -> int:
        return main(["upscale", "-m", str(weights), "--device", "cpu", *map(str, arguments)])

    return call


def noise(height: int, width: int, channels: int = 3, dtype: Any = np.uint8) -> NDArray[Any]:
    top = 1 + int(np.iinfo(dtype).max)
    return np.random.default_rng(height).integers(0, top, (height, width, channels), dtype)


def picture(path: Path, height: int = 8, width: int = 10, channels: int = 3) -> Path:
    write_image(path, noise(height, width, channels))
    return path


def one_sentence(capsys: pytest.CaptureFixture[str]) -> str:
    """What stderr says, which must be one line without traceback or box."""
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert len(lines) == 1, captured.err
    assert "Traceback" not in captured.err
    return lines[0]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def shell(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = str(Path(pixperts.__file__).parents[1])
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        env=environment, capture_output=True, text=True, timeout=120, check=False, **options,
    )  # fmt: skip


# What comes out


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
    expected = restorer.load(weights, device="cpu").upscale(pixels, size=(16, 9), budget=0.5)
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
    assert lines[0] == f"{source}: skipped 2 of its entries that are no picture files."
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

    monkeypatch.setattr(restorer.Restorer, "upscale_with_routing", refuse)
    source = picture(tmp_path / "a.png")
    assert upscale(source, "-o", source / "below" / "b.png", "-s", 2) == 1
    assert f"{source} is not a folder" in one_sentence(capsys)
    chart = source / "below" / "c.png"
    assert upscale(source, "-o", tmp_path / "b.png", "-s", 2, "--expert-map", chart) == 1
    assert f"{source} is not a folder" in one_sentence(capsys)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError(), "the memory does not suffice"),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), "memory does not suffice"),
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
    real = restorer.Restorer.upscale_with_routing

    def sometimes(self: restorer.Restorer, image: Any, **options: Any) -> Any:
        if len(image) == 8:
            raise error
        return real(self, image, **options)

    monkeypatch.setattr(restorer.Restorer, "upscale_with_routing", sometimes)
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

    monkeypatch.setattr(restorer.Restorer, "upscale_with_routing", interrupt)
    assert upscale(picture(tmp_path / "a.png"), "-o", tmp_path / "b.png", "-s", 2) == 130
    assert one_sentence(capsys) == "Interrupted; what was finished is kept."
    assert names(tmp_path) == ["a.png"]


# Wrong command lines: exit code 2, one sentence, nothing begun


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ([], "Say how large the result shall be"),
        (["-s", "0"], "--scale must be a positive, finite number"),
        (["-s", "-2"], "--scale must be a positive, finite number"),
        (["-s", "nan"], "--scale must be a positive, finite number"),
        (["-s", "inf"], "--scale must be a positive, finite number"),
        (["-s", "two"], "Invalid value for '--scale'"),
        (["--size", "10"], "is not WIDTHxHEIGHT"),
        (["--width", "0"], "--width must be at least 1 pixel"),
        (["-s", "2", "--width", "7"], "--scale and --width contradict each other"),
        (["-s", "2", "--budget", "2"], "--budget is 2, but must lie between 0 and 1"),
        (["-s", "2", "--budget", "nan"], "--budget is nan"),
        (["-s", "2", "--device", "toaster"], "device 'toaster' is unknown"),
        (["-s", "2", "--quality", "0"], "--quality is 0"),
        (["-s", "2", "--quality", "90"], "no output is jpeg, webp"),
        (["-s", "2", "--expert-map", "map.jpg"], "needs a name ending in .png"),
        (["-s", "2", "--no-such-option"], "No such option"),
    ],
)
def test_wrong_options(
    options: list[str],
    reason: str,
    tmp_path: Path,
    upscale: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = picture(tmp_path / "a.png")
    assert upscale(source, "-o", tmp_path / "b.png", *options) == 2
    assert reason in one_sentence(capsys)
    assert names(tmp_path) == ["a.png"]


def test_missing_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["upscale", "a.png", "-s", "2"]) == 2
    assert "Missing option '--output'" in one_sentence(capsys)
    assert main(["upscale", "-o", "b.png", "-s", "2"]) == 2
    assert "Missing argument" in one_sentence(capsys)
    assert main(["enlarge"]) == 2
    assert "No such command 'enlarge'" in one_sentence(capsys)


def test_empty_names(
    tmp_path: Path, upscale: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = picture(tmp_path / "a.png"), tmp_path / "b.png"
    for line in (
        [source, "-o", ""],
        [source, "", "-o", target],
        [source, "-o", target, "--expert-map", ""],
    ):
        assert upscale(*line, "-s", 2) == 2
        assert "An empty name was given" in one_sentence(capsys)


def test_outputs_that_clash(tmp_path: Path) -> None:
    a, again = picture(tmp_path / "a.png"), picture(tmp_path / "other" / "a.png")
    link = tmp_path / "link.png"
    link.symlink_to(a)
    cases: list[tuple[list[Path], str, str | None, str]] = [
        ([a, again], "out/", None, "would both be written to out/a.png"),
        ([a, a], "out/", None, "would both be written to"),
        ([a], str(a), None, "is an input as well"),
        ([a], str(link), None, "is an input as well"),
        ([a], f"{tmp_path}/other/../a.png", None, "is an input as well"),
        ([again], str(tmp_path), None, ""),  # replaces a.png, which is no input
        ([tmp_path], str(tmp_path), None, "is input and output at once"),
        ([a], "b.png", "b.png", "would both be written to b.png"),
        ([a], "b.png", str(a), "is an input as well"),
        ([a, again.rename(again.with_name("b.png"))], "b.png", None, "need a folder"),
        ([a, link], str(a), None, "need a folder"),
        ([tmp_path / "other"], "b.png", None, "need a folder"),
        ([a], "b", None, "a slash at the end for a new folder"),
        ([tmp_path / "none"], "out/", None, ""),  # found out when it is read
    ]
    (tmp_path / "empty").mkdir()
    cases.append(([a, tmp_path / "empty"], "out/", None, "holds no JPEG"))
    for inputs, output, chart, reason in cases:
        if not reason:
            assert len(plan(inputs, output, chart).jobs) == 1
            continue
        with pytest.raises(UsageError, match=reason):
            plan(inputs, output, chart)


def test_plan_of_a_folder_and_a_file(tmp_path: Path) -> None:
    b, a = picture(tmp_path / "in" / "b.png"), picture(tmp_path / "in" / "a.jpg")
    c = picture(tmp_path / "c.png")
    planned = plan([c, tmp_path / "in"], "out", "maps")
    roots = (Path("out"), Path("maps"))
    assert planned.jobs == [
        Job(c, Path("out/c.png"), Path("maps/c_experts.png"), *roots),
        Job(a, Path("out/a.jpg"), Path("maps/a_experts.png"), *roots),
        Job(b, Path("out/b.png"), Path("maps/b_experts.png"), *roots),
    ]
    assert planned.remarks == []
    assert planned.if_exists == "skip"


# Weights


def test_bad_weights(tmp_path: Path, weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = picture(tmp_path / "a.png")
    whole = weights.read_bytes()
    (tmp_path / "random.safetensors").write_bytes(np.random.default_rng(0).bytes(3000))
    (tmp_path / "cut.safetensors").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.safetensors").touch()
    save_file({"a": torch.zeros(3)}, tmp_path / "foreign.safetensors")
    (tmp_path / "old.pth").write_bytes(b"PK")
    cases = {
        "no-such-model": "unknown model 'no-such-model'",
        "m" * 5000: "unknown model",
        str(tmp_path / "none.safetensors"): "there is no such weights file",
        str(tmp_path / "random.safetensors"): "is no safetensors file",
        str(tmp_path / "cut.safetensors"): "the weights are damaged",
        str(tmp_path / "empty.safetensors"): "is no safetensors file",
        str(tmp_path / "foreign.safetensors"): "holds no pixperts model",
        str(tmp_path / "old.pth"): "pixperts convert",
        str(tmp_path): "cannot be read",
    }
    for name, reason in cases.items():
        out = str(tmp_path / "b.png")
        assert main(["upscale", str(source), "-o", out, "-s", "2", "-m", name]) == 1
        assert reason in one_sentence(capsys)
        assert not Path(out).exists()


# Progress


def test_the_bar_goes_by_pixels_and_never_back() -> None:
    bar = ProgressBar([100, 0, 300], visible=False)
    values = []
    for piece, share in [(0, 0.0), (0, 0.5), (0, 0.2), (0, 1.0), (1, 0.5), (2, 0.5), (2, 1.0)]:
        bar.update(piece, share)
        values.append(bar.value)
    assert values == [0.0, 0.125, 0.125, 0.25, 0.25, 0.625, 1.0]
    nothing = ProgressBar([0.0], visible=False)
    nothing.update(0, 1.0)
    assert nothing.value == 0.0


def test_lines_in_place_of_a_bar(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 100.0
    monkeypatch.setattr("pixperts.progress.time.monotonic", lambda: now)
    with ProgressBar([3e6, 0, 1e6], visible=False, lines=True, pixels=True) as bar:
        bar.update(0, 0.1, "a.png")
        now += progress.PAUSE - 1
        bar.update(0, 0.2, "a.png")
        assert capsys.readouterr().err == ""
        now += 1
        bar.update(0, 1 / 3, "a.png")
        bar.update(0, 0.4, "a.png")
        assert capsys.readouterr().err == "1 of 3 a.png, 25%, 0.10 MP/s, about 30 s left\n"
        now += progress.PAUSE - 1
        bar.say("something")  # a line is a sign of life
        now += 1
        bar.update(2, 0.5, "c.png")
        assert capsys.readouterr().err == "something\n"
        now += 1000
        bar.update(2, 0.5, "c.png")
        assert capsys.readouterr().err == "3 of 3 c.png, 88%, 0.00 MP/s, about 2.4 min left\n"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_sees_a_bar_that_rises(
    tmp_path: Path, upscale: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[float] = []
    real = ProgressBar.update

    def watch(self: ProgressBar, piece: int, share: float, label: str | None = None) -> None:
        real(self, piece, share, label)
        seen.append(self.value)

    monkeypatch.setattr(ProgressBar, "update", watch)
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    folder = tmp_path / "in"
    picture(folder / "a.png", 8, 10)
    (folder / "b.png").write_text("words")
    picture(folder / "c.png", 24, 10)
    assert upscale(folder, "-o", tmp_path / "out", "-s", 2) == 1
    assert seen == sorted(seen)
    assert seen[0] == 0.0
    assert seen[-1] == 1.0
    assert 0.25 in seen  # a.png has a quarter of the pixels, the broken b.png none
    first = min(value for value in seen if value > 0)
    assert first <= 0.25
    text = screen.getvalue()
    assert "%" in text
    assert "c.png: 10 x 24 -> 20 x 48" in text
    assert "MP/s" in text


def test_no_bar_with_json(
    tmp_path: Path,
    upscale: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    source = picture(tmp_path / "a.png")
    assert upscale(source, "-o", tmp_path / "b.png", "-s", 2, "--json") == 0
    assert screen.getvalue() == ""
    assert json.loads(capsys.readouterr().out)["new_width"] == 20


# The other commands


def test_models(
    weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model, card = checkpoint.load(weights)
    notes = {"quality": {"Set5 x2": 37.6}, "shares": [0.75, 0.25]}
    told = checkpoint.Card("moeisr-tiny", card.config, "Apache-2.0", notes=notes)
    checkpoint.save(tmp_path / "moeisr-tiny.safetensors", model, told)
    monkeypatch.setattr(restorer, "WEIGHTS", tmp_path)
    assert main(["models", "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    cost = as_upscaler(model).multiply_adds((500, 500), (1000, 1000), (0.75, 0.25))["total"] / 1e9
    assert lines[0] == {
        "name": "moeisr-tiny",
        "trained": True,
        "summary": PRESETS["moeisr-tiny"].summary,
        "parameters": sum(value.numel() for value in model.parameters()),
        "does": "enlarge",
        "gmac_per_megapixel": cost,
        "quality": {"Set5 x2": 37.6},
        "licence": "Apache-2.0",
    }
    assert [line["name"] for line in lines[1:]] == sorted(PRESETS.keys() - {"moeisr-tiny"})
    assert not any(line["trained"] for line in lines[1:])
    assert main(["models"]) == 0
    table = capsys.readouterr().out.splitlines()
    assert len(table) == 1 + len(PRESETS)
    assert "Set5 x2 37.6" in table[1]
    assert "Apache-2.0" in table[1]


def test_evaluate(tmp_path: Path, weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "Set2"
    picture(data / "a.png", 40, 44)
    picture(data / "b.png", 44, 40)
    assert main(["evaluate", "bicubic", str(data), "--scale", "2,3"]) == 0
    table = capsys.readouterr().out
    assert table.startswith("bicubic on Set2; y-shave: BT.601 luma")
    assert len([line for line in table.splitlines() if line.startswith("|")]) == 4
    line = ["evaluate", str(weights), str(data), "-s", "2", "--budget", "0", "--json"]
    assert main([*line, "--protocol", "rgb-shave"]) == 0
    score = json.loads(capsys.readouterr().out)
    assert score["model"] == str(weights)
    assert score["protocol"] == "rgb-shave"
    assert score["shares"] == [1.0, 0.0]
    assert score["images"] == 2


def test_evaluate_refuses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture(tmp_path / "a.png", 40, 40)
    none = str(tmp_path / "none")
    cases = [
        (["bicubic", str(tmp_path), "-s", "two"], 2, "--scale takes numbers"),
        (["bicubic", str(tmp_path), "-s", ""], 2, "--scale takes numbers"),
        (["bicubic", str(tmp_path), "-s", "0.5"], 2, "0.5"),
        (["bicubic", str(tmp_path), "-s", "2", "--protocol", "y"], 2, "protocol must be one of"),
        (["bicubic", str(tmp_path), "-s", "2", "--budget", "1"], 2, "leave the budget out"),
        (["bicubic", none, "-s", "2"], 1, "is not a folder"),
        (["nobody", str(tmp_path), "-s", "2"], 1, "unknown model 'nobody'"),
    ]
    for arguments, code, reason in cases:
        assert main(["evaluate", *arguments]) == code
        assert reason in one_sentence(capsys)


def test_convert_refuses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"model": {"sd": {"a": torch.zeros(2)}}}, tmp_path / "foreign.pth")
    (tmp_path / "random.pth").write_bytes(np.random.default_rng(0).bytes(300))
    ours = str(tmp_path / "out.safetensors")
    cases = [
        (["none.pth", ours], 1, "there is no such file"),
        (["foreign.pth", ours], 1, "no architecture that can be converted"),
        (["foreign.pth", ours, "--name", "nobody"], 1, "'nobody' was never published"),
        (["random.pth", ours], 1, "damaged"),
        (["foreign.pth", str(tmp_path / "out.pth")], 2, "ending in .safetensors"),
    ]
    for (name, *rest), code, reason in cases:
        assert main(["convert", str(tmp_path / name), *rest]) == code
        assert reason in one_sentence(capsys)
    assert names(tmp_path) == ["foreign.pth", "random.pth"]


def test_convert_hands_everything_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[Any] = []

    def note(source: Path, target: Path, **options: Any) -> str:
        seen.append((source, target, options))
        return "liif-edsr"

    monkeypatch.setattr("pixperts.convert.convert_file", note)
    source, target = tmp_path / "a.pth", tmp_path / "b.safetensors"
    assert main(["convert", str(source), str(target), "--licence", "BSD-3-Clause"]) == 0
    assert seen == [(source, target, {"name": None, "licence": "BSD-3-Clause"})]
    assert one_sentence(capsys) == f"{target}: liif-edsr, licence BSD-3-Clause"


def test_train_refuses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = ["-o", str(tmp_path / "run")]
    for time in ("2h", "00:00:00", "1:75:00"):
        assert main(["train", "a.yaml", *run, "--max-time", time]) == 2
        assert "must be hours:minutes:seconds" in one_sentence(capsys)
    assert main(["train", "a.yaml", *run, "--max-steps", "0"]) == 2
    assert "--max-steps" in one_sentence(capsys)
    monkeypatch.setitem(sys.modules, "lightning", None)
    assert main(["train", "a.yaml", *run]) == 2
    assert "pip install 'pixperts[train]'" in one_sentence(capsys)
    assert names(tmp_path) == []


# The real thing, in a process of its own


def test_help_waits_for_nothing_heavy() -> None:
    code = (
        "import sys; from pixperts.cli import main; code = main(['--help']); "
        "print([m for m in ('torch', 'lightning', 'pyvips', 'numpy') if m in sys.modules]); "
        "sys.exit(code)"
    )
    done = shell("-c", code)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "[]"
    for command in ("upscale", "models", "evaluate", "convert", "train"):
        assert f" {command} " in done.stdout


def test_waiting_threads_sleep_unless_the_user_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "import os; from pixperts.cli import main; main(['--version']); "
        "print([os.environ.get(n) for n in ('GOMP_SPINCOUNT', 'KMP_BLOCKTIME')])"
    )
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"):
        monkeypatch.delenv(name, raising=False)
    assert shell("-c", code).stdout.splitlines()[-1] == f"['{SPIN_COUNT}', '0']"
    late = f"import sys; sys.modules['torch'] = sys; {code}"  # too late to have an effect
    assert shell("-c", late).stdout.splitlines()[-1] == "[None, None]"
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    assert shell("-c", code).stdout.splitlines()[-1] == "[None, None]"


def test_help_is_in_groups(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    for command, panels in (
        ("upscale", ["Size", "Model", "Output", "Folder jobs"]),
        ("restore", ["Model", "Output", "Folder jobs"]),
    ):
        assert main([command, "--help"]) == 0
        text = capsys.readouterr().out
        for panel in panels:
            assert f" {panel} ─" in text
        for option in ("--recursive", "--name", "--if-exists", "--workers", "--manifest"):
            assert option in text


def test_version() -> None:
    done = shell("-m", "pixperts", "--version")
    assert (done.returncode, done.stdout) == (0, f"pixperts {pixperts.__version__}\n")


def test_unexpected_errors_are_one_sentence_unless_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise RuntimeError("some\nfault")

    monkeypatch.setattr("pixperts.catalogue.entries", fail)
    assert main(["models"]) == 1
    assert "failed unexpectedly (RuntimeError: some fault)" in one_sentence(capsys)
    monkeypatch.setenv("PIXPERTS_TRACEBACK", "1")
    with pytest.raises(RuntimeError, match="some"):
        main(["models"])


def test_a_process_with_a_broken_picture(tmp_path: Path, weights: Path) -> None:
    whole = picture(tmp_path / "whole.jpg", 64, 64).read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    inputs = [tmp_path / "whole.jpg", tmp_path / "cut.jpg"]
    done = shell("-m", "pixperts", "upscale", *inputs, "-o", tmp_path / "out", "-s", 2, "-m",
                 weights)  # fmt: skip
    assert done.returncode == 1
    assert done.stdout == ""
    first, second = done.stderr.splitlines()  # and nothing that libvips says by itself
    assert "64 x 64 -> 128 x 128" in first
    assert second.startswith(str(inputs[1]))
    assert names(tmp_path / "out") == ["whole.jpg"]


def test_a_process_that_is_interrupted(tmp_path: Path, weights: Path) -> None:
    inputs = [picture(tmp_path / "a.png", 4, 4), picture(tmp_path / "b.png", 300, 300)]
    arguments = ["-m", "pixperts", "upscale", *inputs, "-o", tmp_path / "out", "-s", 16, "--json",
                 "-m", weights]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = str(Path(pixperts.__file__).parents[1])
    with subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        # A shell's background jobs ignore SIGINT, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:  # fmt: skip
        assert process.stdout is not None
        first = json.loads(process.stdout.readline())  # the second picture has begun
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=60)
    assert first["new_width"] == 64
    assert (process.returncode, rest) == (130, "")
    # libvips may print, ahead of ours, that it dropped the exception in a callback of its own.
    assert errors.endswith("Interrupted; what was finished is kept.\n")
    assert names(tmp_path / "out") == ["a.png"]
