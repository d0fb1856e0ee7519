"""The benchmark's plain LIIF gives what our decoder gives, and the script runs end to end."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from pixperts.models.moeisr.config import MoEISRConfig
from pixperts.models.moeisr.model import MoEISR
from pixperts.weights import store
from plain_liif import PlainLIIF
from tests.helpers.places import BENCHMARKS
from tests.helpers.training_runs import values_of


def small(depths: tuple[int, ...]) -> MoEISR:
    torch.manual_seed(0)
    options = {"channels": 8, "blocks": 1}
    widths = (16,) * len(depths)
    config = MoEISRConfig(encoder_options=options, width=16, depths=depths, widths=widths)
    return MoEISR(config).eval()


@pytest.mark.parametrize("size", [(21, 30), (28, 40), (5, 33)])
def test_plain_form_equals_dense_model(size: tuple[int, int]) -> None:
    model = small((3,))
    lr = torch.rand(1, 3, 7, 10)
    with torch.inference_mode():
        difference = (PlainLIIF(model, chunk=100)(lr, size) - model(lr, size).image).abs()[0]
    if size == (21, 30):
        # At x3 a query meets the center of the last LR row (and column) exactly: its rectangles
        # are all empty there, so the published weights are noise; ours stay bilinear.
        difference = difference[:, :-2, :-2]
    assert difference.max() < 1e-5


def test_plain_form_refuses_mixtures() -> None:
    with pytest.raises(ValueError, match="dense"):
        PlainLIIF(small((0, 1)))


@pytest.mark.slow
def test_benchmark_script_prints_every_candidate(tmp_path: Path) -> None:
    weights = tmp_path / "small.safetensors"
    store.save(weights, small((0, 1)), store.Card("small", {}))
    command = [sys.executable, str(BENCHMARKS / "upscale.py"), "--weights", str(weights)]
    command += ["--width", "12", "--height", "8", "--scale", "2.5", "--repeat", "1"]
    line = subprocess.run(
        [*command, "--candidate", "routed 0.5"], capture_output=True, text=True, check=True
    ).stdout.splitlines()[-1]
    row = json.loads(line)
    assert row["seconds"] > 0
    assert row["gmacs"] > 0


@pytest.mark.slow
def test_the_training_benchmark_measures_both_families(tmp_path: Path) -> None:
    yaml = pytest.importorskip(
        "yaml", reason="needs the train extra: pip install 'pixperts[train]'"
    )
    lines = []
    for family in ("enlarging", "repair"):
        path = tmp_path / f"{family}.yaml"
        path.write_text(yaml.safe_dump(values_of(family, tmp_path)))
        lines.append(str(path))
    command = [sys.executable, str(BENCHMARKS / "train.py"), *lines, "--seconds", "0.01"]
    done = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rows = [line.split("|") for line in done.splitlines() if line.startswith("| ")][1:]
    assert [row[1].strip() for row in rows] == ["enlarging", "repair"]
    for row in rows:
        samples, hours, rate = int(row[4]), float(row[6]), float(row[3])
        assert samples == 6 * 4  # steps times batch
        assert hours == pytest.approx(samples / rate / 3600, rel=0.02)
