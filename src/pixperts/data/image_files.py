"""Pictures for training, in files of their own or as members of a .tar: size and pixels.

Safe after a fork and cheap to pickle: no file stays open, and libvips starts no threads.
"""

import contextlib
import io
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pixperts.defaults import MAX_PIXELS
from pixperts.errors import DataError, ImageError, named
from pixperts.io.color.icc import to_rgb
from pixperts.io.decode import Opened, explained, header_size, open_picture, orientation_of
from pixperts.io.formats import NAMES
from pixperts.io.metadata.metadata import NO_METADATA
from pixperts.io.metadata.png_text import refuse_bomb_in
from pixperts.io.vips import format_of_bytes, libvips, reason, sniff
from pixperts.ops.pixels import Pixels, from_float, to_float, upright

MEMBER_FORMATS = ("jpeg", "png", "webp", "tiff")


@dataclass(frozen=True)
class Member:
    """A file inside an uncompressed .tar, whose bytes begin at `offset`."""

    shard: Path
    name: str
    offset: int
    size: int

    def __str__(self) -> str:
        return f"{self.shard}:{self.name}"

    def read(self) -> bytes:
        """The bytes of the file; ImageError if the .tar cannot be read or is too short."""
        try:
            with self.shard.open("rb") as handle:
                handle.seek(self.offset)
                data = handle.read(self.size)
        except OSError as error:
            raise ImageError(f"{self.shard} cannot be read ({reason(error)}).") from None
        if len(data) < self.size:
            raise ImageError(f"{self} is cut short: copy the shard again.")
        return data


PictureFile = Path | Member


def picture_size(file: PictureFile) -> tuple[int, int]:
    """(width, height) in pixels by the header, rotation included; ImageError if it is damaged."""
    if isinstance(file, Member):
        return _open_member(file).size
    if header := _bmp_header(file):
        height, width = _map_bmp(file, header).shape[:2]
        return width, height
    return header_size(file)


def picture_bytes(file: PictureFile) -> bytes:
    """The bytes of the encoded picture; ImageError if it cannot be read."""
    if isinstance(file, Member):
        return file.read()
    try:
        return file.read_bytes()
    except OSError as error:
        raise ImageError(f"{file} cannot be read ({reason(error)}).") from None


def picture_format(file: PictureFile) -> str:
    """The format by the first bytes: a result of `vips.sniff`, or "bmp"."""
    if isinstance(file, Member):
        return format_of_bytes(file.read()[:64], Path(str(file)))
    return "bmp" if _bmp_header(file) else sniff(file)


def read_8bit(file: PictureFile) -> Pixels:
    """Upright pixels (H, W, C) uint8, C from 1 to 4; samples of more bits are rounded.

    Raises ImageError if the file cannot be read.
    """
    if isinstance(file, Path) and (header := _bmp_header(file)):
        return np.array(_map_bmp(file, header))
    opened = (
        _open_member(file)
        if isinstance(file, Member)
        else open_picture(file, MAX_PIXELS, strict=True)
    )
    pixels = upright(opened.decode(0, opened.image.height, threads=False), opened.orientation)
    return pixels if pixels.dtype == np.uint8 else from_float(to_float(pixels), np.uint8)


def without_alpha(pixels: Pixels) -> Pixels:
    """The pixels without their alpha channel: gray (H, W, 1) or RGB (H, W, 3)."""
    return pixels[..., : 3 if pixels.shape[2] >= 3 else 1]


def read_photo(file: PictureFile) -> Tensor:
    """A picture as uint8 (3, H, W): gray becomes RGB, alpha is left out.

    Raises ImageError if the file cannot be read.
    """
    return _planes(without_alpha(read_8bit(file)))


def read_opaque(file: PictureFile) -> Tensor:
    """A gray or RGB picture as uint8 (3, H, W).

    Raises:
        DataError: the picture has an alpha channel.
        ImageError: the file cannot be read.
    """
    pixels = read_8bit(file)
    if pixels.shape[2] not in (1, 3):
        raise DataError(f"{file} has an alpha channel: convert it to gray or RGB without alpha.")
    return _planes(pixels)


def _planes(pixels: Pixels) -> Tensor:
    planes = torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)  # (C, H, W)
    return planes.expand(3, -1, -1).contiguous()  # (3, H, W)


def _open_member(member: Member) -> Opened:
    data, path = member.read(), Path(str(member))
    if not data:
        raise ImageError(f"{member} is empty (0 bytes): pack its picture again.")
    kind = format_of_bytes(data[:64], path)
    if kind not in MEMBER_FORMATS:
        known = ", ".join(NAMES[name] for name in MEMBER_FORMATS)
        raise ImageError(f"{member} is {NAMES[kind]}: a shard may hold {known}.")
    if kind == "png":
        refuse_bomb_in(io.BytesIO(data), path)
    load = getattr(libvips().Image, f"{kind}load_buffer")
    with explained(path, kind):
        image = load(data, access="sequential", fail_on="error", revalidate=True)
        if image.width * image.height > MAX_PIXELS:
            raise ImageError(
                f"{member} has {image.width} x {image.height} pixels, over the limit of "
                f"{MAX_PIXELS}: pack it in tiles ({named('crop')})."
            )
        orientation = orientation_of(image)
        image, _ = to_rgb(path, image)
    return Opened(path, kind, image, orientation, NO_METADATA, ())


def _bmp_header(path: Path) -> bytes | None:
    with contextlib.suppress(OSError), path.open("rb") as handle:
        return handle.read(54) if handle.read(2) == b"BM" else None
    return None


def _map_bmp(path: Path, header: bytes) -> Pixels:
    # The Waterloo Exploration Database (WED) is published as BMP, which libvips does not read.
    with contextlib.suppress(struct.error):
        start, size, width, height, _, *kind = struct.unpack_from("<IIiiHHI", header, 8)
        shape = (abs(height), (3 * width + 3) // 4 * 4)  # (H, stride)
        whole = path.stat().st_size >= start + shape[0] * shape[1]
        if size >= 40 and width > 0 and height != 0 and kind == [24, 0] and whole:
            rows = np.memmap(path, np.uint8, "r", start, shape)  # blue first
            pixels = rows[:: -1 if height > 0 else 1, : 3 * width].reshape(-1, width, 3)
            return pixels[..., ::-1]  # (H, W, 3)
    raise ImageError(f"{path} is cut short or no plain 24-bit BMP: convert it to PNG.")
