"""The page that works in the browser alone."""

import functools
import http.server
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pixperts.app.static_page import write_static
from pixperts.cli.app import main
from pixperts.errors import UsageError
from pixperts.inference.upscaler import Upscaler
from pixperts.io.image import read_image, write_image
from tests.helpers.command_line import one_sentence, picture
from tests.helpers.pages import PATIENCE, browser
from tests.helpers.photo_files import gradient


def stand_in(folder: Path) -> Path:
    """A folder that looks like the npm package."""
    (folder / "dist").mkdir(parents=True)
    for name in ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"):
        (folder / "dist" / name).write_text("")
    (folder / "package.json").write_text("{}")
    return folder


def test_a_folder_that_is_not_empty_is_left_alone(tmp_path: Path) -> None:
    picture(tmp_path / "full" / "a.png")
    with pytest.raises(UsageError, match="is not empty"):
        write_static(tmp_path / "full")


def test_without_the_runtime_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="has no dist/ort"):
        write_static(tmp_path / "new", runtime=tmp_path)
    monkeypatch.setenv("PATH", "")
    assert main(["app", "--static", str(tmp_path / "new")]) == 2
    assert "needs npm" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    assert main(["app", "--runtime", str(tmp_path)]) == 2
    assert one_sentence(capsys) == "--runtime is for --static: leave it out."


@pytest.mark.skipif(not hasattr(torch.export.Dim, "DYNAMIC"), reason="needs torch 2.6")
def test_what_the_page_needs_lies_in_its_folder(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason="needs the export extra")
    runtime = stand_in(tmp_path / "npm")
    folder = write_static(tmp_path / "new", models=["moeisr-photo"], scales=[2], runtime=runtime)
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert found == {
        "index.html", "page.css", "page.js", "worker.js", "models.json", "moeisr-photo_x2.onnx",
        "ort/ort.wasm.bundle.min.mjs", "ort/ort-wasm-simd-threaded.wasm", "ort/package.json",
    }  # fmt: skip
    for name in ("index.html", "page.js", "worker.js"):
        assert "http" not in (folder / name).read_text().replace("http-equiv", "")
    assert (folder / "moeisr-photo_x2.onnx").stat().st_size < 2_000_000


@pytest.fixture
def handed_out(tmp_path: Path) -> Iterator[str]:
    """The address of the real page, by a server of plain files."""
    pytest.importorskip("onnxscript", reason="needs the export extra")
    if shutil.which("npm") is None:
        pytest.skip("needs npm, which fetches onnxruntime-web")
    write_static(tmp_path / "page", models=["moeisr-photo"], scales=[2])
    handler = functools.partial(_Silent, directory=str(tmp_path / "page"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


class _Silent(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.mark.slow
def test_the_browser_gives_what_the_command_line_gives(handed_out: str, tmp_path: Path) -> None:
    pixels = gradient(100, 150)  # several tiles
    write_image(tmp_path / "a.png", pixels)
    with browser() as opened:
        page = opened.new_page()
        page.set_default_timeout(PATIENCE)
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(handed_out)
        page.click("#start")
        page.locator("#status", has_text="There is no photo yet").wait_for()
        page.set_input_files("#photo", str(tmp_path / "a.png"))
        page.click("#start")
        page.locator("#status", has_text="Done in").wait_for()
        with page.expect_download() as download:
            page.click("#save")
        download.value.save_as(tmp_path / "got.png")
        assert download.value.suggested_filename == "a_x2.png"
    got = read_image(tmp_path / "got.png").pixels[..., :3].astype(int)
    upscaler = Upscaler.load("moeisr-photo", device="cpu", precision="float32")
    own = upscaler.upscale(pixels, scale=2).astype(int)
    assert np.abs(got - own).max() <= 1
    assert all(url.startswith((handed_out, "blob:", "data:")) for url in asked)
