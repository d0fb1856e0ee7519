"""How long the work will take: `Pace`, which learns from what was done."""

from collections.abc import Mapping
from typing import Any

from pixperts.background.orders import Step
from pixperts.jobs.enhance import Enhance

_USUAL = 8.0  # billions of multiply-adds a second, before anything was measured
_LEAST = 0.02  # megapixels; smaller pictures say little


def amounts(step: Step, size: tuple[int, int]) -> dict[str, float]:
    """Megapixels for each model of a step: of the picture for one that repairs, else of the result.

    Args:
        step: what is done.
        size: (width, height) of the picture.
    """
    width, height = size
    new_width, new_height = step.operation.new_size(width, height)
    after = {step.model: new_width * new_height / 1e6}
    if isinstance(step.operation, Enhance) and step.operation.restore_model is not None:
        return {step.operation.restore_model: width * height / 1e6} | after
    return after


class Pace:
    """Seconds that a megapixel takes, for each model.

    Args:
        gmac: billions of multiply-adds of a megapixel, for each model.

    Example:
        >>> pace = Pace({"a": 16.0})
        >>> pace.seconds({"a": 2.0})
        4.0
        >>> pace.learn({"model": "a", "megapixels": 1.0, "seconds": 3.0})
        >>> pace.seconds({"a": 2.0})
        6.0
    """

    def __init__(self, gmac: Mapping[str, float]) -> None:
        self._seconds = {name: amount / _USUAL for name, amount in gmac.items()}

    def seconds(self, megapixels: Mapping[str, float]) -> float:
        """That so many megapixels of these models are expected to take."""
        return sum(self._seconds.get(name, 0.0) * many for name, many in megapixels.items())

    def learn(self, report: Mapping[str, Any]) -> None:
        """Take a report into account; the last one counts.

        What two models took together counts for each in the proportion that was expected.
        """
        if report["megapixels"] < _LEAST or report.get("method", "network") != "network":
            return
        *before, last = report["model"].split("+")
        done = {last: report["megapixels"]}
        for name in before:
            done[name] = report["width"] * report["height"] / 1e6
        expected = self.seconds(done)
        for name, many in done.items():
            share = self.seconds({name: many}) / expected if expected else 1 / len(done)
            self._seconds[name] = report["seconds"] * share / many
