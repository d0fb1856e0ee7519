"""Several processes, or several parts of a step, train what one does."""

import itertools
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pixperts.errors import UsageError
from pixperts.training.config import TrainConfig
from pixperts.training.distributed import (
    FromStep,
    Layout,
    all_gather_with_grad,
    averaged,
    zero_gradients_for,
)
from tests.helpers.training_runs import SAME, apart, config_of, make_photos, values_of, weights_in

pytest.importorskip("lightning", reason="needs the train extra: pip install 'pixperts[train]'")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_photos(tmp_path_factory.mktemp("photos"))


@given(
    local=st.integers(1, 5),
    accumulate=st.integers(1, 4),
    processes=st.integers(1, 4),
    step=st.integers(0, 100),
    steps=st.integers(1, 3),
)
@pytest.mark.slow
def test_every_sample_is_dealt_once(
    local: int, accumulate: int, processes: int, step: int, steps: int
) -> None:
    layout = Layout(local * accumulate * processes, accumulate, processes)
    layout.check()
    dealt = []
    for rank in range(processes):
        numbers = list(FromStep(lambda: step, steps, layout, rank))
        assert len(numbers) == len(FromStep(lambda: step, steps, layout, rank))
        dealt.append(numbers)
    first, count = step * layout.batch, steps * layout.batch
    assert sorted(itertools.chain(*dealt)) == list(range(first, first + count))
    size = layout.batch // accumulate  # a part of a step is the same samples for any processes
    for part in range(steps * accumulate):
        found = [n for numbers in dealt for n in numbers[part * local : (part + 1) * local]]
        assert found == list(range(first + part * size, first + (part + 1) * size))


def test_a_batch_that_cannot_be_dealt_is_refused() -> None:
    with pytest.raises(UsageError, match=r"batch is 6.*accumulate \(2\).*processes \(2\)"):
        Layout(6, 2, 2).check()


def test_one_process_alone_changes_nothing() -> None:
    rows = torch.rand(3, 2, requires_grad=True)
    assert all_gather_with_grad(rows) is rows
    assert torch.equal(averaged(rows), rows)
    assert not averaged(rows).requires_grad


def test_parameters_that_took_no_part_get_zero_gradients() -> None:
    parameters = [torch.nn.Parameter(torch.rand(2, 3)), torch.nn.Parameter(torch.rand(()))]
    zero = zero_gradients_for(parameters)
    assert zero.item() == 0
    zero.backward()
    for parameter in parameters:
        assert parameter.grad is not None
        assert not parameter.grad.any()


TWENTY = {"max_steps": 20, "check_every": 20}


def reference(family: str, photos: Path, folder: Path) -> TrainConfig:
    from pixperts.training.run import train

    config = config_of(family, photos, **TWENTY)
    train(config, folder)
    return config


def start(launcher: list[str], family: str, photos: Path, folder: Path, extra: list[str]) -> str:
    """Train in processes of their own; what they print."""
    import yaml

    path = folder.with_suffix(".yaml")
    path.write_text(yaml.safe_dump(values_of(family, photos, **TWENTY), sort_keys=False))
    line = [sys.executable, "-m", *launcher, "train", str(path), "-o", str(folder)]
    done = subprocess.run(
        [*line, "--accelerator", "cpu", *extra],
        capture_output=True, text=True, timeout=300, check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_two_processes_of_torchrun_repair_as_one(photos: Path, tmp_path: Path) -> None:
    """An expert without a sample on one of them does not hold up the other."""
    config = reference("repair", photos, tmp_path / "one")
    # Standalone: on a free port, so that several runs on a machine do not meet.
    launcher = ["torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "pixperts"]
    printed = start(launcher, "repair", photos, tmp_path / "two", [])
    assert apart(tmp_path / "one", tmp_path / "two", config) < SAME
    assert printed.count("step 20,") == 1  # one of them speaks
    counted = re.findall(r"^  (?:noise50|low_light|blur) +(.*)$", printed, re.MULTILINE)
    assert len(counted) == 3
    # The table is of all samples, not of the first process's.
    assert all(int(share) <= 100 for row in counted for share in re.findall(r"\d+", row))


@pytest.mark.slow
def test_two_devices_of_lightning_enlarge_as_one(photos: Path, tmp_path: Path) -> None:
    config = reference("light", photos, tmp_path / "one")
    printed = start(["pixperts"], "light", photos, tmp_path / "two", ["--devices", "2"])
    assert apart(tmp_path / "one", tmp_path / "two", config) < SAME
    assert printed.count("step 20,") == 1


@pytest.mark.slow
def test_accumulated_parts_train_as_the_whole_batch(photos: Path, tmp_path: Path) -> None:
    """Balance is of a part and differs; without it, only the order of sums does."""
    from pixperts.training.run import train

    for family, without in (
        ("enlarging", {"balance_weight": 0, "routing_weight": 0}),
        ("light", {"balance_weight": 0}),
        ("repair", {"auxiliary_weight": 0}),
    ):
        for parts in (1, 2, 4):
            settings = config_of(family, photos, accumulate=parts, **without)
            train(settings, tmp_path / f"{family}{parts}")
        for parts in (2, 4):
            whole, pieces = (tmp_path / f"{family}{count}" for count in (1, parts))
            assert apart(whole, pieces, settings) < SAME, (family, parts)
    assert weights_in(tmp_path / "repair2")


def test_the_number_of_devices_must_fit(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pixperts.training.run import train

    with pytest.raises(UsageError, match=r"batch is 4.*processes \(3\)"):
        train(config_of("repair", photos), tmp_path / "run", devices=3)
    for name, value in (
        ("TORCHELASTIC_RUN_ID", "x"),
        ("WORLD_SIZE", "4"),
        ("LOCAL_WORLD_SIZE", "2"),
    ):
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match="devices is 3, but torchrun started 2"):
        train(config_of("repair", photos), tmp_path / "run", devices=3)
    assert not (tmp_path / "run").exists()
