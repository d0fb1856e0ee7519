"""The judge of moeisr-photo as a graph, for programs that choose between its two networks."""

from collections.abc import Sequence

import torch
from torch import Tensor

from pixperts.export.form import IMAGE, Form
from pixperts.models.moeisr_photo.judge import LEAST, MOST, SIDE
from pixperts.models.moeisr_photo.model import MoEISRPhoto


class JudgeForm(Form):
    """Pieces of a picture and factors to estimated errors, see `Judge.estimates`."""

    inputs = (IMAGE, "factors")
    outputs = ("logarithms",)
    label, summary = "judge", "judge"

    def __init__(self, model: MoEISRPhoto) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor, factors: Tensor) -> Tensor:
        """(N, 3, h, w) in [0, 1] and (N, 2) -> (N, 2)."""
        return self.model.judge.estimates(image, factors)

    def reference(self, image: Tensor, factors: Tensor) -> Sequence[Tensor]:
        """The result of the network itself."""
        return (self.model.judge.estimates(image, factors),)

    def examples(
        self, batch: int, height: int, width: int, generator: torch.Generator
    ) -> tuple[Tensor, ...]:
        """Random pieces that are not too small, and factors from 1 to 4."""
        sides = max(height, LEAST), max(width, LEAST)
        pieces = torch.rand(batch, 3, *sides, generator=generator)
        return pieces, 1 + 3 * torch.rand(batch, 2, generator=generator)

    def facts(self) -> dict[str, str]:
        """What a program has to do with the graph."""
        below = self.model.config.clean_below
        return {
            "pieces": f"of {SIDE} pixels a side, up to {MOST} along each side of the picture, "
            f"evenly spread; smaller pictures whole, sides below {LEAST} filled up by repetition",
            "factors": "vertical, horizontal",
            "logarithms": "of the estimated squared errors by the networks for photos and for "
            "clean pictures",
            "choice": "the network for clean pictures if the sum of its errors (at most 1 each) "
            f"over all pieces is below {below:g} times the sum of the other's",
        }
