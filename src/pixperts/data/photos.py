"""Clean photos to train on, decoded when needed."""

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, overload

from torch import Tensor
from torch.utils.data import get_worker_info

from pixperts.data.image_files import PictureFile, picture_size, read_photo
from pixperts.data.shards import is_packed, read_photo_shards
from pixperts.errors import DataError
from pixperts.io.image import list_images
from pixperts.memory import available_memory


class PhotoSource(Sequence[Tensor]):
    """Photos as uint8 (3, H, W), decoded when they are needed; the last used stay in memory.

    The tensors must not be changed. A copy in another process starts empty, and the processes of a
    DataLoader share the limit.

    Args:
        files: pictures on disk or in shards.
        sizes: (width, height) of each.
        limit: bytes of decoded photos to keep; None for a quarter of the free memory.
    """

    def __init__(
        self,
        files: Sequence[PictureFile],
        sizes: Sequence[tuple[int, int]],
        limit: int | None = None,
    ) -> None:
        if limit is None:
            limit = available_memory() // 4
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
            ImageError: a file cannot be decoded.
            DataError: the size of a file has changed.
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
    """The photos of folders or packed sets as uint8 (3, H, W) RGB; alpha is left out.

    Sizes are read now, pixels when a photo is needed.

    Args:
        folders: searched recursively, in order, sorted by name; or folders of shards, or .tar
            files, whose photos keep the order of the packing.
        exclude: names of files to leave out, such as those of test pictures.
        min_side: pixels; pictures with a shorter side are left out.
        limit: see `PhotoSource`.

    Raises:
        DataError: a folder is missing, a shard is damaged, or no photo is left.
        ImageError: the header of a file cannot be read.
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
    """The files of a folder or packed set: (file, name of its source, (width, height) or None).

    Raises:
        DataError: there is no such folder, or a shard is damaged.
    """
    if is_packed(folder):
        samples = read_photo_shards(folder)
        return [(s.clean, s.source.rpartition("/")[2], s.noted_size) for s in samples]
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder of training photos.")
    return [(path, path.name, None) for path in list_images(folder, recursive=True)]


def describe_photos(photos: Sequence[Tensor]) -> str:
    """Text with the number and area of photos (3, H, W).

    Example:
        >>> import torch
        >>> describe_photos([torch.zeros(3, 1000, 1500)])
        '1 training photos, 2 megapixels'
    """
    if isinstance(photos, PhotoSource):
        pixels = sum(width * height for width, height in photos.sizes)
    else:
        pixels = sum(photo.shape[1] * photo.shape[2] for photo in photos)
    return f"{len(photos)} training photos, {pixels / 1e6:.0f} megapixels"


def check_largest(photos: Sequence[Tensor], side: int) -> None:
    """Check that at least one photo holds a square of `side` pixels.

    Raises:
        DataError: none does.
    """
    if isinstance(photos, PhotoSource):
        largest = max(min(size) for size in photos.sizes)
    else:
        largest = max(min(photo.shape[1:]) for photo in photos)
    if largest < side:
        raise DataError(
            f"no photo has sides of {side} pixels, which the largest factor needs: lower patch or "
            "add larger photos."
        )
