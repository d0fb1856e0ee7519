"""A benchmark folder of super-resolution: high-resolution pictures, and small versions of them."""

import functools
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from pixperts.data.image_files import Member, PictureFile, read_opaque
from pixperts.data.shards import is_packed, read_photo_shards
from pixperts.errors import DataError
from pixperts.io.image import list_images, read_image
from pixperts.ops.pixels import to_float
from pixperts.ops.resize import bicubic, low_resolution_size, quantize

PUBLISHED = "published"
SYNTHESIZED = "bicubic, antialiased, 8 bit"

# Published LR pictures of some sets come from an HR first cut to a multiple of 12 or 16.
_LARGEST_CROP = 16


@dataclass(frozen=True)
class SuperResolutionSet:
    """A benchmark folder of high-resolution (HR) pictures, perhaps with their small versions (LR).

    HR pictures lie in `HR/`, or in the folder itself. If there is a folder of published LR pictures
    for a scale (`LR_x2`, ...), the one with the same stem is read, and HR is cropped from the
    top-left corner to LR size times scale. For every other scale HR is cropped as by
    `resize.low_resolution_size`, and LR is made from it by antialiased bicubic reduction and
    rounded to 8 bits.
    """

    folder: Path
    pictures: tuple[PictureFile, ...]  # HR, sorted

    @classmethod
    def open(cls, folder: Path | str) -> "SuperResolutionSet":
        """List the HR pictures of a folder, or of shards (a folder of them or a .tar file).

        Raises:
            DataError: the folder is missing or holds no picture, two pictures share a stem, or a
                shard is damaged.
        """
        folder = Path(folder)
        if is_packed(folder):
            return cls(folder, tuple(sample.clean for sample in read_photo_shards(folder)))
        hr = folder / "HR" if (folder / "HR").is_dir() else folder
        pictures = tuple(_by_stem(hr).values())
        if not pictures:
            raise DataError(f"{hr} holds no picture: name a folder of HR pictures or one with HR/.")
        return cls(folder, pictures)

    def __len__(self) -> int:
        return len(self.pictures)

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.resolve().name

    def lr_source(self, scale: float) -> str:
        """The origin of LR at a scale: `PUBLISHED` or `SYNTHESIZED`."""
        return PUBLISHED if self._lr_folder(scale).is_dir() else SYNTHESIZED

    def check(self, scale: float) -> None:
        """Check before a long measurement that published HR and LR pictures match.

        Raises:
            UsageError: `scale` is below 1 or not finite.
            DataError: an HR picture lacks its published LR picture, or the other way round.
        """
        low_resolution_size(1, scale)
        self._listed.pop(scale, None)
        if self.lr_source(scale) == PUBLISHED:
            self._published(scale)

    def pair(self, index: int, scale: float) -> tuple[Tensor, Tensor]:
        """LR (3, h, w) and HR (3, H, W), cropped to the part that LR shows; float32 in [0, 1].

        Gray pictures have three equal channels.

        Raises:
            UsageError: `scale` is below 1 or not finite.
            DataError: the sizes do not fit the scale, or a picture has an alpha channel.
        """
        path = self.pictures[index]
        hr = _read_rgb(path)
        height, width = hr.shape[-2:]
        if self.lr_source(scale) == PUBLISHED:
            lr_path = self._published(scale)[_stem(path)]
            lr = _read_rgb(lr_path)
            rows, columns = (round(side * scale) for side in lr.shape[-2:])
            cut = (height - rows, width - columns)
            if min(cut) < 0 or max(cut) >= _LARGEST_CROP + scale:
                raise DataError(
                    f"{lr_path} of {lr.shape[-1]}x{lr.shape[-2]} pixels does not fit scale "
                    f"{scale:g} of {path} of {width}x{height}: put the right pictures there."
                )
            return lr, hr[:, :rows, :columns]
        small_height, rows = low_resolution_size(height, scale)
        small_width, columns = low_resolution_size(width, scale)
        if min(small_height, small_width) < 1:
            raise DataError(
                f"{path} of {width}x{height} pixels is too small for scale {scale:g}: "
                "leave it out or choose a smaller scale."
            )
        hr = hr[:, :rows, :columns]
        return quantize(bicubic(hr, (small_height, small_width))), hr

    def _lr_folder(self, scale: float) -> Path:
        return self.folder / f"LR_x{scale:g}"

    @functools.cached_property
    def _listed(self) -> dict[float, dict[str, Path]]:
        """Published LR pictures by scale and stem, of the scales that were listed so far."""
        return {}

    def _published(self, scale: float) -> dict[str, Path]:
        if scale in self._listed:
            return self._listed[scale]
        folder = self._lr_folder(scale)
        lr = _by_stem(folder)
        if unpaired := sorted(lr.keys() ^ {_stem(path) for path in self.pictures}):
            raise DataError(
                f"{folder} and the HR pictures do not pair up: {unpaired[0]!r} (one of "
                f"{len(unpaired)}) exists only in {'LR' if unpaired[0] in lr else 'HR'}; "
                "complete the set, or take the LR folder away to have LR made by bicubic."
            )
        self._listed[scale] = lr
        return lr


def _by_stem(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder: name a folder of pictures.")
    found: dict[str, Path] = {}
    for path in list_images(folder):
        if path.stem in found:
            raise DataError(f"{found[path.stem]} and {path} share a stem: keep one of them.")
        found[path.stem] = path
    return found


def _stem(file: PictureFile) -> str:
    return Path(file.name).stem


def _read_rgb(path: PictureFile) -> Tensor:
    if isinstance(path, Member):
        return read_opaque(path).float() / 255
    pixels = torch.tensor(to_float(read_image(path).pixels))  # (H, W, C)
    if pixels.shape[-1] not in (1, 3):
        raise DataError(
            f"{path} has {pixels.shape[-1]} channels: convert it to gray or RGB without alpha."
        )
    return pixels.permute(2, 0, 1).expand(3, -1, -1).contiguous()  # (3, H, W)
