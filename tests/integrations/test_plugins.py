"""The scripts for GIMP and darktable, in stand-ins of both that record what they are given."""

import importlib.util
import os
import stat
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pixperts.io.image import read_image, write_image
from tests.helpers.command_line import noise

FOLDER = Path(__file__).parents[2] / "integrations"


class Anything:
    """Stands for constants and calls of GIMP that nothing depends on."""

    def __getattr__(self, name: str) -> "Anything":
        return self

    def __call__(self, *_: Any, **__: Any) -> "Anything":
        return self

    def __or__(self, other: Any) -> "Anything":
        return self


class FakeImage:
    """An image of GIMP: its pixels are written as a TIFF, and layers come on top."""

    def __init__(self) -> None:
        self.layers: list[Any] = []
        self.open = 0  # groups of the history

    def duplicate(self) -> "FakeImage":
        return FakeImage()

    def insert_layer(self, layer: Any, parent: Any, position: int) -> None:
        assert self.open == 1
        self.layers.insert(position, layer)

    def undo_group_start(self) -> None:
        self.open += 1

    def undo_group_end(self) -> None:
        self.open -= 1

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


class Layer:
    def __init__(self, pixels: Any) -> None:
        self.pixels, self.name = pixels, ""

    def set_name(self, name: str) -> None:
        self.name = name


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The command as a file, as GIMP and darktable start it."""
    script = tmp_path / "own pixperts"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m pixperts "$@"\n')
    script.chmod(0o755)
    monkeypatch.setenv("PIXPERTS_COMMAND", str(script))
    import pixperts

    monkeypatch.setenv("PYTHONPATH", str(Path(pixperts.__file__).parents[1]))
    return script


@pytest.fixture
def gimp(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The plug-in's module, and what GIMP displays in `shown`."""
    shown: list[Any] = []

    class FakeGimp(Anything):
        PlugIn = type("PlugIn", (), {"error_quark": staticmethod(lambda: 0)})
        RunMode = SimpleNamespace(INTERACTIVE=0, NONINTERACTIVE=1)
        PDBStatusType = SimpleNamespace(SUCCESS="success", EXECUTION_ERROR="failed", CANCEL="no")
        Display = SimpleNamespace(new=shown.append)

        def file_save(self, mode: Any, image: Any, path: Path, options: Any) -> None:
            write_image(path, noise(12, 16, dtype=np.uint16))

        def file_load(self, mode: Any, path: Path) -> Any:
            return read_image(path).pixels

        def file_load_layer(self, mode: Any, image: Any, path: Path) -> Layer:
            return Layer(read_image(path).pixels)

    gi = ModuleType("gi")
    gi.require_version = lambda *_: None  # type: ignore[attr-defined]
    repository = ModuleType("gi.repository")
    files = SimpleNamespace(File=SimpleNamespace(new_for_path=Path))
    errors = SimpleNamespace(Error=SimpleNamespace(new_literal=lambda _, text, __: text))
    for name, value in {
        "Gimp": FakeGimp(), "GimpUi": Anything(), "Gio": files, "GLib": errors,
        "GObject": Anything(),
    }.items():  # fmt: skip
        setattr(repository, name, value)
    monkeypatch.setitem(sys.modules, "gi", gi)
    monkeypatch.setitem(sys.modules, "gi.repository", repository)
    spec = importlib.util.spec_from_file_location(
        "gimp_plugin", FOLDER / "gimp" / "pixperts" / "pixperts.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return SimpleNamespace(module=module, shown=shown)


def run_in_gimp(gimp: Any, name: str, image: FakeImage, **options: float) -> Any:
    procedure = SimpleNamespace(get_name=lambda: name, new_return_values=lambda *found: found)
    config = SimpleNamespace(get_property=options.__getitem__)
    return gimp.module.run(procedure, 1, image, [], config, None)


@pytest.mark.slow
def test_gimp_upscales_into_a_new_image(gimp: Any, command: Path) -> None:
    assert run_in_gimp(gimp, gimp.module.UPSCALE, FakeImage(), scale=1.5) == ("success", None)
    (large,) = gimp.shown
    assert large.shape == (18, 24, 3)
    assert large.dtype == np.uint16


@pytest.mark.slow
def test_gimp_restores_into_a_layer(gimp: Any, command: Path) -> None:
    image = FakeImage()
    assert run_in_gimp(gimp, gimp.module.RESTORE, image, strength=0.5) == ("success", None)
    (layer,) = image.layers
    assert (layer.name, layer.pixels.shape, image.open) == ("restored by pixperts", (12, 16, 3), 0)


def test_gimp_shows_our_sentences(gimp: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIXPERTS_COMMAND", "")
    monkeypatch.setenv("PATH", "")
    status, sentence = run_in_gimp(gimp, gimp.module.UPSCALE, FakeImage(), scale=2.0)
    assert (status, sentence) == (
        "failed", "The command 'pixperts' was not found: install it, or set PIXPERTS_COMMAND.",
    )  # fmt: skip
    monkeypatch.setenv("PIXPERTS_COMMAND", "/nowhere/pixperts")
    assert "could not be started" in run_in_gimp(gimp, gimp.module.RESTORE, FakeImage(),
                                                 strength=1.0)[1]  # fmt: skip
    assert gimp.module.Pixperts().do_query_procedures() == [
        "plug-in-pixperts-upscale", "plug-in-pixperts-restore",
    ]  # fmt: skip


def test_gimp_finds_a_program_in_a_folder_of_its_name() -> None:
    """GIMP starts only files that are executable and named as their folder."""
    script = FOLDER / "gimp" / "pixperts" / "pixperts.py"
    assert script.stat().st_mode & stat.S_IXUSR
    assert script.read_text().startswith("#!/usr/bin/env python3\n")


@pytest.mark.slow
def test_darktable_imports_results_beside_the_original(tmp_path: Path, command: Path) -> None:
    lupa = pytest.importorskip("lupa")
    lua = lupa.LuaRuntime(unpack_returned_tuples=True)
    said: list[str] = []
    imported: list[str] = []
    groups: list[Any] = []
    registered: dict[str, Any] = {}

    def read(*_: Any) -> str:
        return str(command)

    def execute(line: str) -> int:
        return subprocess.run(line, shell=True, check=False).returncode

    def import_file(path: str) -> Any:
        imported.append(path)
        return lua.table_from({"group_with": lambda _, leader: groups.append(leader)})

    def register_storage(name: str, label: str, store: Any, *_: Any) -> None:
        registered[name] = store

    widgets: list[Any] = []

    def new_widget(kind: str) -> Any:
        def made(options: Any) -> Any:
            widgets.append(options)
            if kind == "combobox":
                options["value"] = "upscale"
            return options

        return made

    nested = {
        "configuration": {"running_os": "linux"},
        "preferences": {"register": lambda *_: None, "read": read},
        "control": {"execute": execute},
        "database": {"import": import_file},
    }
    darktable = lua.table_from(
        {key: lua.table_from(value) for key, value in nested.items()}
        | {"new_widget": new_widget, "print": said.append, "print_error": said.append,
           "register_storage": register_storage}
    )  # fmt: skip
    lua.globals().package.loaded["darktable"] = darktable
    lua.execute((FOLDER / "darktable" / "pixperts.lua").read_text())
    photos = tmp_path / "it's a folder"
    photos.mkdir()
    (photos / "a.raw").touch()
    (photos / "a_upscale.tif").touch()  # never replaced
    image = lua.table_from({"filename": "a.raw", "path": str(photos), "group_leader": "the leader"})
    exported = tmp_path / "exported.tif"
    write_image(exported, noise(8, 10, dtype=np.uint16))
    registered["pixperts"](None, image, None, str(exported), 1, 1)
    assert imported == [str(photos / "a_upscale_1.tif")]
    assert groups == ["the leader"]
    assert read_image(Path(imported[0])).pixels.shape == (16, 20, 3)
    assert not exported.exists()
    exported.write_bytes(b"no picture")
    registered["pixperts"](None, image, None, str(exported), 1, 1)
    assert "pixperts failed on a.raw" in said[-1]
    assert len(imported) == 1
    assert os.stat(photos / "a_upscale.tif").st_size == 0
