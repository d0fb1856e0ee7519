"""Training samples of restoration: clean photos degraded on the fly, or pairs of files.

Sample number i of a run depends on (seed, i) only, as in `super_resolution`.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from pixperts.data.pairs import Pair, read_pair
from pixperts.data.photos import describe_photos
from pixperts.degradations.tasks import TASKS, degrade
from pixperts.degradations.weather import Frame
from pixperts.errors import DataError
from pixperts.ops.resize import bicubic, quantize

CLEAN = "clean"  # the task whose pictures have no fault and should stay as they are
_OF_SCENES = frozenset({"haze", "low_light"})  # steps that affect a whole scene


class Degraded(NamedTuple):
    """One training sample of restoration; batched by stacking."""

    degraded: Tensor  # (3, p, p) in [0, 1], 8-bit levels
    clean: Tensor  # (3, p, p) in [0, 1]
    task: Tensor  # () int64, index in the list of tasks of the run


def degraded_or_clean(image: Tensor, task: str, seed: int, frame: Frame | None = None) -> Tensor:
    """The result of `tasks.degrade`, or the picture itself for the task "clean"."""
    return image if task == CLEAN else degrade(image, task, seed, frame=frame)


class SyntheticPairs(Dataset[Degraded]):
    """Patches of clean photos, flipped and turned, then degraded by a task drawn by weight.

    A patch is degraded as a part of its photo, so that haze follows the depth of the whole photo.

    Args:
        photos: uint8 (3, H, W), no side below `patch`.
        tasks: name, a key of `tasks.TASKS` or "clean", and weight of its draw.
        patch: side of a patch, in pixels.
        reduction: 1 or more. With more than 1, half of the patches come from a photo that was first
            reduced by a random factor up to this, so that they show as much of a scene as a whole
            picture does. Haze and darkness affect a whole scene, so that all their patches are
            reduced, by at least half of this factor.
        seed: 0 or more.
    """

    def __init__(
        self,
        photos: Sequence[Tensor],
        *,
        tasks: Mapping[str, float],
        patch: int,
        reduction: float = 1.0,
        seed: int = 0,
    ) -> None:
        self.photos, self.patch, self.reduction, self.seed = photos, patch, reduction, seed
        self.tasks = tuple(tasks)
        weights = np.array(list(tasks.values()), np.float64)
        self.edges = np.cumsum(weights) / weights.sum()

    def describe(self) -> str:
        """One line on the training data."""
        return describe_photos(self.photos)

    def __getitem__(self, number: int) -> Degraded:
        """Sample `number`, the same on every call."""
        random = np.random.Generator(np.random.PCG64([self.seed, number]))
        photo = self.photos[int(random.integers(len(self.photos)))]
        place = int(np.searchsorted(self.edges, random.random(), side="right"))
        place = min(place, len(self.tasks) - 1)
        side = self._side(photo, self.tasks[place], random)
        (clean,), frame = cut_and_turn([photo], side, random)
        if side > self.patch:
            clean = quantize(bicubic(clean, (self.patch, self.patch)))
            frame = Frame(*(round(value * self.patch / side) for value in frame))
        seed = int(random.integers(2**31))
        degraded = degraded_or_clean(clean, self.tasks[place], seed, frame)
        return Degraded(degraded, clean, torch.tensor(place))

    def _side(self, photo: Tensor, task: str, random: np.random.Generator) -> int:
        """Side of the square of the photo that becomes a patch, in pixels."""
        largest = min(self.reduction, min(photo.shape[1:]) / self.patch)
        if largest <= 1:
            return self.patch
        if _OF_SCENES.isdisjoint(TASKS.get(task, ())):
            factor = largest ** random.random() if random.random() < 0.5 else 1.0
        else:
            factor = max(1.0, largest * 0.5 ** random.random())
        return round(self.patch * factor)


class FilePairs(Dataset[Degraded]):
    """Patches of pairs of files, flipped and turned alike; files are read for each sample.

    A pair without a degraded file is degraded on the fly by its task.

    Args:
        pairs: to draw from.
        tasks: of the run; that of every pair is among them.
        patch: side of a patch, in pixels.
        seed: 0 or more.
    """

    def __init__(
        self, pairs: Sequence[Pair], *, tasks: Sequence[str], patch: int, seed: int = 0
    ) -> None:
        self.pairs, self.patch, self.seed = pairs, patch, seed
        self.tasks = tuple(tasks)

    def describe(self) -> str:
        """One line on the training data."""
        return f"{len(self.pairs)} training pairs, {len(set(self.pairs))} of them different"

    def __getitem__(self, number: int) -> Degraded:
        """Sample `number`, the same on every call while the files stay the same."""
        random = np.random.Generator(np.random.PCG64([self.seed, number]))
        pair = self.pairs[int(random.integers(len(self.pairs)))]
        degraded, clean = read_pair(pair)
        if min(clean.shape[1:]) < self.patch:
            raise DataError(
                f"{pair.clean} of {clean.shape[2]}x{clean.shape[1]} pixels is smaller than the "
                f"patch of {self.patch}: leave it out or lower 'patch'."
            )
        both = [clean] if degraded is None else [clean, degraded]
        patches, frame = cut_and_turn(both, self.patch, random)
        if degraded is None:
            seed = int(random.integers(2**31))
            patches.append(degraded_or_clean(patches[0], pair.task, seed, frame))
        return Degraded(patches[1], patches[0], torch.tensor(self.tasks.index(pair.task)))


def cut_and_turn(
    pictures: Sequence[Tensor], side: int, random: np.random.Generator
) -> tuple[list[Tensor], Frame]:
    """The same random square of all pictures, and its place in them.

    All squares are flipped or not, and turned by the same multiple of 90 degrees.

    Args:
        pictures: (3, H, W) uint8, of one size.
        side: of the square, in pixels.
        random: draws place, flip and turn.

    Returns:
        The squares (3, side, side) float32 in [0, 1], and the place before flip and turn.
    """
    height, width = pictures[0].shape[1:]
    top = int(random.integers(height - side + 1))
    left = int(random.integers(width - side + 1))
    flip, turns = random.random() < 0.5, int(random.integers(4))
    squares = []
    for picture in pictures:
        square = picture[:, top : top + side, left : left + side].float() / 255  # (3, s, s)
        square = square.flip(2) if flip else square
        squares.append(torch.rot90(square, turns, (1, 2)).contiguous())
    return squares, Frame(top, left, height, width)
