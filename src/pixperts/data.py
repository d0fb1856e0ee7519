"""Training samples: clean photos, decoded when needed, and LR patches made from them on the fly.

Sample number i of a run depends on (seed, i) alone, so a resumed run sees what an uninterrupted
one would have seen.
"""

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, overload

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, get_worker_info

from pixperts.errors import DataError
from pixperts.image import list_images
from pixperts.pictures import PictureFile, picture_size, read_photo
from pixperts.resize import bicubic, quantise
from pixperts.shards import is_packed, read_photo_shards
from pixperts.sizes import available_memory

_KEPT_UNTOLD = 4 * 10**9  # bytes taken as free where the system does not tell


class Sample(NamedTuple):
    """One training sample of arbitrary-scale super-resolution; batched by stacking."""

    lr: Tensor  # (3, p, p) in [0, 1], 8-bit levels
    positions: Tensor  # (Q, 2) int64, row and column in the sample's own output
    size: Tensor  # (2,) int64, output height and width
    target: Tensor  # (Q, 3) in [0, 1]


class PhotoSource(Sequence[Tensor]):
    """Photos as uint8 (3, H, W), decoded when they are asked for; the last used are kept.

    What is given out must not be changed. Copies in other processes start with nothing decoded,
    and the processes of a DataLoader share the limit.

    Args:
        files: pictures on disk or in shards.
        sizes: (width, height) of each.
        limit: bytes of decoded photos to keep; a quarter of the free memory if unset.
    """

    def __init__(
        self,
        files: Sequence[PictureFile],
        sizes: Sequence[tuple[int, int]],
        limit: int | None = None,
    ) -> None:
        if limit is None:
            limit = (available_memory() or _KEPT_UNTOLD) // 4
        self.files, self.sizes, self.limit = tuple(files), tuple(sizes), limit
        self._kept: OrderedDict[int, Tensor] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self.files)

    @overload
    def __getitem__(self, place: int) -> Tensor: ...

    @overload
    def __getitem__(self, place: slice) -> "PhotoSource": ...

    def __getitem__(self, place: "int | slice") -> "Tensor | PhotoSource":
        """A photo, or a source of some of them.

        Raises:
            ImageError: for a file that cannot be decoded.
            DataError: for one that has changed its size.
        """
        if isinstance(place, slice):
            return PhotoSource(self.files[place], self.sizes[place], self.limit)
        place = range(len(self.files))[place]
        if (photo := self._kept.get(place)) is not None:
            self._kept.move_to_end(place)
            return photo
        photo = read_photo(self.files[place])
        if (found := (photo.shape[2], photo.shape[1])) != self.sizes[place]:
            raise DataError(
                f"{self.files[place]} has {found[0]}x{found[1]} pixels, but had "
                f"{self.sizes[place][0]}x{self.sizes[place][1]} at the start: leave the photos "
                "alone while they are used."
            )
        worker = get_worker_info()
        limit = self.limit // (worker.num_workers if worker else 1)
        if photo.numel() <= limit:
            self._kept[place] = photo
            self._bytes += photo.numel()
        while self._bytes > limit:
            self._bytes -= self._kept.popitem(last=False)[1].numel()
        return photo

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_kept": OrderedDict(), "_bytes": 0}


def load_photos(
    folders: Sequence[Path],
    exclude: Sequence[str] = (),
    min_side: int = 128,
    *,
    limit: int | None = None,
) -> PhotoSource:
    """Every photo of some folders or packed sets as uint8 (3, H, W); grey and alpha become RGB.

    Sizes are read now, pixels when a photo is asked for.

    Args:
        folders: searched recursively, in order, sorted by name; or folders of shards, or .tar
            files, whose photos keep the order of the packing.
        exclude: file names to leave out (test pictures, samples).
        min_side: smaller pictures are left out.
        limit: see `PhotoSource`.

    Raises:
        DataError: if a folder is missing, a shard is damaged or nothing is left.
        ImageError: for a file whose header cannot be read.
    """
    if not folders:
        raise DataError("the configuration names no folder of training photos ('photos').")
    files: list[PictureFile] = []
    sizes: list[tuple[int, int]] = []
    small = 0
    for folder in folders:
        for file, name, noted in list_photos(folder):
            if name in exclude:
                continue
            if min(size := noted or picture_size(file)) >= min_side:
                files.append(file)
                sizes.append(size)
            else:
                small += 1
    if not files:
        why = f"; {small} have a side below {min_side} pixels: lower patch" if small else ""
        raise DataError(f"{', '.join(map(str, folders))}: no photo to train on was found{why}.")
    return PhotoSource(files, sizes, limit)


def list_photos(folder: Path) -> list[tuple[PictureFile, str, tuple[int, int] | None]]:
    """Files of a folder or a packed set, each with its source's file name, and size if known.

    Raises:
        DataError: if there is no such folder, or a shard is damaged.
    """
    if is_packed(folder):
        samples = read_photo_shards(folder)
        return [(s.clean, s.source.rpartition("/")[2], s.noted_size) for s in samples]
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder of training photos.")
    return [(path, path.name, None) for path in list_images(folder, recursive=True)]


def describe_photos(photos: Sequence[Tensor]) -> str:
    """Number and area of photos (3, H, W).

    Example:
        >>> describe_photos([torch.zeros(3, 1000, 1500)])
        '1 training photos, 2 megapixels'
    """
    if isinstance(photos, PhotoSource):
        pixels = sum(width * height for width, height in photos.sizes)
    else:
        pixels = sum(photo.shape[1] * photo.shape[2] for photo in photos)
    return f"{len(photos)} training photos, {pixels / 1e6:.0f} megapixels"


class ArbitraryScale(Dataset[Sample]):
    """Patches at a random continuous scale with random pixel queries, as LIIF samples them.

    A scale is drawn uniformly, an HR crop of round(patch * scale) is cut, flipped and turned,
    shrunk to `patch` by antialiased bicubic and rounded to 8 bit; `queries` of its pixels are
    the targets (arXiv 2012.09161, section 4.1).
    """

    def __init__(
        self,
        photos: Sequence[Tensor],
        *,
        patch: int,
        queries: int,
        scales: tuple[float, float] = (1.0, 4.0),
        seed: int = 0,
    ) -> None:
        self.photos, self.patch, self.queries = photos, patch, queries
        self.scales, self.seed = scales, seed

    def describe(self) -> str:
        """One line on what there is to learn from."""
        return describe_photos(self.photos)

    def __getitem__(self, number: int) -> Sample:
        """Sample `number`, the same on every call."""
        random = np.random.Generator(np.random.PCG64([self.seed, number]))
        photo = self.photos[int(random.integers(len(self.photos)))]
        largest = min(photo.shape[1:]) / self.patch
        low, high = self.scales
        scale = float(random.uniform(low, max(low, min(high, largest))))
        side = min(round(self.patch * scale), *photo.shape[1:])
        top = int(random.integers(photo.shape[1] - side + 1))
        left = int(random.integers(photo.shape[2] - side + 1))
        crop = photo[:, top : top + side, left : left + side].float() / 255  # (3, side, side)
        if random.random() < 0.5:
            crop = crop.flip(2)
        crop = torch.rot90(crop, int(random.integers(4)), (1, 2))
        lr = quantise(bicubic(crop, (self.patch, self.patch))) if side != self.patch else crop
        chosen = torch.from_numpy(random.permutation(side * side)[: self.queries])
        if len(chosen) < self.queries:
            extra = random.integers(side * side, size=self.queries - len(chosen))
            chosen = torch.cat([chosen, torch.from_numpy(extra)])
        target = crop.reshape(3, -1)[:, chosen].t()  # (Q, 3)
        positions = torch.stack([chosen // side, chosen % side], dim=1)
        return Sample(lr, positions, torch.tensor([side, side]), target)
