"""Training of the judge of moeisr-photo: it alone learns, and it learns which network is better."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import default_collate

from pixperts.data.patch_cache import Patches
from pixperts.errors import UsageError
from pixperts.models.moeisr_photo.model import MoEISRPhoto
from pixperts.training.config import TrainConfig
from pixperts.training.judge_config import JudgeConfig
from pixperts.weights import store
from tests.helpers.light_models import light, paired
from tests.helpers.training_runs import make_photos, train, values_of

pytest.importorskip("lightning", reason="needs the train extra: pip install 'pixperts[train]'")

from pixperts.training.judge import JudgeModule
from pixperts.training.run import module_of

ONE = {"depths": (0,), "widths": (0,)}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_photos(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a network that adds nothing to the nearest pixel, and one that spoils it."""
    folder = tmp_path_factory.mktemp("networks")
    for name, bias in (("nothing", 0.0), ("harm", 0.4)):
        model = light(**ONE)
        with torch.no_grad():
            for parameter in model.field.parameters():
                parameter.zero_()
            model.field.gains.fill_(1.0)
            assert model.field.coefficients.bias is not None
            model.field.coefficients.bias.fill_(bias)
        store.save(folder / f"{name}.safetensors", model, store.Card(name, {}))
    return folder


def values(photos: Path, networks: Path, /, **changes: Any) -> dict[str, Any]:
    given = {
        "model": "moeisr-photo",
        "model_options": {"channels": 8, "blocks": 1, "judge_width": 4},
        "init": str(networks / "harm.safetensors"),
        "clean_network": str(networks / "nothing.safetensors"),
        "patch": 16,
        "precision": "float32",
    }
    return {**values_of("light", photos), "cache": None, "photos": [str(photos)]} | given | changes


def config(photos: Path, networks: Path, /, **changes: Any) -> JudgeConfig:
    given = values(photos, networks, **changes)
    known = JudgeConfig.__dataclass_fields__
    found = TrainConfig.from_dict({k: v for k, v in given.items() if k in known}, "test")
    assert isinstance(found, JudgeConfig)
    return found


def module(photos: Path, networks: Path, **changes: Any) -> tuple[JudgeModule, Patches]:
    torch.manual_seed(0)
    task = module_of(config(photos, networks, **changes))
    assert isinstance(task, JudgeModule)
    samples = task.samples()
    return task.train(), default_collate([samples[number] for number in range(4)])


def test_it_alone_learns_which_network_is_better(photos: Path, networks: Path) -> None:
    task, batch = module(photos, networks)
    optimizer = torch.optim.Adam(task.model.judge.parameters(), lr=5e-3)
    found = []
    for _ in range(60):
        optimizer.zero_grad()
        terms = task.loss(batch)
        torch.stack(list(terms.values())).sum().backward()
        optimizer.step()
        found.append({name: float(value.detach()) for name, value in terms.items()})
    assert found[-1]["difference"] < 0.3 * found[0]["difference"]
    reached = {n for n, p in task.model.named_parameters() if p.grad is not None and p.grad.any()}
    assert reached
    assert all(name.startswith("judge.") for name in reached)
    lr, size = batch.lr.float() / 255, (batch.photo.shape[2], batch.photo.shape[3])
    with torch.inference_mode():
        assert all(task.model.pick(task.model.judged(one[None], size)) for one in lr)


def test_both_networks_are_taken_from_their_files(photos: Path, networks: Path) -> None:
    task, _ = module(photos, networks)
    for part, name in ((task.model.photo, "harm"), (task.model.clean, "nothing")):
        own, _ = store.load(networks / f"{name}.safetensors")
        for key, value in own.state_dict().items():
            assert torch.equal(part.state_dict()[key], value)
    assert len(task.taken) == len(task.model.photo.state_dict())


def test_a_moeisr_photo_may_go_on(photos: Path, networks: Path, tmp_path: Path) -> None:
    model = paired()
    store.save(tmp_path / "own.safetensors", model, store.Card("own", {}))
    task, _ = module(photos, networks, init=str(tmp_path / "own.safetensors"), clean_network=None)
    for key, value in model.state_dict().items():
        assert torch.equal(task.model.state_dict()[key], value)


def test_a_short_run_measures_and_saves(photos: Path, networks: Path, tmp_path: Path) -> None:
    given = config(
        photos, networks, max_steps=2, check_every=2, warmup_steps=1, validation=str(photos),
        validation_images=1, validation_scales=[2], validation_cases=["clean", "jpeg60"],
    )  # fmt: skip
    train(given, tmp_path / "run")
    saved, _ = store.load(tmp_path / "run" / "last.safetensors")
    assert isinstance(saved, MoEISRPhoto)


def test_the_regret_is_what_the_other_network_would_gain(photos: Path, networks: Path) -> None:
    task, _ = module(
        photos, networks, validation=str(photos), validation_images=1, validation_scales=[2],
        validation_cases=["clean"],
    )  # fmt: skip
    found = {}
    for bias in (-9.0, 9.0):
        with torch.no_grad():
            task.model.judge.estimate.weight.zero_()
            task.model.judge.estimate.bias[1] = bias
        found[bias] = dict(task.scores())
    good, bad = found[-9.0], found[9.0]
    assert good["regret_x2_clean"] == 0
    assert bad["regret_x2_clean"] > 3
    gain = good["psnr_x2_clean"] - bad["psnr_x2_clean"]
    assert bad["regret_x2_clean"] == pytest.approx(gain)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"photos": []}, "photos is missing"),
        ({"patch": 20}, "multiple of 16"),
        ({"drawn": 1.5}, "drawn is 1.5"),
    ],
)
def test_refusals(photos: Path, networks: Path, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        config(photos, networks, **changes)


def test_no_network_may_stay_random(photos: Path, networks: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="clean_network is null, but init has no network"):
        module(photos, networks, clean_network=None)
    store.save(tmp_path / "own.safetensors", paired(blocks=2), store.Card("own", {}))
    with pytest.raises(UsageError, match="own has networks of another size: change model_options"):
        module(photos, networks, init=str(tmp_path / "own.safetensors"), clean_network=None)


def test_there_must_be_a_network_to_begin_with(photos: Path, networks: Path) -> None:
    with pytest.raises(UsageError, match="init is missing"):
        module(photos, networks, init=None)


def test_a_network_of_another_size_is_refused(photos: Path, networks: Path, tmp_path: Path) -> None:
    store.save(tmp_path / "own.safetensors", light(blocks=2, **ONE), store.Card("own", {}))
    with pytest.raises(UsageError, match="own does not fit: moeisr-photo takes networks like"):
        module(photos, networks, init=str(tmp_path / "own.safetensors"))
