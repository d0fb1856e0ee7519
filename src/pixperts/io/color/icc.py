"""Color profiles and spaces of opened pictures, on libvips."""

import functools
from pathlib import Path
from typing import Any

import numpy as np

from pixperts.errors import ImageError
from pixperts.io.vips import libvips
from pixperts.ops.pixels import Pixels

_RGB_LIKE = frozenset({"b-w", "grey16", "srgb", "rgb", "rgb16", "scrgb", "multiband"})
_SPACES = {"GRAY": 1, "RGB": 3, "CMYK": 4}  # and their channels
_SAMPLES = frozenset({"uchar", "ushort", "float"})


def profile_space(icc: bytes) -> str:
    """The color space that a profile describes, such as "RGB", "GRAY" or "CMYK" (ICC.1, 7.2.6)."""
    return icc[16:20].decode("ascii", "replace").strip()


def fits(icc: bytes, bands: int) -> bool:
    """Whether a profile is one for pixels of this many channels, alpha counted."""
    return profile_space(icc) == ("GRAY" if bands < 3 else "RGB")


def srgb_profile() -> bytes:
    """A small sRGB profile."""
    return bytes(libvips().Operation.call("profile_load", "srgb"))


def whole_profile(icc: bytes | None) -> bytes | None:
    """A profile as long as its own header says (ICC.1, 7.2.2), or None where it is cut short."""
    size = 0 if icc is None else int.from_bytes(icc[:4], "big")
    return None if icc is None or not 128 <= size <= len(icc) else icc[:size]


@functools.lru_cache(maxsize=16)
def is_usable(icc: bytes) -> bool:
    """Whether colors can be converted by a profile of gray, RGB or CMYK; else it is damaged."""
    if whole_profile(icc) is None or profile_space(icc) not in _SPACES:
        return False
    # Where a profile is of no use, libvips takes another without a word: for RGB the fallback that
    # it is given, for CMYK the general one. For gray there is none, which is an error.
    colors, space = _colors_of(icc), profile_space(icc)
    try:
        result = _converted(colors, icc, "srgb")
        if space == "RGB":
            return np.array_equal(result, _converted(colors, icc, "p3"))
        if space == "CMYK" and not _has_table(icc):
            general = bytes(libvips().Operation.call("profile_load", "cmyk"))
            return not np.array_equal(result, _converted(colors, general))
    except libvips().Error:
        return False
    return True


def _has_table(icc: bytes) -> bool:
    """Whether a profile's directory holds a table from its space to colors (ICC.1, 7.3, 9.2.1)."""
    count = int.from_bytes(icc[128:132], "big")
    for entry in range(132, min(132 + 12 * count, len(icc) - 12), 12):
        start, size = (int.from_bytes(icc[entry + at : entry + at + 4], "big") for at in (4, 8))
        if icc[entry : entry + 4] == b"A2B0" and start + size <= len(icc):
            return icc[start : start + 4] in (b"mft1", b"mft2", b"mAB ")
    return False


@functools.lru_cache(maxsize=16)
def is_srgb(icc: bytes) -> bool:
    """Whether a profile turns no color into another one than sRGB by half an 8-bit code.

    Profiles of sRGB differ in their bytes and their text from maker to maker.
    """
    if profile_space(icc) not in ("GRAY", "RGB") or not is_usable(icc):
        return False
    colors = _colors_of(icc)
    result = _converted(colors, icc).reshape(colors.shape)
    return int(np.abs(result.astype(int) - colors).max()) <= 128


def _colors_of(icc: bytes) -> Pixels:
    """16-bit colors spread over the space of a profile, (H, W, C)."""
    bands = _SPACES[profile_space(icc)]
    if bands == 1:
        return np.arange(0, 65536, 257, dtype=np.uint16).reshape(1, 256, 1)
    steps = np.linspace(0, 65535, {3: 9, 4: 5}[bands]).round().astype(np.uint16)
    return np.stack(np.meshgrid(*[steps] * bands), -1).reshape(1, -1, bands)


def _converted(colors: Pixels, icc: bytes, fallback: str | None = None) -> Pixels:
    """What a profile makes of 16-bit colors."""
    height, width, bands = colors.shape
    image = libvips().Image.new_from_memory(colors, width, height, bands, "ushort")
    space = {1: "grey16", 3: "rgb16", 4: "cmyk"}[bands]
    result: Pixels = _transformed(image.copy(interpretation=space), icc, 16, fallback).numpy()
    return result


def profile_of(image: Any) -> bytes | None:
    """The profile of an image, sound or not."""
    name = "icc-profile-data"
    return bytes(image.get(name)) or None if image.get_typeof(name) else None


def with_profile(image: Any, icc: bytes | None) -> Any:
    """The image with this profile and no other."""
    image = image.copy()
    if image.get_typeof("icc-profile-data"):
        image.remove("icc-profile-data")
    if icc is not None:
        image.set_type(libvips().GValue.blob_type, "icc-profile-data", icc)
    return image


def to_rgb(path: Path, image: Any) -> tuple[Any, tuple[str, ...]]:
    """Color spaces other than gray and RGB as sRGB, with a sentence that says so.

    Raises ImageError for what has no place in a `Picture`.
    """
    notes: tuple[str, ...] = ()
    if image.interpretation not in _RGB_LIKE:
        space = image.interpretation
        colors = 4 if space == "cmyk" or image.coding == "labq" else 3
        deep = image.format != "uchar"
        color, alpha = image, None
        # libvips rescales alpha by the color's range, which is wrong for 16-bit CMYK.
        if image.bands == colors + 1 and image.format in ("uchar", "ushort"):
            color, alpha = image.extract_band(0, n=colors), image.extract_band(colors)
        elif image.bands != colors:
            raise ImageError(
                f"{path} is {space.upper()} with {image.bands} channels of "
                f"{image.format}: export it as RGB."
            )
        how = ""
        icc = profile_of(image)
        if space == "cmyk":
            own = icc is not None and profile_space(icc) == "CMYK" and is_usable(icc)
            how = " by its own profile" if own else " by a general printing profile"
            if icc is not None and not is_usable(icc):
                how += ", as its own is damaged"
            color = _transformed(color, icc if own else None, 16 if deep else 8, "cmyk")
        else:
            color = color.colourspace("rgb16" if deep else "srgb")
        image = color if alpha is None else color.bandjoin(alpha)
        image = with_profile(image, srgb_profile())
        notes = (f"{path} is {space.upper()} and was converted to sRGB{how}.",)
    if image.bands > 4:
        raise ImageError(f"{path} has {image.bands} channels: export it as gray or RGB.")
    if image.format not in _SAMPLES:
        raise ImageError(
            f"{path} stores {image.format} samples: export it as 8 bit, 16 bit or 32-bit float."
        )
    return image, notes


def to_srgb(path: Path, image: Any) -> tuple[Any, tuple[str, ...]]:
    """Pixels of another profile as sRGB, alpha untouched; without a profile they are sRGB.

    So they are with a profile that is damaged, which is taken off.
    """
    icc = profile_of(image)
    if icc is None or (whole_profile(icc) and not fits(icc, image.bands)):
        return image, ()
    if not is_usable(icc):
        note = f"The color profile of {path} is damaged and was left out: the pixels count as sRGB."
        return with_profile(image, None), (note,)
    if is_srgb(icc):
        return image, ()
    colors = 1 if image.bands < 3 else 3
    color = image.extract_band(0, n=colors)
    note = f"{path} was converted from its own color profile to sRGB."
    if image.format == "float":
        # lcms takes integers here, so floats pass through 16 bit.
        codes = (color * 65535.0 + 0.5).cast("ushort")
        codes = codes.copy(interpretation="grey16" if colors == 1 else "rgb16")
        color = (_transformed(codes, icc, 16) / 65535.0).cast("float")
        note = (
            f"{path} was converted from its own color profile to sRGB, at 16 bit and within 0 to 1."
        )
    else:
        deep = image.format == "ushort"
        space = {1: ("b-w", "grey16"), 3: ("srgb", "rgb16")}[colors][deep]
        color = _transformed(color.copy(interpretation=space), icc, 16 if deep else 8)
    if image.bands > colors:
        color = color.bandjoin(image.extract_band(image.bands - 1))
    return with_profile(color, srgb_profile() if colors == 3 else None), (note,)


def _transformed(image: Any, icc: bytes | None, depth: int, fallback: str | None = None) -> Any:
    """Color channels from a profile to sRGB, as many as there were in gray, else three."""
    options: dict[str, Any] = {"input_profile": fallback} if fallback else {}
    result = with_profile(image, icc).icc_transform(
        "srgb",
        embedded=icc is not None,
        depth=depth,
        intent="relative",
        black_point_compensation=True,
        **options,
    )
    return result.extract_band(1) if image.bands == 1 else result
