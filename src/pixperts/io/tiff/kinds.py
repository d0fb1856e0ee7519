"""Kinds of TIFF that libvips takes for something else: channels that are no transparency, YCbCr,
Lab; and those that nothing here can read, which are refused.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pixperts.errors import ImageError
from pixperts.io.color.icc import srgb_profile, with_profile
from pixperts.io.tiff import pages as tags
from pixperts.io.tiff.pages import Page
from pixperts.io.tiff.source import open_changed, open_page
from pixperts.io.vips import libvips

_LOG_LUV = 32845
_READ = frozenset(
    {
        *(tags.GRAY_WHITE, tags.GRAY, tags.RGB, tags.PALETTE, tags.CMYK, tags.YCBCR),
        *(tags.CIE_LAB, tags.ICC_LAB, _LOG_LUV),
    }
)
_KINDS = {
    tags.MASK: "nothing but a mask",
    10: "ITU L*a*b* colors",
    32803: "the raw mosaic of a sensor",
    32844: "logarithmic luminance",
    34892: "the raw colors of a sensor",
}
_JPEG_2000 = frozenset({33003, 33004, 33005, 34712})
_ALPHA = frozenset({1, 2})  # with colors multiplied by it, and straight
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


@dataclass(frozen=True, eq=False)
class OpenedPage:
    """A page as gray, RGB, CMYK or another space that `icc.to_rgb` knows, lazily decoded.

    `notes` say what was left out, `converted` that the colors became sRGB; `source` is memory that
    the image needs while it is decoded.
    """

    image: Any
    notes: tuple[str, ...] = ()
    converted: tuple[str, ...] = ()
    source: Any = None


def open_tiff(path: Path, page: Page, *, alone: bool) -> OpenedPage:
    """A page of a TIFF file with its colors as they are meant.

    Raises:
        ImageError: for a kind that cannot be read.
        pyvips.Error: for what libvips refuses.
    """
    _refuse(path, page)
    kind = page.whole(tags.PHOTOMETRIC)
    width, height = page.size
    across, down = _subsampling(page)
    if (across, down) != (1, 1):
        image, source = _open_subsampled(path, page, across, down)
        image = _unpacked(image, across, down).crop(0, 0, width, height)
    elif _as_stored(page):
        image, source = open_changed(path, page, {tags.PHOTOMETRIC: tags.RGB})
        if kind != tags.CIE_LAB:
            image = _gray(image, inverted=kind == tags.GRAY_WHITE)
    else:
        image, source = open_page(path, page, alone=alone)
    image, notes = _without_extra(path, page, image)
    lab = kind == tags.ICC_LAB or (kind == tags.CIE_LAB and _as_stored(page))
    if not (lab or _is_plain_ycbcr(page)):
        return OpenedPage(image, notes, source=source)
    color, alpha = image.extract_band(0, n=3), None
    if image.bands > 3:
        alpha = image.extract_band(3)
    converted: tuple[str, ...] = ()
    if lab:
        color = with_profile(_rgb_of_lab(color, kind == tags.ICC_LAB), srgb_profile())
        converted = (f"{path} is LAB and was converted to sRGB.",)
    else:
        color = _rgb_of_ycbcr(path, page, color)
    image = color if alpha is None else color.bandjoin(alpha)
    return OpenedPage(image, notes, converted, source)


def _refuse(path: Path, page: Page) -> None:
    kind, bits = page.whole(tags.PHOTOMETRIC, -1), page.whole(tags.BITS, 1)
    samples = page.whole(tags.SAMPLES, 1)
    what = None
    if kind >= 0 and kind not in _READ:
        what = _KINDS.get(kind, f"colors of the kind {kind}")
    elif kind == tags.CMYK and page.whole(tags.INK_SET, 1) != 1:
        what = "inks that are not CMYK"
    elif len(set(page.tags.get(tags.BITS, ()))) > 1:
        what = "channels of different depths"
    elif bits not in (1, 2, 4, 8, 16, 32) or (bits < 8 and samples > 1):
        what = f"{bits}-bit samples" + (" in several channels" if bits < 8 else "")
    elif page.is_tiled and page.is_planar:
        what = "tiles that hold one channel each"
    elif kind == tags.PALETTE and page.is_planar:
        what = "a palette with channels that are stored separately"
    elif page.whole(tags.COMPRESSION, 1) == tags.OLD_JPEG:
        what = "old-style JPEG compression"
    elif (kind == tags.ICC_LAB or _is_plain_ycbcr(page)) and (
        bits not in (8, 16) or page.whole(tags.SAMPLE_FORMAT, 1) == 3 or samples < 3
    ):
        what = f"{bits}-bit {'YCbCr' if kind == tags.YCBCR else 'ICC L*a*b*'} colors"
    if what is not None:
        raise ImageError(
            f"{path} has {what}, a kind of TIFF that this installation cannot read: export it as "
            "8-bit or 16-bit RGB."
        )


def _as_stored(page: Page) -> bool:
    """Whether libvips reads a page right only if it takes it for RGB.

    It does not read 8-bit Lab, and mixes up the rows of channels that are stored apart where it
    changes samples.
    """
    kind, bits = page.whole(tags.PHOTOMETRIC), page.whole(tags.BITS, 1)
    if kind == tags.CIE_LAB:
        return bits == 8 or (bits == 16 and page.is_planar)
    return kind in (tags.GRAY, tags.GRAY_WHITE) and page.is_planar


def _is_plain_ycbcr(page: Page) -> bool:
    """Whether a page holds YCbCr that no decoder of JPEG turns into RGB."""
    converting = {tags.OLD_JPEG, tags.NEW_JPEG, *_JPEG_2000}
    compression = page.whole(tags.COMPRESSION, 1)
    return page.whole(tags.PHOTOMETRIC) == tags.YCBCR and compression not in converting


def _subsampling(page: Page) -> tuple[int, int]:
    """Columns and rows that share their chroma (TIFF 6.0, section 21, where 2 is the default)."""
    if not _is_plain_ycbcr(page):
        return 1, 1
    found = page.tags.get(tags.SUBSAMPLING, (2, 2))
    return (int(found[0]), int(found[1])) if len(found) > 1 else (2, 2)


def _open_subsampled(path: Path, page: Page, across: int, down: int) -> tuple[Any, Any]:
    """Subsampled YCbCr as libtiff finds it: one pixel of many channels for each block.

    Its own way to RGB passes over damage.
    """
    height = page.size[1]
    names = {tags.WIDTH: across, tags.HEIGHT: down}
    names |= {tags.TILE_WIDTH: across, tags.TILE_HEIGHT: down, tags.ROWS_PER_STRIP: down}
    rows = page.whole(tags.ROWS_PER_STRIP, height)
    tile = page.whole(tags.TILE_WIDTH), page.whole(tags.TILE_HEIGHT)
    cut = [tile[0] % across, tile[1] % down]
    cut.append(0 if rows >= height or page.is_tiled else rows % down)
    ok = across in (1, 2, 4) and down in (1, 2, 4) and not page.is_planar and not any(cut)
    if page.is_tiled:  # libvips takes no others
        ok = ok and not any(n % 16 for n in (tile[0] // across, tile[1] // down))
    if not ok or page.predictor != 1 or page.whole(tags.SAMPLES, 1) != 3:
        raise ImageError(
            f"{path} has YCbCr colors subsampled in a way that this installation cannot read: "
            "export it as RGB."
        )
    changes = {tag: -(-page.whole(tag) // by) for tag, by in names.items() if tag in page.tags}
    changes |= {tags.PHOTOMETRIC: tags.GRAY, tags.SAMPLES: across * down + 2}
    return open_changed(path, page, changes)


def _unpacked(image: Any, across: int, down: int) -> Any:
    """YCbCr pixels out of blocks: the luma of each pixel row by row, then the two chromas."""
    blocks = across * down
    luma = None
    for row in range(down):
        line = image.extract_band(row * across, n=across)
        line = (line.bandunfold(factor=across) if across > 1 else line).zoom(1, down)
        if luma is None:
            luma = line
            continue
        chosen = libvips().Image.new_from_array([[255 * (y == row)] for y in range(down)])
        mask = chosen.cast("uchar").replicate(line.width, image.height)
        luma = mask.ifthenelse(line, luma)
    assert luma is not None
    chroma = image.extract_band(blocks, n=2).zoom(across, down)
    space = "rgb16" if image.format == "ushort" else "srgb"
    return luma.bandjoin(chroma).copy(interpretation=space)


def _gray(image: Any, inverted: bool) -> Any:
    """Channels as they are stored as gray and whatever else."""
    if inverted and image.format in ("uchar", "ushort"):
        rest = [image.extract_band(1, n=image.bands - 1)] if image.bands > 1 else []
        image = image.extract_band(0).invert().bandjoin(rest)
    return image.copy(interpretation="grey16" if image.format == "ushort" else "b-w")


def _without_extra(path: Path, page: Page, image: Any) -> tuple[Any, tuple[str, ...]]:
    """The colors and the transparency of an image, without other channels."""
    extra = page.extra
    if extra == () or page.whole(tags.PHOTOMETRIC) == _LOG_LUV:
        return image, ()
    if extra is None:  # one channel that is not named is transparency by all custom
        unnamed = page.whole(tags.SAMPLES, 1) - page.colors
        extra = (2,) if unnamed == 1 else (0,) * unnamed
    colors = image.bands - len(extra)
    notes: tuple[str, ...] = ()
    if page.colors == 1 and extra[:2] == (0, 0) and colors == 1:
        if len(extra) > 3:
            raise ImageError(f"{path} has {image.bands} channels: export it as gray or RGB.")
        extra, colors = extra[2:], 3
        notes = (f"{path} calls its channels gray: the first three were read as RGB.",)
        space = {"uchar": "srgb", "ushort": "rgb16", "float": "scrgb"}.get(image.format, "srgb")
        image = image.copy(interpretation=space)
    alpha = next((at for at, kind in enumerate(extra) if kind in _ALPHA), None)
    left = len(extra) - (alpha is not None)
    if not left:
        return image, notes
    color = image.extract_band(0, n=colors)
    if alpha is not None:
        color = color.bandjoin(image.extract_band(colors + alpha))
    what = "an extra channel that is" if left == 1 else f"{left} extra channels that are"
    them = "it was" if left == 1 else "they were"
    return color, (*notes, f"{path} has {what} not transparency: {them} left out.")


def _rgb_of_ycbcr(path: Path, page: Page, image: Any) -> Any:
    """TIFF 6.0, sections 20 (ReferenceBlackWhite) and 21 (YCbCrCoefficients)."""
    top = 65535 if image.format == "ushort" else 255
    half = (top + 1) // 2
    reference = page.tags.get(tags.REFERENCE, (0, top, half, top, half, top))
    red, green, blue = page.tags.get(tags.LUMA, _LUMA)[:3]
    black, white = reference[:6:2], reference[1:6:2]
    if len(white) < 3 or not green or any(b == w for b, w in zip(black, white, strict=True)):
        raise ImageError(
            f"{path} describes its YCbCr colors in numbers that make no sense: export it as RGB."
        )
    ranges = (top, half - 1, half - 1)
    gains = [span / (w - b) for span, b, w in zip(ranges, black, white, strict=True)]
    offsets = [-gain * b for gain, b in zip(gains, black, strict=True)]
    to_red, to_blue = 2 - 2 * red, 2 - 2 * blue
    matrix = [
        [1.0, 0.0, to_red],
        [1.0, -blue * to_blue / green, -red * to_red / green],
        [1.0, to_blue, 0.0],
    ]
    # The sum of the coefficients is 1 up to their rounding, by which green would be off.
    matrix[1][0] = (1 - red - blue) / green
    full = image.linear(gains, offsets).recomb(libvips().Image.new_from_array(matrix))
    space = "rgb16" if image.format == "ushort" else "srgb"
    return full.rint().cast(image.format).copy(interpretation=space)


def _rgb_of_lab(image: Any, by_icc: bool) -> Any:
    """L*a*b* of 8 or 16 bit as sRGB of the same depth (TIFF 6.0, section 23; TIFF Technote 4)."""
    deep = image.format == "ushort"
    unit = 256 if deep else 1
    if not by_icc:  # a and b are signed
        image = image.boolean_const("eor", [0, 128 * unit, 128 * unit])
    white = (0xFF00 if by_icc else 0xFFFF) if deep else 0xFF
    lab = image.linear([100 / white, 1 / unit, 1 / unit], [0, -128, -128])
    return lab.copy(interpretation="lab").colourspace("rgb16" if deep else "srgb")
