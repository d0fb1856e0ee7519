"""The benchmark of runtimes for repairs measures a form and keeps its picture."""

import argparse
from pathlib import Path

import numpy as np
import pytest

import repair_runtimes
from pixperts.weights import store
from tests.helpers.command_line import picture
from tests.helpers.light_restoration import light_restorer


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_one_form_is_measured(precision: str, tmp_path: Path) -> None:
    store.save(tmp_path / "own.safetensors", light_restorer().model, store.Card("own", {}))
    picture(tmp_path / "a.png", 24, 40)
    args = argparse.Namespace(
        threads=1, model=str(tmp_path / "own.safetensors"), expert="1,0,2,3", repeats=2,
        photo=tmp_path / "a.png", graph=None,
    )  # fmt: skip
    row = repair_runtimes.measure(args, f"torch {precision}", tmp_path / "result.npy")
    assert row["seconds"] > 0
    assert row["ready"] >= 0
    assert np.load(tmp_path / "result.npy").shape[:2] == (1, 3)
