"""Analyze a picture: chosen experts, gates, skipped work, the most similar task.

A routing signature is the input of the routers: the features of each decoder block, averaged over
all pixels, and whether motion blur was detected before them. (The output of the routers, a few
probabilities, distinguishes tasks much less well.) The card of the weights holds the mean signature
of each task, and the directions in which tasks differ, both measured on validation photos. The task
of a picture is found from them by linear discriminant analysis.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pixperts.errors import ModelError, UsageError
from pixperts.inference.findings import Findings
from pixperts.models.moce_ir.motion import SURE_OF_MOTION
from pixperts.routing import Routing

if TYPE_CHECKING:
    from pixperts.inference.restorer import Restorer

Array = NDArray[np.float64]
_SHRINKAGE = 0.1  # of the covariance toward its diagonal: there are few photos a task


@dataclass(frozen=True)
class Block:
    """The decision in one decoder block."""

    name: str
    experts: tuple[int, ...]  # the best first
    gates: tuple[float, ...]
    probabilities: tuple[float, ...]  # of every expert


@dataclass(frozen=True)
class Analysis:
    """What the network found in one picture, and which experts it chose."""

    blocks: tuple[Block, ...]
    multiply_adds: float  # as routed
    skipped: float  # share of the multiply-adds of all experts that was saved
    tasks: tuple[tuple[str, float], ...]  # probability of each task, the highest first
    motion: tuple[float, float] | None = None  # pixels and degrees of undone blur
    findings: Findings | None = None  # None if the network cannot distinguish faults

    @property
    def task(self) -> str | None:
        """The most similar task; None if the weights hold no signatures."""
        return self.tasks[0][0] if self.tasks else None

    @property
    def confidence(self) -> float | None:
        """Probability of the most similar task, 0 to 1."""
        return self.tasks[0][1] if self.tasks else None

    @property
    def found(self) -> str | None:
        """What was found, in words; None if the network cannot distinguish faults."""
        return None if self.findings is None else self.findings.to_text(self.motion)

    @classmethod
    def of(
        cls,
        restorer: "Restorer",
        routings: Sequence[Routing],
        size: tuple[int, int],
        findings: Findings | None = None,
    ) -> "Analysis":
        """From the routings of one picture of (height, width), and what was found in it."""
        model = restorer.model
        parts = model.multiply_adds(size, routings)
        spent = parts["total"]
        # What runs only on demand is no choice of the router.
        every = model.multiply_adds(size, every=True)["total"] + parts.get("marks", 0.0)
        stored = restorer.card.notes.get("signatures")
        tasks: tuple[tuple[str, float], ...] = ()
        # Where motion blur was left alone, what is known of a task lacks its part.
        partial = routings[0].motion is None and getattr(model, "motion", None) is not None
        # Weights of an earlier version hold signatures of another kind: they count as none.
        if (
            stored is not None
            and not partial
            and not (isinstance(stored, dict) and "precision" in stored)
        ):
            known, own = Signatures.from_notes(stored), signature(routings)
            if len(known.projection) != len(own):
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
        motion: tuple[float, float] | None = None
        if routings[0].motion is not None:
            length, angle, none = _row(routings[0].motion)
            motion = (length, angle) if none < SURE_OF_MOTION else None
        return cls(blocks, spent, 1 - spent / every, tasks, motion, findings)

    def to_dict(self) -> dict[str, Any]:
        """Values that JSON can hold."""
        findings = None if self.findings is None else self.findings.to_dict()
        own = {"task": self.task, "confidence": self.confidence, "findings": findings}
        return asdict(self) | own

    def to_text(self) -> str:
        """Lines for a person: what was found, then what the network did."""
        lines = []
        if self.found is not None:
            lines.append(self.found)
        elif self.motion is not None:
            length, angle = self.motion
            lines.append(f"motion blur of {length:.1f} pixels at {angle:.0f} degrees undone first")
        if self.tasks:
            ranked = ", ".join(f"{task} {share:.1%}" for task, share in self.tasks[:4])
            lines.append(f"most similar to: {ranked}")
        for block in self.blocks:
            chosen = ", ".join(
                f"expert {expert} with gate {gate:.2f}"
                for expert, gate in zip(block.experts, block.gates, strict=True)
            )
            spread = " / ".join(f"{value:.2f}" for value in block.probabilities)
            lines.append(f"{block.name}: {chosen} (probabilities {spread})")
        lines.append(
            f"{self.multiply_adds / 1e9:.2f} G multiply-adds, {self.skipped:.1%} fewer than with "
            "all experts"
        )
        return "\n".join(lines)


@dataclass(frozen=True)
class Signatures:
    """Each task's mean signature, in the directions in which tasks differ.

    Along them signatures of one task spread by 1 each way, whatever the direction; by the root of
    the factor once they are `sharpened`.
    """

    tasks: tuple[str, ...]
    means: Array  # (T, D)
    projection: Array  # (F, D), D = T - 1 where there are features enough

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
        covariance += np.diag(spread + 1e-9 + 1e-3 * covariance.trace() / len(covariance))
        variances, axes = np.linalg.eigh(covariance)
        whitening = axes / np.sqrt(variances)  # (F, F)
        centred = (means - means.mean(axis=0)) @ whitening
        directions = np.linalg.svd(centred, full_matrices=False)[2][: max(1, len(means) - 1)]
        projection = whitening @ directions.T  # (F, D)
        return cls(tuple(features), means @ projection, projection)

    def sharpened(self, factor: float) -> "Signatures":
        """With all logarithms of ratios of probabilities multiplied by a factor."""
        root = factor**0.5
        return Signatures(self.tasks, self.means * root, self.projection * root)

    def nearest(self, features: Array) -> tuple[tuple[str, float], ...]:
        """Each task's probability given one signature (F,), all equally likely before.

        Example:
            >>> two = Signatures(("a", "b"), np.array([[0.0], [2.0]]), np.eye(1))
            >>> [(task, round(p, 3)) for task, p in two.nearest(np.array([0.5]))]  # 1/(1+1/e)
            [('a', 0.731), ('b', 0.269)]
        """
        scores = -0.5 * ((features @ self.projection - self.means) ** 2).sum(axis=1)
        weights = np.exp(scores - scores.max())
        weights /= weights.sum()
        order = np.argsort(-weights, kind="stable")
        return tuple((self.tasks[place], float(weights[place])) for place in order)

    def to_notes(self) -> dict[str, Any]:
        """Plain values for a card, to five digits."""
        return {
            "tasks": list(self.tasks),
            "means": [[float(f"{x:.5g}") for x in row] for row in self.means.tolist()],
            "projection": [[float(f"{x:.5g}") for x in row] for row in self.projection.tolist()],
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
            projection = np.array(notes["projection"], np.float64)
            if means.ndim != 2 or projection.ndim != 2:
                raise ValueError
            if len(means) != len(tasks) or means.shape[1] != projection.shape[1]:
                raise ValueError
            if not (tasks and np.isfinite(means).all() and np.isfinite(projection).all()):
                raise ValueError
        except (TypeError, KeyError, ValueError) as error:
            raise ModelError("the routing signatures of these weights are damaged.") from error
        return cls(tasks, means, projection)


def signature(routings: Sequence[Routing]) -> Array:
    """What the routers of the first picture looked at, block after block: (F,).

    Where motion blur was looked for, the logarithm of the odds that there was none comes last.
    """
    seen: list[Array] = []
    for routing in routings:
        own = np.array(_row(routing.pooled))
        # Where all routers look at the same, once is enough.
        if not seen or not np.array_equal(own, seen[-1]):
            seen.append(own)
    if routings[0].motion is not None:
        none = min(max(_row(routings[0].motion)[2], 1e-5), 1 - 1e-5)
        seen.append(np.array([math.log(none / (1 - none))]))
    return np.concatenate(seen)


def analyze(restorer: "Restorer", image: Any) -> Analysis:
    """Run the network on one image, and report what it found and which experts it chose.

    Args:
        restorer: the model.
        image: PIL, NumPy or torch, as for `Restorer.restore`.

    Raises:
        UsageError: as for `Restorer.restore`, the image is a batch of several, or the model does
            not repair.
        ImageError: as for `Restorer.restore`.
    """
    if not hasattr(restorer, "repair"):
        raise UsageError(f"{restorer.name} does not repair: load a model that does.")
    if isinstance(image, Tensor) and image.dim() == 4 and len(image) > 1:
        raise UsageError(f"one picture is analyzed at a time, not a batch of {len(image)}.")
    result, repair = restorer.repair(image)
    if isinstance(result, Tensor):
        size = (result.shape[-2], result.shape[-1])
    elif isinstance(result, np.ndarray):
        size = result.shape[:2]
    else:
        size = (result.height, result.width)
    return Analysis.of(restorer, repair.routings, size, repair.findings)


def _row(values: Tensor | None) -> list[float]:
    if values is None:
        raise ModelError("a routing without probabilities, gates and means cannot be analyzed.")
    numbers: list[float] = values[0].cpu().double().tolist()  # not every device has float64
    return numbers
