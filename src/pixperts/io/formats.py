"""Formats of picture files: their names, endings and limits."""

import os
from importlib.util import find_spec
from pathlib import Path

from pixperts.errors import UsageError

NAMES = {
    "jpeg": "JPEG",
    "png": "PNG",
    "webp": "WebP",
    "tiff": "TIFF",
    "avif": "AVIF",
    "jxl": "JPEG XL",
    "jp2": "JPEG 2000",
    "heic": "HEIC",
    "bmp": "BMP",
    "tga": "TGA",
    "dds": "DDS",
    "raw": "camera raw",
    "gif": "GIF",
}
WRITABLE = ("jpeg", "png", "webp", "tiff", "avif", "jxl", "jp2")
DEFAULT_QUALITY = {"jpeg": 95, "webp": 95, "avif": 90, "jxl": 95, "jp2": 95}
# The formats that have a lossy and a lossless mode; PNG and TIFF have the second alone.
LOSSLESS = frozenset({"webp", "avif", "jxl", "jp2"})

PathLike = str | os.PathLike[str]

# Of files that are written.
SUFFIXES = {
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".png": "png",
    ".webp": "webp",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".avif": "avif",
    ".jxl": "jxl",
    ".jp2": "jp2",
}
# Of files that are read, whatever the installed libvips makes of them.
READ_SUFFIXES = frozenset(
    [*SUFFIXES, ".gif", ".heic", ".heif", ".hif", ".jpe", ".jfif", ".j2k", ".bmp", ".tga", ".dds"]
)
# Cameras write these beside JPEG files, and so folders of both shall not fail where no raw file
# can be read: they count as pictures only where the extra is installed.
RAW_SUFFIXES = frozenset([
    ".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dng", ".erf", ".iiq", ".kdc", ".mrw",
    ".nef", ".nrw", ".orf", ".pef", ".raf", ".rw2", ".sr2", ".srf", ".srw", ".x3f",
])  # fmt: skip

# libjpeg stops at 65500 (JPEG_MAX_DIMENSION), short of the 65535 of the format's own header, and
# libvips stops AVIF at 16384.
FORMAT_LIMITS = {
    "jpeg": 65500,
    "png": 2**31 - 1,
    "webp": 16383,
    "tiff": 2**31 - 1,
    "avif": 16384,
    "jxl": 2**30 - 1,
    "jp2": 2**31 - 1,
}


def is_image_path(path: PathLike) -> bool:
    """Whether the name ends like a picture that is read; the file itself is not looked at.

    >>> is_image_path("a/B.JPG"), is_image_path("notes.txt")
    (True, False)
    """
    suffix = Path(path).suffix.lower()
    return suffix in READ_SUFFIXES or (suffix in RAW_SUFFIXES and find_spec("rawpy") is not None)


def format_of_name(text: str) -> str:
    """The format that a person means, a value of `SUFFIXES`.

    Raises:
        UsageError: listing the formats.

    Example:
        >>> format_of_name("jpg"), format_of_name("TIFF")
        ('jpeg', 'tiff')
    """
    wanted = text.lower().removeprefix(".")
    if wanted in SUFFIXES.values():
        return wanted
    kind = SUFFIXES.get(f".{wanted}")
    if kind is None:
        known = ", ".join(dict.fromkeys(SUFFIXES.values()))
        raise UsageError(f"--format {text!r} is unknown: use one of {known}.")
    return kind


def ending_of(text: str) -> str:
    """The ending of files of a format: the first that `SUFFIXES` has for it.

    Example:
        >>> ending_of("jpeg"), ending_of("png")
        ('.jpg', '.png')
    """
    kind = format_of_name(text)
    return next(suffix for suffix, known in SUFFIXES.items() if known == kind)
