"""Open one picture file: what its header says, and a lazily decoded image in gray or RGB."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pixperts.errors import ImageError, TooLargeError, UsageError, named, printable
from pixperts.io.avif import bits_of, full_range
from pixperts.io.color.chunks import animation_frames_of_png
from pixperts.io.color.hdr import tags_to_srgb
from pixperts.io.color.icc import profile_of, to_rgb, to_srgb, whole_profile, with_profile
from pixperts.io.containers.heif_boxes import animation_frames
from pixperts.io.cut_short import remains_of
from pixperts.io.decoders.foreign import (
    Foreign,
    decoded,
    needs_decoder,
    open_foreign,
    placeholder,
)
from pixperts.io.formats import NAMES
from pixperts.io.metadata import exif
from pixperts.io.metadata.metadata import Metadata, read_metadata
from pixperts.io.metadata.png_text import refuse_bomb
from pixperts.io.metadata.xmp import orientation_in
from pixperts.io.tiff.kinds import open_tiff
from pixperts.io.tiff.pages import Page, pictures, read_pages
from pixperts.io.tiff.watch import UNCHECKED, nothing_passed_over
from pixperts.io.vips import libvips, open_image, reason, sniff
from pixperts.ops.pixels import Pixels, is_finite

COLORS = ("keep", "srgb")
_TURNED_BY_EXIF = ("jpeg", "png", "webp", "tiff")
_FETCH = 64  # rows
# What libvips and its decoders say of files that are sound.
_UNABLE = (
    *("not configured", "not implemented", "not supported", "unsupported", "doesn't support"),
    *("not whole number of bytes", "samples out of range", "not sgi-compressed", "not 1 bands"),
)
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
    reopen: "Callable[[], _Header] | None" = None  # of TIFF in tiles
    stored_bits: int | None = None  # where the samples are spread over more

    @property
    def bits(self) -> int:
        """Bits per sample of the file, of which `dtype` may have more."""
        return self.stored_bits or 8 * self.dtype.itemsize

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
        with explained(self.path, self.format), self._watch(top, bottom):
            if threads and (top, bottom) == (0, image.height):
                # All at once runs on several threads.
                return self._finite(image.numpy().reshape(pixels.shape))  # (H, W[, C])
            for start, data in _fetched(image, top, bottom):
                rows = np.frombuffer(data, self.dtype).reshape(-1, image.width, image.bands)
                pixels[start - top : start - top + len(rows)] = rows
        return self._finite(pixels)

    def _watch(self, top: int, bottom: int) -> contextlib.AbstractContextManager[None]:
        reopen = self.reopen
        if reopen is None:
            return contextlib.nullcontext()

        def again() -> Callable[[], None]:
            header = reopen()  # which holds the memory that its image needs

            def decode() -> None:
                for _ in _fetched(header.image, top, bottom):
                    pass

            return decode

        return nothing_passed_over(again)

    def _finite(self, pixels: Pixels) -> Pixels:
        if pixels.dtype == np.float32 and not is_finite(pixels):
            raise ImageError(
                f"{self.path} holds NaN or infinite samples: export it again without them."
            )
        return pixels


def _fetched(image: Any, top: int, bottom: int) -> Iterator[tuple[int, Any]]:
    """Rows in parts: the first of each, and its bytes; without libvips' own threads."""
    # A pipeline of its own for each window would drop what sequential decoders have read beyond
    # its end, and they cannot go back.
    region = libvips().Region.new(image)
    for start in range(top, bottom, _FETCH):
        yield start, region.fetch(0, start, image.width, min(_FETCH, bottom - start))


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
        why = reason(error).lower()
        if any(word in why for word in _UNABLE) and "marker" not in why:
            raise ImageError(
                f"{path} is {NAMES[kind]} of a kind that this installation cannot read "
                f"({reason(error)}): export it as plain 8-bit or 16-bit RGB."
            ) from None
        if UNCHECKED in why:
            raise ImageError(
                f"{path} could not be checked, as other files were read all the time: try again."
            ) from None
        raise ImageError(
            f"{path} cannot be decoded as {NAMES[kind]} ({reason(error)}): it is damaged or "
            "cut short, so copy it again from its source."
        ) from None


def header_size(path: Path, page: int | None = None) -> tuple[int, int]:
    """Upright (width, height) of a picture without decoding it; errors as in `image.read_image`.

    No limit of pixels is applied.
    """
    header = _header(path, page)
    image = header.image
    width, height = image.width, image.height
    directory = None if header.page is None else header.page.at
    turned = orientation_of(image, path, directory) >= 5
    return (height, width) if turned else (width, height)


def page_count(path: Path) -> int:
    """Pages, frames or pictures in a file, by its header; errors as in `image.read_image`.

    Previews of a TIFF file and the levels of a pyramid do not count.
    """
    return _header(path).pages


def directory_count(path: Path) -> int:
    """As `page_count`, with previews and levels."""
    header = _header(path)
    return max(header.pages, header.directories)


@dataclass(frozen=True, eq=False)
class _Header:
    """What a file's first bytes and its own loader say: no other parser is reached."""

    kind: str
    image: Any
    notes: tuple[str, ...] = ()
    converted: tuple[str, ...] = ()  # colors that are sRGB already, in a sentence
    source: Any = None
    page: Page | None = None  # of a TIFF file
    pages: int = 1
    directories: int = 1
    foreign: Foreign | None = None  # where libvips does not read the format


def _header(path: Path, page: int | None = None) -> _Header:
    kind = sniff(path)
    if kind == "png":
        refuse_bomb(path)
    if needs_decoder(kind):
        found = open_foreign(path, kind)
        if page is not None:
            _check_page(path, page, found.pages)
            found = replace(open_foreign(path, kind, page - 1), notes=())
        return _Header(kind, placeholder(found), found.notes, pages=found.pages, foreign=found)
    with explained(path, kind):
        if kind == "tiff":
            return _tiff_header(path, page)
        image = open_image(path, kind)
        pages = int(image.get("n-pages")) if image.get_typeof("n-pages") else 1
        if page is not None:
            _check_page(path, page, pages)
            return _Header(kind, open_image(path, kind, page - 1), pages=pages)
        if image.get_typeof("heif-primary") and (primary := image.get("heif-primary")):
            image = open_image(path, kind, primary)
    return _Header(kind, image, tuple(_page_notes(path, kind, pages)), pages=pages)


def _check_page(path: Path, page: int, pages: int) -> None:
    if not 1 <= page <= pages:
        held = f"{pages} pages" if pages > 1 else "a single page"
        raise ImageError(f"{path} has no page {page}, but {held}: choose another {named('page')}.")


def _tiff_header(path: Path, number: int | None) -> _Header:
    pages, complete = read_pages(path)
    if not pages:
        return _Header("tiff", open_image(path, "tiff"))  # which says what is wrong
    found = pictures(pages)
    if number is not None:
        _check_page(path, number, len(found))
    page = found[(number or 1) - 1]
    opened = open_tiff(path, page, alone=complete and len(pages) == 1)
    notes = opened.notes
    if number is None and (len(found) > 1 or not complete):
        count = max(2, len(found))
        notes = (f"{path} holds {count} pages: only the first was read.", *notes)
    return _Header(
        "tiff",
        opened.image,
        notes,
        opened.converted,
        opened.source,
        page,
        len(found) if complete else max(2, len(found)),
        len(pages),
    )


def orientation_of(image: Any, path: Path | None = None, directory: int | None = None) -> int:
    """Orientation from 1 to 8 by EXIF or, where that does not say, by XMP; else 1.

    `path` is where a TIFF file lies, whose own tag counts as EXIF, and `directory` the place of
    the page in it.
    """
    value = image.get("orientation") if image.get_typeof("orientation") else 1
    value = value if value in range(1, 9) else 1
    # AVIF and its kin are turned by boxes of their own, which have been followed already.
    kind = str(image.get("vips-loader")) if image.get_typeof("vips-loader") else ""
    if value == 1 and image.get_typeof("xmp-data") and kind.startswith(_TURNED_BY_EXIF):
        told = orientation_in(bytes(image.get("xmp-data")))
        if told not in (None, 1) and not _has_own_orientation(image, kind, path, directory):
            return told or 1
    return value


def _has_own_orientation(image: Any, kind: str, path: Path | None, directory: int | None) -> bool:
    if kind.startswith("tiff"):
        return path is None or exif.tag_of_tiff(path, exif.ORIENTATION, directory) is not None
    if not image.get_typeof("exif-data"):
        return False
    return exif.has_orientation(bytes(image.get("exif-data")).removeprefix(b"Exif\0\0"))


def open_picture(
    path: Path,
    max_pixels: int,
    color: str = "keep",
    *,
    page: int | None = None,
    strict: bool = False,
) -> Opened:
    """Header, metadata and lazily decoded pixels of a file; errors as in `image.read_image`."""
    if color not in COLORS:
        raise UsageError(f"color is {color!r}: use one of {', '.join(COLORS)}.")
    header = _header(path, page)

    kind, image, source, notes = header.kind, header.image, header.source, header.notes
    with explained(path, kind):
        if image.width * image.height > max_pixels:
            raise TooLargeError(
                f"{path} has {image.width} x {image.height} pixels, over the limit of "
                f"{max_pixels}: raise {named('max_pixels')}, or reduce the picture first."
            )
        if header.foreign is not None:
            image = decoded(path, kind, header.foreign)
        directory = None if header.page is None else header.page.at
        # The libraries turn pictures upright, whatever the EXIF data beside them says.
        orientation = 1 if header.foreign else orientation_of(image, path, directory)
        metadata, remarks = read_metadata(path, kind, image, orientation, directory)
        if header.foreign is not None:
            own = header.foreign
            metadata = replace(metadata, color=own.color or metadata.color, exr=own.exr)
        if not strict and (remains := remains_of(path, kind)) is not None:
            image, source = remains.image, remains.source
            notes = (*notes, remains.note)
        bits = None
        if kind in ("avif", "heic"):
            bits = bits_of(image)
            image = full_range(path, image)
        image, converted = to_rgb(path, image)
        converted = (*header.converted, *converted)
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
        if metadata.gain_map is not None and image is not before:
            metadata = replace(metadata, gain_map=None)
            remarks += (f"The gain map of {path} fits only its own colors and was left out.",)
        if metadata.background is not None and image is not before:
            metadata = replace(metadata, background=None)
            remarks += (f"The background color of {path} was left out, as colors changed.",)
    return Opened(
        path=path,
        format=kind,
        image=image,
        orientation=orientation,
        metadata=metadata,
        notes=tuple(map(printable, (*notes, *remarks, *converted, *retouched))),
        source=source,
        stored_bits=bits,
        reopen=(lambda: _header(path, page)) if header.page and header.page.is_tiled else None,
    )


def _page_notes(path: Path, kind: str, pages: int) -> Iterator[str]:
    animated = kind in ("gif", "webp")
    if kind == "png" or (kind in ("avif", "heic") and pages < 2):
        pages = animation_frames_of_png(path) if kind == "png" else animation_frames(path)
        animated = True
    if pages > 1 and animated:
        yield f"{path} is an animation of {pages} frames: only the first was read."
    elif pages > 1:
        yield f"{path} holds {pages} pictures: only the main one was read."
