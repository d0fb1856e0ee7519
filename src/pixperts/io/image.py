"""Read and write picture files, at the depth of the file and with its metadata.

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

    `pixels` is an (H, W, C) array with C = 1 (gray), 2 (gray and alpha), 3 (RGB) or 4 (RGB and
    alpha). Its type is uint8 or uint16, where black is 0 and white the largest value, or float32,
    where values are finite and as stored in the file.
    """

    pixels: Pixels
    format: str  # key of `formats.NAMES` such as "jpeg", by the content and not by the name
    path: Path | None = None  # file that the picture was read from
    metadata: Metadata = NO_METADATA  # includes the color profile of the pixels
    notes: tuple[str, ...] = ()  # sentences for the user on what was changed or left out
    bits: int | None = None  # per sample in the file; at most those of the type of `pixels`

    @property
    def height(self) -> int:
        """Number of rows."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Number of columns."""
        return int(self.pixels.shape[1])


def list_images(folder: PathLike, recursive: bool = False) -> list[Path]:
    """The pictures in a folder, sorted by path; hidden files and folders are left out.

    Args:
        folder: where to look.
        recursive: include all subfolders.

    Raises:
        ImageError: the folder does not exist, is not a folder, or cannot be read.
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
    """Read a picture file with its metadata; the EXIF orientation is applied.

    The pixels have the depth of the file: 8 or 16 bits, or float32 from TIFF and OpenEXR. Samples
    of 10 and 12 bits (AVIF, HEIC) are spread over 16. Palettes and samples of 1, 2 and 4 bits
    become 8 bits. CMYK (with its profile), Lab and XYZ become sRGB with 8 bits, or with 16 if the
    file has more than 8.

    Damage inside JPEG or uncompressed TIFF data is not always detected: if the data can still be
    decoded, the result looks like a picture.

    Args:
        path: of the file.
        max_pixels: larger pictures are refused before anything is decoded.
        color: "keep" leaves the pixels as an embedded color profile describes them; "srgb"
            converts them, and `metadata.icc` is then a profile of sRGB.
        page: which page or frame to read, counted from 1; the first if None. Smaller copies in a
            TIFF file do not count.
        strict: refuse a JPEG or PNG that ends too early. Otherwise it is read, with a note, if at
            most an eighth of its rows is missing.

    Raises:
        ImageError: the file is missing, empty, unreadable, cut short, damaged, too large, or of
            another format.
        UsageError: `color` has another value.
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
    """Check whether `write_image` could write a picture of this size; write nothing.

    Raises:
        UsageError: the suffix or format is unknown, or the installed libraries cannot write it; a
            side is above `FORMAT_LIMITS`; `quality` or `lossless` does not apply; or the target
            is a folder or a device.
        ImageError: the target or its nearest existing parent is not writable.
    """
    target = Path(path)
    kind = format_of(target, format)
    limit = FORMAT_LIMITS[kind]
    if max(width, height) > limit:
        raise UsageError(
            f"{target} would be {width} x {height} pixels, and {NAMES[kind]} holds at most "
            f"{limit} per side: choose a smaller size, or write .png or .tif."
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
    """Write pixels into a picture file, and return its path.

    The file is complete or not there: the bytes go to a hidden file beside the target, which then
    replaces it. Missing folders are created. A link is followed, and a file that is replaced keeps
    its permissions.

    What a format cannot hold is converted:

    - JPEG and WebP have 8 bits, AVIF has 8 or 12, and HEIC has 8 or 10. 16-bit values become 8-bit
      ones by v * 255 / 65535, rounded.
    - Floats become 16-bit values in PNG, JPEG XL and JPEG 2000. TIFF keeps uint8, uint16 and
      float32, and becomes a BigTIFF near 4 GB.
    - Floats outside [0, 1] are clipped, except in TIFF and OpenEXR.
    - JPEG has no alpha, so the picture is put on white. WebP and AVIF have no gray, and HEIC and
      JPEG XL have no gray with alpha, so the picture becomes RGB.
    - Floats in linear light (`ColorTags.is_linear`, as read from OpenEXR) are encoded with the
      curve of sRGB, except in TIFF and OpenEXR. OpenEXR accepts only linear light.

    `io.metadata.losses` describes in sentences what is lost.

    Args:
        path: of the file. The suffix chooses the format if `format` is None.
        pixels: (H, W, C) array of uint8 or uint16 over the whole range, or of floats in [0, 1].
        format: key of `formats.NAMES` or a suffix, such as "jpeg".
        quality: 1 to 100 for JPEG, AVIF, HEIC, JPEG XL and JPEG 2000, which are written without
            chroma subsampling, and for WebP, which then has 4:2:0. None is 90 for AVIF and HEIC,
            and 95 for the others. PNG and TIFF are lossless and refuse it.
        lossless: write without loss; JPEG refuses it.
        metadata: is written as far as the format has a place for it. Sizes are updated, the
            orientation is 1, and thumbnails are left out. So is a color profile for another
            number of channels.
        software: the software tag of EXIF, TIFF or PNG.
        strip_metadata: write the color profile only.

    Raises:
        UsageError: the pixels are not a picture, or `check_output` refuses the output.
        ImageError: a sample is not finite, or the file cannot be written.
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
    """Check whether a file could be written there; write nothing.

    Raises:
        UsageError: the target is a folder or a device.
        ImageError: the target or its nearest existing parent is not writable.
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
    """The given format, or that of the name; UsageError if it cannot be written."""
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
        raise UsageError(
            f"A quality does not apply to {NAMES[kind]}, which is lossless: leave it out."
        )
    if lossless:
        raise UsageError("A quality and lossless contradict each other: leave one of them out.")
    if isinstance(quality, bool) or not isinstance(quality, int) or not 1 <= quality <= 100:
        raise UsageError(f"The quality {quality!r} is not a whole number from 1 to 100.")


def _check_pixels(pixels: Pixels) -> None:
    if not isinstance(pixels, np.ndarray) or pixels.dtype not in DTYPES:
        kind = getattr(pixels, "dtype", type(pixels).__name__)
        raise UsageError(
            f"Pixels are {kind}: give a NumPy array of uint8, uint16 or float32, such as "
            "numpy.asarray(image)."
        )
    if pixels.ndim != 3 or not 1 <= pixels.shape[2] <= 4 or 0 in pixels.shape:
        raise UsageError(f"Pixels are of shape {pixels.shape}: give (H, W, C) with C from 1 to 4.")
