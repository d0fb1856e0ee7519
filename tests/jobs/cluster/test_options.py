"""Options of clusters, and those that cannot go with them."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pixperts.errors import UsageError
from pixperts.inference.upscaler import Upscaler
from pixperts.jobs.cluster.options import EngineOptions
from pixperts.jobs.run import run_folder
from tests.helpers.folder_jobs import TWICE, picture


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"engine": "spark"}, "engine is 'spark', but must be local or ray."),
        ({"address": "auto"}, "address is for engine='ray': add that, or leave it out."),
        ({"processes": 2}, "processes is for engine='ray': add that, or leave it out."),
        ({"threads": 2}, "threads is for engine='ray': add that, or leave it out."),
        ({"engine": "ray", "processes": 0}, "processes is 0, but must be between 1 and 10000."),
        ({"engine": "ray", "address": "ray://a:1"}, "is that of Ray Client, which is not supp"),
        ({"engine": "ray", "address": "10.0.0.1"}, "must be auto, or a host and a port such as"),
        ({"engine": "ray", "address": "a:99999"}, "must be auto, or a host and a port such as"),
    ],
)
def test_refusals(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError) as caught:
        EngineOptions(**options)
    assert sentence in str(caught.value)


def test_without_ray(
    here: Path,
    call: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    picture("a.png")
    monkeypatch.setitem(sys.modules, "ray", None)
    assert call("upscale", "a.png", "--engine", "ray", "-o", "b.png") == 2
    said = capsys.readouterr().err
    assert said == "--engine ray needs an extra: pip install 'pixperts[cluster]'.\n"
    assert not Path("b.png").exists()


def test_read_ahead_is_of_this_machine(
    here: Path, call: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    picture("a.png")
    assert call("upscale", "a.png", "--engine", "ray", "--workers", "2") == 2
    assert "--workers is for --engine local: give --processes" in capsys.readouterr().err


def test_pipes_stay_here(
    here: Path, call: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    picture("a.png")
    assert call("upscale", "a.png", "-o", "-", "--format", "png", "--engine", "ray") == 2
    assert "--engine ray works on files: leave it out" in capsys.readouterr().err


def test_models_go_by_name(here: Path, model: Upscaler) -> None:
    picture("a.png")
    with pytest.raises(UsageError, match="loads the model on every machine: give its name"):
        run_folder("a.png", "b.png", TWICE, model, engine=EngineOptions(engine="ray"))
