"""Training of the tone head: only it learns, and it learns to tell dark views from light ones."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import default_collate

from pixperts.errors import UsageError
from pixperts.training.config import TrainConfig
from tests.helpers.training_runs import make_photos, train, values_of

pytest.importorskip("lightning", reason="needs the train extra: pip install 'pixperts[train]'")

from pixperts.training.run import module_of
from pixperts.training.tone import ToneModule

REST = [
    "scout",
    "head",
    "encoder",
    "down",
    "deep",
    "latent",
    "up",
    "decoder",
    "refinement",
    "output",
]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_photos(tmp_path_factory.mktemp("photos"))


def values(photos: Path, **changes: Any) -> dict[str, Any]:
    own = {"head": "tone", "frozen": REST, "tasks": {}, "optimizer": "adam", "learning_rate": 3e-3}
    return values_of("scenes", photos, **{**own, **changes})


def module(photos: Path, **changes: Any) -> ToneModule:
    torch.manual_seed(0)
    found = module_of(TrainConfig.from_dict(values(photos, **changes), "test"))
    assert isinstance(found, ToneModule)
    return found.train()


def test_the_tone_head_alone_is_reached(photos: Path) -> None:
    task = module(photos)
    samples = task.samples()
    batch = default_collate([samples[number] for number in range(8)])
    task._numbers = range(8)
    terms = task.loss(batch)
    assert set(terms) == {"faults", "log"}
    torch.stack(list(terms.values())).sum().backward()
    reached = {n for n, p in task.model.named_parameters() if p.grad is not None and p.grad.any()}
    assert reached == {n for n, _ in task.model.named_parameters() if n.startswith("tone.")}


def test_it_learns_to_tell_dark_views(photos: Path) -> None:
    task = module(photos)
    samples = task.samples()
    batch = default_collate([samples[number] for number in range(32)])
    optimizer = torch.optim.Adam(task.model.tone.parameters(), lr=1e-2)
    task._numbers = range(32)
    found = []
    for _ in range(100):
        optimizer.zero_grad()
        terms = task.loss(batch)
        torch.stack(list(terms.values())).sum().backward()
        optimizer.step()
        found.append({name: float(value.detach()) for name, value in terms.items()})
    assert found[-1]["faults"] < 0.6 * found[0]["faults"]
    assert found[-1]["log"] < found[0]["log"] - 0.1


def test_a_short_run_measures_and_saves(photos: Path, tmp_path: Path) -> None:
    changes = {"max_steps": 2, "check_every": 2, "warmup_steps": 1, "validation": str(photos)}
    given = values(photos, **changes, validation_tasks=["low_light", "clean"])
    train(TrainConfig.from_dict(given, "test"), tmp_path / "run")
    assert (tmp_path / "run" / "last.safetensors").is_file()


def test_heads_have_names(photos: Path) -> None:
    with pytest.raises(UsageError, match="head is 'ear'"):
        TrainConfig.from_dict(values(photos, head="ear"), "test")
    with pytest.raises(UsageError, match="tasks is missing"):
        TrainConfig.from_dict(values(photos, head="detail"), "test")
