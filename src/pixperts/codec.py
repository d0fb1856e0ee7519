"""The libvips side of `image`: recognise, open, convert and encode one file."""

import functools
import os
import stat
from pathlib import Path
from typing import Any

import numpy as np

from pixperts.errors import ImageError, UsageError
from pixperts.pixels import Pixels

NAMES = {"jpeg": "JPEG", "png": "PNG", "webp": "WebP", "tiff": "TIFF"}
DEFAULT_QUALITY = {"jpeg": 95, "webp": 95}
_VIPS_FORMATS = {"uint8": "uchar", "uint16": "ushort", "float32": "float"}

_TIFF_MAGICS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# These carry a TIFF header whose first page is only the camera's small preview.
_RAW_SUFFIXES = frozenset(
    {".dng", ".nef", ".nrw", ".cr2", ".arw", ".sr2", ".pef", ".srw", ".3fr", ".iiq", ".erf", ".kdc"}
)

_RGB_LIKE = frozenset({"b-w", "grey16", "srgb", "rgb", "rgb16", "scrgb", "multiband"})


@functools.cache
def libvips() -> Any:
    """The pyvips module, loaded on first use."""
    import pyvips

    return pyvips


def reason(error: BaseException) -> str:
    """The last line a library left: for pyvips that of the loader, without the call's name."""
    text = getattr(error, "strerror", None) or getattr(error, "detail", None) or str(error)
    lines = [line.strip(" .:") for line in str(text).splitlines() if line.strip(" .:")]
    return lines[-1] if lines else "no reason given"


def file_status(path: Path) -> os.stat_result | None:
    """`stat`, or None where nothing is there yet."""
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError:
        raise UsageError(f"{str(path)!r} is not a file name: it holds a null byte.") from None
    except OSError as error:
        raise ImageError(f"{path} cannot be reached ({reason(error)}).") from None


def sniff(path: Path) -> str:
    """The format from the first bytes; a name proves nothing."""
    found = file_status(path)
    if found is None:
        raise ImageError(f"{path} does not exist: check the name.")
    if stat.S_ISDIR(found.st_mode):
        raise ImageError(f"{path} is a folder: name a picture inside it.")
    if not stat.S_ISREG(found.st_mode):
        raise ImageError(f"{path} is not a regular file: name a picture file.")
    try:
        with path.open("rb") as handle:
            head = handle.read(32)
    except PermissionError:
        raise ImageError(f"{path} may not be read: change its permissions.") from None
    except OSError as error:
        raise ImageError(f"{path} cannot be read ({reason(error)}).") from None
    if not head:
        raise ImageError(f"{path} is empty (0 bytes): copy it again from its source.")
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "webp"
    if head.startswith(_TIFF_MAGICS):
        if path.suffix.lower() in _RAW_SUFFIXES:
            raise ImageError(f"{path} is a camera raw file: develop it to TIFF or JPEG first.")
        return "tiff"
    raise ImageError(
        f"{path} holds no JPEG, PNG, WebP or TIFF picture: check the name, or convert it to one."
    )


def open_image(path: Path, kind: str, page: int = 0) -> Any:
    """A lazily decoded page that stops at damage instead of filling in grey."""
    # The loader is called by name: `new_from_file` takes brackets in a file name for options.
    # "error" is the lowest level at which broken TIFF strips stop the load.
    load = getattr(libvips().Image, f"{kind}load")
    options: dict[str, Any] = {"page": page} if page else {}
    return load(os.fsencode(path), access="sequential", fail_on="error", revalidate=True, **options)


def check_header(path: Path, kind: str, image: Any, max_pixels: int) -> None:
    """Refuse, from the header alone, what is too large, animated or of several pages."""
    width, height = image.width, image.height
    if width * height > max_pixels:
        raise ImageError(
            f"{path} has {width} x {height} pixels, over the limit of {max_pixels}: "
            "raise max_pixels or reduce the picture first."
        )
    pages = image.get("n-pages") if image.get_typeof("n-pages") else 1
    if pages > 1 and kind == "webp":
        raise ImageError(f"{path} is an animation of {pages} frames: extract one frame first.")
    for page in range(1, pages):
        other = open_image(path, kind, page)
        # Previews and pyramid levels keep the aspect up to one pixel of rounding per side.
        skew = abs(other.width * height - other.height * width)
        if other.width >= width or other.height >= height or skew > width + height:
            raise ImageError(f"{path} holds {pages} pages: split it into one file per page.")


def to_rgb(path: Path, image: Any) -> Any:
    """Colour spaces other than grey and RGB as sRGB; refuses what has no place in `Picture`."""
    if image.interpretation not in _RGB_LIKE:
        colours = 4 if image.interpretation == "cmyk" or image.coding == "labq" else 3
        deep = image.format != "uchar"
        colour, alpha = image, None
        # libvips rescales alpha by the colour's range, which is wrong for 16-bit CMYK.
        if image.bands == colours + 1 and image.format in ("uchar", "ushort"):
            colour, alpha = image.extract_band(0, n=colours), image.extract_band(colours)
        elif image.bands != colours:
            raise ImageError(
                f"{path} is {image.interpretation.upper()} with {image.bands} channels of "
                f"{image.format}: export it as RGB."
            )
        image = colour.colourspace("rgb16" if deep else "srgb")
        image = image if alpha is None else image.bandjoin(alpha)
    if image.bands > 4:
        raise ImageError(f"{path} has {image.bands} channels: export it as grey or RGB.")
    if image.format not in _VIPS_FORMATS.values():
        raise ImageError(
            f"{path} stores {image.format} samples: export it as 8 bit, 16 bit or 32-bit float."
        )
    return image


def encode(path: Path, pixels: Pixels, kind: str, quality: int | None) -> None:
    """Write contiguous pixels that the format can hold; the only place that calls a saver."""
    height, width, channels = pixels.shape
    deep = pixels.dtype == np.uint16
    space = ("grey16" if deep else "b-w") if channels < 3 else ("rgb16" if deep else "srgb")
    image = libvips().Image.new_from_memory(
        pixels, width, height, channels, _VIPS_FORMATS[pixels.dtype.name]
    )
    image = image.copy(interpretation=space)
    name = os.fsencode(path)
    grade = quality or DEFAULT_QUALITY.get(kind)
    if kind == "jpeg":
        image.jpegsave(name, Q=grade, subsample_mode="off", optimize_coding=True)
    elif kind == "webp":
        image.webpsave(name, Q=grade, smart_subsample=True)
    elif kind == "png":
        image.pngsave(name, filter="all")
    else:
        image.tiffsave(
            name,
            compression="deflate",
            predictor="float" if pixels.dtype == np.float32 else "horizontal",
            # Deflate can grow noise past the samples' own size, so 128 MiB are kept free.
            bigtiff=pixels.nbytes > 2**32 - 2**27,
        )
