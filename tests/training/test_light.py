"""The training step of moeisr-light: all pixels, two targets, experts each by themselves."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import default_collate

from pixperts.data.patch_cache import Patches
from pixperts.errors import DataError, UsageError
from pixperts.training.config import LightConfig, TrainConfig
from tests.helpers.training_runs import make_photos, step_of, train, values_of

pytest.importorskip("lightning", reason="needs the train extra: pip install 'pixperts[train]'")

from pixperts.training.light import LightModule

DENSE = {"model_options": {"channels": 8, "blocks": 1, "depths": [0], "widths": [0]}}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_photos(tmp_path_factory.mktemp("photos"))


def config(folder: Path, /, **changes: Any) -> LightConfig:
    values = values_of("light", folder) | changes
    if not values["cache"]:
        values = {"photos": [str(folder)]} | values
    found = TrainConfig.from_dict(values, "test")
    assert isinstance(found, LightConfig)
    return found


def module(photos: Path, **changes: Any) -> tuple[LightModule, Patches]:
    torch.manual_seed(0)
    task = LightModule(config(photos, **changes)).train()
    samples = task.samples()
    task._numbers = range(4)
    return task, default_collate([samples[number] for number in range(4)])


def test_a_dense_model_is_compared_with_photo_and_teacher(photos: Path) -> None:
    task, batch = module(photos, **DENSE, teacher_weight=0.75)
    lr, photo, taught = (part.float() / 255 for part in batch)
    image = task.model(lr, (photo.shape[2], photo.shape[3])).image
    expected = 0.75 * (image - taught).abs().mean() + 0.25 * (image - photo).abs().mean()
    terms = task.loss(batch)
    assert list(terms) == ["l1"]
    assert float(terms["l1"].detach()) == pytest.approx(float(expected.detach()), rel=1e-5)


def test_factors_between_whole_ones_are_learned_from_photos(photos: Path) -> None:
    """Without a cache; what reduces the next whole factor passes the error on."""
    task, _ = module(photos, **{**DENSE, "cache": "", "teacher_weight": 0})
    samples, side = task.samples(), task.config.patch
    first = next(n for n in range(0, 400, 4) if samples[n].photo.shape[2] % side)
    batch = default_collate([samples[first + number] for number in range(4)])
    sum(task.loss(batch).values()).backward()  # type: ignore[union-attr]
    for part in (task.model.encoder.head, task.model.field.coefficients):
        gradient = part.weight.grad
        assert gradient is not None
        assert gradient.isfinite().all()
        assert float(gradient.abs().max()) > 0


def test_squared_errors_weigh_forty_times(photos: Path) -> None:
    task, batch = module(photos, **DENSE, error="squared", teacher_weight=0)
    lr, photo, _ = (part.float() / 255 for part in batch)
    image = task.model(lr, (photo.shape[2], photo.shape[3])).image
    expected = 40 * float((image - photo).square().mean().detach())
    assert float(task.loss(batch)["squared"].detach()) == pytest.approx(expected, rel=1e-5)


def test_logarithms_count_every_patch_alike(photos: Path) -> None:
    """Patches of a hundredth of the error weigh as much, and luma counts beside all channels."""
    task, batch = module(photos, **DENSE, error="log", teacher_weight=0)
    _, photo, taught = (part.float() / 255 for part in batch)
    steps = torch.tensor([0.2, 0.02, 0.2, 0.02])[:, None, None, None]
    for offset, share in ((torch.ones(3), 1.0), (torch.tensor([0.0, 0.0, 1.0]), 0.114)):
        image = photo + steps * offset[:, None, None]
        each = steps.flatten().square() * (float(offset.square().mean()) + share**2) / 2
        expected = 0.02 * float((each + 1e-5).log().mean())
        assert float(task.distance(image, photo, taught)) == pytest.approx(expected, rel=1e-4)


def test_experts_are_mixed_and_each_compared(photos: Path) -> None:
    task, batch = module(photos, expert_weight=1.0)
    terms = task.loss(batch)
    assert set(terms) == {"l1", "experts", "balance", "cost", "prediction"}
    lr, photo, taught = (part.float() / 255 for part in batch)
    size = (photo.shape[2], photo.shape[3])
    each = []
    for budget in (0.0, 1.0):
        image = task.model(lr, size, budget=budget).image
        each.append(float(task.distance(image, photo, taught).detach()))
    assert float(terms["experts"].detach()) == pytest.approx(sum(each) / 2, rel=1e-4)
    assert int(task.counts.sum()) == 4 * 16 * 16


def test_every_parameter_learns(photos: Path) -> None:
    task, batch = module(photos)
    torch.stack(list(task.loss(batch).values())).sum().backward()
    still = [name for name, p in task.model.named_parameters() if p.grad is None]
    assert still == []


def test_predicting_errors_teaches_no_expert(photos: Path) -> None:
    task, batch = module(photos)
    assert task.model.experts is not None
    assert task.model.mapper is not None
    term = task.loss(batch)["prediction"]
    experts = list(task.model.experts.pool.parameters())
    grads = torch.autograd.grad(term, experts, allow_unused=True, retain_graph=True)
    assert all(grad is None for grad in grads)
    grads = torch.autograd.grad(term, list(task.model.mapper.parameters()))
    assert all(bool(grad.any()) for grad in grads)


def test_a_last_stage_starts_from_the_one_before(photos: Path, tmp_path: Path) -> None:
    train(config(photos, **DENSE, max_steps=2), tmp_path / "dense")
    init = str(tmp_path / "dense" / "last.safetensors")
    train(config(photos, init=init, max_steps=2, error="squared"), tmp_path / "experts")
    assert step_of(tmp_path / "experts" / "last.ckpt") == 2


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"cache": "", "patch": 48}, DataError, "no photo has sides of 192"),
        ({"cache": "", "photos": []}, UsageError, "cache is missing: name a folder that scripts/"),
        ({"cache": "", "patch": 20}, UsageError, "patch is 20, but must be a multiple of 16"),
        ({"error": "l2"}, UsageError, "error is 'l2', but must be l1, squared or log"),
        ({"teacher_weight": 1.5}, UsageError, "teacher_weight is 1.5"),
        ({"optimizer": "sgd"}, UsageError, "optimizer is 'sgd', but must be one of adam"),
        ({"betas": [0.9, 1]}, UsageError, "betas is"),
        ({"matrix_rate": 0}, UsageError, "matrix_rate is 0"),
        ({"frozen": ["encoder"]}, UsageError, "names no hidden layers that are trained"),
        ({"cache": "absent"}, DataError, "absent: this cache has no chunk of scale 2 yet"),
        ({"patch": 40}, DataError, "patch is 40, but must be a multiple of 16"),
    ],
)
@pytest.mark.slow
def test_what_cannot_be_trained_is_refused(
    photos: Path, tmp_path: Path, changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        train(config(photos, **changes), tmp_path / "run")


def test_muon_is_for_networks_that_name_hidden_layers(photos: Path, tmp_path: Path) -> None:
    values = values_of("enlarging", photos, optimizer="muon")
    with pytest.raises(UsageError, match="this model names no hidden layers"):
        train(TrainConfig.from_dict(values, "test"), tmp_path / "run")


@pytest.mark.parametrize("fast", ["float32", "bfloat16"])
def test_the_precision_is_chosen_for_the_machine_and_printed(
    fast: str,
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from pixperts.training import run

    monkeypatch.setattr(run, "fastest_precision", lambda device: fast)
    settings = config(photos, precision="auto", max_steps=1)
    run.train(settings, tmp_path / "run", accelerator="cpu")
    assert f"; precision: {fast}\n" in capsys.readouterr().out


def test_the_average_follows_closely_at_first() -> None:
    from pixperts.training.run import moving_average

    averaged, current = [torch.zeros(3)], [torch.ones(3)]
    update = moving_average(0.9)
    update(averaged, current, 0)  # 1 / 21 of the average stays
    assert averaged[0].tolist() == pytest.approx([20 / 21] * 3)
    update(averaged, [torch.zeros(3)], torch.tensor(100_000))
    assert averaged[0].tolist() == pytest.approx([0.9 * 20 / 21] * 3)
