"""Make the chunks of a patch cache, from photos, degradations and a teacher network.

A chunk depends on the photos, the teacher, the seed and its number only.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pixperts.data.patch_cache import BETWEEN, GRID, PATCHES, SIDE, Bytes, kind_of, write_chunk
from pixperts.data.photos import PhotoSource
from pixperts.degradations.chain import draw_chain
from pixperts.errors import DataError
from pixperts.ops.resize import bicubic, quantize

# Enlarges LR patches (B, 3, p, p) in [0, 1] to the side P: (B, 3, P, P).
Teacher = Callable[[Tensor, int], Tensor]

_BETWEEN = [n for n in range(GRID + 2, 4 * GRID) if n % GRID]  # scales times GRID: 1.125 to 3.9375
_GROUP = 4  # patches that the teacher sees at once


class ChunkMaker:
    """Makes the patches of chunks.

    Half of the photos are rescaled by 0.55 to 1 before a patch is cut; of flat patches most are
    drawn again. With `degraded`, each LR patch goes through a chain of `draw_chain`, and three in
    ten photos are enlarged first by 1.2 to 2.2, so that they are soft at pixel level. The teacher
    always gets the clean LR patch.

    Args:
        photos: to cut from; larger ones are drawn more often.
        teacher: enlarges LR patches.
        seed: of the cache.
        degraded: whether LR patches have the faults of real photos; else they are only reduced, as
            in the papers.
    """

    def __init__(
        self, photos: PhotoSource, teacher: Teacher, *, seed: int = 0, degraded: bool = False
    ) -> None:
        self.photos, self.teacher, self.seed, self.degraded = photos, teacher, seed, degraded
        self._sides = np.array([min(size) for size in photos.sizes])
        self._weights = np.array([math.sqrt(w * h) for w, h in photos.sizes])

    def write(self, folder: Path, number: int) -> None:
        """Make chunk `number` and store it.

        Raises:
            DataError: no photo is large enough.
            ImageError: a photo cannot be read, or the chunk cannot be written.
        """
        write_chunk(folder, number, *self.make(number))

    def make(self, number: int) -> tuple[Bytes, Bytes, Bytes]:
        """LR patches (N, p, p, 3), and those of the photos and of the teacher (N, P, P, 3)."""
        random = np.random.Generator(np.random.PCG64([self.seed, number]))
        kind = kind_of(number)
        parts = int(random.choice(_BETWEEN)) if kind == BETWEEN else GRID * kind
        large = SIDE * parts // GRID
        photo = torch.stack([self._patch(random, large) for _ in range(PATCHES)])
        clean = quantize(bicubic(photo, (SIDE, SIDE)))
        lr = clean
        if self.degraded:
            lr = torch.stack([_through_chain(image, random) for image in photo])
        with torch.inference_mode():
            taught = torch.cat([self.teacher(part, large) for part in clean.split(_GROUP)])
        return _bytes(lr), _bytes(photo), _bytes(taught)

    def _patch(self, random: np.random.Generator, large: int) -> Tensor:
        """(3, P, P) in [0, 1], 8-bit levels, of one photo."""
        for _ in range(1000):
            enlarged = random.uniform(1.2, 2.2) if random.random() < 0.3 * self.degraded else 1.0
            reduction = random.uniform(0.55, 1.0) if random.random() < 0.5 else 1.0
            least = math.ceil(large / enlarged)
            fitting = self._weights * (self._sides >= least)
            if not fitting.any():
                raise DataError(
                    f"no photo has sides of {least} pixels, which patches of scale "
                    f"{large / SIDE:g} need: add larger photos."
                )
            photo = self.photos[int(random.choice(len(fitting), p=fitting / fitting.sum()))]
            cut = min(math.ceil(large / enlarged / reduction), *photo.shape[1:])
            top, left = (int(random.integers(length - cut + 1)) for length in photo.shape[1:])
            patch = photo[:, top : top + cut, left : left + cut].float() / 255
            if float(patch.std()) < 0.02 and random.random() < 0.7:
                continue
            if cut != large:
                if enlarged > 1:  # reduce first, to the number of pixels before the enlargement
                    patch = bicubic(patch, (least, least))
                patch = bicubic(patch, (large, large))
            if random.random() < 0.5:
                patch = patch.flip(2)
            return quantize(torch.rot90(patch, int(random.integers(4)), (1, 2)))
        raise DataError("the photos are flat nearly everywhere: add photos with detail.")


def _through_chain(image: Tensor, random: np.random.Generator) -> Tensor:
    seed = int(random.integers(1 << 31))
    return draw_chain(seed).apply(image, (SIDE, SIDE), seed)


def _bytes(images: Tensor) -> Bytes:
    """(N, 3, H, W) around [0, 1] -> (N, H, W, 3), rounded half up."""
    levels = (quantize(images.float()) * 255).round().to(torch.uint8)
    return levels.permute(0, 2, 3, 1).contiguous().numpy()


def next_to_make(numbers: Sequence[int], chunks: int, keep: int, first: int, step: int) -> range:
    """The numbers of the chunks that one of several writers makes.

    Args:
        numbers: of the chunks that exist.
        chunks: how many are made in all.
        keep: how many are kept at a time; older ones are removed.
        first: number of this writer, 0 to step - 1.
        step: number of writers.

    Example:
        >>> list(next_to_make([4, 5, 6, 7], chunks=10, keep=4, first=1, step=2))
        [5, 7, 9]
    """
    oldest = max(0, max(numbers, default=-1) - keep + 1)
    return range(oldest + (first - oldest) % step, chunks, step)
