"""OpenEXR by OpenImageIO, compressed without loss."""

from pathlib import Path
from typing import Any

import numpy as np

from pixperts.io.color.tags import PRIMARIES
from pixperts.io.encoders.foreign import Content
from pixperts.io.encoders.open_image_io import write_image
from pixperts.io.metadata.exr import CHROMATICITIES, ExrHeader

_NAMES = {1: ("Y",), 2: ("Y", "A"), 3: ("R", "G", "B"), 4: ("R", "G", "B", "A")}
_HIGHEST = float(np.finfo(np.float16).max)


def write(path: Path, content: Content) -> None:
    """Samples of 16 bits where the source had them and they hold the values, else of 32."""
    pixels = content.pixels
    if pixels.shape[2] in (2, 4):  # colors are stored multiplied by alpha
        pixels = np.concatenate([pixels[..., :-1] * pixels[..., -1:], pixels[..., -1:]], axis=-1)
    header = content.exr or ExrHeader()
    # Else OpenImageIO would say that the picture was taken now.
    attributes: dict[str, Any] = {"DateTime": ""}
    attributes |= {name: (kind, value) for name, kind, value in header.attributes}
    codes = None if content.color is None else content.color.codes
    if CHROMATICITIES not in attributes and codes is not None and codes[0] in PRIMARIES:
        corners = tuple(number for point in PRIMARIES[codes[0]] for number in point)
        attributes[CHROMATICITIES] = ("float[8]", corners)
    attributes["compression"] = "zip"
    if content.software is not None:
        attributes["Software"] = content.software
    half = header.half and bool(np.abs(pixels).max() <= _HIGHEST)
    write_image(
        path,
        "openexr",
        np.ascontiguousarray(pixels),
        attributes,
        stored="half" if half else "float",
        names=_NAMES[pixels.shape[2]],
    )
