"""A network in the form of a fixed graph: its inputs, its outputs and a reference result."""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

IMAGE = "image"  # the input whose height and width are free


class Form(nn.Module):
    """A module with named inputs and outputs, for any batch size; pictures have any size.

    Attributes:
        inputs: names in the order of the arguments of `forward`; the first axis of each is the
            batch.
        outputs: names in the order of the results of `forward`.
        whole_maps: whether it is traced with gradients enabled, so that networks work on whole maps
            and not on bands of rows.
        step: if the sides of a picture are multiples of this, all pixels of the result are used.
        label: text for the name of the file.
        summary: what the file holds, in words.
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
        """Example inputs; by default a random picture (B, 3, h, w) in [0, 1]."""
        return (torch.rand(batch, 3, height, width, generator=generator),)

    def facts(self) -> dict[str, str]:
        """Metadata for the file, which other programs need to use the graph, by name."""
        return {}

    # Any, so that each form may name its own inputs.
    def reference(self, *inputs: Any, **named: Any) -> Sequence[Tensor]:
        """The results of the network itself for these inputs, one for each output."""
        raise NotImplementedError


def results_of(found: Tensor | Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The result of `forward` as a tuple with one tensor for each output."""
    return (found,) if isinstance(found, Tensor) else tuple(found)


# In the following functions a side may be a symbol of the graph. ONNX rounds quotients toward zero,
# so nothing negative is divided.


def up_to_multiple(side: int, multiple: int) -> int:
    """The next multiple of a number.

    Example:
        >>> up_to_multiple(9, 8), up_to_multiple(8, 8)
        (16, 8)
    """
    return side if multiple == 1 else (side + multiple - 1) // multiple * multiple


def mirrored_to_multiple(image: Tensor, multiple: int) -> Tensor:
    """The same as `pad_to_multiple` of the networks, by gathering rows and columns.

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
