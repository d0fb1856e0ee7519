"""Examples with one click."""

from pathlib import Path

import pytest

from pixperts.app.form import WORKS
from pixperts.app.samples import SAMPLES, photo_file, write_sample
from pixperts.io.decode import header_size
from pixperts.io.image import read_image


@pytest.mark.parametrize("key", SAMPLES)
def test_an_example_has_its_fault_and_is_made_once(key: str, tmp_path: Path) -> None:
    sample = SAMPLES[key]
    assert sample.work in WORKS
    whole = photo_file(sample.photo)
    path = write_sample(key, tmp_path)
    width, height = header_size(whole)
    shrunk = 1 if sample.task else 2
    assert header_size(path) == (width // shrunk, height // shrunk)
    if sample.task:
        assert abs(read_image(path).pixels.astype(int) - read_image(whole).pixels).mean() > 1
    written = path.stat().st_mtime_ns
    assert write_sample(key, tmp_path).stat().st_mtime_ns == written
