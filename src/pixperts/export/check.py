"""Compare the results of a written file with those of the network."""

from collections.abc import Sequence

import torch
from torch import Tensor

from pixperts.errors import ModelError
from pixperts.export.engines import Engine
from pixperts.export.form import Form

TOLERANCE = 1e-4
SHAPES = ((1, 23, 41), (2, 32, 24), (1, 7, 5))  # batch, height, width


def largest_difference(form: Form, engine: Engine, name: str) -> float:
    """The largest difference between a file and the network at three sizes.

    Differences are relative to the largest value of the reference, where that is above 1.

    Args:
        form: the form that was written.
        engine: runs the file.
        name: of the file, for messages.

    Raises:
        ModelError: the results differ in size, or by more than `TOLERANCE`.
    """
    generator = torch.Generator().manual_seed(0)
    with torch.inference_mode():
        found = [
            _difference(form, engine, name, form.examples(*shape, generator)) for shape in SHAPES
        ]
    largest = float(torch.cat(found).max())  # NaN where one of them is
    if not largest <= TOLERANCE:
        raise ModelError(
            f"{name} was not written, because its results are {largest:.1e} away from "
            f"torch's, more than {TOLERANCE:.0e}."
        )
    return largest


def _difference(form: Form, engine: Engine, name: str, inputs: Sequence[Tensor]) -> Tensor:
    """The largest difference of each output."""
    every = []
    for expected, found in zip(form.reference(*inputs), engine(*inputs), strict=True):
        if found.shape != expected.shape:
            raise ModelError(
                f"{name} was not written, because the graph makes {tuple(found.shape)} of a "
                f"picture of {inputs[0].shape[3]}x{inputs[0].shape[2]}, and torch "
                f"{tuple(expected.shape)}."
            )
        every.append((found - expected).abs().max() / expected.abs().max().clamp_min(1))
    return torch.stack(every)
