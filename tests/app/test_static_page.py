"""The page that works in the browser alone."""

import contextlib
import functools
import http.server
import json
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pixperts.app import static_page
from pixperts.app.static_page import write_static
from pixperts.cli.app import main
from pixperts.degradations.camera import jpeg
from pixperts.degradations.drawings import draw_over
from pixperts.errors import PixpertsError, UsageError
from pixperts.inference.streams import ArraySource
from pixperts.inference.upscaler import Upscaler
from pixperts.io.image import read_image, write_image
from pixperts.ops.pixels import Pixels
from pixperts.ops.resize import quantize
from tests.helpers.command_line import one_sentence, picture
from tests.helpers.pages import PATIENCE, SOFTWARE_GPU, browser, serious
from tests.helpers.photo_files import gradient, write_photo


def stand_in(folder: Path) -> Path:
    """A folder that looks like the npm package."""
    (folder / "dist").mkdir(parents=True)
    for name in (
        "ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm",
        "ort.webgpu.bundle.min.mjs", "ort-wasm-simd-threaded.asyncify.wasm",
    ):  # fmt: skip
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
    for option in (["--runtime", str(tmp_path)], ["--webgpu"]):
        assert main(["app", *option]) == 2
        assert one_sentence(capsys) == f"{option[0]} is for --static: leave it out."


@pytest.mark.skipif(os.name != "posix", reason="npm is a script of the shell here")
@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("exec sleep 60", r"within 0\.5 s: check the network, or name an unpacked package"),
        ("echo no route >&2; exit 1", r"\(no route\): check the network, or name an unpacked"),
    ],
)
def test_an_npm_that_fetches_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, reason: str
) -> None:
    npm = tmp_path / "bin" / "npm"
    npm.parent.mkdir()
    npm.write_text(f"#!/bin/sh\n{script}\n")
    npm.chmod(0o700)
    monkeypatch.setenv("PATH", f"{npm.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(static_page, "_PATIENCE", 0.5)
    with pytest.raises(PixpertsError, match=reason):
        write_static(tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["bin"]


@pytest.mark.skipif(not hasattr(torch.export.Dim, "DYNAMIC"), reason="needs torch 2.6")
def test_what_the_page_needs_lies_in_its_folder(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason="needs the export extra")
    runtime = stand_in(tmp_path / "npm")
    folder = write_static(tmp_path / "new", models=["moeisr-photo"], scales=[2], runtime=runtime)
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert found == {
        "index.html", "page.css", "page.js", "worker.js", "models.json",
        "moeisr-photo_x2.onnx", "moeisr-photo_x2_clean.onnx", "moeisr-photo_judge.onnx",
        "ort/ort.wasm.bundle.min.mjs", "ort/ort-wasm-simd-threaded.wasm", "ort/package.json",
    }  # fmt: skip
    for name in ("index.html", "page.js", "worker.js"):
        assert "http" not in (folder / name).read_text().replace("http-equiv", "")
    assert (folder / "moeisr-photo_x2.onnx").stat().st_size < 2_000_000


def test_what_a_gpu_needs_is_added_where_it_is_wanted(tmp_path: Path) -> None:
    runtime = stand_in(tmp_path / "npm")
    for wanted, ending in ((False, []), (True, ["ort-wasm-simd-threaded.asyncify.wasm"])):
        folder = tmp_path / str(wanted)
        write_static(folder, models=["moeisr-photo"], scales=[], runtime=runtime, webgpu=wanted)
        found = [path.name for path in (folder / "ort").glob("*.asyncify.wasm")]
        assert found == ending
        assert json.loads((folder / "models.json").read_text())["webgpu"] is wanted


@pytest.fixture(scope="module")
def handed_out(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the real page, by a server of plain files."""
    tmp_path = tmp_path_factory.mktemp("static")
    pytest.importorskip("onnxscript", reason="needs the export extra")
    if shutil.which("npm") is None:
        pytest.skip("needs npm, which fetches onnxruntime-web")
    write_static(tmp_path / "page", scales=[2, 3], webgpu=True)
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


@pytest.fixture
def page(handed_out: str) -> Iterator[Any]:
    """A visitor without a GPU."""
    with browser() as opened, visit(opened, handed_out) as page:
        yield page


@contextlib.contextmanager
def visit(chromium: Any, handed_out: str) -> Iterator[Any]:
    """A visitor; no request may go elsewhere."""
    page = chromium.new_page()
    page.set_viewport_size({"width": 1280, "height": 800})
    page.set_default_timeout(PATIENCE)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(handed_out)
    page.locator("#model option").first.wait_for(state="attached")
    yield page
    assert all(url.startswith((handed_out, "blob:", "data:")) for url in asked)


def enlarged(page: Any, photo: Path, model: str, scale: int) -> tuple[str, Any]:
    """Name and pixels of the file that the page makes."""
    page.set_input_files("#photo", str(photo))
    page.select_option("#model", model)
    page.select_option("#scale", str(scale))
    page.click("#start")
    page.locator("#status", has_text="Done in").wait_for()
    with page.expect_download() as download:
        page.click("#save")
    pixels = read_image(download.value.path()).pixels
    return download.value.suggested_filename, pixels[..., :3].astype(int)


def on_the_command_line(pixels: Pixels, model: str, scale: int) -> Any:
    upscaler = Upscaler.load(model, device="cpu", precision="float32")
    return upscaler.upscale(pixels, scale=scale).astype(int)


@pytest.mark.slow
def test_a_gpu_gives_the_same_and_where_it_fails_the_processor_does(
    handed_out: str, tmp_path: Path
) -> None:
    pixels = gradient(24, 32)
    write_image(tmp_path / "a.png", pixels)
    with browser(SOFTWARE_GPU) as chromium:
        with visit(chromium, handed_out) as page:
            own = on_the_command_line(pixels, "moeisr-photo", 2)
            assert np.abs(enlarged(page, tmp_path / "a.png", "moeisr-photo", 2)[1] - own).max() <= 1
            assert "on the GPU" in page.inner_text("#status")
        context = chromium.new_context()
        context.route("**/*.asyncify.wasm", lambda route: route.abort())
        with visit(context, handed_out) as page:
            assert np.abs(enlarged(page, tmp_path / "a.png", "moeisr-photo", 2)[1] - own).max() <= 1
            assert "on the GPU" not in page.inner_text("#status")


@pytest.mark.slow
def test_the_browser_gives_what_the_command_line_gives(page: Any, tmp_path: Path) -> None:
    page.click("#start")
    page.locator("#status", has_text="There is no photo yet").wait_for()
    pixels = gradient(100, 800)  # several tiles
    write_image(tmp_path / "a.png", pixels)
    turned = write_photo(tmp_path / "turned.jpg", orientation=6)
    for model, scale in (("moeisr-photo", 2), ("moeisr-light", 3)):
        name, got = enlarged(page, tmp_path / "a.png", model, scale)
        assert name == f"a_x{scale}.png"
        assert np.abs(got - on_the_command_line(pixels, model, scale)).max() <= 1
    # A compressed picture takes another network than a clean drawing, as on the command line.
    drawing = draw_over(torch.zeros(3, 130, 450), 3, "screen")
    upscaler = Upscaler.load("moeisr-photo", device="cpu", precision="float32")
    for number, quality in enumerate((40, None)):
        image = drawing if quality is None else quantize(jpeg(drawing, quality=quality))
        pixels = (image * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
        write_image(tmp_path / "b.png", pixels)
        assert upscaler.member_for(ArraySource(image[None]), (900, 260)) == number
        _, got = enlarged(page, tmp_path / "b.png", "moeisr-photo", 2)
        assert np.abs(got - on_the_command_line(pixels, "moeisr-photo", 2)).max() <= 1
    write_image(tmp_path / "c.png", gradient(9, 30))  # shorter than the judge's pieces
    _, got = enlarged(page, tmp_path / "c.png", "moeisr-photo", 2)
    own = on_the_command_line(gradient(9, 30), "moeisr-photo", 2)
    assert np.abs(got - own).max() <= 1
    # A photo stands upright, as in the command line's result.
    assert enlarged(page, turned, "moeisr-photo", 2)[1].shape == (96, 64, 3)


@pytest.mark.slow
def test_bad_files_stop_and_who_cannot_use_a_mouse(page: Any, tmp_path: Path) -> None:
    assert serious(page) == []
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    page.set_input_files("#photo", str(bad))
    page.click("#start")
    page.locator("#status", has_text="bad.png is not a picture").wait_for()
    large = picture(tmp_path / "large.png", 900, 1100, 1)
    page.set_input_files("#photo", str(large))
    page.click("#start")
    page.locator("#status", has_text="Loading").wait_for()
    page.click("#stop")
    page.locator("#status", has_text="Stopped.").wait_for()
    assert page.locator("#start").is_enabled()
    assert page.locator("#save").is_hidden()

    # With the keyboard, and on a narrow, dark screen.
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 390, "height": 800})
    page.set_input_files("#photo", str(picture(tmp_path / "a.png", 12, 16)))
    page.locator("#start").focus()
    page.keyboard.press("Enter")
    page.locator("#status", has_text="Done in").wait_for()
    page.locator("#slider").focus()
    before = page.locator("#before").get_attribute("style")
    page.keyboard.press("ArrowRight")
    assert page.locator("#before").get_attribute("style") != before
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert serious(page) == []
