"""Settings of all tests, and what those of folder jobs run with."""

import os
from collections.abc import Callable
from pathlib import Path

# One thread a process, those that tests start included: the same sums on any number of cores, and
# tests that run side by side do not fight for them. Torch reads it when it is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch
from hypothesis import settings

from pixperts.cli.app import main
from pixperts.inference.restorer import Restorer
from pixperts.inference.upscaler import Upscaler
from pixperts.models.moeisr.model import MoEISR
from pixperts.weights import store
from tests.helpers.command_line import DENSE, MIXTURE
from tests.helpers.moce_models import mini
from tests.helpers.tiny_models import tiny

# The same cases in every run, so that a failure is a change of the code. HYPOTHESIS_PROFILE=wide
# looks for new ones, at random and ten times as many.
settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("wide", max_examples=1000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("weights")
    store.save(folder / "tiny.safetensors", tiny(), store.Card("tiny", {}))
    store.save(folder / "mini.safetensors", mini(), store.Card("mini", {}))
    return {"upscale": folder / "tiny.safetensors", "restore": folder / "mini.safetensors"}


@pytest.fixture(scope="module")
def model(files: dict[str, Path]) -> Upscaler:
    return Upscaler.load(files["upscale"], device="cpu")


@pytest.fixture(scope="module")
def repairer(files: dict[str, Path]) -> Restorer:
    return Restorer.load(files["restore"], device="cpu")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def call(files: dict[str, Path]) -> Callable[..., int]:
    def run(command: str, *arguments: object) -> int:
        size = ["-s", "2"] if command == "upscale" else []
        line = [command, "-m", str(files[command]), "--device", "cpu", *size]
        return main([*line, *map(str, arguments)])

    return run


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two experts whose mapper chooses by the picture, not at random."""
    torch.manual_seed(1)
    model = MoEISR(MIXTURE)
    assert model.mapper is not None
    last = model.mapper.layers[-1]
    assert isinstance(last, torch.nn.Conv2d)
    torch.nn.init.normal_(last.weight)
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    store.save(path, model, store.Card("small", {}, license="CC0-1.0"))
    return path


@pytest.fixture(scope="module")
def dense(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "dense.safetensors"
    store.save(path, MoEISR(DENSE), store.Card("dense", {}))
    return path


@pytest.fixture
def upscale(weights: Path) -> Callable[..., int]:
    def call(*arguments: object) -> int:
        return main(["upscale", "-m", str(weights), "--device", "cpu", *map(str, arguments)])

    return call
