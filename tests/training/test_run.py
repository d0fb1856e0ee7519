"""The engine's steps: not finite ones are left out, workers and precisions agree, all is logged."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader

from pixperts.errors import DataError
from pixperts.weights import store
from tests.helpers.tiny_models import moeisr
from tests.helpers.training_runs import (
    SWINIR,
    config_of,
    difference,
    families,
    kinds,
    make_photos,
    step_of,
    train,
    weights_in,
)

pytest.importorskip("lightning", reason="needs the train extra: pip install 'pixperts[train]'")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_photos(tmp_path_factory.mktemp("photos"))


# ---------------------------------------------------------------- steps that are not finite


def poison(monkeypatch: pytest.MonkeyPatch, steps: set[int]) -> None:
    """The loss of these steps is not a number."""
    from pixperts.training.restoration import RestorationModule

    original = RestorationModule.loss

    def loss(self: RestorationModule, batch: Any) -> dict[str, torch.Tensor]:
        terms = original(self, batch)
        return terms | {"l1": terms["l1"] * (float("nan") if self.global_step in steps else 1.0)}

    monkeypatch.setattr(RestorationModule, "loss", loss)


@pytest.mark.slow
def test_a_step_that_is_not_finite_is_left_out_and_counted(
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings = config_of("repair", photos, check_every=2, max_steps=4, skips=2, ema=0.0)
    train(settings, tmp_path / "sound", max_steps=2)
    poison(monkeypatch, {2})
    train(settings, tmp_path / "poisoned", max_steps=3)
    # Weights and the optimiser's moments are those of the step before.
    assert difference(tmp_path / "sound", tmp_path / "poisoned") == 0
    states = [
        torch.load(tmp_path / name / "last.ckpt", weights_only=True)["optimizer_states"][0]["state"]
        for name in ("sound", "poisoned")
    ]
    for key, entry in states[0].items():
        assert all(torch.equal(value, states[1][key][name]) for name, value in entry.items())
    printed = capsys.readouterr().out
    assert "1 steps skipped" in printed
    assert "nan" not in printed  # the mean of the losses is of the others
    train(settings, tmp_path / "poisoned", resume=True)
    assert difference(tmp_path / "sound", tmp_path / "poisoned") > 0
    assert all(value.isfinite().all() for value in weights_in(tmp_path / "poisoned").values())


@pytest.mark.slow
def test_steps_do_without_denormal_numbers(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They would slow a run down, the longer it goes: momenta without gradients become tiny."""
    from pixperts.training.restoration import RestorationModule

    if not torch.set_flush_denormal(False):
        pytest.skip("this processor cannot leave them out")
    original, products = RestorationModule.loss, []

    def loss(self: RestorationModule, batch: Any) -> dict[str, torch.Tensor]:
        products.append(float(torch.full((1,), 1e-40) * 1.0))
        return original(self, batch)

    monkeypatch.setattr(RestorationModule, "loss", loss)
    train(config_of("repair", photos, max_steps=1), tmp_path / "run")
    assert products == [0.0]
    assert float(torch.full((1,), 1e-40) * 1.0) > 0


@pytest.mark.slow
def test_several_in_a_row_stop_the_run_with_a_sentence(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = config_of("repair", photos, check_every=1, skips=3)
    poison(monkeypatch, {1, 3, 4, 5})
    with pytest.raises(DataError, match="not finite in 3 steps in a row, up to step 6: start anew"):
        train(settings, tmp_path / "run")
    assert step_of(tmp_path / "run" / "last.ckpt") == 5
    with pytest.raises(DataError, match="not finite in 3 steps in a row, up to step 6"):
        train(settings, tmp_path / "run", resume=True)  # two in a row are remembered


# ---------------------------------------------------------------- ways to run


@kinds
@pytest.mark.slow
def test_workers_prepare_the_same_samples(family: str, photos: Path, tmp_path: Path) -> None:
    train(config_of(family, photos, max_steps=3), tmp_path / "none")
    train(config_of(family, photos, max_steps=3, workers=2), tmp_path / "two")
    assert difference(tmp_path / "none", tmp_path / "two") == 0


@families
@pytest.mark.slow
def test_half_precision_trains_alike(family: str, photos: Path, tmp_path: Path) -> None:
    train(config_of(family, photos), tmp_path / "full")
    train(config_of(family, photos, precision="bfloat16"), tmp_path / "half")
    assert 0 < difference(tmp_path / "full", tmp_path / "half") < 0.02  # six steps of 1e-3 at most
    model, _ = store.load(tmp_path / "half" / "last.safetensors")
    assert all(p.dtype == torch.float32 for p in model.parameters())


@families
@pytest.mark.slow
def test_everything_is_logged(family: str, photos: Path, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    bench = tmp_path / "bench"
    for name in ("HR", "LR_x2"):
        make_photos_of_bench(bench / name, 16 if name == "LR_x2" else 32)
    validation = photos if family in ("repair", "scenes", "one") else bench
    train(config_of(family, photos, validation=str(validation)), tmp_path / "run")
    log = EventAccumulator(str(tmp_path / "run" / "log"), size_guidance={"images": 0}).Reload()
    scalars = set(log.Tags()["scalars"])
    error = "loss/log" if family in ("scenes", "one") else "loss/l1"
    wanted = {error, "step/samples_per_second", "step/waiting_for_data", "step/skipped"}
    wanted |= {"step/gradient_norm"}
    if family == "repair":
        wanted |= {"loss/fourier", "loss/auxiliary", "validation/psnr_noise25", "lr-AdamW"}
        wanted |= {"validation/share_blur_0", "experts/blur/level 0 block 0/2"}
        pictures = {"pictures/noise25"}
    elif family == "scenes":
        wanted |= {"loss/fourier", "loss/groups", "loss/cost", "lr-Muon/pg1"}
        wanted |= {"validation/psnr_noise25", "experts/rain/level 2 block 0/1"}
        pictures = {"pictures/noise25"}
    elif family == "one":
        wanted |= {"loss/prediction", "lr-Muon/pg1", "validation/psnr_clean_x2"}
        wanted |= {"experts/clean/depth of regions/2"}
        pictures = {"pictures/clean"}
    else:
        own = {"lr-Muon/pg1"} if family == "light" else {"loss/distillation", "lr-Adam"}
        wanted |= {"loss/balance", "validation/psnr_x2"} | own
        wanted |= {"validation/cost_x2", "experts/enlarging/the mapper/1"}
        pictures = {"pictures/x2"}
    assert wanted <= scalars
    assert set(log.Tags()["images"]) == pictures
    assert [event.step for event in log.Scalars(error)] == [3, 6]
    if family not in ("scenes", "one"):  # a logarithm is below 0
        assert all(event.value > 0 for event in log.Scalars(error))
    shares = [event.value for event in log.Scalars("step/waiting_for_data")]
    assert all(0 <= share < 1 for share in shares)


def make_photos_of_bench(folder: Path, side: int) -> None:
    from pixperts.io.image import write_image

    pixels = torch.rand(side, side, 3, generator=torch.Generator().manual_seed(side))
    write_image(folder / "0.png", (pixels * 255).byte().numpy())


def test_pictures_and_figures_reach_weights_and_biases(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Offline: what it would send lies in the folder of the run."""
    pytest.importorskip("wandb", reason="needs the wandb extra: pip install 'pixperts[wandb]'")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    import wandb

    train(config_of("repair", photos, validation=str(photos)), tmp_path / "run", wandb="pixperts")
    wandb.finish()
    files = [path for path in (tmp_path / "run" / "wandb").rglob("*") if path.is_file()]
    assert any(path.suffix == ".wandb" for path in files)
    assert any(path.suffix == ".png" and "noise25" in path.name for path in files)


def test_without_the_extra_for_it_there_is_a_sentence(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ImportError, match=r"pip install 'pixperts\[wandb\]'"):
        train(config_of("repair", photos), tmp_path / "run", wandb="pixperts")


def test_idle_experts_are_named(photos: Path) -> None:
    from pixperts.training.run import module_of

    task = module_of(config_of("repair", photos))
    task.counts = torch.tensor([[[995, 5, 0], [50, 40, 10], [0, 0, 0]]])
    said = task.idle_experts()
    assert len(said) == 3
    assert said[0].startswith("expert 0 of level 2 block 0 got 99.5 % of the choices, nearly all")
    assert said[1].startswith("expert 1 of level 2 block 0 got 0.5 % of the choices, nearly none")


@pytest.mark.slow
def test_the_form_of_the_balance_and_its_bias_are_configured(photos: Path) -> None:
    from pixperts.training.run import module_of

    auxiliary = []
    for changes in ({}, {"complexity_bias": False}, {"balance": "published"}):
        torch.manual_seed(0)
        task = module_of(config_of("repair", photos, **changes)).train()
        task._numbers = range(2)
        batch = next(iter(DataLoader(task.samples(), batch_size=2, sampler=range(2))))
        auxiliary.append(float(task.loss(batch)["auxiliary"].detach()))
    assert len(set(auxiliary)) == 3


def test_frozen_parts_stay_in_evaluation_mode(photos: Path) -> None:
    from pixperts.training.run import module_of

    trained = module_of(config_of("enlarging", photos, **SWINIR))
    frozen = module_of(config_of("enlarging", photos, **SWINIR, frozen=["encoder"]))
    image = torch.rand(8, 3, 8, 8)
    for module in (trained, frozen):
        module.train()
        model = moeisr(module.model)
        first, second = (model.encoder(image) for _ in range(2))
        assert torch.equal(first, second) == (module is frozen)  # no branch is left out
        assert model.training
        assert all(part.training for part in model.experts)
