"""What `pixperts formats` says of an installation."""

import json
from pathlib import Path

import pytest

from pixperts.cli.app import main
from pixperts.io.decoders import foreign
from pixperts.io.encoders import foreign as encoders
from pixperts.io.formats import NAMES, READ_SUFFIXES
from pixperts.io.vips import supports


def test_formats(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["formats"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(NAMES)  # all extras are there, so that nothing is to be added
    assert lines[1].split() == ["JPEG", ".jpg", ".jpeg", ".jpe", ".jfif", "yes", "yes"]
    heic = next(line.split() for line in lines if line.startswith("HEIC"))
    assert heic == ["HEIC", ".heic", ".heif", ".hif", "yes", "yes"]
    exr = next(line.split() for line in lines if "EXR" in line)
    assert exr == ["OpenEXR", ".exr", "yes", "yes"]


def test_formats_without_extras(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(foreign, "find_spec", lambda name: None)
    monkeypatch.setattr(encoders, "find_spec", lambda name: None)
    assert main(["formats"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for start, cure in (
        ("HEIC", "heic"),
        ("JPEG XL", "jxl"),
        ("OpenEXR", "exr"),
        ("camera raw", "raw"),
        ("BMP", "bmp"),
    ):
        line = next(line for line in lines if line.startswith(start))
        assert f"with pixperts[{cure}]" in line
    assert lines[-1].startswith("pip install 'pixperts[formats]' adds JPEG XL, JPEG 2000, HEIC, ")
    assert main(["formats", "--json"]) == 0
    entries = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {ending for entry in entries for ending in entry["endings"]} > READ_SUFFIXES
    found = {entry["name"]: entry for entry in entries}
    assert found["HEIC"] == {
        "name": "HEIC",
        "endings": [".heic", ".heif", ".hif"],
        "reads": False,
        "writes": False,
        "extra": "heic",
        "write_extra": "heic",
    }
    assert found["PNG"]["reads"]
    assert found["AVIF"]["writes"] == supports("avif", "save")


def test_the_extras_are_declared() -> None:
    import tomllib

    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]
    used = {extra for extra, _, _ in [*foreign.EXTRAS.values(), *encoders.ENCODERS.values()]}
    assert used <= extras.keys()
    (everything,) = extras["formats"]
    assert set(everything.removeprefix("pixperts[").removesuffix("]").split(",")) == used
