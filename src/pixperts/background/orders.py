"""Orders for a working process: values that are sent through a pipe."""

from dataclasses import dataclass

from pixperts.inference.options import UpscaleModelOptions
from pixperts.jobs.operation import Operation
from pixperts.jobs.options import FolderOptions

LOADING = UpscaleModelOptions()


@dataclass(frozen=True)
class Step:
    """One operation, the name of its model (as on the command line), and how that is loaded."""

    operation: Operation
    model: str
    loading: UpscaleModelOptions = LOADING


@dataclass(frozen=True)
class Run:
    """Pictures, and what is done to each.

    `folder` belongs to this run alone; all its files lie there.
    """

    inputs: tuple[str, ...]
    folder: str
    step: Step
    options: FolderOptions
    max_result_pixels: int


@dataclass(frozen=True)
class Prepare:
    """Models to load now, so that the first picture does not wait for them."""

    models: tuple[str, ...]
    loading: UpscaleModelOptions = LOADING
