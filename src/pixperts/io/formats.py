"""Formats of picture files: their names, endings and limits."""

import os
from importlib.util import find_spec
from pathlib import Path

NAMES = {
    "jpeg": "JPEG",
    "png": "PNG",
    "webp": "WebP",
    "tiff": "TIFF",
    "avif": "AVIF",
    "jxl": "JPEG XL",
    "jp2": "JPEG 2000",
    "heic": "HEIC",
    "exr": "OpenEXR",
    "bmp": "BMP",
    "tga": "TGA",
    "dds": "DDS",
    "raw": "camera raw",
    "gif": "GIF",
}
# Media types of the formats, the usual one first, as shared-mime-info names them.
MEDIA_TYPES = {
    "jpeg": ("image/jpeg",),
    "png": ("image/png",),
    "webp": ("image/webp",),
    "tiff": ("image/tiff",),
    "avif": ("image/avif",),
    "gif": ("image/gif",),
    "heic": ("image/heic", "image/heif"),
    "jxl": ("image/jxl",),
    "jp2": ("image/jp2",),
    "exr": ("image/x-exr",),
    "bmp": ("image/bmp",),
    "tga": ("image/x-tga",),
    "dds": ("image/x-dds",),
    "raw": ("image/x-dcraw",),
}
WRITABLE = ("jpeg", "png", "webp", "tiff", "avif", "heic", "jxl", "jp2", "exr")
DEFAULT_QUALITY = {"jpeg": 95, "webp": 95, "avif": 90, "heic": 90, "jxl": 95, "jp2": 95}
# The formats that have a lossy and a lossless mode; PNG, TIFF and OpenEXR have the second alone.
LOSSLESS = frozenset({"webp", "avif", "heic", "jxl", "jp2"})

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
    ".heic": "heic",
    ".heif": "heic",
    ".hif": "heic",
    ".jxl": "jxl",
    ".jp2": "jp2",
    ".exr": "exr",
}
# Of files that are read, whatever the installed libvips makes of them.
READ_SUFFIXES = frozenset([*SUFFIXES, ".gif", ".jpe", ".jfif", ".j2k", ".bmp", ".tga", ".dds"])
# Cameras write these beside JPEG files, and so folders of both shall not fail where no raw file
# can be read: they count as pictures only where the extra is installed.
RAW_SUFFIXES = frozenset([
    ".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dng", ".erf", ".iiq", ".kdc", ".mrw",
    ".nef", ".nrw", ".orf", ".pef", ".raf", ".rw2", ".sr2", ".srf", ".srw", ".x3f",
])  # fmt: skip

# Of videos, which the extra `video` reads, and the containers of those that are written.
CONTAINERS = {
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".mkv": "matroska",
    ".webm": "webm",
}
VIDEO_SUFFIXES = frozenset([
    *CONTAINERS, ".3gp", ".avi", ".flv", ".m2ts", ".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".vob",
    ".wmv",
])  # fmt: skip

# libjpeg stops at 65500 (JPEG_MAX_DIMENSION), short of the 65535 of the format's own header, and
# libvips stops AVIF at 16384, as x265 does HEIC.
FORMAT_LIMITS = {
    "jpeg": 65500,
    "png": 2**31 - 1,
    "webp": 16383,
    "tiff": 2**31 - 1,
    "avif": 16384,
    "heic": 16384,
    "jxl": 2**30 - 1,
    "jp2": 2**31 - 1,
    "exr": 2**30,
}


def is_image_path(path: PathLike) -> bool:
    """Whether the name ends like a picture that is read; the file itself is not looked at.

    >>> is_image_path("a/B.JPG"), is_image_path("notes.txt")
    (True, False)
    """
    suffix = Path(path).suffix.lower()
    return suffix in READ_SUFFIXES or (suffix in RAW_SUFFIXES and find_spec("rawpy") is not None)


def is_video_path(path: PathLike) -> bool:
    """Whether the name ends like a video that is read; the file itself is not looked at.

    >>> is_video_path("a/B.MP4"), is_video_path("a.gif")
    (True, False)
    """
    return Path(path).suffix.lower() in VIDEO_SUFFIXES
