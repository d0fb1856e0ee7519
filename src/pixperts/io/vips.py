"""libvips: what it reads and writes, what a file is by its first bytes, and opening it."""

import atexit
import contextlib
import functools
import os
import stat
from pathlib import Path
from typing import Any

from pixperts.errors import ImageError, UsageError
from pixperts.io.formats import NAMES, RAW_SUFFIXES

VIPS_FORMATS = {"uint8": "uchar", "uint16": "ushort", "float32": "float"}

_COMPLAINTS = (1 << 3) | (1 << 4)  # G_LOG_LEVEL_CRITICAL and G_LOG_LEVEL_WARNING
_OPERATIONS = {"avif": "heif", "heic": "heif", "jp2": "jp2k"}
_TIFF_MAGICS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_MAGICS: dict[str, tuple[bytes, ...]] = {
    "gif": (b"GIF87a", b"GIF89a"),
    "jxl": (b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n"),
    "jp2": (b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51"),
    "dds": (b"DDS \x7c\0\0\0",),
    "exr": (b"v/1\x01",),
    "raw": (
        b"FUJIFILMCCD-RAW ",
        b"IIRO",  # Olympus and OM
        b"IIRS",
        b"MMOR",
        b"IIU\0",  # Panasonic and Leica
        b"\0MRM",  # Minolta
        b"FOVb",  # Sigma
        b"II\x1a\0\0\0HEAPCCDR",  # Canon, early ones
        b"\0\0\0\x18ftypcrx ",  # Canon, late ones
    ),
}
_BMP_HEADERS = frozenset({12, 40, 52, 56, 64, 108, 124})  # bytes of the second header
_HEIF_BRANDS = frozenset(
    {b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
)


@functools.cache
def libvips() -> Any:
    """The pyvips module, loaded on first use."""
    import pyvips

    # GLib complains on stderr of numbers out of range that a header made up. It goes to the
    # logger instead, where pyvips leads what libvips says.
    with contextlib.suppress(AttributeError):
        set_handler, remove = (
            pyvips.glib_lib.g_log_set_handler,
            pyvips.glib_lib.g_log_remove_handler,
        )
        for domain in (b"GLib", b"GLib-GObject"):
            number = set_handler(domain, _COMPLAINTS, pyvips._log_handler_cb, pyvips.ffi.NULL)
            atexit.register(remove, domain, number)  # no call into Python during its shutdown
    return pyvips


@functools.cache
def supports(kind: str, action: str) -> bool:
    """Whether the installed libvips can "load" or "save" the format."""
    return bool(libvips().type_find("VipsOperation", _OPERATIONS.get(kind, kind) + action))


def reason(error: BaseException) -> str:
    """The last line a library left: for pyvips that of the loader, without the call's name."""
    if isinstance(error, UnicodeDecodeError):
        # pyvips cannot read a message that quotes a name which is no UTF-8, and leaves it there.
        libvips().vips_lib.vips_error_clear()
        return "no reason given"
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
            head = handle.read(64)
    except PermissionError:
        raise ImageError(f"{path} may not be read: change its permissions.") from None
    except OSError as error:
        raise ImageError(f"{path} cannot be read ({reason(error)}).") from None
    if not head:
        raise ImageError(f"{path} is empty (0 bytes): copy it again from its source.")
    return format_of_bytes(head, path)


def format_of_bytes(head: bytes, path: Path) -> str:
    """The format of a file that begins with these 64 bytes; its name is for the errors."""
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "webp"
    if head.startswith(_TIFF_MAGICS):
        # Raw files have a TIFF header whose first page is only the camera's small preview.
        raw = path.suffix.lower() in RAW_SUFFIXES or head[8:10] == b"CR"
        return "raw" if raw else "tiff"
    for kind, starts in _MAGICS.items():
        if head.startswith(starts):
            return kind
    if head.startswith(b"BM") and head[6:10] == bytes(4) and head[14] in _BMP_HEADERS:
        return "bmp"
    if path.suffix.lower() == ".tga" and _is_tga(head):
        return "tga"
    if head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS:
        # ISO/IEC 23000-22: the major brand, a version, and the brands that the file fits as well.
        size = int.from_bytes(head[:4], "big")
        brands = {head[at : at + 4] for at in (8, *range(16, min(size, 64), 4))}
        return "avif" if brands & {b"avif", b"avis"} else "heic"
    raise ImageError(
        f"{path} holds no JPEG, PNG, WebP or TIFF picture, nor AVIF, HEIC, JPEG XL, JPEG 2000 or "
        "GIF: check the name, or convert it to one."
    )


def _is_tga(head: bytes) -> bool:
    """Whether a file named .tga may be one; the format has no first bytes of its own."""
    # Truevision TGA 2.0, C.2: a table of colors or none, the kind of picture, bits of a pixel.
    plausible = len(head) >= 18 and head[1] in (0, 1) and head[16] in (8, 15, 16, 24, 32)
    return plausible and head[2] in (1, 2, 3, 9, 10, 11)


def open_image(path: Path, kind: str, page: int = 0) -> Any:
    """A lazily decoded page that stops at damage instead of filling in gray."""
    # The loader is called by name: `new_from_file` takes brackets in a file name for options.
    # "error" is the lowest level at which broken TIFF strips stop the load.
    if not supports(kind, "load"):
        raise ImageError(
            f"{path} is {NAMES[kind]}, which the installed libvips cannot read: convert it to "
            "JPEG, PNG or TIFF."
        )
    load = getattr(libvips().Image, f"{_OPERATIONS.get(kind, kind)}load")
    options: dict[str, Any] = {"page": page} if page else {}
    return load(os.fsencode(path), access="sequential", fail_on="error", revalidate=True, **options)
