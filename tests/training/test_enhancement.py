"""The training step of moce-isr-light: the trunk stays, the enlarger and the mapper learn."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import default_collate

from pixperts.data.small_scenes import SmallScene
from pixperts.errors import UsageError
from pixperts.models.moce_isr_light.model import MoCEISRLight
from pixperts.models.presets import create_model
from pixperts.training.config import TrainConfig
from pixperts.training.enhancement_config import EnhancementConfig
from pixperts.weights import store
from tests.helpers.light_models import light
from tests.helpers.training_runs import make_photos, step_of, train, values_of

pytest.importorskip("lightning", reason="needs the train extra: pip install 'pixperts[train]'")

from pixperts.training.enhancement import (
    EnhancementModule,
    brightened,
    picture_errors,
    start_enlarger,
)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_photos(tmp_path_factory.mktemp("photos"))


def config(photos: Path, **changes: Any) -> EnhancementConfig:
    found = TrainConfig.from_dict(values_of("one", photos, **changes), "test")
    assert isinstance(found, EnhancementConfig)
    return found


def module(photos: Path, **changes: Any) -> tuple[EnhancementModule, SmallScene]:
    torch.manual_seed(0)
    task = EnhancementModule(config(photos, **changes)).train()
    samples = task.samples()
    task._numbers = range(4)
    return task, default_collate([samples[number] for number in range(4)])


def test_the_loss_is_that_of_what_is_used(photos: Path) -> None:
    task, batch = module(photos, shallow=0, dark=0, prediction_weight=0)
    (loss,) = task.loss(batch).values()
    task.model.eval()
    size, errors = (batch.photo.shape[2], batch.photo.shape[3]), []
    enlarger, targets = task.model.enlarger, batch.photo.float() / 255
    with torch.inference_mode():
        for small, photo in zip(batch.degraded.float() / 255, targets, strict=True):
            output, seen = task.model.look(small[None], motion=False, enlarged=True)
            deepest = enlarger.all_depths(enlarger.start(output.image, seen))[-1]
            large = enlarger.field(deepest, output.image, size)
            errors.append(picture_errors(large, photo[None]))
    expected = 0.5 * (torch.cat(errors) + 1e-5).log().mean()
    assert float(loss.detach()) == pytest.approx(float(expected), abs=1e-4)


def test_the_trunk_stays_and_the_rest_learns(photos: Path) -> None:
    task, batch = module(photos)
    sum(task.loss(batch).values()).backward()  # type: ignore[union-attr]
    for name, parameter in task.model.named_parameters():
        learns = name.startswith("enlarger.")
        assert parameter.requires_grad == learns, name
        assert (parameter.grad is not None) == learns, name
    assert not task.model.scout.training
    assert task.model.enlarger.training


def test_the_mapper_learns_which_regions_need_depth(photos: Path) -> None:
    """Alone, from errors that are given: features do not move with it."""
    task, batch = module(photos, prediction_weight=1)
    terms = task.loss(batch)
    assert list(terms) == ["prediction"]
    terms["prediction"].backward()
    enlarger = task.model.enlarger
    assert enlarger.mapper.third.weight.grad is not None
    assert all(p.grad is None for p in enlarger.blocks.parameters())
    assert int(task.counts.sum()) == 4 * 4  # pictures and regions


def test_depths_are_random_in_a_share_of_the_pictures(photos: Path) -> None:
    task, _ = module(photos, shallow=0.5)
    task._numbers = range(40)
    depths = task._depths(torch.zeros(40, 8, 64, 64))
    assert depths.shape == (40, 2, 2)
    full = (depths == 2).all(dim=2).all(dim=1).float().mean()
    assert 0.3 < float(full) < 0.8
    assert set(depths.unique().tolist()) == {0, 1, 2}


def test_brightening_undoes_the_exposure() -> None:
    image, exposure = torch.rand(2, 3, 4, 4), torch.tensor([1.0, 0.25])
    found = brightened(image, exposure)
    assert torch.equal(found[0], image[0])
    white = torch.full((1, 3, 1, 1), 0.5371)  # sRGB of a quarter of the light
    assert float(brightened(white, torch.tensor([0.25])).mean()) == pytest.approx(1.0, abs=1e-3)


def test_a_run_is_resumed_and_its_weights_are_used(photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    train(config(photos), folder, max_steps=3)
    train(config(photos), folder, resume=True)
    assert step_of(folder / "last.ckpt") == 6
    model, card = store.load(folder / "last.safetensors")
    assert isinstance(model, MoCEISRLight)
    assert card.family == "moce-isr-light"
    image = torch.rand(1, 3, 40, 48)
    with torch.inference_mode():
        assert model.enhance(image, (80, 96)).image.shape == (1, 3, 80, 96)


def test_the_enlarger_starts_from_moeisr_light(tmp_path: Path) -> None:
    source = light(channels=8, blocks=3, depths=(0,), widths=(0,))
    store.save(tmp_path / "light.safetensors", source, store.Card("light", {}))
    model = create_model("moce-isr-light", channels=[8, 8, 8], large_channels=8, large_blocks=2)
    start_enlarger(model, tmp_path / "light.safetensors")  # type: ignore[arg-type]
    found, given = model.state_dict(), source.state_dict()
    pairs = {
        "blocks.0.first.weight": "encoder.blocks.0.first.weight",
        "blocks.1.second.weight": "encoder.blocks.2.second.weight",
        "field.coefficients.weight": "field.coefficients.weight",
    }
    for mine, theirs in pairs.items():
        assert torch.equal(found[f"enlarger.{mine}"], given[theirs])
    first = found["enlarger.image.weight"]
    assert torch.equal(first[:, :3], given["encoder.head.weight"])
    assert not first[:, 3:].any()
    wide = create_model("moce-isr-light", channels=[8, 8, 8], large_channels=16)
    with pytest.raises(UsageError, match="light does not fit"):
        start_enlarger(wide, tmp_path / "light.safetensors")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"largest": 0.5}, "largest is 0.5, but must be 1 or more"),
        ({"dark": 2}, "dark is 2.0, but must lie between 0 and 1"),
        ({"tasks": {}}, "tasks is missing"),
        ({"tasks": {"mist": 1}}, "unknown task 'mist'"),
    ],
)
def test_refusals(photos: Path, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        config(photos, **changes)
