"""Sums over all pixels of a picture that a network uses, and that its tiles can share.

MoCE-IR depends on all pixels in three ways: the products of channel attention, the pooled features
of its routers and the pooled high frequencies. All are sums, so those of a picture are the sums of
its tiles, and a tile that gets the sums of the picture gives the same result as the whole picture.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from pixperts.errors import ModelError
from pixperts.ops.windows import Window

Sums = tuple[Tensor, ...]  # (B, ...) each


@dataclass(frozen=True)
class Statistics:
    """Sums over all pixels at each place of a network that uses some, in the order of execution."""

    places: tuple[Sums, ...]

    def __add__(self, other: "Statistics") -> "Statistics":
        """The sums of two parts of a picture together.

        Example:
            >>> one = Statistics(((torch.tensor([1.0]),),))
            >>> (one + one).places
            ((tensor([2.]),),)
        """
        pairs = zip(self.places, other.places, strict=True)
        return Statistics(tuple(tuple(a + b for a, b in zip(*pair, strict=True)) for pair in pairs))

    def to(self, device: torch.device | str, dtype: torch.dtype) -> "Statistics":
        """The same sums on another device or in another type: float64 to add, float32 to use."""
        places = self.places
        return Statistics(tuple(tuple(a.to(device, dtype) for a in sums) for sums in places))

    def distance(self, other: "Statistics") -> Tensor:
        """(B,) the largest relative difference of the sums of a place, by the Euclidean norm.

        Example:
            >>> one = Statistics(((torch.tensor([[3.0, 4.0]]),), (torch.tensor([[1.0]]),)))
            >>> two = Statistics(((torch.tensor([[3.0, 2.0]]),), (torch.tensor([[1.0]]),)))
            >>> one.distance(two)  # 2 of 5, and 0 of 1
            tensor([0.4000])
        """
        pairs = [
            (mine.flatten(1), theirs.flatten(1))
            for place in zip(self.places, other.places, strict=True)
            for mine, theirs in zip(*place, strict=True)
        ]
        relative = [(a - b).norm(dim=1) / a.norm(dim=1).clamp_min(1e-12) for a, b in pairs]
        return torch.stack(relative).amax(dim=0)

    def where(self, mask: Tensor, other: "Statistics") -> "Statistics":
        """These sums for pictures whose mask (B,) is true, else those of the other."""
        pairs = zip(self.places, other.places, strict=True)

        def pick(a: Tensor, b: Tensor) -> Tensor:
            return torch.where(mask.view(-1, *[1] * (a.dim() - 1)), a, b)

        return Statistics(tuple(tuple(map(pick, *pair)) for pair in pairs))


class Census:
    """The sums of one forward pass: counted in the pass, or given.

    Args:
        given: sums to use in place of those of this picture.
        count: whether to count.
        height: of this picture, which shows by how much a map is reduced.
        inner: the part to count; the rest is context.
    """

    def __init__(
        self,
        given: Statistics | None = None,
        *,
        count: bool = True,
        height: int = 0,
        inner: Window | None = None,
    ) -> None:
        self._given: Iterator[Sums] | None = None if given is None else iter(given.places)
        self._counts, self._height, self._inner = count, height, inner
        self._counted: list[Sums] = []

    @property
    def counts(self) -> bool:
        """Whether anything is to be counted."""
        return self._counts

    @property
    def window(self) -> Window | None:
        """The part to count, in pixels of this picture; None = everywhere."""
        return self._inner

    def inner(self, x: Tensor, top: int = 0, height: int | None = None) -> Tensor:
        """The part to count of a map (B, C, h, w).

        If x is a band of rows, it begins at row `top` of a map of this `height`.
        """
        if self._inner is None:
            return x
        factor = self._height // (height or x.shape[2])
        first, last, left, right = (-(-side // factor) for side in self._inner)
        return x[:, :, max(first - top, 0) : max(last - top, 0), left:right]

    def sums(self, count: Callable[[], Sums]) -> Sums:
        """The sums of the next place: the given ones, or else those of `count`, which are recorded.

        Raises:
            ModelError: fewer sums were given than the network has places.
        """
        if self._counts:
            self._counted.append(count())
        if self._given is None:
            return self._counted[-1]
        sums = next(self._given, None)
        if sums is None:
            raise ModelError("the statistics come from another network: count them again.")
        return sums

    @property
    def statistics(self) -> Statistics:
        """The sums that were counted so far."""
        return Statistics(tuple(self._counted))


def mean_over_pixels(x: Tensor, census: "Census | None") -> Tensor:
    """(B, C, H, W) -> (B, C) float32 means; of the whole picture if its sums are given."""
    if census is None:
        return x.float().mean(dim=(2, 3))

    def count() -> Sums:
        part = census.inner(x).float()
        pixels = part.new_full((len(x), 1), part.shape[2] * part.shape[3])
        return part.sum(dim=(2, 3)), pixels

    total, pixels = census.sums(count)
    return total / pixels
