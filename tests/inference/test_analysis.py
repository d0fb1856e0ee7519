"""What the routers saw: signatures of tasks, the cost that was skipped, one picture's analysis."""

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from pixperts.degradations.tasks import degrade
from pixperts.errors import ModelError, UsageError
from pixperts.evaluation.signatures import fit_and_check, measure_signatures
from pixperts.inference.analysis import Signatures, analyze, signature
from pixperts.inference.restorer import Restorer
from pixperts.inference.upscaler import Upscaler
from pixperts.routing import Routing
from pixperts.weights import store
from tests.helpers.moce_models import mini, moce_ir
from tests.helpers.tiny_models import tiny

Array = NDArray[np.float64]


def repairer(notes: dict[str, Any] | None = None, **options: Any) -> Restorer:
    return Restorer(mini(**options), store.Card("mini", {}, notes=notes or {}), device="cpu")


@pytest.fixture(scope="module")
def restorer() -> Restorer:
    return repairer()


def photos(count: int = 6, side: int = 24) -> list[Tensor]:
    """Small pictures, each with waves of its own."""
    y, x = np.mgrid[:side, :side]
    found = []
    for number in range(count):
        waves = [np.sin(x / (2 + number) + y / (3 + c) + number) for c in range(3)]
        found.append(torch.from_numpy((127 + 100 * np.stack(waves)).astype(np.uint8)))
    return found


def clusters(count: int, seed: int = 0) -> dict[str, Array]:
    """Three tasks in six correlated dimensions, whose means lie four deviations apart."""
    random = np.random.default_rng(seed)
    mixing = np.random.default_rng(1).normal(size=(6, 6)) + 2 * np.eye(6)
    names = ("rain", "haze", "clean")
    centres = {name: 4 * np.eye(6)[number] for number, name in enumerate(names)}
    return {
        name: (random.normal(size=(count, 6)) + centre) @ mixing for name, centre in centres.items()
    }


# ---------------------------------------------------------------- signatures


def test_clusters_are_told_apart() -> None:
    fitted = Signatures.fit(clusters(60))
    held = clusters(60, seed=7)
    for task, rows in held.items():
        right = sum(fitted.nearest(row)[0][0] == task for row in rows)
        assert right >= 57, task


def test_probabilities_sum_to_one_and_fall() -> None:
    fitted = Signatures.fit(clusters(20))
    random = np.random.default_rng(3)
    for scale in (0.1, 1.0, 10.0, 1e6):  # far away, too
        for row in random.normal(size=(20, 6)) * scale:
            found = fitted.nearest(row)
            shares = [share for _, share in found]
            assert {task for task, _ in found} == {"rain", "haze", "clean"}
            assert sum(shares) == pytest.approx(1.0, abs=1e-12)
            assert shares == sorted(shares, reverse=True)
            assert shares[-1] >= 0


def test_probabilities_by_hand() -> None:
    """Half the squared distances of (2 * 0, 1 * 1): 0.5 * (1, 4 + 1, 36 + 1)."""
    three = Signatures(
        ("a", "b", "c"), np.array([[0.0, 0.0], [2.0, 2.0], [6.0, 0.0]]), np.diag([2.0, 1.0])
    )
    weights = [math.exp(-0.5), math.exp(-2.5), math.exp(-18.5)]
    found = three.nearest(np.array([0.0, 1.0]))
    assert [task for task, _ in found] == ["a", "b", "c"]
    assert [share for _, share in found] == pytest.approx([w / sum(weights) for w in weights])
    assert three.nearest(np.array([3.0, 0.0]))[0][0] == "c"
    blunt = dict(three.sharpened(0.25).nearest(np.array([0.0, 1.0])))
    assert math.log(blunt["a"] / blunt["b"]) == pytest.approx(0.25 * 2)


def apart(fitted: Signatures) -> float:
    """Squared distance of the means of two tasks."""
    return float(((fitted.means[0] - fitted.means[1]) ** 2).sum())


def test_means_and_variance_within_tasks_by_hand() -> None:
    """Residuals -1, 1, -2, 2 of four photos and two tasks: variance 10 / (4 - 2); means 1, 12."""
    fitted = Signatures.fit({"a": np.array([[0.0], [2.0]]), "b": np.array([[10.0], [14.0]])})
    assert fitted.means.shape == (2, 1)
    assert fitted.projection.shape == (1, 1)
    np.testing.assert_allclose(fitted.means, [[1.0], [12.0]] * fitted.projection[0], rtol=1e-12)
    assert apart(fitted) == pytest.approx(11**2 / 5, rel=2e-3)


def test_the_covariance_shrinks_by_a_tenth_toward_its_diagonal() -> None:
    rows = np.array([[0.0, 0.0], [2.0, 2.0]])  # both variances 2, one line
    shift = np.array([3.0, -1.0])
    fitted = Signatures.fit({"a": rows, "b": rows + shift})
    expected = shift @ np.linalg.inv(np.array([[2.0, 1.8], [1.8, 2.0]])) @ shift
    assert apart(fitted) == pytest.approx(expected, rel=0.02)


def test_only_directions_in_which_tasks_differ_are_kept() -> None:
    """Distances of signatures to tasks differ by as much as in all six dimensions."""
    given = clusters(40)
    fitted = Signatures.fit(given)
    assert fitted.projection.shape == (6, 2)
    residuals = np.concatenate([rows - rows.mean(axis=0) for rows in given.values()])
    covariance = residuals.T @ residuals / (120 - 3)
    covariance = 0.9 * covariance + 0.1 * np.diag(np.diag(covariance))
    precision = np.linalg.inv(covariance)
    means = [rows.mean(axis=0) for rows in given.values()]
    for row in clusters(3, seed=5)["haze"]:
        whole = np.array([(row - mean) @ precision @ (row - mean) for mean in means])
        short = ((row @ fitted.projection - fitted.means) ** 2).sum(axis=1)
        np.testing.assert_allclose(short - short[0], whole - whole[0], rtol=0.02, atol=0.1)


def test_probabilities_promise_no_more_than_they_keep() -> None:
    """Twelve photos a task in 30 dimensions without anything to be told apart by, and with."""
    random = np.random.default_rng(0)
    noise = {task: random.normal(size=(12, 30)) for task in ("a", "b", "c")}
    blind, right = fit_and_check(noise)
    unbent = Signatures.fit(noise)
    given = random.normal(size=(50, 30))
    promised = np.mean([blind.nearest(row)[0][1] for row in given])
    assert promised < 0.45 < 0.6 < np.mean([unbent.nearest(row)[0][1] for row in given])
    assert all(0 <= share <= 0.75 for share in right.values())
    seeing, right = fit_and_check(clusters(40))
    assert min(right.values()) >= 0.9
    sure = [seeing.nearest(row)[0][1] for rows in clusters(20, seed=9).values() for row in rows]
    assert np.mean(sure) > 0.9


def test_a_direction_without_any_spread_is_no_obstacle() -> None:
    """Features that always add up to 0 have a singular covariance."""
    rows = {task: rows - rows.mean(axis=1, keepdims=True) for task, rows in clusters(5).items()}
    rows["flat"] = np.zeros((5, 6))
    fitted = Signatures.fit(rows)
    assert np.isfinite(fitted.projection).all()
    nothing = Signatures.fit({"a": np.zeros((2, 3)), "b": np.zeros((2, 3))})
    assert dict(nothing.nearest(np.ones(3))) == pytest.approx({"a": 0.5, "b": 0.5})


def test_one_photo_a_task_is_too_few() -> None:
    with pytest.raises(UsageError, match="at least two photos for each task"):
        Signatures.fit({"a": np.zeros((3, 2)), "b": np.zeros((1, 2))})


def test_signatures_come_back_from_notes() -> None:
    fitted = Signatures.fit(clusters(30))
    again = Signatures.from_notes(json.loads(json.dumps(fitted.to_notes(), allow_nan=False)))
    assert again.tasks == fitted.tasks
    np.testing.assert_allclose(again.means, fitted.means, rtol=5e-5)
    np.testing.assert_allclose(again.projection, fitted.projection, rtol=5e-5)
    assert again.to_notes() == fitted.to_notes()
    for rows in clusters(10, seed=5).values():
        for row in rows:
            assert again.nearest(row)[0][0] == fitted.nearest(row)[0][0]


GOOD: dict[str, Any] = {
    "tasks": ["a"],
    "means": [[0.0, 1.0]],
    "projection": [[1.0, 0.0], [0.0, 1.0], [2.0, 0.0]],
}


@pytest.mark.parametrize(
    "notes",
    [
        None,
        3,
        "words",
        [],
        {},
        {"tasks": ["a"], "means": [[0.0, 1.0]]},
        GOOD | {"tasks": ["a", "b"]},
        GOOD | {"tasks": []},
        GOOD | {"tasks": 3},
        GOOD | {"tasks": [], "means": [], "projection": []},
        GOOD | {"means": [0.0, 1.0]},
        GOOD | {"means": [[0.0]]},
        GOOD | {"means": [["x", "y"]]},
        GOOD | {"means": [[0.0, float("nan")]]},
        GOOD | {"projection": 1.0},
        GOOD | {"projection": [1.0, 1.0]},
        GOOD | {"projection": [[1.0], [1.0]]},
        GOOD | {"projection": [[1.0, 0.0], [0.0]]},
        GOOD | {"projection": [[1.0, 0.0], [0.0, float("inf")]]},
        GOOD | {"projection": [[1.0, 0.0], [0.0, None]]},
        GOOD | {"projection": {"a": 1}},
    ],
)
def test_damaged_notes_are_refused(notes: Any) -> None:
    assert Signatures.from_notes(GOOD).tasks == ("a",)
    with pytest.raises(
        ModelError, match=r"^the routing signatures of these weights are damaged\.$"
    ):
        Signatures.from_notes(notes)


def test_signatures_of_an_earlier_version_count_as_none() -> None:
    """They were log-probabilities with a covariance; a repair must not fail for them."""
    before = {"tasks": ["a"], "means": [[0.0, 1.0]], "precision": [[1.0, 0.0], [0.0, 1.0]]}
    found = analyze(repairer({"signatures": before}), np.zeros((8, 8, 3), np.uint8))
    assert (found.task, found.tasks) == (None, ())


def test_three_photos_of_a_task_cannot_be_checked() -> None:
    with pytest.raises(UsageError, match="at least four photos"):
        fit_and_check({"a": np.zeros((4, 2)), "b": np.zeros((3, 2))})


def test_signatures_of_another_model_are_refused() -> None:
    with pytest.raises(ModelError, match="signatures of these weights fit another model"):
        analyze(repairer({"signatures": GOOD}), np.zeros((8, 8, 3), np.uint8))


def test_a_signature_is_what_the_routers_looked_at() -> None:
    seen = [torch.tensor([[1.0, 2.0], [5.0, 6.0]]), torch.tensor([[3.0], [7.0]])]
    one = Routing(torch.tensor([[0], [0]]), (1.0, 1.0))
    found = signature([replace(one, pooled=pooled) for pooled in seen])
    assert found.tolist() == [1.0, 2.0, 3.0]  # of the first picture
    with pytest.raises(ModelError, match="without probabilities, gates and means"):
        signature([one])


def test_the_means_are_those_of_the_routers_inputs(restorer: Restorer) -> None:
    found: list[Tensor] = []
    model = moce_ir(restorer.model)
    hooks = [
        block.adapter.routing.register_forward_pre_hook(
            lambda module, given: found.append(given[0].mean(dim=(2, 3)))
        )
        for block in model.decoder_blocks
    ]
    with torch.inference_mode():
        routings = model(torch.stack(photos(2)) / 255).routings
    for hook in hooks:
        hook.remove()
    for expected, routing in zip(found, routings, strict=True):
        assert routing.pooled is not None
        torch.testing.assert_close(routing.pooled, expected)


# ---------------------------------------------------------------- one picture


@pytest.mark.parametrize("top_k", [1, 2])
def test_the_skipped_share_by_hand(top_k: int) -> None:
    restorer = repairer(top_k=top_k)
    model = moce_ir(restorer.model)
    found = analyze(restorer, photos(1)[0].permute(1, 2, 0).numpy()[:17, :9])
    pixels = 24 * 16  # 17 x 9, padded to multiples of 8
    levels = (2, 1, 1, 0)
    unused = 0.0
    for level, block, decided in zip(levels, model.decoder_blocks, found.blocks, strict=True):
        costs = block.adapter.expert_multiply_adds
        assert len(set(decided.experts)) == top_k
        idle = sum(cost for expert, cost in enumerate(costs) if expert not in decided.experts)
        unused += idle * pixels / 4**level
    every = model.multiply_adds((17, 9), every=True)["total"]
    assert found.skipped == pytest.approx(unused / every)
    assert found.multiply_adds == pytest.approx(every - unused)
    assert 0 < found.skipped < 1


def test_kinds_agree(restorer: Restorer) -> None:
    photo = photos(1)[0][:, :20]
    pixels = photo.permute(1, 2, 0).numpy()
    array = analyze(restorer, pixels)
    assert analyze(restorer, Image.fromarray(pixels)) == array
    assert analyze(restorer, photo / 255) == array
    assert analyze(restorer, (photo / 255)[None]) == array
    assert array != analyze(restorer, pixels // 4)
    grey = analyze(restorer, pixels[..., 0])
    assert grey == analyze(restorer, np.repeat(pixels[..., :1], 3, axis=2))


def test_a_batch_is_refused(restorer: Restorer) -> None:
    with pytest.raises(UsageError, match="one picture is analyzed at a time, not a batch of 2"):
        analyze(restorer, torch.zeros(2, 3, 8, 8))


def test_without_signatures_there_is_no_task(restorer: Restorer) -> None:
    found = analyze(restorer, np.zeros((8, 8, 3), np.uint8))
    assert (found.task, found.confidence, found.tasks) == (None, None, ())
    assert "nearest" not in found.to_text()
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert (plain["task"], plain["confidence"]) == (None, None)
    assert len(plain["blocks"]) == 4


# ---------------------------------------------------------------- measuring


@pytest.mark.slow
def test_measured_signatures_are_those_of_degraded_photos(restorer: Restorer) -> None:
    tasks = ("low_light", "clean", "noise50")
    given = photos()
    fitted, right = measure_signatures(restorer, given, tasks)
    assert fitted.tasks == tasks
    config = moce_ir(restorer.model).config
    channels = sum(config.channels(level) for level in (2, 1, 1, 0))
    assert fitted.projection.shape == (channels, 2)
    for task, mean in zip(tasks, fitted.means, strict=True):
        rows = []
        for number, photo in enumerate(given):
            image = photo / 255 if task == "clean" else degrade(photo / 255, task, number)
            rows.append(signature(restorer.restore_with_routing(image)[1]))
        expected = np.mean(rows, axis=0) @ fitted.projection
        np.testing.assert_allclose(mean, expected, rtol=1e-9, atol=1e-9)
    assert list(right) == list(tasks)
    assert all(
        share * len(given) == pytest.approx(round(share * len(given))) for share in right.values()
    )
    assert right["low_light"] == 1.0  # dark pictures are far from all others
    again = repairer({"signatures": fitted.to_notes()})
    dark = analyze(again, degrade(given[0] / 255, "low_light", 0))
    assert dark.task == "low_light"
    assert sum(share for _, share in dark.tasks) == pytest.approx(1.0)
    assert dark.to_text().startswith("most similar to: low_light ")


def test_three_photos_are_too_few_to_measure(restorer: Restorer) -> None:
    with pytest.raises(UsageError, match="at least four photos"):
        measure_signatures(restorer, photos(3), ["clean", "noise25"])


def test_a_model_that_does_not_repair_is_refused() -> None:
    upscaler = Upscaler(tiny(), store.Card("tiny", {}), device="cpu")
    with pytest.raises(UsageError, match="tiny does not repair: load a model that does"):
        analyze(upscaler, torch.rand(3, 8, 8))  # type: ignore[arg-type]
