"""Pictures and listeners of the tests of folder jobs; the fixtures are in conftest.py."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from pixperts.inference.size_request import SizeRequest
from pixperts.io.image import write_image
from pixperts.jobs.operations import Upscale
from pixperts.jobs.outcomes import Listener, Outcome

TWICE = Upscale(SizeRequest(scale=2))


def picture(path: str | Path, height: int = 6, width: int = 8) -> Path:
    seed = sum(Path(path).name.encode())
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return write_image(path, pixels)


def tree(folder: str | Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file()
    }


class Recorder(Listener):
    """Keeps outcomes, and does something when one is told."""

    def __init__(self, then: Callable[[int], None] = lambda number: None) -> None:
        self.outcomes: list[Outcome] = []
        self._then = then

    def result(self, number: int, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        self._then(number)

    @property
    def errors(self) -> list[str]:
        return [outcome.error for outcome in self.outcomes if outcome.error is not None]
