"""The benchmark of loading runs end to end and measures every source."""

from pathlib import Path

import numpy as np
import pytest

import data_loading
from pixperts.io.image import write_image


@pytest.mark.slow
def test_the_script_measures_every_source(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_loading, "ENLARGE", {"patch": 16, "batch": 1, "queries": 8})
    monkeypatch.setattr(data_loading, "REPAIR", {"patch": 16, "batch": 1})
    random = np.random.default_rng(0)
    for name in ("a.jpg", "b.png"):
        write_image(tmp_path / name, random.integers(0, 256, (130, 140, 3), dtype=np.uint8))
    arguments = ["--photos", "2", "--crop", "128", "--seconds", "0.02", "--workers", "1"]
    data_loading.main([str(tmp_path), *arguments, "--threads", "1"])
    out = capsys.readouterr().out
    assert "packed, tiles of 128, PNG: 8 pictures" in out
    for name in ("folder", "packed", "packed, PNG", "packed, tiles of 128, JPEG"):
        assert out.count(f"  {name} ") == 2
    assert out.count("steps a second") == 2
