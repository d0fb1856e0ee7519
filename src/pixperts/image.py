"""Pictures in and out of files: JPEG, PNG, WebP and TIFF at the depth that the file has.

Pixels are (H, W, C) arrays of uint8, uint16 or float32 with C = 1 (grey), 2 (grey and alpha),
3 (RGB) or 4 (RGB and alpha). Alpha is straight (not premultiplied) and comes last.
"""

import contextlib
import os
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pixperts.codec import (
    DEFAULT_QUALITY,
    NAMES,
    check_header,
    encode,
    file_status,
    libvips,
    open_image,
    reason,
    sniff,
    to_rgb,
)
from pixperts.errors import ImageError, UsageError
from pixperts.pixels import DTYPES, Pixels, for_format, from_float, is_finite, to_float, upright

__all__ = [
    "DEFAULT_QUALITY",
    "FORMAT_LIMITS",
    "SUFFIXES",
    "PathLike",
    "Picture",
    "Pixels",
    "check_output",
    "from_float",
    "is_image_path",
    "list_images",
    "read_image",
    "to_float",
    "write_image",
]

PathLike = str | os.PathLike[str]

SUFFIXES = {
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".png": "png",
    ".webp": "webp",
    ".tif": "tiff",
    ".tiff": "tiff",
}

# libjpeg stops at 65500 (JPEG_MAX_DIMENSION), short of the 65535 of the format's own header.
FORMAT_LIMITS = {"jpeg": 65500, "png": 2**31 - 1, "webp": 16383, "tiff": 2**31 - 1}


@dataclass(frozen=True, eq=False)
class Picture:
    """A decoded picture.

    `pixels` is (H, W, C) as the module describes, uint8 and uint16 over their whole range and
    float32 as stored, finite; `format` is "jpeg", "png", "webp" or "tiff", from the content and
    not the name; `path` is the file it came from.
    """

    pixels: Pixels
    format: str
    path: Path | None = None

    @property
    def height(self) -> int:
        """Rows."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Columns."""
        return int(self.pixels.shape[1])


def is_image_path(path: PathLike) -> bool:
    """Whether the name ends like a supported picture; the file itself is not looked at.

    >>> is_image_path("a/B.JPG"), is_image_path("notes.txt")
    (True, False)
    """
    return Path(path).suffix.lower() in SUFFIXES


def list_images(folder: PathLike, recursive: bool = False) -> list[Path]:
    """The pictures in a folder, sorted by path; hidden files and folders are left out.

    Raises ImageError where the folder is missing, not a folder or not readable.
    """
    root = Path(folder)

    def refuse(error: OSError) -> None:
        raise error

    found = []
    try:
        for parent, folders, names in os.walk(root, onerror=refuse):
            folders[:] = [name for name in folders if recursive and not name.startswith(".")]
            paths = (Path(parent, n) for n in names if is_image_path(n) and not n.startswith("."))
            found += [path for path in paths if path.is_file()]
    except OSError as error:
        raise ImageError(
            f"The folder {root} cannot be listed ({reason(error)}): name one you can read."
        ) from None
    return sorted(found)


def read_image(path: PathLike, *, max_pixels: int = 500_000_000) -> Picture:
    """Decode a JPEG, PNG, WebP or TIFF file, upright (EXIF orientation applied).

    The depth is the file's: 8 or 16 bit, or float32 from TIFF. Palettes, 1, 2 and 4-bit samples
    become 8 bit; CMYK, Lab and XYZ become sRGB of 8 bit, or of 16 bit where the file has more.
    The width and height are held against `max_pixels` before anything is decoded.

    Raises ImageError where the file is missing, empty, unreadable, cut short, damaged, too large,
    of another format, animated, or a TIFF of several full-size pages. Damage inside JPEG or
    uncompressed TIFF data that still decodes cannot be told from a picture.
    """
    source = Path(path)
    kind = sniff(source)
    vips = libvips()
    try:
        image = open_image(source, kind)
        check_header(source, kind, image, max_pixels)
        image = to_rgb(source, image)
        # (H, W) or (H, W, C) -> (H, W, C)
        pixels: Pixels = image.numpy().reshape(image.height, image.width, image.bands)
        orientation = image.get("orientation") if image.get_typeof("orientation") else 1
    except vips.Error as error:
        raise ImageError(
            f"{source} cannot be decoded as {NAMES[kind]} ({reason(error)}): it is damaged, cut "
            "short or of an unsupported kind, so copy it again or export it as plain RGB."
        ) from None
    if pixels.dtype == np.float32 and not is_finite(pixels):
        raise ImageError(f"{source} holds NaN or infinite samples: export it again without them.")
    return Picture(upright(pixels, orientation), kind, source)


def check_output(
    path: PathLike,
    width: int,
    height: int,
    format: str | None = None,  # noqa: A002
    quality: int | None = None,
) -> None:
    """Raise now what `write_image` would raise later for a picture of this size; write nothing.

    UsageError: unknown suffix or format, a side over `FORMAT_LIMITS`, a quality that does not
    apply, a target that is a folder or a device. ImageError: a target or its nearest existing
    parent that is not writable.
    """
    target = Path(path)
    kind = _format_of(target, format)
    limit = FORMAT_LIMITS[kind]
    if max(width, height) > limit:
        raise UsageError(
            f"{target} would be {width} x {height} pixels, and {NAMES[kind]} holds at most "
            f"{limit} per side: write .png or .tif, or ask for a smaller size."
        )
    _check_quality(kind, quality)
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


def write_image(
    path: PathLike,
    pixels: Pixels,
    *,
    format: str | None = None,  # noqa: A002
    quality: int | None = None,
) -> Path:
    """Encode (H, W, C) pixels into `path`, whole or not at all, and return the path.

    The format comes from the suffix unless given. Integers span their whole range and floats
    [0, 1]; floats outside are clipped. What a format cannot hold is converted: JPEG and WebP to
    8 bit (16-bit codes by v * 255 / 65535, rounded), floats to 16 bit for PNG; TIFF keeps uint8,
    uint16 and float32. JPEG has no alpha, so it is composited onto white. WebP has no grey, so
    it becomes RGB. `quality` (1 to 100, default 95) is for JPEG, written without chroma
    subsampling, and WebP, always 4:2:0; PNG and TIFF are lossless and refuse it. TIFF grows into
    BigTIFF near 4 GB.

    The bytes go to a hidden file beside the target, which then replaces it; missing parent
    folders are made. A link is followed, and a replaced file keeps its permissions.

    Raises UsageError for pixels that are no picture and for what `check_output` refuses,
    ImageError for NaN or infinite samples and for a failed write.
    """
    target = Path(path)
    kind = _format_of(target, format)
    _check_pixels(pixels)
    check_output(target, pixels.shape[1], pixels.shape[0], kind, quality)
    ready = for_format(pixels, kind)
    final = Path(os.path.realpath(target))
    temporary = final.with_name(f".pixperts-{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        encode(temporary, ready, kind, quality)
        with contextlib.suppress(FileNotFoundError):
            temporary.chmod(stat.S_IMODE(final.stat().st_mode))
        with temporary.open("rb+") as handle:
            os.fsync(handle.fileno())
        os.replace(temporary, final)
    except Exception as error:
        raise ImageError(
            f"{target} could not be written ({reason(error)}): check the free space and the "
            "permissions of its folder."
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
    return target


def _may(path: Path, mode: int) -> bool:
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)


def _format_of(path: Path, given: str | None) -> str:
    suffix = path.suffix if given is None else f".{given}"
    kind = SUFFIXES.get(suffix.lower())
    if kind is None:
        known = ", ".join(SUFFIXES)
        if given is None:
            raise UsageError(f"{path} does not end in a supported suffix: use one of {known}.")
        raise UsageError(f"The format {given!r} is unknown: use one of {', '.join(NAMES)}.")
    return kind


def _check_quality(kind: str, quality: int | None) -> None:
    if quality is None:
        return
    if kind not in DEFAULT_QUALITY:
        raise UsageError(f"A quality does not apply to {NAMES[kind]}, which is lossless: drop it.")
    if isinstance(quality, bool) or not isinstance(quality, int) or not 1 <= quality <= 100:
        raise UsageError(f"The quality {quality!r} is not a whole number from 1 to 100.")


def _check_pixels(pixels: Pixels) -> None:
    if not isinstance(pixels, np.ndarray) or pixels.dtype not in DTYPES:
        kind = getattr(pixels, "dtype", type(pixels).__name__)
        raise UsageError(f"Pixels are {kind}: give a NumPy array of uint8, uint16 or float32.")
    if pixels.ndim != 3 or not 1 <= pixels.shape[2] <= 4 or 0 in pixels.shape:
        raise UsageError(f"Pixels are of shape {pixels.shape}: give (H, W, C) with C from 1 to 4.")
