"""The training step of moce-ir-light: scenes are looked at, patches repaired, routers taught."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.utils.data import default_collate

from pixperts.data.scenes import Scene
from pixperts.degradations.mixture import PARTS
from pixperts.errors import UsageError
from pixperts.models.moce_ir_light.model import MoCEIRLight
from pixperts.training.config import TrainConfig
from pixperts.training.distributed import zero_gradients_for
from pixperts.training.light_restoration_config import LightRestorationConfig
from pixperts.weights import store
from tests.helpers.training_runs import make_photos, step_of, train, values_of

pytest.importorskip("lightning", reason="needs the train extra: pip install 'pixperts[train]'")

from pixperts.training.light_restoration import (
    LightRestorationModule,
    cut_patches,
    meant_expert,
    picture_error,
)
from pixperts.training.parts import PartsModule, share_of, wanted_parts
from pixperts.training.run import module_of


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_photos(tmp_path_factory.mktemp("photos"))


def config(photos: Path, **changes: Any) -> LightRestorationConfig:
    found = TrainConfig.from_dict(values_of("scenes", photos, **changes), "test")
    assert isinstance(found, LightRestorationConfig)
    return found


def module(photos: Path, **changes: Any) -> tuple[LightRestorationModule, Scene]:
    torch.manual_seed(0)
    task = LightRestorationModule(config(photos, **changes)).train()
    samples = task.samples()
    task._numbers = range(4)
    return task, default_collate([samples[number] for number in range(4)])


def test_a_network_grows_from_weights_that_are_smaller(photos: Path, tmp_path: Path) -> None:
    """Blocks that the file lacks change nothing at first."""
    options = _options(photos)
    start, batch = module(photos)
    store.save(tmp_path / "start.safetensors", start.model, store.Card("start", {}))
    more = {**options, "deep_blocks": 1, "decoder_blocks": start.model.config.decoder_blocks + 1}
    grown, _ = module(photos, model_options=more, init=str(tmp_path / "start.safetensors"))
    image = batch.degraded.float() / 255
    with torch.inference_mode():
        before, after = (task.model.eval()(image).image for task in (start, grown))
    torch.testing.assert_close(after, before, rtol=0, atol=1e-5)


def test_the_loss_is_that_of_whole_scenes_routing(photos: Path) -> None:
    """Patches are repaired as parts of their scenes, as tiles of a picture are in use."""
    task, batch = module(
        photos, model_options={**_options(photos), "router_noise": 0.0, "sure": [0.0, 0.0]}
    )
    terms = task.loss(batch)
    task.model.eval()
    errors = []
    for number in range(4):
        scene = batch.degraded[number : number + 1].float() / 255
        statistics = task.model.count(scene)
        patches = cut_patches(scene, batch.places[number : number + 1], 32)
        image = task.model(patches, statistics=statistics).image
        target = batch.targets[number, :, -1].float() / 255
        errors.append(0.5 * ((image - target).square().mean((1, 2, 3)) + 3e-6).log())
    expected = float(torch.cat(errors).mean().detach())
    assert float(terms["log"].detach()) == pytest.approx(expected, rel=1e-4)


def _options(photos: Path) -> dict[str, Any]:
    found: dict[str, Any] = values_of("scenes", photos)["model_options"]
    return found


def test_all_terms_are_there_and_experts_are_counted(photos: Path) -> None:
    task, batch = module(photos)
    terms = task.loss(batch)
    assert set(terms) == {"log", "parts", "balance", "cost", "guide", "groups", "fourier"}
    assert all(value.isfinite() for value in terms.values())
    assert int(task.counts.sum()) == 4 * len(task.blocks)
    without = ("part", "balance", "cost", "guide", "group", "fourier")
    task, batch = module(photos, error="l1", **{f"{name}_weight": 0 for name in without})
    assert set(task.loss(batch)) == {"l1"}


def test_every_trained_parameter_is_reached(photos: Path) -> None:
    task, batch = module(photos)
    loss = task.training_step(batch, 0)
    loss.backward()
    trained = {name: p for name, p in task.model.named_parameters() if p.requires_grad}
    assert all(p.grad is not None for p in trained.values())
    assert all(not name.startswith("tone") for name in trained)
    assert bool(task.model.scout.first.weight.grad.any())  # type: ignore[union-attr]


def test_the_scout_learns_to_tell_groups_apart(photos: Path) -> None:
    tasks = {"noise50": 1, "clean": 1}
    task, _ = module(photos, tasks=tasks, optimizer="adam", frozen=["tone"])
    samples = task.samples()
    batch = default_collate([samples[number] for number in range(48)])
    scout, scenes = task.model.scout, batch.degraded.float() / 255
    optimizer = torch.optim.Adam(scout.parameters(), lr=1e-2)
    for _ in range(250):
        optimizer.zero_grad()
        found = scout.groups(scout(task.model.count(scenes)))
        binary_cross_entropy_with_logits(found, batch.groups).backward()
        optimizer.step()
    # On scenes that it has not seen.
    fresh = default_collate([samples[number] for number in range(100, 148)])
    with torch.inference_mode():
        found = scout.groups(scout(task.model.count(fresh.degraded.float() / 255)))
    assert float(((found > 0) == (fresh.groups > 0)).float().mean()) > 0.95


def test_an_expert_that_nobody_chose_does_not_move(photos: Path) -> None:
    task, batch = module(photos, weight_decay=0.0)
    optimizer = task.configure_optimizers()["optimizer"]
    block = task.model.mixtures[0]
    block.router.bias.data = torch.tensor([0.0, 9.0, 0.0, 0.0])
    before = [p.detach().clone() for p in block.experts[2].parameters()]
    own = [p.detach().clone() for p in block.experts[0].parameters()]
    for _ in range(2):
        optimizer.zero_grad()
        task.training_step(batch, 0).backward()
        optimizer.step()
    kernels = list(block.experts[2].parameters())
    assert all(torch.equal(a, b) for a, b in zip(before, kernels, strict=True))
    moved = zip(own, block.experts[0].parameters(), strict=True)
    assert any(not torch.equal(a, b) for a, b in moved)


def test_errors_of_all_pictures_pull_alike() -> None:
    image = torch.zeros(2, 3, 4, 4, requires_grad=True)
    target = torch.stack([torch.full((3, 4, 4), 0.2), torch.full((3, 4, 4), 0.02)])
    picture_error(image, target, "log", 1e-12).backward()
    gradient: Tensor = image.grad.abs().mean((1, 2, 3))  # type: ignore[union-attr]
    assert float(gradient[1] / gradient[0]) == pytest.approx(10, rel=1e-3)
    assert float(picture_error(image, target, "l1", 1e-6).detach()) == pytest.approx(0.11)


def test_the_hardest_degradation_says_which_expert_is_meant() -> None:
    groups = torch.tensor(
        [[0.0, 0, 0, 1, 0], [1, 0, 0, 0, 0], [1, 0, 1, 0, 0], [0, 1, 1, 0, 0], [0, 0, 0, 0, 0]]
    )
    assert meant_expert(groups).tolist() == [3, 2, 2, 3, 0]


@pytest.mark.slow
def test_a_short_training_removes_noise(photos: Path, tmp_path: Path) -> None:
    changes = {"tasks": {"noise50": 1}, "max_steps": 60, "check_every": 20, "warmup_steps": 5}
    changes |= {"matrix_rate": 0.03, "learning_rate": 3e-3}
    values = values_of("scenes", photos, **changes)
    values |= {"validation": str(photos), "validation_tasks": ["noise50"], "ema": 0.8}
    # After so few steps the scout is not yet sure of anything.
    values["model_options"] = {**values["model_options"], "sure": [0.0, 0.0]}
    from pixperts.weights import store

    found = []
    for steps in (20, 60):
        short = TrainConfig.from_dict({**values, "cosine_steps": 60, "max_steps": steps}, "x")
        weights = train(short, tmp_path / str(steps))
        card = store.load(weights)[1]
        found.append(card.notes["training"]["psnr_noise50"])
    assert found[1] > found[0] + 0.5


@pytest.mark.slow
def test_samples_are_compressed_in_processes_of_their_own(photos: Path, tmp_path: Path) -> None:
    """This process has decoded photos before they start: libvips' threads would not be in them."""
    changes = {"tasks": {"jpeg": 1}, "workers": 1, "max_steps": 4, "check_every": 2}
    values = values_of("scenes", photos, **changes) | {"validation": str(photos)}
    train(TrainConfig.from_dict(values, "x"), tmp_path / "run")
    assert step_of(tmp_path / "run" / "last.ckpt") == 4


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"tasks": {}}, "tasks is missing"),
        ({"tasks": {"fog": 1}}, "unknown task 'fog'"),
        ({"tasks": {"rain": 0}}, "weight of task 'rain'"),
        ({"validation_tasks": ["drawn"]}, "unknown task 'drawn'"),
        ({"validation_tasks": ["screen"]}, "drawn and screen only in training"),
        ({"scene": 60}, "scene is 60"),
        ({"small": 2}, "small is 2"),
        ({"variety": -1}, "variety is -1"),
        ({"scene": 24}, "scene is 24"),
        ({"error": "l2"}, "error is 'l2'"),
        ({"floor": 0}, "floor is 0"),
        ({"patches": 0}, "patches is 0"),
        ({"reduction": 0.5}, "reduction is 0.5"),
        ({"balance_target": [0.5, 0.5]}, "balance_target"),
        ({"group_weight": -1}, "group_weight"),
    ],
)
def test_what_cannot_be_trained_is_refused_by_name(
    photos: Path, changes: dict[str, Any], named: str
) -> None:
    with pytest.raises(UsageError, match=named):
        config(photos, **changes)


def test_parts_are_learned_and_their_sum_stays(photos: Path, tmp_path: Path) -> None:
    task, batch = module(photos)
    with torch.no_grad():
        task.model.output.weight.normal_(std=0.01)
    store.save(tmp_path / "start.safetensors", task.model, store.Card("start", {}))
    values = values_of(
        "scenes", photos, head="parts", init=str(tmp_path / "start.safetensors"), optimizer="adam",
        model_options=_options(photos), max_steps=6, learning_rate=3e-3, precision="float32",
    )  # fmt: skip
    run = tmp_path / "run"
    train(TrainConfig.from_dict(values, "test"), run)
    learned, _ = store.load(run / "last.safetensors")
    assert isinstance(learned, MoCEIRLight)
    image = batch.degraded.float() / 255
    embedding = task.model.scout(task.model.count(image))
    with torch.inference_mode():
        before, after = (
            one.eval().changes(image, embedding, noise=False)[0] for one in (task.model, learned)
        )
    torch.testing.assert_close(after.sum(dim=1), before.sum(dim=1), rtol=0, atol=1e-5)
    assert float((after - before).abs().max()) > 1e-3
    known = task.model.state_dict()
    changed = {k for k, v in learned.state_dict().items() if not torch.equal(v, known[k])}
    assert changed == {
        f"{layer}.{name}" for layer in ("output", "compression") for name in ("weight", "bias")
    }


def test_layers_for_noise_begin_as_the_others_and_learn_alone(photos: Path, tmp_path: Path) -> None:
    start, batch = module(photos)
    store.save(tmp_path / "start.safetensors", start.model, store.Card("start", {}))
    options = {**_options(photos), "noise_layers": True}
    shared = ["scout", "tone", "head", "encoder", "down", "latent", "up", "decoder", "refinement",
              "output", "compression"]  # fmt: skip
    given = {"model_options": options, "init": str(tmp_path / "start.safetensors")}
    task, _ = module(photos, **given, frozen=shared, guide_weight=0, group_weight=0)
    image = batch.degraded.float() / 255
    with torch.inference_mode():
        before, after = (one.eval()(image, noise=False).image for one in (start.model, task.model))
        torch.testing.assert_close(after, before, rtol=0, atol=1e-6)
    torch.stack(list(task.train().loss(batch).values())).sum().backward()
    moved = {n.split(".")[0] for n, p in task.model.named_parameters() if p.grad is not None}
    assert moved == {"noise_layers"}
    task.model.noise_layers.output.weight.data.fill_(0.5)  # type: ignore[union-attr]
    store.save(tmp_path / "more.safetensors", task.model, store.Card("more", {}))
    again, _ = module(photos, model_options=options, init=str(tmp_path / "more.safetensors"))
    assert again.model.noise_layers is not None
    assert bool((again.model.noise_layers.output.weight == 0.5).all())
    values = values_of("scenes", photos, head="marks", tasks={}, validation_tasks=[], **{
        **given, "model_options": {**options, "marks": True}
    })  # fmt: skip
    other = module_of(TrainConfig.from_dict(values, "test")).model
    assert isinstance(other, MoCEIRLight)
    assert other.noise_layers is not None
    assert torch.equal(other.noise_layers.output.weight, start.model.output.weight)
    with pytest.raises(UsageError, match="noise_layers is true"):
        PartsModule(config(photos, head="parts", model_options=options))


def test_a_set_without_a_picture_gets_a_gradient_of_zeros(photos: Path) -> None:
    """Several processes average gradients, and each may have pictures for another set."""
    task, batch = module(photos, model_options={**_options(photos), "noise_layers": True})
    loss = torch.stack(list(task.loss(batch).values())).sum()
    (loss + zero_gradients_for(task._touched)).backward()
    layers = task.model.noise_layers
    assert layers is not None
    used, idle = (one.head.weight.grad for one in (layers, task.model))  # new routers look near
    assert used is not None
    assert idle is not None
    assert bool(used.any())
    assert not bool(idle.any())


def test_the_loss_of_parts_is_that_of_each_fault(photos: Path) -> None:
    task = PartsModule(config(photos, head="parts")).train()
    samples = task.samples()
    batch = default_collate([samples[number] for number in range(4)])
    terms = task.loss(batch)
    assert list(terms) == ["both", "rest", "share"]
    patches = cut_patches(batch.degraded, batch.places, task.config.patch).float() / 255
    wanted = wanted_parts(patches, batch.targets.flatten(0, 1).float() / 255)
    total = patches + sum(wanted.values())
    torch.testing.assert_close(total, batch.targets[:, :, -1].flatten(0, 1).float() / 255)
    with torch.no_grad():
        embedding = task.model.scout(task.model.count(batch.degraded.float() / 255))
        found, _ = task.model.changes(patches, embedding.repeat_interleave(2, 0), noise=False)
    both = found[:, 0] + found[:, 1]
    error = picture_error(both, wanted["noise"] + wanted["jpeg"], "log", task.config.floor)
    assert float(terms["both"].detach()) == pytest.approx(float(error), rel=1e-4)
    _, weight = share_of(wanted["jpeg"], both)
    expected = math.log(2) * float(weight.mean())  # of a new layer, which says one half
    assert float(terms["share"].detach()) == pytest.approx(expected, rel=1e-4)
    torch.stack(list(terms.values())).sum().backward()
    gradient = task.model.output.weight.grad
    assert gradient is not None
    moved = gradient.unflatten(0, (len(PARTS), -1)).abs().amax(dim=(1, 2, 3, 4)) > 0
    assert moved.tolist() == [True, True, False]  # the rest follows from the two
    learns = {n.split(".")[0] for n, p in task.model.named_parameters() if p.grad is not None}
    assert learns == {"output", "compression"}
