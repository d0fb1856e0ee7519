"""Pictures in and out of files: JPEG, PNG, WebP and TIFF at the depth that the file has.

Pixels are (H, W, C) arrays of uint8, uint16 or float32 with C = 1 (grey), 2 (grey and alpha),
3 (RGB) or 4 (RGB and alpha). Alpha is straight (not premultiplied) and comes last.
"""

import contextlib
import functools
import os
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from pixperts.errors import ImageError, UsageError

Pixels = NDArray[Any]
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

DEFAULT_QUALITY = {"jpeg": 95, "webp": 95}

_NAMES = {"jpeg": "JPEG", "png": "PNG", "webp": "WebP", "tiff": "TIFF"}
_DTYPES = (np.dtype(np.uint8), np.dtype(np.uint16), np.dtype(np.float32))
_VIPS_FORMATS = {"uint8": "uchar", "uint16": "ushort", "float32": "float"}

_TIFF_MAGICS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# These carry a TIFF header whose first page is only the camera's small preview.
_RAW_SUFFIXES = frozenset(
    {".dng", ".nef", ".nrw", ".cr2", ".arw", ".sr2", ".pef", ".srw", ".3fr", ".iiq", ".erf", ".kdc"}
)

_RGB_LIKE = frozenset({"b-w", "grey16", "srgb", "rgb", "rgb16", "scrgb", "multiband"})


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
            f"The folder {root} cannot be listed ({_reason(error)}): name one you can read."
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
    kind = _sniff(source)
    vips = _vips()
    try:
        image = _open(source, kind)
        _check_header(source, kind, image, max_pixels)
        image = _to_rgb(source, image)
        # (H, W) or (H, W, C) -> (H, W, C)
        pixels: Pixels = image.numpy().reshape(image.height, image.width, image.bands)
        orientation = image.get("orientation") if image.get_typeof("orientation") else 1
    except vips.Error as error:
        raise ImageError(
            f"{source} cannot be decoded as {_NAMES[kind]} ({_reason(error)}): it is damaged, cut "
            "short or of an unsupported kind, so copy it again or export it as plain RGB."
        ) from None
    if pixels.dtype == np.float32 and not _is_finite(pixels):
        raise ImageError(f"{source} holds NaN or infinite samples: export it again without them.")
    return Picture(_upright(pixels, orientation), kind, source)


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
            f"{target} would be {width} x {height} pixels, and {_NAMES[kind]} holds at most "
            f"{limit} per side: write .png or .tif, or ask for a smaller size."
        )
    _check_quality(kind, quality)
    found = _status(target)
    if found is not None:
        if stat.S_ISDIR(found.st_mode):
            raise UsageError(f"{target} is a folder: name the file to write inside it.")
        if not stat.S_ISREG(found.st_mode):
            raise UsageError(f"{target} is not a regular file: name another output.")
        if not _may(target, os.W_OK):
            raise ImageError(f"{target} is write-protected: name another output.")
    parent = Path(os.path.realpath(target)).parent
    while (found := _status(parent)) is None and parent != parent.parent:
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
    ready = _for_format(pixels, kind)
    final = Path(os.path.realpath(target))
    temporary = final.with_name(f".pixperts-{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        _encode(temporary, ready, kind, quality)
        with contextlib.suppress(FileNotFoundError):
            temporary.chmod(stat.S_IMODE(final.stat().st_mode))
        with temporary.open("rb+") as handle:
            os.fsync(handle.fileno())
        os.replace(temporary, final)
    except Exception as error:
        raise ImageError(
            f"{target} could not be written ({_reason(error)}): check the free space and the "
            "permissions of its folder."
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
    return target


def to_float(pixels: Pixels) -> NDArray[np.float32]:
    """Integer codes over their full range, or floats, as float32 in [0, 1]; any shape.

    Floats may stand out of [0, 1] by half an 8-bit code, which is clipped; beyond that, and for
    NaN, ImageError. UsageError for other types.

    >>> to_float(np.array([0, 51, 255], np.uint8)).tolist()
    [0.0, 0.20000000298023224, 1.0]
    """
    pixels = np.asarray(pixels)
    if pixels.dtype in (np.uint8, np.uint16):
        codes = np.float32(np.iinfo(pixels.dtype).max)
        return np.divide(pixels, codes, dtype=np.float32)
    if not np.issubdtype(pixels.dtype, np.floating):
        raise UsageError(f"Pixels are {pixels.dtype}: give uint8, uint16 or float32.")
    _refuse_non_finite(pixels)
    slack = 0.5 / 255
    if pixels.size and (pixels.min() < -slack or pixels.max() > 1 + slack):
        raise ImageError(
            f"Float pixels span {pixels.min():.4g} to {pixels.max():.4g}: scale them into [0, 1]."
        )
    return np.clip(pixels.astype(np.float32), 0, 1)


def from_float(array: Pixels, dtype: DTypeLike) -> Pixels:
    """Floats in [0, 1] as uint8 or uint16 codes (nearest; clipped), or as clipped float32.

    The exact inverse of `to_float` on every code. ImageError for NaN or infinity, UsageError for
    another type.

    >>> from_float(np.array([-1.0, 0.2, 2.0]), np.uint8).tolist()
    [0, 51, 255]
    """
    wanted = np.dtype(dtype)
    array = np.asarray(array)
    if wanted not in _DTYPES:
        raise UsageError(f"Pixels cannot become {wanted}: ask for uint8, uint16 or float32.")
    if not np.issubdtype(array.dtype, np.floating):
        raise UsageError(f"from_float takes floats in [0, 1], not {array.dtype}.")
    _refuse_non_finite(array)
    unit = np.clip(array.astype(np.float32), 0, 1)
    if wanted == np.float32:
        return unit
    unit *= np.iinfo(wanted).max
    return np.rint(unit, out=unit).astype(wanted)


@functools.cache
def _vips() -> Any:
    import pyvips

    return pyvips


def _reason(error: BaseException) -> str:
    """The last line a library left: for pyvips that of the loader, without the call's name."""
    text = getattr(error, "strerror", None) or getattr(error, "detail", None) or str(error)
    lines = [line.strip(" .:") for line in str(text).splitlines() if line.strip(" .:")]
    return lines[-1] if lines else "no reason given"


def _status(path: Path) -> os.stat_result | None:
    """`stat`, or None where nothing is there yet."""
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError:
        raise UsageError(f"{str(path)!r} is not a file name: it holds a null byte.") from None
    except OSError as error:
        raise ImageError(f"{path} cannot be reached ({_reason(error)}).") from None


def _may(path: Path, mode: int) -> bool:
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)


def _sniff(path: Path) -> str:
    """The format from the first bytes; a name proves nothing."""
    found = _status(path)
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
        raise ImageError(f"{path} cannot be read ({_reason(error)}).") from None
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


def _open(path: Path, kind: str, page: int = 0) -> Any:
    # The loader is called by name: `new_from_file` takes brackets in a file name for options.
    # "error" is the lowest level at which broken TIFF strips stop the load.
    load = getattr(_vips().Image, f"{kind}load")
    options: dict[str, Any] = {"page": page} if page else {}
    return load(os.fsencode(path), access="sequential", fail_on="error", revalidate=True, **options)


def _check_header(path: Path, kind: str, image: Any, max_pixels: int) -> None:
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
        other = _open(path, kind, page)
        # Previews and pyramid levels keep the aspect up to one pixel of rounding per side.
        skew = abs(other.width * height - other.height * width)
        if other.width >= width or other.height >= height or skew > width + height:
            raise ImageError(f"{path} holds {pages} pages: split it into one file per page.")


def _to_rgb(path: Path, image: Any) -> Any:
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


def _upright(pixels: Pixels, orientation: int) -> Pixels:
    # EXIF 2.32, tag 0x0112: which sides of the picture row 0 and column 0 of the file are.
    if orientation not in range(2, 9):
        return pixels
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)  # (W, H, C)
    rows = slice(None, None, -1 if orientation in (3, 4, 7, 8) else 1)
    columns = slice(None, None, -1 if orientation in (2, 3, 6, 7) else 1)
    return np.ascontiguousarray(pixels[rows, columns])


def _is_finite(array: Pixels) -> bool:
    # The extremes carry any NaN along, without a boolean copy of the picture.
    return not array.size or bool(np.isfinite(array.min()) and np.isfinite(array.max()))


def _refuse_non_finite(array: Pixels) -> None:
    if not _is_finite(array):
        raise ImageError("The pixels hold NaN or infinity: check what computed them.")


def _format_of(path: Path, given: str | None) -> str:
    suffix = path.suffix if given is None else f".{given}"
    kind = SUFFIXES.get(suffix.lower())
    if kind is None:
        known = ", ".join(SUFFIXES)
        if given is None:
            raise UsageError(f"{path} does not end in a supported suffix: use one of {known}.")
        raise UsageError(f"The format {given!r} is unknown: use one of {', '.join(_NAMES)}.")
    return kind


def _check_quality(kind: str, quality: int | None) -> None:
    if quality is None:
        return
    if kind not in DEFAULT_QUALITY:
        raise UsageError(f"A quality does not apply to {_NAMES[kind]}, which is lossless: drop it.")
    if isinstance(quality, bool) or not isinstance(quality, int) or not 1 <= quality <= 100:
        raise UsageError(f"The quality {quality!r} is not a whole number from 1 to 100.")


def _check_pixels(pixels: Pixels) -> None:
    if not isinstance(pixels, np.ndarray) or pixels.dtype not in _DTYPES:
        kind = getattr(pixels, "dtype", type(pixels).__name__)
        raise UsageError(f"Pixels are {kind}: give a NumPy array of uint8, uint16 or float32.")
    if pixels.ndim != 3 or not 1 <= pixels.shape[2] <= 4 or 0 in pixels.shape:
        raise UsageError(f"Pixels are of shape {pixels.shape}: give (H, W, C) with C from 1 to 4.")


def _for_format(pixels: Pixels, kind: str) -> Pixels:
    """The pixels as the format holds them: type, alpha and memory order."""
    if pixels.dtype == np.float32:
        _refuse_non_finite(pixels)
        pixels = np.clip(pixels, 0, 1)
    if kind == "jpeg" and pixels.shape[2] in (2, 4):
        pixels = _onto_white(pixels)
    if kind in ("jpeg", "webp") and pixels.dtype == np.uint16:
        # 65535 = 255 * 257, and 257 is odd: no code lies halfway between two.
        pixels = ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)
    elif kind != "tiff" and pixels.dtype == np.float32:
        pixels = from_float(pixels, np.uint16 if kind == "png" else np.uint8)
    return np.ascontiguousarray(pixels)


def _onto_white(pixels: Pixels) -> Pixels:
    """(H, W, C + 1) with straight alpha over white -> (H, W, C) of the same type."""
    unit = to_float(pixels)
    colour, alpha = unit[..., :-1], unit[..., -1:]
    return from_float(colour * alpha + (1 - alpha), pixels.dtype)


def _encode(path: Path, pixels: Pixels, kind: str, quality: int | None) -> None:
    """Write contiguous pixels that the format can hold; the only place that calls a saver."""
    height, width, channels = pixels.shape
    deep = pixels.dtype == np.uint16
    space = ("grey16" if deep else "b-w") if channels < 3 else ("rgb16" if deep else "srgb")
    image = _vips().Image.new_from_memory(
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
