"""The script of small experiments: its variants can be trained, its table adds up."""

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

import experiments
from experiments import Job, fields_of, information, table
from experiments_list import (
    LIGHT,
    LIGHT_VARIANTS,
    MOCE,
    MOCE_VARIANTS,
    MOEISR,
    MOEISR_VARIANTS,
    Variant,
    always,
    random_skips,
)
from pixperts.models.moce_ir.model import MoCEIR
from pixperts.models.moce_ir_light.model import MoCEIRLight
from pixperts.models.presets import create_model
from pixperts.training.config import TrainConfig
from results_measure import Part
from tests.helpers.training_runs import make_photos

FAMILIES = ((MOEISR, MOEISR_VARIANTS), (MOCE, MOCE_VARIANTS), (LIGHT, LIGHT_VARIANTS))
EVERY = [
    pytest.param(base, variant, id=f"{base['model']}: {name}")
    for base, variants in FAMILIES
    for name, variant in variants.items()
]


@pytest.mark.parametrize(("base", "variant"), EVERY)
@pytest.mark.slow
def test_every_variant_can_be_trained_for_as_long_as_the_base(base: Any, variant: Variant) -> None:
    steps = 0
    for changes in variant.stages:
        fields = fields_of(base, changes, seed=1)
        config = TrainConfig.from_dict(fields, "experiment")
        create_model(config.model, **config.model_options)
        steps += config.max_steps
    assert steps == base["max_steps"]


def test_options_of_the_model_are_merged() -> None:
    fields = fields_of(MOCE, {"model_options": {"router_noise": 0.05}}, seed=3)
    assert fields["model_options"] == MOCE["model_options"] | {"router_noise": 0.05}
    assert fields["seed"] == 3
    assert MOCE["model_options"]["router_noise"] == 0.25


def test_skips_that_begin_at_random_do_not_add() -> None:
    model = create_model("moce-ir-tiny", **MOCE["model_options"])
    assert isinstance(model, MoCEIR)
    merge: Any = model.dec[0]
    x = torch.rand(1, 2 * merge[1].weight.shape[0], 3, 5)
    first, second = x.chunk(2, dim=1)
    torch.testing.assert_close(merge[1](x), first + second)
    random_skips(model)
    assert (merge[1](x) - first - second).abs().mean() > 0.1


@pytest.mark.parametrize("expert", [0, 2])
def test_a_network_without_a_router_always_takes_the_same_expert(expert: int) -> None:
    model = create_model("moce-ir-light", **LIGHT["model_options"])
    assert isinstance(model, MoCEIRLight)
    always(expert)(model)
    for routing in model(torch.rand(3, 3, 16, 24)).routings:
        assert routing.experts.flatten().tolist() == [expert] * 3
        assert routing.gates.flatten().tolist() == pytest.approx([1.0] * 3)


def test_information_of_half_a_bit() -> None:
    # Task 0 always takes expert 0; task 1 takes either: H(1/4) - H(1/2) / 2 = 0.8113 - 0.5.
    assert information([[1.0, 0.0], [0.5, 0.5]]) == pytest.approx(0.3113, abs=1e-4)


def test_the_table_compares_runs_of_one_seed(tmp_path: Path) -> None:
    part = Part(tmp_path / "p.json", {})
    values = {("base", 0): 30.0, ("base", 1): 31.0, ("good", 0): 30.5, ("good", 1): 31.6,
              ("alike", 0): 30.1, ("alike", 1): 30.9, ("late", 0): 30.0}  # fmt: skip
    part.rows = {f"{name}, seed {seed}": {"dB": v} for (name, seed), v in values.items()}
    lines = table(part, ["base", "good", "alike", "late"], 2, {"dB": lambda row: row["dB"]})
    # Differences 0.5 and 0.6, 0.1 and -0.1, 0: the pooled variance is (0.005 + 0.02) / 2.
    assert lines.splitlines()[2:] == [
        "| base | 2 | 30.500 |",
        "| good | 2 | **+0.550** |",
        "| alike | 2 | +0.000 |",
        "| late | 1 | +0.000 |",
        "| noise of one difference | | 0.112 |",
    ]


def test_after_one_seed_no_difference_is_marked(tmp_path: Path) -> None:
    part = Part(tmp_path / "p.json", {})
    part.rows = {"base, seed 0": {"dB": 30.0}, "good, seed 0": {"dB": 33.0}}
    lines = table(part, ["base", "good"], 2, {"dB": lambda row: row["dB"]}).splitlines()
    assert lines[3:] == ["| good | 1 | +3.000 |", "| noise of one difference | | unknown |"]


def test_a_figure_that_a_row_lacks_leaves_its_cell_empty(tmp_path: Path) -> None:
    part = Part(tmp_path / "p.json", {})
    part.rows = {"base, seed 0": {"dB": 30.0, "half": 29.0}, "one, seed 0": {"dB": 30.5}}
    columns = {"dB": lambda row: row["dB"], "half": lambda row: row["half"]}
    lines = table(part, ["base", "one"], 1, columns).splitlines()
    assert lines[2:] == [
        "| base | 1 | 30.000 | 29.000 |",
        "| one | 1 | +0.500 |  |",
        "| noise of one difference | | unknown | unknown |",
    ]


@pytest.mark.slow
def test_a_job_trains_and_measures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("lightning", reason="needs the train extra: pip install 'pixperts[train]'")
    photos = make_photos(tmp_path / "photos")
    bench = tmp_path / "bench"
    for folder, side in (("HR", 48), ("LR_x2", 24), ("LR_x4", 12)):
        (bench / "Set5" / folder).mkdir(parents=True)
        with Image.open(photos / "0.png") as photo:
            small = photo.resize((side, side), Image.Resampling.BICUBIC)
            small.save(bench / "Set5" / folder / "a.png")
    short = MOEISR | {"max_steps": 2, "warmup_steps": 1, "batch": 2, "patch": 8, "queries": 16}
    monkeypatch.setattr(experiments, "MOEISR", short)
    monkeypatch.setattr(experiments, "KEPT", tmp_path / "kept")
    monkeypatch.setattr(torch, "set_num_threads", lambda threads: None)
    rows = [
        Job("moeisr", name, 0, (str(photos),), bench, 1).row()
        for name in ("base: 4 experts of depths 0 1 2 3", "1 expert, the deepest")
    ]
    assert rows[0].keys() == {
        f"{way}{figure}" for way in ("auto", "budget") for figure in ("", "_cost", "_shares")
    }
    assert rows[1].keys() == {"auto", "auto_cost", "auto_shares"}  # one expert takes no budget
    for row in rows:
        assert 5 < row["auto"] < 60
        assert 0 < row["auto_cost"] <= 1
