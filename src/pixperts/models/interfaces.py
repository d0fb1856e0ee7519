"""The interfaces of networks, which the rest of the package uses for all families alike.

A network derives from `UpscalingNetwork` or `RestoringNetwork`, or from a more special one of these
interfaces, and has an entry in `presets.FAMILIES`.
"""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal, Protocol

import torch
from torch import Tensor, nn

from pixperts.defaults import ToneMode
from pixperts.models.moce_ir.statistics import Statistics
from pixperts.models.output import Output
from pixperts.ops.windows import Part, Window
from pixperts.routing import Routing

Work = Literal["upscale", "restore"]


class Config(Protocol):
    """The configuration of a network: a frozen dataclass in which every field has a default."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


class Encoder(Protocol):
    """The part of an upscaling network that works at the resolution of the input (LR)."""

    @property
    def out_channels(self) -> int:
        """Number of channels of the features, which take most of the memory of a tile."""

    @property
    def size_multiple(self) -> int:
        """Tiles must begin at multiples of this, in LR pixels."""


class Network(nn.Module):
    """The base of all networks; use one of those below.

    Attributes:
        does: "upscale" or "restore".
        fast_in_bfloat16: whether it is faster in bfloat16 than in float32 on a CPU with matrix
            units.
        config: the configuration that the network was built from.
    """

    does: ClassVar[Work]
    fast_in_bfloat16: ClassVar[bool] = False
    config: Any

    def prepare(self, device: torch.device) -> None:
        """Adapt to the device of the weights: memory layout and sizes of pieces of work."""


class UpscalingNetwork(Network):
    """Arbitrary-scale enlargement with one or more experts, chosen for each pixel.

    Attributes:
        costs: multiply-adds of a pixel for each expert, relative to the most expensive one; a
            single number for a network with one expert.
        encoder: see `Encoder`.
    """

    does = "upscale"
    costs: tuple[float, ...]
    encoder: Encoder

    @abstractmethod
    def forward(
        self,
        lr: Tensor,
        size: tuple[int, int],
        *,
        part: Part | None = None,
        budget: float | None = None,
        price: float | None = None,
        probabilities: bool = False,
        masked: bool = False,
        progress: Callable[[float], None] | None = None,
    ) -> Output:
        """Enlarge (B, 3, h, w) in [0, 1] to `size` (H, W); see `MoEISR.forward`."""

    @abstractmethod
    def encode(self, lr: Tensor) -> Tensor:
        """Features at the resolution of the input: (B, 3, h, w) in [0, 1] -> (B, C, h, w)."""

    @property
    @abstractmethod
    def context(self) -> int:
        """How many LR pixels beyond its own neighbors an output pixel depends on, at most."""

    @abstractmethod
    def sample_logits(self, lr: Tensor, size: tuple[int, int], part: Part, step: int) -> Tensor:
        """Logits (N, J) of the router for every `step`-th output row and column of a part."""

    @abstractmethod
    def multiply_adds(
        self,
        lr_size: tuple[int, int],
        size: tuple[int, int],
        shares: tuple[float, ...] | None = None,
    ) -> dict[str, float]:
        """Multiply-adds of one picture by part, with "encoder" and "total" among them.

        Args:
            lr_size: (h, w).
            size: output (H, W).
            shares: share of the pixels that each expert gets; None = all to the last one.
        """


class PairedNetwork(UpscalingNetwork):
    """A network that consists of several, of which each picture takes one.

    Each of them has one expert, so there are no budgets.

    Attributes:
        members: a name for each network, in their order; the first is the one for pictures of
            which nothing is known.
    """

    members: ClassVar[tuple[str, ...]]

    @property
    @abstractmethod
    def networks(self) -> tuple[UpscalingNetwork, ...]:
        """The networks, with equal contexts and sizes of features."""

    @abstractmethod
    def places(self, height: int, width: int) -> list[Window]:
        """Which pieces of a picture must be looked at, row by row."""

    @abstractmethod
    def errors(self, pieces: Tensor, factors: tuple[float, float]) -> Tensor:
        """Estimated squared errors of each network, summed over pieces of equal size.

        Args:
            pieces: (N, 3, h, w) in [0, 1].
            factors: of the enlargement, vertical and horizontal.

        Returns:
            (J,) float64 on the CPU.
        """

    @abstractmethod
    def pick(self, errors: Tensor) -> int:
        """The number of the network to take, by the errors (J,) of all pieces of a picture."""


class RestoringNetwork(Network):
    """Repair at the picture's own size, with experts that each block chooses for the picture.

    Attributes:
        parts: names of the parts of a repair that have an amount of their own.
        light_faults: names of the faults of light (darkness, haze) that it can undo.
    """

    does = "restore"
    parts: ClassVar[tuple[str, ...]] = ()
    light_faults: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def forward(
        self,
        image: Tensor,
        *,
        noise: bool | torch.Generator | Tensor = True,
        pinned: Sequence[Routing] | None = None,
        masked: bool = False,
        statistics: Statistics | None = None,
        motion: bool = True,
    ) -> Output:
        """Restore (B, 3, H, W) in [0, 1]; see `MoCEIR.forward`."""

    @abstractmethod
    def window_grid(self, routings: Sequence[Routing]) -> int:
        """Size of the windows of the chosen experts: tiles must begin at multiples of it."""

    @property
    @abstractmethod
    def bytes_per_pixel(self) -> float:
        """Bytes of memory that a pixel needs at the peak of a pass, roughly."""

    @property
    @abstractmethod
    def block_names(self) -> list[str]:
        """Names of the blocks with experts, in the order of execution, as in their routings."""

    @property
    @abstractmethod
    def expert_parameters(self) -> list[list[int]]:
        """Number of parameters of each expert, for each block with experts."""

    @abstractmethod
    def multiply_adds(
        self,
        size: tuple[int, int],
        routings: Sequence[Routing] | None = None,
        *,
        every: bool = False,
    ) -> dict[str, float]:
        """Multiply-adds of one picture by part, with "total" among them.

        Args:
            size: (H, W).
            routings: of a forward pass; None = the most expensive experts.
            every: as if every expert ran, which is what routing saves.
        """


class SurveyedNetwork(RestoringNetwork):
    """A network whose layers depend on all pixels, so that surveys must come before tiles."""

    @abstractmethod
    def survey(
        self,
        image: Tensor,
        statistics: Statistics | None = None,
        inner: Window | None = None,
        *,
        motion: bool = True,
    ) -> tuple[Output, Statistics]:
        """`forward`, and the sums over all pixels that it used; see `MoCEIR.survey`."""


class ScoutedNetwork(RestoringNetwork):
    """A network that depends on all pixels once, before its first layer, by `count`.

    Given the sums of the whole picture, its tiles equal the repair in one pass.
    """

    @property
    @abstractmethod
    def scout_context(self) -> int:
        """Number of pixels around a tile that `count` needs."""

    @abstractmethod
    def forward(
        self,
        image: Tensor,
        *,
        noise: bool | torch.Generator | Tensor = True,
        pinned: Sequence[Routing] | None = None,
        masked: bool = False,
        statistics: Statistics | None = None,
        motion: bool = True,
        amounts: Sequence[float] | None = None,
        dust: float = 0.0,
        tone: ToneMode = "off",
        place: tuple[int, int] = (0, 0),
        whole: tuple[int, int] | None = None,
    ) -> Output:
        """Restore (B, 3, H, W) in [0, 1]; see `MoCEIRLight.forward`."""

    @property
    @abstractmethod
    def context(self) -> int:
        """How many pixels around it an output pixel depends on, at most, given the statistics."""

    @property
    def dust_context(self) -> int:
        """How many more they are where dust is removed; 0 if the network cannot do that."""
        return 0

    @abstractmethod
    def count(
        self,
        image: Tensor,
        inner: Window | None = None,
        place: tuple[int, int] = (0, 0),
        whole: tuple[int, int] | None = None,
    ) -> Statistics:
        """Sums over a tile of a picture; those of all tiles add up to those of the picture.

        Args:
            image: (B, 3, H, W) in [0, 1], the tile and its context.
            inner: the part that is counted; it begins at multiples of 32. None = all of it.
            place: (top, left) of the image in the whole picture, multiples of 32.
            whole: (height, width) of the whole picture; None = the image is all of it.
        """


class EnhancingNetwork(ScoutedNetwork):
    """Repair and enlargement in one pass; at a picture's own size it repairs.

    Attributes:
        depth_costs: multiply-adds of the enlarger at each depth that a region may take, relative
            to the deepest.
    """

    depth_costs: tuple[float, ...]

    @abstractmethod
    def enhance(
        self,
        image: Tensor,
        size: tuple[int, int],
        *,
        part: Part | None = None,
        strength: float = 1.0,
        budget: float | None = None,
        price: float | Sequence[float] | None = None,
        masked: bool = False,
        progress: Callable[[float], None] | None = None,
        **choices: Any,
    ) -> Output:
        """Repair (B, 3, h, w) in [0, 1] and bring it to a size; see `MoCEISRLight.enhance`."""

    @abstractmethod
    def plan(
        self, statistics: Statistics, budget: float, tone: ToneMode = "off"
    ) -> tuple[tuple[Routing, ...], float]:
        """One budget for both halves: the experts of the repair, and a budget of the enlarger.

        Args:
            statistics: of `count`, of the whole pictures.
            budget: share of what the router's experts and the deepest enlarger would take.
            tone: whether darkness and haze will be undone.
        """

    @abstractmethod
    def sample_depths(
        self,
        image: Tensor,
        size: tuple[int, int],
        part: Part,
        step: int,
        *,
        strength: float = 1.0,
        **choices: Any,
    ) -> Tensor:
        """Logits (B, N, J) of the depth of every `step`-th output row and column of a part."""

    @property
    @abstractmethod
    def region(self) -> int:
        """Side in pixels of what takes one depth: tiles begin at multiples of it."""

    @property
    @abstractmethod
    def enlarging_context(self) -> int:
        """Pixels around an output's own on which an enlargement depends, at most."""

    @property
    @abstractmethod
    def enlarging_bytes_per_pixel(self) -> float:
        """Memory that a pixel takes at the peak of a pass, roughly, without the output."""

    @abstractmethod
    def enlarging_multiply_adds(
        self,
        lr_size: tuple[int, int],
        size: tuple[int, int],
        routings: Sequence[Routing] | None = None,
        shares: Sequence[float] | None = None,
    ) -> dict[str, float]:
        """Multiply-adds of one picture by part, with "enlarger" and "total" among them.

        Args:
            lr_size: (h, w).
            size: (H, W) of the result.
            routings: of the repair; None = the most expensive experts.
            shares: of the pixels that take each depth; all of them the deepest when None.
        """
