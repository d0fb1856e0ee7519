"""Pictures in and out of files at the depth that the file has, with what it says besides.

JPEG, PNG, WebP, TIFF and AVIF are read and written, GIF is read; with extras, HEIC, JPEG XL,
JPEG 2000 and OpenEXR are read and written, and BMP, TGA, DDS and camera raw are read. Pixels are
(H, W, C) arrays of uint8, uint16 or float32 with C = 1 (gray), 2 (gray and alpha), 3 (RGB) or 4
(RGB and alpha). Alpha is straight (not premultiplied) and comes last.
"""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pixperts.defaults import MAX_PIXELS
from pixperts.errors import ImageError, UsageError
from pixperts.io.atomic import replacing
from pixperts.io.color.light import check_light, encoded, is_encoded
from pixperts.io.decode import open_picture
from pixperts.io.encode import Recipe, encode, image_of
from pixperts.io.folders import walk
from pixperts.io.formats import (
    DEFAULT_QUALITY,
    FORMAT_LIMITS,
    LOSSLESS,
    NAMES,
    SUFFIXES,
    PathLike,
    is_image_path,
)
from pixperts.io.metadata.metadata import NO_METADATA, Metadata
from pixperts.io.vips import file_status
from pixperts.io.writable import check_writable, writable_endings, writable_formats
from pixperts.ops.pixels import DTYPES, Pixels, for_format, upright


@dataclass(frozen=True, eq=False)
class Picture:
    """A decoded picture.

    `pixels` is (H, W, C) as the module describes, uint8 and uint16 over their whole range and
    float32 as stored, finite; `format` is a key of `formats.NAMES` such as "jpeg", from the content
    and not the name; `path` is the file it came from. `metadata` is what the file says besides,
    with the profile that the pixels are encoded in; `notes` are sentences for the user on what
    was not simply taken over. `bits` are those of a sample in the file, where the type of the
    pixels has more or as many.
    """

    pixels: Pixels
    format: str
    path: Path | None = None
    metadata: Metadata = NO_METADATA
    notes: tuple[str, ...] = ()
    bits: int | None = None

    @property
    def height(self) -> int:
        """Rows."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Columns."""
        return int(self.pixels.shape[1])


def list_images(folder: PathLike, recursive: bool = False) -> list[Path]:
    """The pictures in a folder, sorted by path; hidden files and folders are left out.

    Raises ImageError where the folder is missing, not a folder or not readable.
    """
    found = []
    for parent, folders, names in walk(Path(folder)):
        if not recursive:
            folders.clear()
        paths = (parent / name for name in names if is_image_path(name))
        found += [path for path in paths if path.is_file()]
    return sorted(found)


def read_image(
    path: PathLike,
    *,
    max_pixels: int = MAX_PIXELS,
    color: str = "keep",
    page: int | None = None,
    strict: bool = False,
) -> Picture:
    """Decode a picture file, upright (EXIF orientation applied), with its metadata.

    The depth is the file's: 8 or 16 bit, float32 from TIFF and OpenEXR, 10 and 12 bit of AVIF and
    HEIC spread over 16. Palettes, 1, 2 and 4-bit samples become 8 bit; CMYK (by its profile),
    Lab and XYZ become sRGB of 8 bit, or of 16 bit where the file has more. With `color` "keep"
    the pixels stay in the encoding of an embedded profile; with "srgb" they are converted and
    `metadata.icc` is a profile of sRGB. Of animations and several pages the first is read, or
    the one that `page` counts from 1; smaller copies in a TIFF file do not count.
    A JPEG or PNG that ends too early is read where at most an eighth of its rows is missing, with a
    note; with `strict` it is an error. The width and height are held against `max_pixels` before
    anything is decoded.

    Raises ImageError where the file is missing, empty, unreadable, cut short, damaged, too large
    or of another format; UsageError for another `color`. Damage inside JPEG or uncompressed TIFF
    data that still decodes looks like a picture.
    """
    opened = open_picture(Path(path), max_pixels, color, page=page, strict=strict)
    pixels = upright(opened.decode(0, opened.image.height), opened.orientation)
    return Picture(pixels, opened.format, opened.path, opened.metadata, opened.notes, opened.bits)


def check_output(
    path: PathLike,
    width: int,
    height: int,
    format: str | None = None,  # noqa: A002
    quality: int | None = None,
    lossless: bool | None = None,
) -> None:
    """Raise now what `write_image` would raise later for a picture of this size; write nothing.

    UsageError: unknown suffix or format, or one that the installed libraries cannot write, a side
    over `FORMAT_LIMITS`, a quality or `lossless` that does not apply, a target that is a folder
    or a device. ImageError: a target or its nearest existing parent that is not writable.
    """
    target = Path(path)
    kind = format_of(target, format)
    limit = FORMAT_LIMITS[kind]
    if max(width, height) > limit:
        raise UsageError(
            f"{target} would be {width} x {height} pixels, and {NAMES[kind]} holds at most "
            f"{limit} per side: write .png or .tif, or choose a smaller size."
        )
    _check_quality(kind, quality, lossless)
    check_place(target)


def write_image(
    path: PathLike,
    pixels: Pixels,
    *,
    format: str | None = None,  # noqa: A002
    quality: int | None = None,
    lossless: bool | None = None,
    metadata: Metadata | None = None,
    software: str | None = None,
    strip_metadata: bool = False,
) -> Path:
    """Encode (H, W, C) pixels into `path`, whole or not at all, and return the path.

    The format comes from the suffix unless given. Integers span their whole range and floats [0,
    1]; floats outside are clipped, but for TIFF and OpenEXR, which keep them. What a format
    cannot hold is converted: JPEG and WebP to 8 bit (16-bit codes by v * 255 / 65535, rounded),
    AVIF to 8 or 12 bit, HEIC to 8 or 10, floats to 16 bit for PNG, JPEG XL and JPEG 2000; TIFF
    keeps uint8, uint16 and float32. JPEG has no alpha, so it is composited onto white.
    WebP and AVIF have no gray, HEIC and JPEG XL none with alpha, so it becomes RGB. `losses` says
    what is lost in sentences.
    `quality` (1 to 100, default 95, AVIF and HEIC 90) is for JPEG, AVIF, HEIC, JPEG XL and
    JPEG 2000, written without chroma subsampling, and WebP, always 4:2:0 then; PNG and TIFF are
    lossless and refuse it. `lossless` makes all but JPEG so. TIFF grows into BigTIFF near 4 GB.
    Floats that the metadata call linear light (`ColorTags.is_linear`, as `read_image` says of
    OpenEXR) go through the curve of sRGB, but for TIFF and OpenEXR, which is written of such alone.

    `metadata` goes into the file as far as the format has a place for it, with sizes brought up
    to date, orientation 1 and no thumbnail; `software` becomes the software tag of EXIF, TIFF or
    PNG. With `strip_metadata` the profile alone is written. A profile for another number of
    channels than the pixels have is left out.

    The bytes go to a hidden file beside the target, which then replaces it; missing parent
    folders are made. A link is followed, and a replaced file keeps its permissions.

    Raises UsageError for pixels that are no picture and for what `check_output` refuses,
    ImageError for NaN or infinite samples and for a failed write.
    """
    target = Path(path)
    kind = format_of(target, format)
    _check_pixels(pixels)
    check_output(target, pixels.shape[1], pixels.shape[0], kind, quality, lossless)
    known = metadata or NO_METADATA
    check_light(target, kind, pixels.dtype, known, silent=True)
    ready = for_format(pixels, kind, encode=is_encoded(kind, pixels.dtype, known))
    known = encoded(kind, pixels.dtype, known)
    recipe = Recipe(kind, quality, bool(lossless), known, software, strip_metadata)
    with replacing(target) as temporary:
        encode(temporary, image_of(ready), recipe)
    return target


def check_place(target: Path) -> None:
    """Raise now what writing a file there would raise later; write nothing.

    UsageError: a target that is a folder or a device. ImageError: a target or its nearest
    existing parent that is not writable.
    """
    found = file_status(target)
    if found is not None:
        if stat.S_ISDIR(found.st_mode):
            raise UsageError(f"{target} is a folder: name the file to write inside it.")
        if not stat.S_ISREG(found.st_mode):
            raise UsageError(f"{target} is not a regular file: name another output.")
        if not _may(target, os.W_OK):
            raise ImageError(f"{target} is write-protected: name another output.")
    parent = Path(os.path.realpath(target)).parent
    while (found := file_status(parent)) is None and parent != parent.parent:
        parent = parent.parent
    if found is None or not stat.S_ISDIR(found.st_mode):
        raise ImageError(f"{target} cannot be written: {parent} is not a folder.")
    if not _may(parent, os.W_OK | os.X_OK):
        raise ImageError(f"{target} cannot be written: the folder {parent} is write-protected.")


def _may(path: Path, mode: int) -> bool:
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)


def format_of(path: Path, given: str | None) -> str:
    """The format to write by the name, or the given one; UsageError where it cannot be written."""
    suffix = path.suffix if given is None else f".{given}"
    kind = SUFFIXES.get(suffix.lower())
    if kind is None and given in NAMES:
        kind = given
    if kind is None and given is None:
        raise UsageError(
            f"{path} does not end in a supported suffix: use one of {writable_endings()}."
        )
    if kind is None:
        known = ", ".join(writable_formats())
        raise UsageError(f"The format {given!r} is unknown: use one of {known}.")
    check_writable(str(path), kind)
    return kind


def _check_quality(kind: str, quality: int | None, lossless: bool | None) -> None:
    if lossless and kind not in {"png", "tiff", "exr", *LOSSLESS}:
        raise UsageError(f"{NAMES[kind]} has no lossless mode: write .png, .tif or .webp.")
    if quality is None:
        return
    if kind not in DEFAULT_QUALITY:
        raise UsageError(f"A quality does not apply to {NAMES[kind]}, which is lossless: drop it.")
    if lossless:
        raise UsageError("A quality and lossless contradict each other: drop one of them.")
    if isinstance(quality, bool) or not isinstance(quality, int) or not 1 <= quality <= 100:
        raise UsageError(f"The quality {quality!r} is not a whole number from 1 to 100.")


def _check_pixels(pixels: Pixels) -> None:
    if not isinstance(pixels, np.ndarray) or pixels.dtype not in DTYPES:
        kind = getattr(pixels, "dtype", type(pixels).__name__)
        raise UsageError(f"Pixels are {kind}: give a NumPy array of uint8, uint16 or float32.")
    if pixels.ndim != 3 or not 1 <= pixels.shape[2] <= 4 or 0 in pixels.shape:
        raise UsageError(f"Pixels are of shape {pixels.shape}: give (H, W, C) with C from 1 to 4.")
