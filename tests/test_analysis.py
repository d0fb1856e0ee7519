"""What the routers saw: signatures of tasks, the cost that was skipped, one picture's analysis."""

import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from moce_models import mini
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from pixperts import checkpoint
from pixperts.analysis import Signatures, analyse, measure_signatures, signature
from pixperts.degradations import degrade
from pixperts.errors import ModelError, UsageError
from pixperts.restorer import Restorer
from pixperts.routing import Routing

Array = NDArray[np.float64]


def repairer(notes: dict[str, Any] | None = None, **options: Any) -> Restorer:
    return Restorer(mini(**options), checkpoint.Card("mini", {}, notes=notes or {}), device="cpu")


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
    """Half the squared distances, in units of the precision: 0.5 * (1, 5, 4 * 9 + 1)."""
    three = Signatures(
        ("a", "b", "c"), np.array([[0.0, 0.0], [1.0, 2.0], [3.0, 0.0]]), np.diag([4.0, 1.0])
    )
    weights = [math.exp(-0.5), math.exp(-2.5), math.exp(-18.5)]
    found = three.nearest(np.array([0.0, 1.0]))
    assert [task for task, _ in found] == ["a", "b", "c"]
    assert [share for _, share in found] == pytest.approx([w / sum(weights) for w in weights])
    assert three.nearest(np.array([3.0, 0.0]))[0][0] == "c"


def test_means_and_variance_within_tasks_by_hand() -> None:
    """Residuals -1, 1, -2, 2 of four photos and two tasks: variance 10 / (4 - 2)."""
    fitted = Signatures.fit({"a": np.array([[0.0], [2.0]]), "b": np.array([[10.0], [14.0]])})
    assert fitted.means.tolist() == [[1.0], [12.0]]
    assert fitted.precision[0, 0] == pytest.approx(1 / 5, rel=2e-3)


def test_the_covariance_shrinks_by_a_tenth_toward_its_diagonal() -> None:
    fitted = Signatures.fit({"a": np.array([[0.0, 0.0], [2.0, 2.0]])})  # both variances 2, one line
    expected = np.linalg.inv(np.array([[2.0, 1.8], [1.8, 2.0]]))
    np.testing.assert_allclose(fitted.precision, expected, rtol=0.02)


def test_a_direction_without_any_spread_is_no_obstacle() -> None:
    """Centred log-probabilities of a router always sum to 0, so the covariance is singular."""
    rows = {task: rows - rows.mean(axis=1, keepdims=True) for task, rows in clusters(5).items()}
    rows["flat"] = np.zeros((5, 6))
    fitted = Signatures.fit(rows)
    assert np.isfinite(fitted.precision).all()
    assert np.linalg.eigvalsh(fitted.precision).min() > 0


def test_one_photo_a_task_is_too_few() -> None:
    with pytest.raises(UsageError, match="at least two photos for each task"):
        Signatures.fit({"a": np.zeros((3, 2)), "b": np.zeros((1, 2))})


def test_signatures_come_back_from_notes() -> None:
    fitted = Signatures.fit(clusters(30))
    again = Signatures.from_notes(json.loads(json.dumps(fitted.to_notes(), allow_nan=False)))
    assert again.tasks == fitted.tasks
    np.testing.assert_allclose(again.means, fitted.means, rtol=5e-4)
    np.testing.assert_allclose(again.precision, fitted.precision, rtol=5e-4)
    assert again.to_notes() == fitted.to_notes()
    for rows in clusters(10, seed=5).values():
        for row in rows:
            assert again.nearest(row)[0][0] == fitted.nearest(row)[0][0]


GOOD: dict[str, Any] = {
    "tasks": ["a"],
    "means": [[0.0, 1.0]],
    "precision": [[1.0, 0.0], [0.0, 1.0]],
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
        GOOD | {"tasks": [], "means": [], "precision": []},
        GOOD | {"means": [0.0, 1.0]},
        GOOD | {"means": [[0.0]]},
        GOOD | {"means": [["x", "y"]]},
        GOOD | {"means": [[0.0, float("nan")]]},
        GOOD | {"precision": 1.0},
        GOOD | {"precision": [1.0, 1.0]},
        GOOD | {"precision": [[1.0], [1.0]]},
        GOOD | {"precision": [[1.0, 0.0], [0.0]]},
        GOOD | {"precision": [[1.0, 0.0], [0.0, float("inf")]]},
        GOOD | {"precision": [[1.0, 0.0], [0.0, None]]},
        GOOD | {"precision": {"a": 1}},
    ],
)
def test_damaged_notes_are_refused(notes: Any) -> None:
    assert Signatures.from_notes(GOOD).tasks == ("a",)
    with pytest.raises(
        ModelError, match=r"^the routing signatures of these weights are damaged\.$"
    ):
        Signatures.from_notes(notes)


def test_signatures_of_another_model_are_refused() -> None:
    with pytest.raises(ModelError, match="signatures of these weights fit another model"):
        analyse(repairer({"signatures": GOOD}), np.zeros((8, 8, 3), np.uint8))


def routing(*probabilities: float) -> Routing:
    return Routing(
        torch.tensor([[0]]),
        (1.0,) * len(probabilities),
        probabilities=torch.tensor([probabilities]),
    )


def test_a_signature_by_hand() -> None:
    """Centred: log(3 / 4) and log(1 / 4) lie log(3) apart, half of it on each side of 0."""
    found = signature([routing(0.75, 0.25), routing(0.5, 0.5)])
    half = 0.5 * math.log(3)
    np.testing.assert_allclose(found, [half, -half, 0.0, 0.0], atol=1e-7)
    assert np.isfinite(signature([routing(1.0, 0.0)])).all()
    with pytest.raises(ModelError, match="without probabilities"):
        signature([Routing(torch.tensor([[0]]), (1.0, 1.0))])


# ---------------------------------------------------------------- one picture


@pytest.mark.parametrize("top_k", [1, 2])
def test_the_skipped_share_by_hand(top_k: int) -> None:
    restorer = repairer(top_k=top_k)
    model = restorer.repairer
    found = analyse(restorer, photos(1)[0].permute(1, 2, 0).numpy()[:17, :9])
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
    array = analyse(restorer, pixels)
    assert analyse(restorer, Image.fromarray(pixels)) == array
    assert analyse(restorer, photo / 255) == array
    assert analyse(restorer, (photo / 255)[None]) == array
    assert array != analyse(restorer, pixels // 4)
    grey = analyse(restorer, pixels[..., 0])
    assert grey == analyse(restorer, np.repeat(pixels[..., :1], 3, axis=2))


def test_a_batch_is_refused(restorer: Restorer) -> None:
    with pytest.raises(UsageError, match="one picture is analysed at a time, not a batch of 2"):
        analyse(restorer, torch.zeros(2, 3, 8, 8))


def test_without_signatures_there_is_no_task(restorer: Restorer) -> None:
    found = analyse(restorer, np.zeros((8, 8, 3), np.uint8))
    assert (found.task, found.confidence, found.tasks) == (None, None, ())
    assert "nearest" not in found.to_text()
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert (plain["task"], plain["confidence"]) == (None, None)
    assert len(plain["blocks"]) == 4


# ---------------------------------------------------------------- measuring


def test_measured_signatures_are_those_of_degraded_photos(restorer: Restorer) -> None:
    tasks = ("low_light", "clean", "noise50")
    given = photos()
    fitted, right = measure_signatures(restorer, given, tasks)
    assert fitted.tasks == tasks
    assert fitted.means.shape == (3, 16)  # four blocks of four experts
    for task, mean in zip(tasks, fitted.means, strict=True):
        rows = []
        for number, photo in enumerate(given):
            image = photo / 255 if task == "clean" else degrade(photo / 255, task, number)
            rows.append(signature(restorer.restore_with_routing(image)[1]))
        np.testing.assert_allclose(mean, np.mean(rows, axis=0), atol=1e-12)
    assert list(right) == list(tasks)
    assert all(
        share * len(given) == pytest.approx(round(share * len(given))) for share in right.values()
    )
    assert right["low_light"] == 1.0  # dark pictures are far from all others
    again = repairer({"signatures": fitted.to_notes()})
    dark = analyse(again, degrade(given[0] / 255, "low_light", 0))
    assert dark.task == "low_light"
    assert sum(share for _, share in dark.tasks) == pytest.approx(1.0)
    assert dark.to_text().splitlines()[-1].startswith("nearest by routing signature: low_light ")


def test_three_photos_are_too_few_to_measure(restorer: Restorer) -> None:
    with pytest.raises(UsageError, match="at least four photos"):
        measure_signatures(restorer, photos(3), ["clean", "noise25"])
