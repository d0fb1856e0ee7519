"""Float TIFF with values outside of [0, 1], and linear light of OpenEXR, keep their range."""

import json
from pathlib import Path

import numpy as np
import OpenEXR
import pytest
import tifffile

from pixperts.cli.app import main
from pixperts.inference.analysis import analyze
from pixperts.inference.restorer import Restorer
from pixperts.inference.size_request import SizeRequest
from pixperts.inference.upscaler import Upscaler
from pixperts.io.image import read_image, write_image
from pixperts.jobs import options
from pixperts.jobs.operations import Restore, Upscale
from pixperts.jobs.outcomes import Listener, Outcome
from pixperts.jobs.run import run_folder
from pixperts.ops.high_range import LightCurve
from pixperts.ops.pixels import Pixels, srgb_encoded
from tests.helpers.image_files import smooth


class Notes(Listener):
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.errors: list[str] = []

    def result(self, number: int, outcome: Outcome) -> None:
        if outcome.report is not None:
            self.lines += outcome.report.notes
        if outcome.error is not None:
            self.errors.append(outcome.error)


def bright(path: Path, channels: int = 3) -> Pixels:
    pixels = (smooth(channels, 24, 32) / 64 - 0.75).astype(np.float32)  # -0.3 to 2.8
    pixels[4:6, 4:6, 0] = 40
    kind = "rgb" if channels > 1 else "minisblack"
    tifffile.imwrite(path, pixels.squeeze(), photometric=kind, metadata=None)
    return pixels


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
def test_restoring_by_nothing_gives_the_values_back(
    tmp_path: Path, channels: int, streamed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if streamed:
        monkeypatch.setattr(options, "STREAMED_PIXELS", 100)
    source, target = tmp_path / "a.tif", tmp_path / "b.tif"
    pixels = bright(source, channels)
    notes = Notes()
    summary = run_folder(source, target, Restore(strength=0.0), "moce-ir-tiny", listener=notes)
    assert summary.failed == 0
    got = tifffile.imread(target).reshape(pixels.shape)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, pixels, rtol=1e-5, atol=1e-5)
    (line,) = notes.lines
    assert "holds values from " in line
    assert " to 40: " in line


@pytest.mark.parametrize("color_fix", ["none", "mean"])
def test_enlarging_keeps_the_range(
    tmp_path: Path, color_fix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "a.tif"
    pixels = bright(source)
    results = []
    for limit in (options.STREAMED_PIXELS, 100):
        monkeypatch.setattr(options, "STREAMED_PIXELS", limit)
        wanted = Upscale(SizeRequest(scale=2), color_fix=color_fix)  # type: ignore[arg-type]
        target = tmp_path / f"{limit}.tif"
        assert run_folder(source, target, wanted, "moeisr-tiny").failed == 0
        results.append(tifffile.imread(target))
    np.testing.assert_allclose(results[0], results[1], rtol=1e-4, atol=1e-4)
    result = results[0]
    assert result.shape == (48, 64, 3)
    assert result.max() > 20
    assert result.min() >= pixels.min() - 1e-4
    means = result.reshape(24, 2, 32, 2, 3).mean((1, 3))
    assert np.abs(means - pixels)[10:].mean() < 0.05


def test_other_formats_say_that_they_clip(tmp_path: Path) -> None:
    source, target = tmp_path / "a.tif", tmp_path / "b.png"
    pixels = bright(source)
    notes = Notes()
    run_folder(source, target, Restore(strength=0.0), "moce-ir-tiny", listener=notes)
    got = read_image(target).pixels / 65535
    assert np.abs(got - np.clip(pixels, 0, 1)).max() < 1e-4
    assert any("PNG cannot store values outside 0 to 1" in line for line in notes.lines)


# Linear light of OpenEXR


def lit(path: Path, channels: str = "RGB") -> Pixels:
    pixels = (smooth(len(channels), 24, 32) / 128 - 0.4).astype(np.float16)  # -0.2 to 1.4
    pixels[4:6, 4:6, 0] = 40
    planes = {name: pixels[..., at].copy() for at, name in enumerate(channels)}
    with OpenEXR.File({"type": OpenEXR.scanlineimage, "owner": "Somebody"}, planes) as file:
        file.write(str(path))
    return pixels.astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("channels", ["Y", "RGB"])
def test_restoring_by_nothing_gives_the_light_back(
    tmp_path: Path, channels: str, streamed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if streamed:
        monkeypatch.setattr(options, "STREAMED_PIXELS", 100)
    source, target = tmp_path / "a.exr", tmp_path / "b.exr"
    pixels = lit(source, channels)
    notes = Notes()
    summary = run_folder(source, target, Restore(strength=0.0), "moce-ir-tiny", listener=notes)
    assert summary.failed == 0
    with OpenEXR.File(str(target), separate_channels=True) as file:
        assert file.header()["owner"] == "Somebody"
        for at, name in enumerate(channels):
            got = file.channels()[name].pixels
            assert got.dtype == np.float16
            np.testing.assert_allclose(got, pixels[..., at], rtol=2e-3, atol=1e-5)
    (line,) = notes.lines
    assert "holds linear light from " in line
    assert " to 40: it was brought into 0 to 1 by the curve of sRGB" in line


@pytest.mark.slow
def test_enlarging_light_is_the_same_in_memory_and_by_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "a.exr"
    pixels = lit(source)
    for name, limit in (("memory.exr", options.STREAMED_PIXELS), ("rows.exr", 100)):
        monkeypatch.setattr(options, "STREAMED_PIXELS", limit)
        wanted = Upscale(SizeRequest(scale=2))
        assert run_folder(source, tmp_path / name, wanted, "moeisr-tiny").failed == 0
    results = [read_image(tmp_path / name).pixels for name in ("memory.exr", "rows.exr")]
    np.testing.assert_allclose(results[0], results[1], rtol=2e-3, atol=1e-4)
    assert results[0].shape == (48, 64, 3)
    assert results[0].max() > 20
    assert results[0].min() >= pixels.min() - 1e-3
    # The network's own way: what it makes of the encoded light, taken back.
    curve = LightCurve.of(float(pixels.min()), float(pixels.max()))
    codes = Upscaler.load("moeisr-tiny").upscale(curve.compress(pixels), scale=2)
    np.testing.assert_allclose(results[0], curve.expand(codes), rtol=2e-3, atol=1e-4)


@pytest.mark.slow
def test_light_as_another_format_and_other_pictures_as_openexr(tmp_path: Path) -> None:
    source, target = tmp_path / "a.exr", tmp_path / "b.png"
    pixels = lit(source)
    notes = Notes()
    run_folder(source, target, Restore(strength=0.0), "moce-ir-tiny", listener=notes)
    codes = read_image(target).pixels / 65535
    expected = srgb_encoded(np.clip(pixels, 0, 1))
    assert np.abs(codes - expected).max() < 1e-4
    said = " ".join(notes.lines)
    assert "PNG cannot store values outside 0 to 1, so they were clipped." in said
    assert "PNG cannot store attributes of OpenEXR, so these were left out: Copyright." in said
    bright(tmp_path / "c.tif")  # floats that are not said to be light
    write_image(tmp_path / "d.jpg", smooth(3, 24, 32))
    for name in ("c.tif", "d.jpg"):
        errors = Notes()
        summary = run_folder(
            tmp_path / name, tmp_path / "e.exr", Restore(), "moce-ir-tiny", listener=errors
        )
        assert summary.failed == 1
        assert "OpenEXR holds linear light in floats, which this picture is not" in errors.errors[0]
    assert not (tmp_path / "e.exr").exists()


@pytest.mark.slow
def test_analyzing_sees_what_the_network_sees(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pixels = lit(tmp_path / "a.exr")
    assert main(["analyze", str(tmp_path / "a.exr"), "-m", "moce-ir-tiny", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    curve = LightCurve.of(float(pixels.min()), float(pixels.max()))
    expected = analyze(Restorer.load("moce-ir-tiny"), curve.compress(pixels)).to_dict()
    assert {name: found[name] for name in expected} == json.loads(json.dumps(expected))
