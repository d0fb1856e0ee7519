"""Float TIFF with values outside of [0, 1] keeps its range."""

from pathlib import Path

import numpy as np
import pytest
import tifffile

from pixperts.inference.size_request import SizeRequest
from pixperts.io.image import read_image
from pixperts.jobs import options
from pixperts.jobs.operations import Restore, Upscale
from pixperts.jobs.outcomes import Listener, Outcome
from pixperts.jobs.run import run_folder
from pixperts.ops.pixels import Pixels
from tests.helpers.image_files import smooth


class Notes(Listener):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def result(self, number: int, outcome: Outcome) -> None:
        if outcome.report is not None:
            self.lines += outcome.report.notes


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
    assert any("PNG holds nothing outside of 0 to 1" in line for line in notes.lines)
