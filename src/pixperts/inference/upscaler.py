"""Enlarge one image; the result has the same type as the input."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from pixperts.errors import UsageError
from pixperts.inference.members import estimated_errors
from pixperts.inference.predictor import Predictor
from pixperts.inference.reduction import ReducedSource, kept_size, reduce_rows
from pixperts.inference.size_request import SizeRequest
from pixperts.inference.streams import ArraySink, ArraySource, PixelSink, PixelSource
from pixperts.inference.tiled_upscale import TiledUpscale
from pixperts.inference.tiles import Tile
from pixperts.io.arrays import to_tensor
from pixperts.memory import check_memory
from pixperts.models.interfaces import Network, PairedNetwork, UpscalingNetwork
from pixperts.models.presets import as_upscaler
from pixperts.ops.color_match import ColorFix, match_picture
from pixperts.routing import Routing, Tally
from pixperts.weights import store

Progress = Callable[[float], None]


class Upscaler(Predictor):
    """A model that enlarges; see `Predictor` for the arguments.

    Attributes:
        model: the network, in evaluation mode.
        card: name, license, data and notes of the weights.
        device: where it runs.
    """

    smallest_tile = 32
    refusal = "enlarges and does not repair: use 'upscale'."
    foreign = "restore"
    model: UpscalingNetwork

    def __init__(self, model: Network, card: store.Card, **options: Any) -> None:
        self.model = as_upscaler(model, card.name)
        super().__init__(model, card, **options)

    @property
    def takes_budget(self) -> bool:
        """Whether the model has several experts, so that a budget has an effect."""
        return len(self.model.costs) > 1

    def upscale(
        self,
        image: Any,
        *,
        scale: float | None = None,
        size: tuple[int, int] | None = None,
        budget: float | None = None,
        color_fix: ColorFix = "none",
        progress: Progress | None = None,
    ) -> Any:
        """Enlarge or reduce one image; see `upscale_with_routing` for arguments and errors."""
        return self.upscale_with_routing(
            image, scale=scale, size=size, budget=budget, color_fix=color_fix, progress=progress
        )[0]

    def upscale_with_routing(
        self,
        image: Any,
        *,
        scale: float | None = None,
        size: tuple[int, int] | None = None,
        budget: float | None = None,
        color_fix: ColorFix = "none",
        progress: Progress | None = None,
    ) -> tuple[Any, Routing | None]:
        """Enlarge or reduce one image, and return which expert made which pixel.

        Args:
            image: a PIL image; NumPy (H, W) or (H, W, C) uint8, uint16 or float in [0, 1]; torch
                (C, H, W) or (B, C, H, W) of the same types. C is 1 for gray, 2 for gray
                and alpha, 3 for RGB, 4 for RGB and alpha. Alpha is enlarged by bicubic
                interpolation. Fully transparent pixels get colors from their neighbors.
            scale: factor for both sides; 2 if neither it nor a size is given.
            size: exact (width, height) in pixels, instead of a scale.
            budget: 0 = always the cheapest expert, 1 = always the best, None = the model decides.
            color_fix: "mean" gives the result the mean color of the input, "wavelet" its low
                frequencies (see `color_match`); "none" changes nothing.
            progress: called with the share that is done, rising to 1.

        Returns:
            The result, with the type, depth and channels of the input (floats are in [0, 1]), and
            the routing. The routing is None if the model has one expert or no side grew.

        Raises:
            UsageError: the size, scale or budget is not possible, or there is too little memory.
            ImageError: the image has an unknown type or shape, or values that are not finite.
        """
        pixels, restore_kind = to_tensor(image)  # (B, C, H, W) float32 in [0, 1]
        batch, channels, height, width = pixels.shape
        request = SizeRequest(scale=scale, size=size)
        new_width, new_height = request.resolve(width, height)
        check_memory(new_width, new_height * batch)
        sink = ArraySink(batch, channels, new_height, new_width)
        experts = torch.empty(batch, new_height, new_width, dtype=torch.uint8)

        def note(tile: Tile, chosen: Tensor) -> None:
            top, bottom, left, right = tile.out
            experts[:, top:bottom, left:right] = chosen

        tally = self.upscale_rows(
            ArraySource(pixels), sink, (new_width, new_height),
            budget=budget, progress=progress, listener=note,
        )  # fmt: skip
        result = match_picture(sink.image, pixels, color_fix)
        routed = self.takes_budget and any(tally.counts)
        return restore_kind(result), Routing(experts, self.model.costs) if routed else None

    def upscale_rows(
        self,
        source: PixelSource,
        sink: PixelSink,
        size: tuple[int, int],
        *,
        budget: float | None = None,
        progress: Progress | None = None,
        listener: Callable[[Tile, Tensor], None] | None = None,
        member: int | None = None,
    ) -> Tally:
        """Enlarge a picture that may be larger than the memory.

        The other methods call this one. Sides that shrink are first reduced with a Lanczos
        filter. If no side grows, the network does not run.

        Args:
            source: the picture.
            sink: receives the result.
            size: (width, height) of the result.
            budget: as in `upscale_with_routing`.
            progress: called with the share that is done, rising to 1.
            listener: called with each tile and its experts (B, h, w).
            member: number of the network that all pictures take, if the model has several; None =
                each picture takes the one that suits it.

        Returns:
            How many pixels each expert made; zeros if no side grew.

        Raises:
            UsageError: the budget is not possible, or the model has no such member.
            ImageError: the picture has values that are not finite.
        """
        if budget is not None and not 0.0 <= budget <= 1.0:
            raise UsageError(f"budget is {budget:g}, but must be between 0 and 1.")
        model = self.model
        if budget is not None and not self.takes_budget:
            raise UsageError(f"{self.name} has a single expert: leave the budget out.")
        whole, goal = (source.height, source.width), size[::-1]
        kept = kept_size(whole, goal)
        with torch.inference_mode():
            if kept != whole:
                source = ReducedSource(source, kept)
            if kept == goal:
                reduce_rows(source, sink, progress)
                return Tally((0,) * len(model.costs), model.costs)
            network: UpscalingNetwork = model
            if isinstance(model, PairedNetwork):
                if member is None:
                    errors = estimated_errors(model, self._runner, source, goal)
                    members = [model.pick(each) for each in errors]
                    if len(set(members)) > 1:
                        return self._one_by_one(source, sink, size, members, progress)
                    member = members[0]
                network = model.networks[self._checked(member)]
            work = TiledUpscale(network, self._runner, source, goal, budget, progress)
            return work.run(sink, self.tile, self._memory(), listener or _ignore)

    def estimated_errors(self, source: PixelSource, size: tuple[int, int]) -> Tensor | None:
        """What each network of a model would do to each picture: squared errors, (B, J).

        Args:
            source: the pictures.
            size: (width, height) of the result.

        Returns:
            None if there is nothing to choose: the model is one network, or no side grows.

        Raises:
            ImageError: a picture has values that are not finite.
        """
        kept = kept_size((source.height, source.width), size[::-1])
        if not isinstance(self.model, PairedNetwork) or kept == size[::-1]:
            return None
        with torch.inference_mode():
            if kept != (source.height, source.width):
                source = ReducedSource(source, kept)
            return estimated_errors(self.model, self._runner, source, size[::-1])

    def member_for(self, source: PixelSource, size: tuple[int, int]) -> int | None:
        """The number of the network that one picture takes; as of `estimated_errors`."""
        errors = self.estimated_errors(source, size)
        if errors is None or not isinstance(self.model, PairedNetwork):
            return None
        return self.model.pick(errors[0])

    def member_name(self, number: int) -> str | None:
        """The name of a network of the model; None if it is one network."""
        if not isinstance(self.model, PairedNetwork):
            return None
        return self.model.members[self._checked(number)]

    def _checked(self, member: int) -> int:
        """The number of a network, if there is such a one.

        Raises:
            UsageError: there is none.
        """
        names = self.model.members if isinstance(self.model, PairedNetwork) else ()
        if not 0 <= member < len(names):
            there = " and ".join(f"{number} ({name})" for number, name in enumerate(names))
            raise UsageError(f"member is {member}, but {self.name} has the networks {there}.")
        return member

    def _one_by_one(
        self,
        source: PixelSource,
        sink: PixelSink,
        size: tuple[int, int],
        members: Sequence[int],
        progress: Progress | None,
    ) -> Tally:
        """Enlarge the pictures of a batch, which is in memory, one after the other."""
        assert isinstance(sink, ArraySink)  # files hold one picture
        pixels, count = source.rows(0, source.height), source.batch
        for number, member in enumerate(members):
            advance = None if progress is None else _share(progress, number, count)
            one = slice(number, number + 1)
            place = ArraySink.of(sink.image[one])
            self.upscale_rows(
                ArraySource(pixels[one]), place, size, progress=advance, member=member
            )
        return Tally((0,) * len(self.model.costs), self.model.costs)

    def multiply_adds(
        self,
        width: int,
        height: int,
        new_width: int,
        new_height: int,
        routing: Routing | Tally | None,
    ) -> float:
        """Calculated multiply-adds of one enlargement with this routing; 0 if no side grows."""
        kept = kept_size((height, width), (new_height, new_width))
        if kept == (new_height, new_width):
            return 0.0
        shares = None if routing is None else routing.shares
        sizes = kept, (new_height, new_width)
        return self.model.multiply_adds(*sizes, shares)["total"]


def _ignore(tile: Tile, experts: Tensor) -> None:
    """Do nothing."""


def _share(progress: Progress, number: int, count: int) -> Progress:
    """Progress of one picture of several."""
    return lambda done: progress((number + done) / count)
