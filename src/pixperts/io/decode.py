"""Open one picture file: what its header says, and a lazily decoded image in gray or RGB."""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pixperts.errors import ImageError, UsageError, printable
from pixperts.io.formats import NAMES
from pixperts.io.hdr import tags_to_srgb
from pixperts.io.icc import profile_of, to_rgb, to_srgb, whole_profile, with_profile
from pixperts.io.metadata import Metadata, read_metadata
from pixperts.io.png_text import refuse_bomb
from pixperts.io.vips import first_page_alone, libvips, open_image, reason, sniff
from pixperts.ops.pixels import Pixels, is_finite

COLORS = ("keep", "srgb")
_FETCH = 64  # rows
_MOST_LEVELS = 64  # pages that are compared with the first; a pyramid has no more
_DTYPES = {"uchar": "uint8", "ushort": "uint16", "float": "float32"}


@dataclass(frozen=True, eq=False)
class Opened:
    """A picture file with its header read and its pixels still to come.

    `image` is a libvips image in the file's own orientation; the other fields are those of
    `image.Picture`.
    """

    path: Path
    format: str
    image: Any
    orientation: int
    metadata: Metadata
    notes: tuple[str, ...]
    source: Any = None  # memory that the image needs while it is decoded

    @property
    def dtype(self) -> np.dtype[Any]:
        """uint8, uint16 or float32."""
        return np.dtype(_DTYPES[self.image.format])

    @property
    def size(self) -> tuple[int, int]:
        """Upright width and height."""
        width, height = self.image.width, self.image.height
        return (height, width) if self.orientation >= 5 else (width, height)

    def decode(self, top: int, bottom: int, *, threads: bool = True) -> Pixels:
        """Rows of the file as stored, (bottom - top, W, C), from the top downwards only.

        libvips' own threads do not survive a fork: a process that was forked off goes `threads`
        False, or waits for them for ever.
        """
        image = self.image
        pixels: Pixels = np.empty((bottom - top, image.width, image.bands), self.dtype)
        with explained(self.path, self.format):
            if threads and (top, bottom) == (0, image.height):
                # All at once runs on several threads.
                return self._finite(image.numpy().reshape(pixels.shape))  # (H, W[, C])
            # A pipeline of its own for each window would drop what sequential decoders have read
            # beyond its end, and they cannot go back.
            region = libvips().Region.new(image)
            for start in range(top, bottom, _FETCH):
                end = min(start + _FETCH, bottom)
                data = region.fetch(0, start, image.width, end - start)
                pixels[start - top : end - top] = np.frombuffer(data, self.dtype).reshape(
                    end - start, image.width, image.bands
                )
        return self._finite(pixels)

    def _finite(self, pixels: Pixels) -> Pixels:
        if pixels.dtype == np.float32 and not is_finite(pixels):
            raise ImageError(
                f"{self.path} holds NaN or infinite samples: export it again without them."
            )
        return pixels


@contextlib.contextmanager
def explained(path: Path, kind: str) -> Iterator[None]:
    """Errors of libvips inside as ImageError of one sentence."""
    try:
        yield
    except (libvips().Error, UnicodeDecodeError) as error:
        if kind == "heic":
            raise ImageError(
                f"{path} is HEIC, which the installed libvips cannot decode ({reason(error)}): "
                "convert it to AVIF, JPEG or TIFF."
            ) from None
        raise ImageError(
            f"{path} cannot be decoded as {NAMES[kind]} ({reason(error)}): it is damaged, cut "
            "short or of an unsupported kind, so copy it again or export it as plain RGB."
        ) from None


def header_size(path: Path) -> tuple[int, int]:
    """Upright (width, height) of a picture without decoding it; errors as in `image.read_image`.

    No limit of pixels is applied.
    """
    image = _header(path)[1]
    width, height = image.width, image.height
    return (height, width) if orientation_of(image) >= 5 else (width, height)


def page_count(path: Path) -> int:
    """Pages, frames or pictures in a file, by its header; errors as in `image.read_image`."""
    image = _header(path)[1]
    return int(image.get("n-pages")) if image.get_typeof("n-pages") else 1


def _header(path: Path) -> tuple[str, Any]:
    """The format by the first bytes, and what its own loader says: no other parser is reached."""
    kind = sniff(path)
    if kind == "png":
        refuse_bomb(path)
    with explained(path, kind):
        image = open_image(path, kind)
        if image.get_typeof("heif-primary") and (primary := image.get("heif-primary")):
            image = open_image(path, kind, primary)
    return kind, image


def orientation_of(image: Any) -> int:
    """EXIF orientation from 1 to 8; 1 where an image has none."""
    value = image.get("orientation") if image.get_typeof("orientation") else 1
    return value if value in range(1, 9) else 1


def open_picture(path: Path, max_pixels: int, color: str = "keep") -> Opened:
    """Header, metadata and lazily decoded pixels of a file; errors as in `image.read_image`."""
    if color not in COLORS:
        raise UsageError(f"color is {color!r}: use one of {', '.join(COLORS)}.")
    kind, image = _header(path)
    alone = None
    with explained(path, kind):
        if kind == "tiff" and (alone := first_page_alone(path)) is not None:
            count = max(2, image.get("n-pages") if image.get_typeof("n-pages") else 1)
            image = alone[1].copy()
            image.set_type(libvips().GValue.gint_type, "n-pages", count)
        if image.width * image.height > max_pixels:
            raise ImageError(
                f"{path} has {image.width} x {image.height} pixels, over the limit of "
                f"{max_pixels}: raise it (--max-pixels, max_pixels) or reduce the picture first."
            )
        notes = list(_page_notes(path, kind, image))
        metadata, remarks = read_metadata(path, kind, image)
        image = _full_range(path, kind, image)
        image, converted = to_rgb(path, image)
        retouched: tuple[str, ...] = ()
        before = image
        tags = metadata.color
        if color == "srgb" and not converted and tags and tags.leads(metadata.icc):
            image, retouched = tags_to_srgb(path, image, tags)
        elif color == "srgb" and not converted:
            image, retouched = to_srgb(path, image)
        elif not converted and (icc := profile_of(image)) and not whole_profile(icc):
            image = with_profile(image, None)
            retouched = (f"The color profile of {path} is damaged and was left out.",)
        if converted or (color == "srgb" and image is not before):
            metadata = metadata.with_profile(profile_of(image))
        elif retouched:
            metadata = replace(metadata, icc=None)
        orientation = orientation_of(image)
    return Opened(
        path=path,
        format=kind,
        image=image,
        orientation=orientation,
        metadata=metadata,
        notes=tuple(map(printable, (*notes, *remarks, *converted, *retouched))),
        source=None if alone is None else alone[0],
    )


def _page_notes(path: Path, kind: str, image: Any) -> Iterator[str]:
    pages = image.get("n-pages") if image.get_typeof("n-pages") else 1
    if pages < 2:
        return
    if kind in ("gif", "webp"):
        yield f"{path} is an animation of {pages} frames: only the first was read."
    elif kind != "tiff":
        yield f"{path} holds {pages} pictures: only the main one was read."
    else:
        width, height = image.width, image.height
        # Each page is found through all before it, so that many would take a time of their square.
        if pages > _MOST_LEVELS:
            yield f"{path} holds {pages} pages: only the first was read."
            return
        for page in range(1, pages):
            try:
                other = open_image(path, kind, page)
            except libvips().Error:  # the first page is none the worse for it
                yield f"{path} holds {pages} pages: only the first was read."
                return
            # Previews and pyramid levels keep the aspect up to one pixel of rounding per side.
            skew = abs(other.width * height - other.height * width)
            if other.width >= width or other.height >= height or skew > width + height:
                yield f"{path} holds {pages} pages: only the first was read."
                return


def _full_range(path: Path, kind: str, image: Any) -> Any:
    """10 and 12-bit samples spread over all of 16 bit, and gray AVIF as gray."""
    if kind not in ("avif", "heic"):
        return image
    bits = image.get("bits-per-sample") if image.get_typeof("bits-per-sample") else 8
    if image.format == "ushort" and 8 < bits < 16:
        # libvips shifts them up, which leaves white short of 65535.
        top = (1 << bits) - 1
        codes = (np.arange(65536, dtype=np.uint32) >> (16 - bits)) * 65535
        table = ((codes + top // 2) // top).astype(np.uint16)
        lut = libvips().Image.new_from_memory(table, 65536, 1, 1, "ushort")
        space = image.interpretation
        image = image.maplut(lut).copy(interpretation=space)
    if image.bands >= 3 and _is_monochrome(path):
        gray = image.extract_band(0)
        gray = gray if image.bands == 3 else gray.bandjoin(image.extract_band(3))
        image = gray.copy(interpretation="b-w" if image.format == "uchar" else "grey16")
    return image


def _is_monochrome(path: Path) -> bool:
    # AV1 Codec ISO Media File Format Binding, 2.3: the monochrome bit of the third byte. Alpha is
    # a monochrome picture of its own, so the file is gray only if every picture in it is.
    with path.open("rb") as handle:
        head = handle.read(1 << 16)
    flags = [found[1][0] & 0x10 for found in re.finditer(rb"av1C\x81.(.)", head, re.DOTALL)]
    return bool(flags) and all(flags)
