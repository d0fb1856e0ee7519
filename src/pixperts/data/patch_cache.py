"""Training patches in memory-mapped files: made once, used many times.

A cache is a folder of chunks, `chunk-000000.npy` and so on. Each holds 64 patches of one scale, in
8 bits: the low-resolution (LR) patch, the patch of the photo, and what a teacher network makes of
the LR patch. `scripts/cache_patches.py` writes them, before a training or during it. A chunk
appears under its name when it is complete; it depends on the seed of the cache and its number only.

Sample number i of a run depends on the seed of the run, on i and on the chunks that exist. These
are listed at the start and again after every `stretch` samples. A resumed run therefore gives the
same bits as one without a break, unless chunks came or went meanwhile.
"""

import contextlib
import json
import math
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from pixperts.errors import DataError
from pixperts.io.atomic import replacing

Bytes = NDArray[np.uint8]

PATCHES, SIDE = 64, 64  # patches per chunk; LR pixels a side
GRID = 16  # scales are multiples of 1/16, so that patches can be cut every 16 LR pixels
BETWEEN = 0  # the kind of chunks whose scale is not whole
CYCLE = (2, 2, 3, 4, BETWEEN, 2, 3, 4)  # the kinds of the chunks in turn
SHARES = {2: 0.40, 3: 0.22, 4: 0.22, BETWEEN: 0.16}  # of the steps
_NAME = re.compile(r"chunk-(\d{6,})\.npy")
_SETTINGS = "cache.json"


class Patches(NamedTuple):
    """Samples of one scale, uint8; batched by stacking."""

    lr: Tensor  # (3, p, p)
    photo: Tensor  # (3, P, P), the photo itself
    taught: Tensor  # (3, P, P), what a teacher network makes of the clean LR patch


def kind_of(number: int) -> int:
    """The scale of chunk `number`: 2, 3, 4 or `BETWEEN`."""
    return CYCLE[number % len(CYCLE)]


def chunk_path(folder: Path, number: int) -> Path:
    """The file of a chunk."""
    return folder / f"chunk-{number:06d}.npy"


def list_chunks(folder: Path) -> dict[int, Path]:
    """Finished chunks by number, in order."""
    if not folder.is_dir():
        return {}
    found = {int(m[1]): p for p in folder.iterdir() if (m := _NAME.fullmatch(p.name))}
    return dict(sorted(found.items()))


def write_chunk(folder: Path, number: int, lr: Bytes, photo: Bytes, taught: Bytes) -> None:
    """Store the patches of a chunk in one file, which appears when it is complete.

    Args:
        folder: of the cache.
        number: of the chunk.
        lr: (N, p, p, 3) uint8.
        photo: (N, P, P, 3) uint8.
        taught: (N, P, P, 3) uint8.

    Raises:
        ImageError: the file cannot be written.
    """
    parts = {"lr": lr, "photo": photo, "taught": taught}
    kinds = [(name, np.uint8, values.shape[1:]) for name, values in parts.items()]
    chunk = np.empty(len(lr), dtype=kinds)
    for name, values in parts.items():
        chunk[name] = values
    with replacing(chunk_path(folder, number)) as path, path.open("wb") as file:
        np.save(file, chunk)


def claim(folder: Path, settings: dict[str, Any]) -> None:
    """Store the settings of a new cache, or check that an existing one has the same.

    Raises:
        DataError: the folder holds a cache of other settings.
        ImageError: the file cannot be written.
    """
    path = folder / _SETTINGS
    if path.is_file():
        if (held := json.loads(path.read_text())) != settings:
            raise DataError(
                f"{folder}: holds a cache made with {held}, not {settings}: name another folder."
            )
        return
    with replacing(path) as part:
        part.write_text(json.dumps(settings))


class CachedPatches(Dataset[Patches]):
    """Random parts of the patches of a cache, each in one of eight rotations and reflections.

    All samples of a step have one scale. Samples of a whole scale come from random chunks, those of
    a fractional scale from a single chunk. A part begins at an LR pixel whose top-left corner is
    also that of a pixel of the photo.

    Args:
        folder: of the cache.
        batch: samples per step.
        side: LR pixels a side of a sample, a multiple of `GRID` up to `SIDE`.
        seed: of the run.
        stretch: samples between two listings of the folder.

    Raises:
        DataError: the side is not allowed, or there is no chunk of some kind.
    """

    def __init__(
        self, folder: Path, *, batch: int, side: int = 48, seed: int = 0, stretch: int = 8000
    ) -> None:
        if side % GRID or not GRID <= side <= SIDE:
            raise DataError(f"patch is {side}, but must be a multiple of {GRID} up to {SIDE}.")
        self.folder, self.batch, self.side, self.seed = folder, batch, side, seed
        self.stretch = stretch
        self._listed = -1
        self._chunks: dict[int, list[Any]] = {}
        self._list()

    def describe(self) -> str:
        """One line on the training data."""
        chunks = [chunk for kind in self._chunks.values() for chunk in kind]
        return f"{len(chunks)} chunks with {sum(map(len, chunks))} patches in {self.folder}"

    def __getitem__(self, number: int) -> Patches:
        """Sample `number`, the same on every call while the chunks are the same."""
        if number // self.stretch != self._listed:
            self._list()
            self._listed = number // self.stretch
        step, place = divmod(number, self.batch)
        common = np.random.Generator(np.random.PCG64([self.seed, 0, step]))
        own = np.random.Generator(np.random.PCG64([self.seed, 1, number]))
        kind = int(common.choice(list(SHARES), p=list(SHARES.values())))
        chunks = self._chunks[kind]
        if kind == BETWEEN:
            chunk = chunks[int(common.integers(len(chunks)))]
            patch = int(common.permutation(len(chunk))[place % len(chunk)])
        else:
            chunk = chunks[int(own.integers(len(chunks)))]
            patch = int(own.integers(len(chunk)))
        side, large = chunk["lr"].shape[1], chunk["photo"].shape[1]
        grid = side // math.gcd(side, large)  # LR pixels between corners that both grids share
        places = (side - self.side) // grid + 1
        top, left = (int(own.integers(places)) * grid for _ in range(2))
        turn = int(own.integers(8))
        parts = []
        for name in Patches._fields:
            unit = chunk[name].shape[1]
            window = [slice(a * unit // side, (a + self.side) * unit // side) for a in (top, left)]
            pixels = chunk[name][patch][window[0], window[1]]
            pixels = np.rot90(pixels[:, ::-1] if turn & 4 else pixels, turn & 3)
            parts.append(torch.from_numpy(pixels.transpose(2, 0, 1).copy()))
        return Patches(*parts)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {
            "_chunks": {},
            "_listed": -1,
        }  # a copy in another process maps the files again

    def _list(self) -> None:
        """Map all chunks that exist now; one that was just removed is left out."""
        self._chunks = {kind: [] for kind in SHARES}
        for number, path in list_chunks(self.folder).items():
            with contextlib.suppress(FileNotFoundError):
                self._chunks[kind_of(number)].append(_opened(path))
        for kind, chunks in self._chunks.items():
            if not chunks:
                name = f"of scale {kind}" if kind else "of a scale between whole ones"
                raise DataError(
                    f"{self.folder}: this cache has no chunk {name} yet: let "
                    f"scripts/cache_patches.py write at least {len(CYCLE)} chunks first."
                )


def _opened(path: Path) -> Any:
    try:
        chunk = np.load(path, mmap_mode="r")
    except FileNotFoundError:
        raise
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: this chunk is damaged ({error}): delete it.") from error
    if chunk.dtype.names != Patches._fields:
        raise DataError(f"{path}: this is not a chunk of training patches: delete it.")
    return chunk
