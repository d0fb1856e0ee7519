"""Pictures that are too large to be held: the same files, row by row."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pixperts import __version__
from pixperts.cli.app import main
from pixperts.errors import ImageError
from pixperts.inference import streams
from pixperts.inference.size_request import SizeRequest
from pixperts.io.image import read_image, write_image
from pixperts.jobs import operation
from pixperts.jobs import options as job_options
from pixperts.jobs.manifest import settings_of
from pixperts.jobs.operation import software_tag
from pixperts.jobs.operations import Restore, Upscale
from pixperts.jobs.options import FileOptions
from pixperts.models.moeisr.model import MoEISR
from pixperts.weights import store
from tests.helpers.moce_models import mini
from tests.helpers.photo_files import write_photo
from tests.helpers.tiny_models import tiny

Run = Callable[..., int]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("weights")
    for name, model in (("large", tiny()), ("clean", mini())):
        store.save(folder / f"{name}.safetensors", model, store.Card(name, {}))

    def call(command: str, *arguments: object) -> int:
        name = "large" if command == "upscale" else "clean"
        model = ["-m", str(folder / f"{name}.safetensors"), "--device", "cpu"]
        return main([command, *map(str, arguments), *model])

    return call


def photo(path: Path, kind: str) -> Path:
    if kind == "turned":
        return write_photo(path.with_suffix(".jpg"))
    kinds: dict[str, tuple[int, Any, str]] = {
        "rgb": (3, np.uint8, ".png"),
        "deep": (3, np.uint16, ".png"),
        "cut out": (4, np.uint8, ".png"),
        "grey": (1, np.uint8, ".png"),
        "tiff": (3, np.uint16, ".tif"),
        "jpeg": (3, np.uint8, ".jpg"),
    }
    channels, dtype, suffix = kinds[kind]
    top = 1 + int(np.iinfo(dtype).max)
    pixels = np.random.default_rng(1).integers(0, top, (53, 41, channels), dtype)
    if channels == 4:
        pixels[:20, :, 3] = 0
    path = path.with_suffix(suffix)
    write_image(path, pixels)
    return path


KINDS = ["rgb", "deep", "cut out", "grey", "tiff", "jpeg", "turned"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("command", ["upscale", "restore"])
def test_streamed_files_are_those_made_at_once(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    run: Run,
    command: str,
    kind: str,
) -> None:
    source = photo(tmp_path / "a", kind)
    asked: list[object] = ["--scale", 1.7, "--tile", 32] if command == "upscale" else []
    held, streamed = (tmp_path / f"{name}{source.suffix}" for name in ("held", "streamed"))
    assert run(command, source, "-o", held, "--json", *asked) == 0
    first = json.loads(capsys.readouterr().out)
    monkeypatch.setattr(job_options, "STREAMED_PIXELS", 100)
    if command == "upscale":
        asked += ["--expert-map", tmp_path / "map.png"]
    assert run(command, source, "-o", streamed, "--json", *asked) == 0
    second = json.loads(capsys.readouterr().out)
    assert streamed.read_bytes() == held.read_bytes()
    changing = ("output", "seconds")
    assert {k: v for k, v in first.items() if k not in changing} == {
        k: v for k, v in second.items() if k not in changing
    }
    names = {source.name, held.name, streamed.name}
    if command == "upscale":
        names.add("map.png")
        assert read_image(tmp_path / "map.png").width == second["new_width"]
    assert {path.name for path in tmp_path.iterdir()} == names
    if kind == "turned":
        with Image.open(streamed) as image:
            exif = image.getexif()
            assert exif[0x110] == "Model X"
            assert exif.get(0x112, 1) == 1
            size = second["width"], second["height"]
            new = (second["new_width"], second["new_height"]) if command == "upscale" else size
            name = "large" if command == "upscale" else "clean"
            assert exif[0x131] == software_tag(name, size, new)
            assert exif[0x131].startswith(f"pixperts {__version__} {name}")
            assert (" x1.7" in exif[0x131] or " to " in exif[0x131]) == (command == "upscale")


@pytest.mark.parametrize("fix", ["mean", "wavelet"])
@pytest.mark.parametrize("kind", ["deep", "cut out", "grey", "turned"])
@pytest.mark.parametrize("command", ["upscale", "restore"])
@pytest.mark.slow
def test_colours_are_matched_row_by_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run, command: str, kind: str, fix: str
) -> None:
    source = photo(tmp_path / "a", kind)
    asked: list[object] = ["--tile", 32, "--scale", 1.7] if command == "upscale" else []
    names = ("plain", "held", "streamed")
    plain, held, streamed = (tmp_path / f"{name}{source.suffix}" for name in names)
    assert run(command, source, "-o", plain, "-q", *asked) == 0
    asked += ["--color-fix", fix, "-q"]
    assert run(command, source, "-o", held, *asked) == 0
    monkeypatch.setattr(job_options, "STREAMED_PIXELS", 100)
    monkeypatch.setattr(streams, "_BAND_PIXELS", 100)
    assert run(command, source, "-o", streamed, *asked) == 0
    assert streamed.read_bytes() == held.read_bytes() != plain.read_bytes()
    assert len(list(tmp_path.iterdir())) == 4


def test_nothing_is_left_where_matching_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], run: Run
) -> None:
    source = photo(tmp_path / "a", "rgb")
    monkeypatch.setattr(job_options, "STREAMED_PIXELS", 100)

    def failing(*_: Any, **__: Any) -> Any:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(streams, "matched_bands", failing)
    asked = ["-s", 2, "--color-fix", "wavelet"]
    assert run("upscale", source, "-o", tmp_path / "b.png", *asked) == 1
    assert "Input/output error" in one_sentence(capsys)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_room_for_the_second_file_is_checked_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], run: Run
) -> None:
    source = photo(tmp_path / "a", "rgb")
    monkeypatch.setattr(job_options, "STREAMED_PIXELS", 100)
    monkeypatch.setattr(MoEISR, "forward", lambda *_: pytest.fail("the work was begun"))
    bytes_of_both = 2 * 106 * 82 * 3
    usage = shutil.disk_usage(tmp_path)._replace(free=2 * bytes_of_both)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    asked = ["-s", 2, "--color-fix", "mean"]
    assert run("upscale", source, "-o", tmp_path / "b.png", *asked) == 1
    assert "make room or choose another folder" in one_sentence(capsys)


def test_nothing_is_left_where_it_fails_half_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], run: Run
) -> None:
    source = photo(tmp_path / "a", "rgb")
    (tmp_path / "new").mkdir()
    monkeypatch.setattr(job_options, "STREAMED_PIXELS", 100)
    forward, calls = MoEISR.forward, [0]

    def failing(*arguments: Any, **options: Any) -> Any:
        calls[0] += 1
        if calls[0] == 3:
            raise ValueError("odd")
        return forward(*arguments, **options)

    monkeypatch.setattr(MoEISR, "forward", failing)
    target, chart = tmp_path / "new/b.png", tmp_path / "new/map.png"
    asked = ["--scale", 2, "--tile", 32, "--expert-map", chart]
    assert run("upscale", source, "-o", target, *asked) == 1
    assert "odd" in one_sentence(capsys)
    assert calls == [3]
    assert not list((tmp_path / "new").iterdir())


def test_a_map_that_cannot_be_written_leaves_no_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], run: Run
) -> None:
    source, chart = photo(tmp_path / "a", "rgb"), tmp_path / "map.png"

    def failing(path: Path, *_: Any, **__: Any) -> None:
        raise ImageError(f"{path} could not be written: make room.")

    monkeypatch.setattr(job_options, "STREAMED_PIXELS", 100)
    monkeypatch.setattr(operation, "write_image", failing)
    assert run("upscale", source, "-o", tmp_path / "b.png", "-s", 2, "--expert-map", chart) == 1
    assert "map.png" in one_sentence(capsys)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_too_little_memory_for_the_smallest_tile_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], run: Run
) -> None:
    source = photo(tmp_path / "a", "rgb")

    def failing(*arguments: Any, **options: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(MoEISR, "forward", failing)
    assert run("upscale", source, "-o", tmp_path / "b.png", "-s", 2) == 1
    assert "not enough memory" in one_sentence(capsys)


def one_sentence(capsys: pytest.CaptureFixture[str]) -> str:
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.strip().splitlines()) == 1, captured.err
    return captured.err.strip()


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--tile", "large"], "--tile is 'large'"),
        (["--tile", "-5"], "--tile is '-5'"),
        (["--tile", "7"], "tile is 7"),
        (["--max-memory", "lots"], "'lots' is not an amount of memory"),
        (["--max-memory", "0"], "'0' is not an amount of memory"),
        (["--precision", "float8"], "precision is 'float8'"),
        (["--precision", "float16"], "float16 is not for the CPU"),
        (["--color-fix", "all"], "--color-fix is 'all'"),
        (["--color", "cmyk"], "--color is 'cmyk'"),
        (["--max-pixels", "0"], "--max-pixels is 0"),
        (["--max-pixels", "many"], "max-pixels"),
    ],
)
@pytest.mark.parametrize("command", ["upscale", "restore"])
def test_wrong_values_are_one_sentence(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    run: Run,
    command: str,
    option: list[str],
    message: str,
) -> None:
    source = photo(tmp_path / "a", "rgb")
    size = ["--scale", 2] if command == "upscale" else []
    assert run(command, source, "-o", tmp_path / "b.png", *size, *option) == 2
    assert message in one_sentence(capsys)
    assert {path.name for path in tmp_path.iterdir()} == {"a.png"}


def test_options_reach_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], run: Run
) -> None:
    source = photo(tmp_path / "a", "turned")

    def made(name: str, *options: object) -> tuple[Path, dict[str, Any]]:
        target = tmp_path / name
        asked = "--scale", 2, "--json", *options
        assert run("upscale", source, "-o", target, *asked) == 0
        told: dict[str, Any] = json.loads(capsys.readouterr().out)
        return target, told

    plain, _ = made("plain.png")
    stripped, _ = made("stripped.png", "--strip-metadata")
    with Image.open(plain) as a, Image.open(stripped) as b:
        assert a.getexif()[0x110] == "Model X"
        assert 0x110 not in b.getexif()
    pixels = read_image(plain).pixels
    fixed = read_image(made("fixed.png", "--color-fix", "mean")[0]).pixels
    original = read_image(source).pixels
    assert (
        np.abs(fixed.mean((0, 1)) - original.mean((0, 1))).max()
        < np.abs(pixels.mean((0, 1)) - original.mean((0, 1))).max()
    )
    lossless = read_image(made("c.webp", "--lossless")[0]).pixels
    assert np.array_equal(lossless, pixels)
    tiled = read_image(made("t.png", "--tile", 32, "--max-memory", "1G")[0]).pixels
    assert np.array_equal(tiled, pixels)
    assert run("upscale", source, "-o", tmp_path / "d.png", "-s", 2, "--max-pixels", 9) == 1
    assert "pixels" in one_sentence(capsys)


def test_notes_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str], run: Run) -> None:
    source = photo(tmp_path / "a", "cut out")
    for command, size in (("upscale", ["-s", 2]), ("restore", [])):
        assert run(command, source, "-o", tmp_path / "b.jpg", "--json", *size) == 0
        notes = json.loads(capsys.readouterr().out)["notes"]
        assert notes
        assert all(isinstance(note, str) for note in notes)


def test_memory_is_no_setting() -> None:
    for memory in (None, 1e9):
        files = FileOptions(max_memory=memory)
        assert settings_of(Restore(files=files)) == {"does": "Repair"}
        asked = Upscale(SizeRequest(scale=2), files=files)
        assert settings_of(asked) == {"does": "Enlargement", "size": {"scale": 2}}
    assert settings_of(Restore(files=FileOptions(90, max_memory=1e9)))["files"] == {"quality": 90}
