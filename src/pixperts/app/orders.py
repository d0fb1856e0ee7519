"""What a working process is ordered to do: values that go through a pipe."""

from dataclasses import dataclass

from pixperts.jobs.operation import Operation
from pixperts.jobs.options import FolderOptions


@dataclass(frozen=True)
class Step:
    """One operation and the name of the model that does it."""

    operation: Operation
    model: str


@dataclass(frozen=True)
class Run:
    """Pictures, and what is done to each: one step, or a repair and then an enlargement.

    `folder` belongs to this run alone; what it makes lies there.
    """

    inputs: tuple[str, ...]
    folder: str
    steps: tuple[Step, ...]
    options: FolderOptions
    max_result_pixels: int


@dataclass(frozen=True)
class Trial:
    """A part of one picture, of `side` pixels at most, and what is done to it.

    `center` is (x, y), each from 0 to 1.
    """

    input: str
    folder: str
    steps: tuple[Step, ...]
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


Order = Run | Trial | Look
