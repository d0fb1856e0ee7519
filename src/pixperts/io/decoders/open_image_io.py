"""What OpenImageIO reads, and its errors as exceptions. It is imported on demand."""

from pathlib import Path
from typing import Any

import numpy as np

from pixperts.ops.pixels import Pixels

_TYPES = {"uint8": "uint8", "uint16": "uint16"}  # what is kept; everything else becomes float32


def open_input(path: Path, plugin: str) -> Any:
    """An opened file of a format, which must be closed; ValueError where it cannot be opened."""
    import OpenImageIO

    found = OpenImageIO.ImageInput.open(str(path))
    if found is None:
        raise ValueError(said(OpenImageIO) or "it cannot be opened")
    if found.format_name() != plugin:
        raise ValueError(f"OpenImageIO takes it for {found.format_name()}")
    return found


def read_first(path: Path, plugin: str) -> tuple[Pixels, dict[str, Any]]:
    """Pixels (H, W, C) of the first picture in a file, at its depth, and its attributes."""
    opened = open_input(path, plugin)
    try:
        spec = opened.spec()
        kind = _TYPES.get(str(spec.format), "float")
        pixels = opened.read_image(kind)
        if pixels is None:
            raise ValueError(said(opened) or "it is damaged")
        attributes = {one.name: one.value for one in spec.extra_attribs}
    finally:
        opened.close()
    return np.asarray(pixels).reshape(spec.height, spec.width, spec.nchannels), attributes


def said(source: Any) -> str:
    """The error that an object or the module holds, which is empty then."""
    try:
        return str(source.geterror())
    except UnicodeDecodeError:  # it quotes bytes of a damaged file
        return "it is damaged"
