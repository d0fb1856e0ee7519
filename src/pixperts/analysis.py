"""What the routers saw in a picture: experts, gates, what was skipped, the nearest task.

A routing signature is the vector of all routers' log-probabilities, each router's centred. The
means of each task's signatures and their common covariance, measured on validation photos, travel
in the card of the weights; a picture's task is then found by linear discriminant analysis.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pixperts.errors import ModelError, UsageError
from pixperts.restoration_data import degraded_or_clean
from pixperts.routing import Routing

if TYPE_CHECKING:
    from pixperts.restorer import Restorer

Array = NDArray[np.float64]
_SHRINKAGE = 0.1  # of the covariance toward its diagonal: there are few photos a task


@dataclass(frozen=True)
class Block:
    """One decoder block's decision."""

    name: str
    experts: tuple[int, ...]  # the best first
    gates: tuple[float, ...]
    probabilities: tuple[float, ...]  # of every expert


@dataclass(frozen=True)
class Analysis:
    """What the routers saw in one picture."""

    blocks: tuple[Block, ...]
    multiply_adds: float  # as routed
    skipped: float  # share of the multiply-adds of all experts that was not spent
    tasks: tuple[tuple[str, float], ...]  # each task's probability, the likeliest first

    @property
    def task(self) -> str | None:
        """The nearest task, None where the weights hold no signatures."""
        return self.tasks[0][0] if self.tasks else None

    @property
    def confidence(self) -> float | None:
        """Probability of the nearest task among those that were measured."""
        return self.tasks[0][1] if self.tasks else None

    @classmethod
    def of(
        cls, restorer: "Restorer", routings: Sequence[Routing], size: tuple[int, int]
    ) -> "Analysis":
        """From the routings of one picture of (height, width)."""
        model = restorer.repairer
        spent = model.multiply_adds(size, routings)["total"]
        every = model.multiply_adds(size, every=True)["total"]
        stored = restorer.card.notes.get("signatures")
        tasks: tuple[tuple[str, float], ...] = ()
        if stored is not None:
            known, own = Signatures.from_notes(stored), signature(routings)
            if known.means.shape[1] != len(own):
                raise ModelError("the routing signatures of these weights fit another model.")
            tasks = known.nearest(own)
        blocks = tuple(
            Block(
                name=routing.name,
                experts=tuple(routing.experts[0].tolist()),
                gates=tuple(_row(routing.gates)),
                probabilities=tuple(_row(routing.probabilities)),
            )
            for routing in routings
        )
        return cls(blocks, spent, 1 - spent / every, tasks)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self) | {"task": self.task, "confidence": self.confidence}

    def to_text(self) -> str:
        """Lines for a person."""
        lines = []
        for block in self.blocks:
            chosen = ", ".join(
                f"expert {expert} with gate {gate:.2f}"
                for expert, gate in zip(block.experts, block.gates, strict=True)
            )
            spread = " / ".join(f"{value:.2f}" for value in block.probabilities)
            lines.append(f"{block.name}: {chosen} (probabilities {spread})")
        lines.append(
            f"{self.multiply_adds / 1e9:.2f} G multiply-adds; {self.skipped:.1%} of the cost with "
            "all experts was skipped"
        )
        if self.tasks:
            ranked = ", ".join(f"{task} {share:.1%}" for task, share in self.tasks[:4])
            lines.append(f"nearest by routing signature: {ranked}")
        return "\n".join(lines)


@dataclass(frozen=True)
class Signatures:
    """Each task's mean signature, and what is common to all tasks."""

    tasks: tuple[str, ...]
    means: Array  # (T, F)
    precision: Array  # (F, F), inverse of the covariance within tasks

    @classmethod
    def fit(cls, features: dict[str, Array]) -> "Signatures":
        """From signatures (N, F) of each task, two or more of them.

        Raises:
            UsageError: for fewer than two photos.
        """
        if any(len(rows) < 2 for rows in features.values()):
            raise UsageError("routing signatures need at least two photos for each task.")
        means = np.stack([rows.mean(axis=0) for rows in features.values()])
        residuals = np.concatenate([rows - rows.mean(axis=0) for rows in features.values()])
        covariance = residuals.T @ residuals / (len(residuals) - len(features))
        covariance *= 1 - _SHRINKAGE
        spread = np.diag(covariance) * _SHRINKAGE / (1 - _SHRINKAGE)
        covariance += np.diag(spread + 1e-4 + 1e-3 * covariance.trace() / len(covariance))
        return cls(tuple(features), means, np.linalg.inv(covariance))

    def nearest(self, features: Array) -> tuple[tuple[str, float], ...]:
        """Each task's probability given one signature (F,), all equally likely before.

        Example:
            >>> two = Signatures(("a", "b"), np.array([[0.0], [2.0]]), np.eye(1))
            >>> [(task, round(p, 3)) for task, p in two.nearest(np.array([0.5]))]  # 1/(1+1/e)
            [('a', 0.731), ('b', 0.269)]
        """
        away = features - self.means  # (T, F)
        scores = -0.5 * np.einsum("tf,fg,tg->t", away, self.precision, away)
        weights = np.exp(scores - scores.max())
        weights /= weights.sum()
        order = np.argsort(-weights, kind="stable")
        return tuple((self.tasks[place], float(weights[place])) for place in order)

    def to_notes(self) -> dict[str, Any]:
        """Plain values for a card, to four digits."""
        return {
            "tasks": list(self.tasks),
            "means": [[float(f"{x:.4g}") for x in row] for row in self.means.tolist()],
            "precision": [[float(f"{x:.4g}") for x in row] for row in self.precision.tolist()],
        }

    @classmethod
    def from_notes(cls, notes: Any) -> "Signatures":
        """The inverse of `to_notes`.

        Raises:
            ModelError: if they are damaged.
        """
        try:
            tasks = tuple(str(task) for task in notes["tasks"])
            means = np.array(notes["means"], np.float64)
            precision = np.array(notes["precision"], np.float64)
            features = len(precision)
            if means.shape != (len(tasks), features) or precision.shape != (features, features):
                raise ValueError
            if not (tasks and np.isfinite(means).all() and np.isfinite(precision).all()):
                raise ValueError
        except (TypeError, KeyError, ValueError) as error:
            raise ModelError("the routing signatures of these weights are damaged.") from error
        return cls(tasks, means, precision)


def signature(routings: Sequence[Routing]) -> Array:
    """All routers' centred log-probabilities of the first picture: (blocks * J,)."""
    parts = []
    for routing in routings:
        logarithms = np.log(np.maximum(np.array(_row(routing.probabilities)), 1e-12))
        parts.append(logarithms - logarithms.mean())
    return np.concatenate(parts)


def analyse(restorer: "Restorer", image: Any) -> Analysis:
    """Run the network on one image and tell what its routers saw.

    Raises:
        UsageError, ImageError: as `Restorer.restore_with_routing`, and for a batch of several.
    """
    if isinstance(image, Tensor) and image.dim() == 4 and len(image) > 1:
        raise UsageError(f"one picture is analysed at a time, not a batch of {len(image)}.")
    result, routings = restorer.restore_with_routing(image)
    if isinstance(result, Tensor):
        size = (result.shape[-2], result.shape[-1])
    elif isinstance(result, np.ndarray):
        size = result.shape[:2]
    else:
        size = (result.height, result.width)
    return Analysis.of(restorer, routings, size)


def measure_signatures(
    restorer: "Restorer", photos: Sequence[Tensor], tasks: Sequence[str]
) -> tuple[Signatures, dict[str, float]]:
    """Signatures of each task on clean photos degraded by it, and how often they are right.

    Args:
        restorer: a model that repairs.
        photos: uint8 (3, H, W); photo i is degraded with seed i.
        tasks: names of `degradations.TASKS`, and "clean".

    Returns:
        The signatures of all photos, and for each task the share of photos recognised when
        signatures are fitted to the other half of the photos.

    Raises:
        UsageError: for fewer than four photos.
    """
    if len(photos) < 4:
        raise UsageError("routing signatures are measured on at least four photos.")
    features: dict[str, Array] = {}
    for task in tasks:
        found = []
        for number, photo in enumerate(photos):
            degraded = degraded_or_clean(photo.float() / 255, task, number)
            found.append(signature(restorer.restore_with_routing(degraded)[1]))
        features[task] = np.stack(found)
    right = dict.fromkeys(tasks, 0)
    for held in (0, 1):
        fitted = Signatures.fit({t: rows[1 - held :: 2] for t, rows in features.items()})
        for task, rows in features.items():
            right[task] += sum(fitted.nearest(row)[0][0] == task for row in rows[held::2])
    return Signatures.fit(features), {task: right[task] / len(photos) for task in tasks}


def _row(values: Tensor | None) -> list[float]:
    if values is None:
        raise ModelError("a routing without probabilities and gates cannot be analysed.")
    return torch.as_tensor(values[0], dtype=torch.float64).tolist()
