"""What a network in the form of a fixed graph is: inputs, outputs, and what it is held against."""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

IMAGE = "image"  # the input of which height and width are free


class Form(nn.Module):
    """Named inputs and outputs, of any batch; pictures also of any height and width.

    Attributes:
        inputs: names, in the order of `forward`'s arguments; the batch comes first in all.
        outputs: names, in the order of its results.
        whole_maps: whether it is traced as with gradients, where networks work on whole maps in
            place of bands of rows.
        step: sides for which all pixels of the result are used are multiples of it.
        label: what the name of a file says of it.
        summary: what it is, for people.
    """

    inputs: ClassVar[tuple[str, ...]] = (IMAGE,)
    outputs: ClassVar[tuple[str, ...]]
    whole_maps: ClassVar[bool] = False
    step = 1
    label: str
    summary: str

    def examples(
        self, batch: int, height: int, width: int, generator: torch.Generator
    ) -> tuple[Tensor, ...]:
        """Inputs to try it with; a picture (B, 3, h, w) in [0, 1] where there are no others."""
        return (torch.rand(batch, 3, height, width, generator=generator),)

    def facts(self) -> dict[str, str]:
        """What another program has to know to use it, by name."""
        return {}

    # Any, so that each form may name its own inputs.
    def reference(self, *inputs: Any, **named: Any) -> Sequence[Tensor]:
        """What the network itself gives for these inputs, by output."""
        raise NotImplementedError


def results_of(found: Tensor | Sequence[Tensor]) -> tuple[Tensor, ...]:
    """What `forward` gives, as one tensor for each output."""
    return (found,) if isinstance(found, Tensor) else tuple(found)


# In the following a side may be an unknown of the graph. ONNX divides toward zero, so nothing
# negative is divided.


def up_to_multiple(side: int, multiple: int) -> int:
    """The next multiple of a number.

    Example:
        >>> up_to_multiple(9, 8), up_to_multiple(8, 8)
        (16, 8)
    """
    return side if multiple == 1 else (side + multiple - 1) // multiple * multiple


def mirrored_to_multiple(image: Tensor, multiple: int) -> Tensor:
    """`pad_to_multiple` of the networks, by gathering rows and columns.

    Example:
        >>> mirrored_to_multiple(torch.tensor([[[[1.0, 2.0, 3.0]]]]), 4)[0, 0, 3]
        tensor([1., 2., 3., 2.])
    """
    for axis in (2, 3):
        side = image.shape[axis]
        places = torch.arange(up_to_multiple(side, multiple), device=image.device)
        back = 2 * (side - 1) - places
        inside = torch.where(places < side, places, back)
        # Where a side is too short to be mirrored, its last pixel is repeated.
        index = torch.where(back[-1] < 0, places.clamp_max(side - 1), inside)
        image = image.index_select(axis, index)
    return image


def continued_to_multiple(image: Tensor, multiple: int) -> Tensor:
    """Rows and columns up to a multiple of a number, the last ones repeated.

    Example:
        >>> continued_to_multiple(torch.tensor([[[[1.0, 2.0, 3.0]]]]), 4)[0, 0, 3]
        tensor([1., 2., 3., 3.])
    """
    for axis in (2, 3):
        side = image.shape[axis]
        places = torch.arange(up_to_multiple(side, multiple), device=image.device)
        image = image.index_select(axis, places.clamp_max(side - 1))
    return image
