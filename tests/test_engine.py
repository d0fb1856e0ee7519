"""The engine's promises: exact resuming, whole checkpoints, guarded steps, a full log."""

import os
import random
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader
from training_runs import config_of, difference, make_photos, values_of, weights_in

from pixperts import checkpoint
from pixperts.cli import main
from pixperts.errors import DataError, ModelError, PixpertsError, UsageError
from pixperts.train_config import TrainConfig

pytest.importorskip("lightning", reason="needs the train extra: pip install 'pixperts[train]'")

families = pytest.mark.parametrize("family", ["enlarging", "repair"])


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_photos(tmp_path_factory.mktemp("photos"))


def train(config: TrainConfig, folder: Path, **options: Any) -> Path:
    from pixperts.training import train as run

    return run(config, folder, **options)


def step_of(path: Path) -> int:
    return int(torch.load(path, weights_only=True)["global_step"])


def begun(values: dict[str, Any], folder: Path) -> "subprocess.Popen[str]":
    """A run in a process group of its own, from the moment that it has a checkpoint."""
    import yaml

    path = folder.with_suffix(".yaml")
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    child = subprocess.Popen(
        [sys.executable, "-m", "pixperts", "train", str(path), "-o", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    until = time.monotonic() + 120
    while not (folder / "last.ckpt").exists():
        assert child.poll() is None
        assert time.monotonic() < until
        time.sleep(0.01)
    return child


# ---------------------------------------------------------------- resuming


@families
@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_run_in_three_pieces_equals_a_whole_one(
    family: str, accumulate: int, photos: Path, tmp_path: Path
) -> None:
    settings = config_of(family, photos, max_steps=7, accumulate=accumulate)
    train(settings, tmp_path / "whole")
    train(settings, tmp_path / "pieces", max_steps=2)
    train(settings, tmp_path / "pieces", max_steps=5, resume=True)
    train(settings, tmp_path / "pieces", resume=True)
    assert difference(tmp_path / "whole", tmp_path / "pieces") == 0
    first, second = (
        torch.load(tmp_path / n / "last.ckpt", weights_only=True) for n in ("whole", "pieces")
    )
    for state in ("current_model_state", "state_dict"):  # the trained weights and their average
        assert all(torch.equal(first[state][k], second[state][k]) for k in first[state])


def test_skipped_branches_are_drawn_alike_after_resuming(photos: Path, tmp_path: Path) -> None:
    """SwinIR leaves out branches at random: by torch's own state, which is set by the step."""
    options: dict[str, Any] = {
        "model": "moeisr-liif-swinir",
        "model_options": {
            "encoder_options": {
                "channels": 8, "width": 8, "groups": 1, "layers": 2, "heads": 2, "window": 4,
                "drop_path": 0.5,
            },
            "width": 8, "widths": [8, 8], "depths": [0, 1], "neighbours": [4, 4], "neck": 0,
        },
    }  # fmt: skip
    settings = config_of("enlarging", photos, **options)
    train(settings, tmp_path / "whole")
    train(settings, tmp_path / "pieces", max_steps=4)
    train(settings, tmp_path / "pieces", resume=True)
    assert difference(tmp_path / "whole", tmp_path / "pieces") == 0


@families
def test_a_killed_run_goes_on_as_if_it_had_not_been(
    family: str, photos: Path, tmp_path: Path
) -> None:
    settings = config_of(family, photos, max_steps=24, check_every=3)
    train(settings, tmp_path / "whole")
    child = begun(values_of(family, photos, max_steps=24, check_every=3), tmp_path / "killed")
    time.sleep(random.random())
    child.kill()
    child.communicate()
    train(settings, tmp_path / "killed", resume=True)
    assert difference(tmp_path / "whole", tmp_path / "killed") == 0


@pytest.mark.parametrize("moment", ["before", "between"])
def test_a_kill_while_saving_loses_nothing(
    moment: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed when the third checkpoint is written but not renamed, or between the two renamings."""
    from pixperts import training
    from pixperts.resuming import Saver

    class KilledError(BaseException):
        pass

    calls = 0

    def replace(source: Path, target: Path) -> None:
        nonlocal calls
        calls += 1  # the first save renames once, the others twice
        if calls == (4 if moment == "before" else 5):
            raise KilledError
        os.replace(source, target)

    settings = config_of("repair", photos, check_every=1)
    train(settings, tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(training, "Saver", lambda folder, config: Saver(folder, config, replace))
        with pytest.raises(KilledError):
            train(settings, tmp_path / "killed")
    names = {path.name for path in (tmp_path / "killed").glob("*.ckpt")}
    assert names == ({"last.ckpt", "previous.ckpt"} if moment == "before" else {"previous.ckpt"})
    train(settings, tmp_path / "killed", resume=True)
    assert difference(tmp_path / "whole", tmp_path / "killed") == 0


def test_the_last_two_checkpoints_are_kept(photos: Path, tmp_path: Path) -> None:
    train(config_of("enlarging", photos, check_every=2), tmp_path / "run")
    assert step_of(tmp_path / "run" / "last.ckpt") == 6
    assert step_of(tmp_path / "run" / "previous.ckpt") == 4
    assert not list((tmp_path / "run").glob(".*"))


def test_a_broken_checkpoint_is_named_and_the_one_before_serves(
    photos: Path, tmp_path: Path
) -> None:
    settings = config_of("enlarging", photos)
    train(settings, tmp_path / "whole")
    train(settings, tmp_path / "run", max_steps=5)
    last = tmp_path / "run" / "last.ckpt"
    last.write_bytes(last.read_bytes()[:1000])
    with pytest.raises(ModelError, match=r"last\.ckpt: this checkpoint is broken: delete it"):
        train(settings, tmp_path / "run", resume=True)
    last.unlink()
    train(settings, tmp_path / "run", resume=True)
    assert difference(tmp_path / "whole", tmp_path / "run") == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_after_its_step(
    number: signal.Signals, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pixperts.restoration_data import SyntheticPairs

    settings = config_of("repair", photos, check_every=6)
    train(settings, tmp_path / "whole")
    original = SyntheticPairs.__getitem__

    def item(self: SyntheticPairs, place: int) -> Any:
        if place == 4 * 2:  # the first sample of the third step; one batch is fetched ahead
            os.kill(os.getpid(), number)
        return original(self, place)

    # A shell has background jobs ignore interrupts, and so would this run.
    own = signal.signal(number, signal.default_int_handler)
    before = signal.getsignal(number)
    with monkeypatch.context() as patch:
        patch.setattr(SyntheticPairs, "__getitem__", item)
        train(settings, tmp_path / "run")
    assert signal.signal(number, own) == before
    assert step_of(tmp_path / "run" / "last.ckpt") in (2, 3)
    train(settings, tmp_path / "run", resume=True)
    assert difference(tmp_path / "whole", tmp_path / "run") == 0


def test_a_signal_to_the_whole_group_is_survived_by_the_workers(
    photos: Path, tmp_path: Path
) -> None:
    values = values_of("repair", photos, max_steps=5000, check_every=1, workers=1)
    child = begun(values, tmp_path / "run")
    os.killpg(child.pid, signal.SIGTERM)
    _, said = child.communicate(timeout=120)
    assert child.returncode == 0, said
    assert step_of(tmp_path / "run" / "last.ckpt") >= 1


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"learning_rate": 1e-2}, "was started with learning_rate = 0.001, not 0.01: set it back"),
        ({"accumulate": 2}, "was started with accumulate = 1, not 2"),
        ({"tasks": {"rain": 1}}, "was started with tasks = "),
        ({"frozen": ["output"]}, r"was started with frozen = \(\), not \('output',\)"),
        ({"max_steps": 9}, "was started with max_steps = 6, not 9"),
    ],
)
def test_a_run_is_resumed_as_it_was_started(
    changes: dict[str, Any], reason: str, photos: Path, tmp_path: Path
) -> None:
    train(config_of("repair", photos), tmp_path / "run", max_steps=1)
    with pytest.raises(UsageError, match=reason):
        train(config_of("repair", photos, **changes), tmp_path / "run", resume=True)


def test_a_field_that_is_newer_than_the_run_had_its_default(photos: Path, tmp_path: Path) -> None:
    train(config_of("repair", photos), tmp_path / "run", max_steps=1)
    kept = torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)
    del kept["pixperts_config"]["complexity_bias"]
    torch.save(kept, tmp_path / "run" / "last.ckpt")
    with pytest.raises(UsageError, match="was started with complexity_bias = True, not False"):
        train(config_of("repair", photos, complexity_bias=False), tmp_path / "run", resume=True)
    train(config_of("repair", photos), tmp_path / "run", max_steps=2, resume=True)


def test_a_run_of_another_family_is_refused(photos: Path, tmp_path: Path) -> None:
    train(config_of("repair", photos), tmp_path / "run", max_steps=1)
    with pytest.raises(UsageError, match="was started with"):
        train(config_of("enlarging", photos), tmp_path / "run", resume=True)
    torch.save({"state_dict": {}}, tmp_path / "run" / "last.ckpt")
    with pytest.raises(ModelError, match="this is no checkpoint of a training"):
        train(config_of("repair", photos), tmp_path / "run", resume=True)


def test_what_does_not_change_a_step_may_change(photos: Path, tmp_path: Path) -> None:
    halving = {"halve_at": [3]}
    train(config_of("repair", photos, **halving), tmp_path / "whole")
    train(config_of("repair", photos, max_steps=4, **halving), tmp_path / "run", max_steps=2)
    more = {"check_every": 2, "validation": str(photos), "workers": 1, "licence": "other"}
    train(config_of("repair", photos, **halving, **more), tmp_path / "run", resume=True)
    assert difference(tmp_path / "whole", tmp_path / "run") == 0


def test_a_folder_that_cannot_be_is_named(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(UsageError, match=r"this folder cannot be made .*name another"):
            train(config_of("repair", photos), folder)


def test_a_full_disk_is_told_and_leaves_no_half_checkpoint(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import lightning

    def save(self: Any, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(lightning.Trainer, "save_checkpoint", save)
    with pytest.raises(ModelError, match=r"cannot be written \(No space left.*\): make room"):
        train(config_of("repair", photos), tmp_path / "run")
    assert not list((tmp_path / "run").glob(".*"))


def test_a_broken_photo_is_named_by_a_worker_too(tmp_path: Path) -> None:
    make_photos(tmp_path / "photos")
    for path in (tmp_path / "photos").iterdir():
        path.write_bytes(path.read_bytes()[:400])
    for workers in (0, 1):
        with pytest.raises(PixpertsError) as caught:
            train(config_of("repair", tmp_path / "photos", workers=workers), tmp_path / "run")
        assert str(caught.value).count("\n") == 0
        assert "Traceback" not in str(caught.value)
        assert ".png" in str(caught.value)


def test_a_second_interrupt_ends_the_run_at_once(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pixperts.restoration_data import SyntheticPairs

    def item(self: SyntheticPairs, place: int) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)

    monkeypatch.setattr(SyntheticPairs, "__getitem__", item)
    own = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            train(config_of("repair", photos), tmp_path / "run")
    finally:
        signal.signal(signal.SIGINT, own)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_device_that_is_not_there(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--accelerator or --devices cannot be had here"):
        train(config_of("repair", photos), tmp_path / "run", accelerator="gpu")


def test_a_time_limit_ends_after_a_whole_step(photos: Path, tmp_path: Path) -> None:
    settings = config_of("repair", photos, accumulate=4, max_steps=10000, check_every=5000)
    train(settings, tmp_path / "run", max_time=timedelta(milliseconds=1))
    assert step_of(tmp_path / "run" / "last.ckpt") == 1


# ---------------------------------------------------------------- steps that are not finite


def poison(monkeypatch: pytest.MonkeyPatch, steps: set[int]) -> None:
    """The loss of these steps is not a number."""
    from pixperts.restoration_task import RestorationTask

    original = RestorationTask.loss

    def loss(self: RestorationTask, batch: Any) -> dict[str, torch.Tensor]:
        terms = original(self, batch)
        return terms | {"l1": terms["l1"] * (float("nan") if self.global_step in steps else 1.0)}

    monkeypatch.setattr(RestorationTask, "loss", loss)


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


@families
def test_workers_prepare_the_same_samples(family: str, photos: Path, tmp_path: Path) -> None:
    train(config_of(family, photos, max_steps=3), tmp_path / "none")
    train(config_of(family, photos, max_steps=3, workers=2), tmp_path / "two")
    assert difference(tmp_path / "none", tmp_path / "two") == 0


@families
def test_half_precision_trains_alike(family: str, photos: Path, tmp_path: Path) -> None:
    train(config_of(family, photos), tmp_path / "full")
    train(config_of(family, photos, precision="bfloat16"), tmp_path / "half")
    assert 0 < difference(tmp_path / "full", tmp_path / "half") < 0.02  # six steps of 1e-3 at most
    model, _ = checkpoint.load(tmp_path / "half" / "last.safetensors")
    assert all(p.dtype == torch.float32 for p in model.parameters())


@families
def test_everything_is_logged(family: str, photos: Path, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    bench = tmp_path / "bench"
    for name in ("HR", "LR_x2"):
        make_photos_of_bench(bench / name, 16 if name == "LR_x2" else 32)
    validation = photos if family == "repair" else bench
    train(config_of(family, photos, validation=str(validation)), tmp_path / "run")
    log = EventAccumulator(str(tmp_path / "run" / "log"), size_guidance={"images": 0}).Reload()
    scalars = set(log.Tags()["scalars"])
    wanted = {"loss/l1", "step/samples_per_second", "step/waiting_for_data", "step/skipped"}
    wanted |= {"step/gradient_norm"}
    if family == "repair":
        wanted |= {"loss/fourier", "loss/auxiliary", "validation/psnr_noise25", "lr-AdamW"}
        wanted |= {"validation/share_blur_0", "experts/blur/level 0 block 0/2"}
        pictures = {"pictures/noise25"}
    else:
        wanted |= {"loss/balance", "loss/distillation", "validation/psnr_x2", "lr-Adam"}
        wanted |= {"validation/cost_x2", "experts/enlarging/the mapper/1"}
        pictures = {"pictures/x2"}
    assert wanted <= scalars
    assert set(log.Tags()["images"]) == pictures
    assert [event.step for event in log.Scalars("loss/l1")] == [3, 6]
    assert all(event.value > 0 for event in log.Scalars("loss/l1"))
    shares = [event.value for event in log.Scalars("step/waiting_for_data")]
    assert all(0 <= share < 1 for share in shares)


def make_photos_of_bench(folder: Path, side: int) -> None:
    from pixperts.image import write_image

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
    from pixperts.training import task_of

    task = task_of(config_of("repair", photos))
    task.counts = torch.tensor([[[995, 5, 0], [50, 40, 10], [0, 0, 0]]])
    said = task.idle_experts()
    assert len(said) == 3
    assert said[0].startswith("expert 0 of level 2 block 0 got 99.5 % of the choices, nearly all")
    assert said[1].startswith("expert 1 of level 2 block 0 got 0.5 % of the choices, nearly none")


def test_a_run_without_the_complexity_bias_has_the_plain_balance(photos: Path) -> None:
    from pixperts.training import task_of

    auxiliary = []
    for biased in (True, False):
        torch.manual_seed(0)
        task = task_of(config_of("repair", photos, complexity_bias=biased)).train()
        task._numbers = range(2)
        batch = next(iter(DataLoader(task.samples(), batch_size=2, sampler=range(2))))
        auxiliary.append(float(task.loss(batch)["auxiliary"].detach()))
    assert auxiliary[0] != auxiliary[1]


# ---------------------------------------------------------------- the command line


@families
def test_a_dry_run_trains_nothing(
    family: str, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import yaml

    from pixperts.image import read_image

    (tmp_path / "run.yaml").write_text(yaml.safe_dump(values_of(family, photos)))
    line = ["train", str(tmp_path / "run.yaml"), "-o", str(tmp_path / "run")]
    assert main([*line, "--dry-run", "--set", "batch=2"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [part.split(":")[0] for part in said] == [
        "model", "data", "steps", "work", "memory, estimated", "first batch",
    ]  # fmt: skip
    assert "steps: 6 of 2 samples (2 a process and part), 12 in all" in said
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"first_batch.png"}
    shape = read_image(tmp_path / "run" / "first_batch.png").pixels.shape
    if family == "repair":
        assert shape == (32, 32, 3)  # two patches of 16, degraded and clean
    assert main([*line, "--set", "max_steps=1"]) == 0  # its folder is no run yet


def test_the_multiply_adds_of_a_step_are_counted(photos: Path) -> None:
    """Of a linear layer of 3 to 5 on 7 rows: 105, its weights' gradient 105, no input's."""
    from pixperts.dry_run import cost_of
    from pixperts.training import task_of

    task = task_of(config_of("repair", photos))
    layer = torch.nn.Linear(3, 5, bias=False)
    rows = torch.rand(7, 3)
    task.loss = lambda batch: {"l1": layer(batch).sum()}  # type: ignore[method-assign]
    multiply_adds, kept = cost_of(task, rows)
    assert multiply_adds == 210
    assert kept == rows.numel() * 4


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("batch", "'batch' is not of the form key=value"),
        ("=3", "'=3' is not of the form key=value"),
        ("batch=[", "the value is not valid YAML"),
        ("batch.x=3", "'batch' has no fields within"),
        ("tasks.fog=1", "unknown task 'fog'"),
        ("colour=1", "unknown field 'colour'"),
        ("precision=float16", "precision is 'float16', but must be float32 or bfloat16"),
        ("accumulate=0", "accumulate is 0, but must be at least 1"),
        ("workers=-1", "workers is -1, but must be 0 or more"),
        ("seed=-1", "seed is -1, but must lie in"),
        ("skips=0", "skips is 0"),
        ("equalise=-1", "equalise is -1"),
        ("clip=-1", "clip is -1"),
        ("warmup_steps=-3", "warmup_steps is -3"),
        ("final_rate=-3", "final_rate is -3"),
        ("weight_decay=.nan", "weight_decay is nan"),
        ("photos=nowhere", "photos is 'nowhere', but must be a list, such as [a, b]"),
    ],
)
def test_a_change_that_makes_no_sense(change: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("model: moce-ir-tiny\ntasks: {rain: 1}\nbatch: 4\n")
    with pytest.raises(UsageError) as caught:
        TrainConfig.from_yaml(tmp_path / "run.yaml", [change])
    assert reason in str(caught.value)


def test_changes_reach_into_fields(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("model: moce-ir-tiny\ntasks: {rain: 1}\nbatch: 4\n")
    changes = ["batch=8", "tasks.haze=2", "model_options.dim=16", "learning_rate=1e-3"]
    read = TrainConfig.from_yaml(tmp_path / "run.yaml", changes)
    assert (read.batch, read.learning_rate) == (8, 1e-3)
    assert read.model_options == {"dim": 16}
    assert getattr(read, "tasks") == {"rain": 1, "haze": 2}  # noqa: B009


def test_an_unknown_accelerator_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "x.yaml", "-o", str(tmp_path / "run"), "--accelerator", "abacus"]) == 2
    assert "must be auto, cpu, gpu or mps" in capsys.readouterr().err
