"""The benchmark of runtimes measures a form end to end."""

import argparse
from pathlib import Path

import pytest

import runtimes
from pixperts.weights import store
from tests.helpers.command_line import picture
from tests.helpers.light_models import light


def test_one_form_is_measured(tmp_path: Path) -> None:
    store.save(tmp_path / "own.safetensors", light(), store.Card("own", {}))
    (tmp_path / "photos").mkdir()
    picture(tmp_path / "photos" / "a.png", 32, 40)
    args = argparse.Namespace(
        threads=1, scale=2.0, photos=tmp_path / "photos", pictures=2, case="clean"
    )
    row = runtimes.measure(args, str(tmp_path / "own.safetensors"), "torch float32")
    assert row["seconds"] > 0
    assert row["ready"] > 0
    assert 0 < row["db"] < 100


def test_all_forms_are_named_by_what_is_there() -> None:
    assert {runtime for runtime, _ in runtimes.FORMS} == {"torch", "openvino", "onnxruntime"}
    with pytest.raises(ValueError, match="not enough values"):
        runtimes.measure(argparse.Namespace(threads=1), "moeisr-photo", "torch")
