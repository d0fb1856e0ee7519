"""A folder job that is killed again and again leaves nothing partial and loses nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import pixperts
from pixperts.io.image import write_image
from pixperts.weights import store
from tests.helpers.places import ROOT
from tests.helpers.tiny_models import tiny

KILLS = 20
NAMES = ("a.png", "b.jpg", "c.webp", "deep/d.tif", "deep/er/e.png", "f.png", "g.jpg")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that can be forked")
@pytest.mark.slow
def test_twenty_kills(tmp_path: Path) -> None:
    weights = tmp_path / "tiny.safetensors"
    store.save(weights, tiny(), store.Card("tiny", {}))
    generator = np.random.default_rng(0)
    for number, name in enumerate(NAMES):
        pixels = generator.integers(0, 256, (20 + number, 40, 3), np.uint8)
        write_image(tmp_path / "in" / name, pixels)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "VIPS_CONCURRENCY": "1"}
    environment["PYTHONPATH"] = str(Path(pixperts.__file__).parents[1])
    script = ROOT / "tests" / "helpers" / "killed_runs.py"
    done = subprocess.run(
        [sys.executable, "-P", script, weights, tmp_path / "in", tmp_path, str(KILLS)],
        env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    facts = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(facts) == KILLS
    for fact in facts:
        assert fact["partial"] == []
        assert fact["redone"] == []
        assert fact["code"] == 0
        assert fact["equal"]  # every file as of the run in one go, and no temporary left
        assert fact["recorded"] == len(NAMES)
        assert fact["lines"] == len(NAMES)
    # On a busy machine, some runs end before they are killed.
    assert sum(fact["killed"] for fact in facts) > KILLS / 4
    assert len({fact["kept"] for fact in facts}) > 2  # at different moments
