"""What was written without loss stays so, in files of its own format."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pixperts.inference.size_request import SizeRequest
from pixperts.io.image import write_image
from pixperts.io.lossless import is_lossless
from pixperts.jobs.operations import Restore, Upscale
from pixperts.jobs.options import FileOptions
from pixperts.jobs.run import run_folder
from tests.helpers.image_files import smooth


def stripes() -> np.ndarray[Any, Any]:
    """Red and blue rows in turn, of which half the colors would make magenta."""
    rows = np.zeros((24, 32, 3), np.uint8)
    rows[::2, :, 0] = rows[1::2, :, 2] = 255
    return rows


@pytest.mark.slow
@pytest.mark.parametrize("streamed", [False, True])
def test_lossless_webp_stays_lossless(tmp_path: Path, streamed: bool) -> None:
    source, target = tmp_path / "a.webp", tmp_path / "b.webp"
    Image.fromarray(stripes()).save(source, lossless=True)
    files = FileOptions(max_memory=1.0) if streamed else FileOptions()
    png = tmp_path / "b.png"
    for path in (target, png):
        summary = run_folder(source, path, Restore(strength=0.0, files=files), "moce-ir-tiny")
        assert summary.failed == 0
    assert is_lossless(target, "webp")
    with Image.open(target) as got, Image.open(png) as expected:
        assert np.array_equal(np.asarray(got.convert("RGB")), np.asarray(expected))
        assert np.array_equal(np.asarray(expected.convert("RGB")), stripes())


@pytest.mark.slow
def test_a_quality_and_lossy_inputs_make_lossy_files(tmp_path: Path) -> None:
    source, target = tmp_path / "a.webp", tmp_path / "b.webp"
    Image.fromarray(smooth()).save(source, lossless=True)
    wanted = Upscale(SizeRequest(scale=1.5), files=FileOptions(quality=90))
    assert run_folder(source, target, wanted, "moeisr-tiny").failed == 0
    assert not is_lossless(target, "webp")
    Image.fromarray(smooth()).save(source, quality=90)
    plain = Upscale(SizeRequest(scale=1.5))
    assert run_folder(source, tmp_path / "c.webp", plain, "moeisr-tiny").failed == 0
    assert not is_lossless(tmp_path / "c.webp", "webp")
    Image.fromarray(smooth()).save(tmp_path / "d.png")
    assert run_folder(tmp_path / "d.png", tmp_path / "d.webp", plain, "moeisr-tiny").failed == 0
    assert not is_lossless(tmp_path / "d.webp", "webp")


@pytest.mark.parametrize("lossless", [False, True])
def test_what_is_lossless(tmp_path: Path, lossless: bool) -> None:
    frames = [Image.fromarray(np.roll(smooth(4), 9 * n, 0)) for n in range(3)]
    options: dict[str, Any] = {"lossless": lossless, "exif": b"Exif\0\0II*\0" + bytes(20)}
    frames[0].save(tmp_path / "a.webp", **options)
    frames[0].save(tmp_path / "b.webp", save_all=True, append_images=frames[1:], **options)
    for name in ("a.webp", "b.webp"):
        assert is_lossless(tmp_path / name, "webp") is lossless
    path = write_image(tmp_path / "a.avif", smooth(), lossless=lossless or None)
    assert is_lossless(path, "avif") is lossless
    (tmp_path / "c.webp").write_bytes(b"RIFF\x10\0\0\0WEBP")
    assert not is_lossless(tmp_path / "c.webp", "webp")


def test_lossless_avif_stays_lossless(tmp_path: Path) -> None:
    source = write_image(tmp_path / "a.avif", stripes(), lossless=True)
    target = tmp_path / "b.avif"
    assert run_folder(source, target, Restore(strength=0.0), "moce-ir-tiny").failed == 0
    with Image.open(target) as got:
        assert np.array_equal(np.asarray(got), stripes())
