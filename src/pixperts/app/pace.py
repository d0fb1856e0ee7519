"""How long the work will take: `Pace`, which learns from what was done."""

from collections.abc import Mapping
from typing import Any

_USUAL = 8.0  # billions of multiply-adds a second, before anything was measured
_LEAST = 0.02  # megapixels; smaller pictures say little


class Pace:
    """Seconds that a megapixel takes, for each model.

    Args:
        gmac: billions of multiply-adds of a megapixel, for each model.

    Example:
        >>> pace = Pace({"a": 16.0})
        >>> pace.seconds("a", 2.0)
        4.0
        >>> pace.learn({"model": "a", "megapixels": 1.0, "seconds": 3.0})
        >>> pace.seconds("a", 2.0)
        6.0
    """

    def __init__(self, gmac: Mapping[str, float]) -> None:
        self._seconds = {name: amount / _USUAL for name, amount in gmac.items()}

    def seconds(self, model: str, megapixels: float) -> float:
        """That so many megapixels are expected to take."""
        return self._seconds.get(model, 0.0) * megapixels

    def learn(self, report: Mapping[str, Any]) -> None:
        """Take a report into account; the last one counts."""
        if report["megapixels"] >= _LEAST and report.get("method", "network") == "network":
            self._seconds[report["model"]] = report["seconds"] / report["megapixels"]
