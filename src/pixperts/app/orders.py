"""What a working process is ordered to do for the page."""

from collections.abc import Callable
from dataclasses import dataclass

from pixperts.background.events import Event
from pixperts.background.orders import Prepare, Run, Step


@dataclass(frozen=True)
class Trial:
    """A part of one picture, of `side` pixels at most, and what is done to it.

    `center` is (x, y), each from 0 to 1.
    """

    input: str
    folder: str
    step: Step
    center: tuple[float, float]
    side: int
    max_pixels: int
    max_result_pixels: int


@dataclass(frozen=True)
class Look:
    """A small picture of an upload is wanted, which is refused if it cannot be read."""

    input: str
    folder: str
    max_pixels: int


Order = Run | Trial | Look | Prepare


def carry_out(order: Order, tell: Callable[[Event], None]) -> None:
    """Do what is ordered, in the working process, which imports what that needs only then."""
    from pixperts.app.work import carry_out as work

    work(order, tell)
