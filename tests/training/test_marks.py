"""Training of the stage for scratches: it alone learns, and it learns to find and fill them."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import default_collate

from pixperts.data.marked_patches import MarkedPatch
from pixperts.degradations.prints import dust_and_scratches
from pixperts.errors import UsageError
from pixperts.training.config import TrainConfig
from tests.helpers.training_runs import make_photos, train, values_of

pytest.importorskip("lightning", reason="needs the train extra: pip install 'pixperts[train]'")

from pixperts.training.marks import MarksModule
from pixperts.training.run import module_of


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_photos(tmp_path_factory.mktemp("photos"))


def values(photos: Path, **changes: Any) -> dict[str, Any]:
    own = {"head": "marks", "frozen": [], "tasks": {}, "optimizer": "muon"}
    found = values_of("scenes", photos, **{**own, **changes})
    found["model_options"] = {**found["model_options"], "marks": True}
    return found


def module(photos: Path, **changes: Any) -> MarksModule:
    torch.manual_seed(0)
    found = module_of(TrainConfig.from_dict(values(photos, **changes), "test"))
    assert isinstance(found, MarksModule)
    return found.train()


def scratched() -> MarkedPatch:
    """Ramps with marks that are easy to see."""
    ramp = torch.linspace(0.2, 0.6, 32)
    samples = []
    for number in range(4):
        clean = (ramp + 0.05 * number).expand(3, 32, 32).contiguous()
        marked = dust_and_scratches(clean, seed=number, specks=4e-3, scratches=1e-3, light=1)
        wrong = ((marked - clean).abs().amax(dim=0, keepdim=True) > 0.03).byte()
        samples.append(MarkedPatch((255 * marked).byte(), (255 * clean).byte(), wrong))
    return MarkedPatch(*default_collate(samples))


def test_it_alone_learns_to_find_and_fill(photos: Path) -> None:
    task, batch = module(photos), scratched()
    optimizer = torch.optim.Adam(task.stage.parameters(), lr=2e-3)
    task._numbers = range(4)
    found = []
    for _ in range(150):
        optimizer.zero_grad()
        terms = task.loss(batch)
        torch.stack(list(terms.values())).sum().backward()
        optimizer.step()
        found.append({name: float(value.detach()) for name, value in terms.items()})
    assert found[-1]["marks"] < 0.5 * found[0]["marks"]
    assert found[-1]["log"] < found[0]["log"] - 1
    reached = {n for n, p in task.model.named_parameters() if p.grad is not None and p.grad.any()}
    assert reached == {n for n, _ in task.model.named_parameters() if n.startswith("marks.")}


def test_a_short_run_measures_and_saves(photos: Path, tmp_path: Path) -> None:
    changes = {"max_steps": 2, "check_every": 2, "warmup_steps": 1, "validation": str(photos)}
    given = values(photos, **changes, validation_tasks=["scratches", "clean"])
    train(TrainConfig.from_dict(given, "test"), tmp_path / "run")
    assert (tmp_path / "run" / "last.safetensors").is_file()


def test_the_model_needs_the_stage(photos: Path) -> None:
    given = values(photos)
    del given["model_options"]["marks"]
    with pytest.raises(UsageError, match="set marks: true"):
        module_of(TrainConfig.from_dict(given, "test"))


@pytest.mark.parametrize("density", [0.5, 101])
def test_a_density_that_cannot_be_is_refused(photos: Path, density: float) -> None:
    with pytest.raises(UsageError, match="density is"):
        TrainConfig.from_dict(values(photos, density=density), "test")
