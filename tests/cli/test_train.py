"""The engine from the command line: dry runs, and changes of a configuration."""

from pathlib import Path

import pytest
import torch

from pixperts.cli.app import main
from pixperts.errors import UsageError
from pixperts.training.config import TrainConfig
from tests.helpers.training_runs import config_of, families, make_photos, values_of

pytest.importorskip("lightning", reason="needs the train extra: pip install 'pixperts[train]'")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_photos(tmp_path_factory.mktemp("photos"))


@families
@pytest.mark.slow
def test_a_dry_run_trains_nothing(
    family: str, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import yaml

    from pixperts.io.image import read_image

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
    from pixperts.training.dry_run import cost_of
    from pixperts.training.run import module_of

    task = module_of(config_of("repair", photos))
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
        ("precision=float16", "precision is 'float16', but must be float32, bfloat16 or auto"),
        ("accumulate=0", "accumulate is 0, but must be at least 1"),
        ("workers=-1", "workers is -1, but must be 0 or more"),
        ("seed=-1", "seed is -1, but must be in"),
        ("skips=0", "skips is 0"),
        ("equalize=-1", "equalize is -1"),
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
