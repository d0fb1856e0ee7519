"""Colors that are described by numbers, also those brighter than white, as sRGB."""

from pathlib import Path
from typing import Any

import numpy as np

from pixperts.io.color.icc import srgb_profile, to_srgb, with_profile
from pixperts.io.color.icc_build import adapted
from pixperts.io.color.tags import HLG, ColorTags, light_of
from pixperts.io.vips import libvips

_KNEE = 0.8  # of white; what is darker keeps its light
_PEAK = 1000.0 / 203.0  # of HLG, in whites
_SRGB = np.array(  # linear sRGB from XYZ of D65, IEC 61966-2-1
    [
        [3.2404542, -1.5371385, -0.4985314],
        [-0.9692660, 1.8760108, 0.0415560],
        [0.0556434, -0.2040259, 1.0572252],
    ]
)
_D65 = np.array([0.95047, 1.0, 1.08883])


def tags_to_srgb(path: Path, image: Any, tags: ColorTags) -> tuple[Any, tuple[str, ...]]:
    """Pixels that are encoded as the tags say as sRGB, alpha untouched, and a sentence.

    What is brighter than white, in pictures of PQ, HLG and linear light, is compressed below it;
    hue and everything under four fifths of white stay. A picture whose tags are not known stays as
    it is.
    """
    if tags.is_srgb:
        return image, ()
    matrix = tags.matrix()
    gray = image.bands < 3
    bright = tags.is_hdr or (tags.is_linear and image.format == "float")
    if matrix is None or (not bright and tags.profile(gray) is None):
        note = f"{path} has colors of an unknown kind ({tags.name}), which were not converted."
        return image, (note,)
    if not bright:
        image, _ = to_srgb(path, with_profile(image, tags.profile(gray)))
        image = with_profile(image, None if gray else srgb_profile())
        return image, (f"{path} was converted from {tags.name} to sRGB.",)
    colors = 1 if gray else 3
    color = image.extract_band(0, n=colors)
    color = color if colors == 3 else color.bandjoin([color, color])
    to_xyz = adapted(matrix, _D65)
    light = color
    if not tags.is_linear:
        assert tags.codes is not None
        light = _light(color, tags.codes[1], matrix[1])
    light = light.recomb(_matrix(_SRGB @ to_xyz))
    light = (light > 0).ifthenelse(light, 0)
    top = light.extract_band(0)
    for band in (1, 2):
        other = light.extract_band(band)
        top = (top > other).ifthenelse(top, other)
    over = (top - _KNEE) / (1 - _KNEE)
    bent = _KNEE + (1 - _KNEE) * (over / (over + 1))
    # Never divided by 0, and 1 where the light is below the knee.
    share = (top > _KNEE).ifthenelse(bent / (top > _KNEE).ifthenelse(top, 1), 1)
    deep = image.format != "uchar"
    scaled = (light * share).cast("float").copy(interpretation="scrgb")
    color = scaled.colourspace("rgb16" if deep else "srgb")
    if gray:
        color = color.extract_band(0).copy(interpretation="grey16" if deep else "b-w")
    if image.bands > colors:
        alpha = image.extract_band(image.bands - 1)
        if image.format == "float":
            alpha = (alpha * 65535).rint().cast("ushort")
        color = color.bandjoin(alpha)
    note = f"{path} was converted from {tags.name} to sRGB: light above white was compressed."
    return with_profile(color, None if gray else srgb_profile()), (note,)


def _light(color: Any, transfer: int, luminance: Any) -> Any:
    """Linear light of the screen, white as 1, in the picture's own primaries."""
    count = 65536 if color.format == "ushort" else 256
    table = light_of(transfer, np.linspace(0, 1, count)).astype(np.float32)
    lut = libvips().Image.new_from_memory(table, count, 1, 1, "float")
    light = color.maplut(lut)
    if transfer != HLG:
        return light
    # ITU-R BT.2100, table 5: the gamma of a screen of 1000 cd/m2 is of the luminance.
    bright = light.recomb(_matrix(luminance.reshape(1, 3)))
    return light * (bright**0.2) * _PEAK


def _matrix(values: Any) -> Any:
    return libvips().Image.new_from_array(values.tolist())
