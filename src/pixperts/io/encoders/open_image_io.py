"""Files that OpenImageIO writes, and its errors as exceptions. It is imported on demand."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pixperts.io.decoders.open_image_io import said
from pixperts.ops.pixels import Pixels


def write_image(
    path: Path,
    plugin: str,
    pixels: Pixels,
    attributes: Mapping[str, Any],
    *,
    stored: str | None = None,
) -> None:
    """Write (H, W, C) pixels; an array among the attributes keeps its type, as do text and numbers.

    `stored` is the type of the samples in the file, that of the pixels where it is None.

    Raises ValueError with what OpenImageIO says.
    """
    import OpenImageIO

    height, width, channels = pixels.shape
    kind = stored or pixels.dtype.name.replace("float32", "float")
    spec = OpenImageIO.ImageSpec(width, height, channels, kind)
    for name, value in attributes.items():
        if isinstance(value, np.ndarray):
            element = {"uint8": "uint8", "int32": "int"}[value.dtype.name]
            spec.attribute(name, OpenImageIO.TypeDesc(f"{element}[{len(value)}]"), value)
        else:
            spec.attribute(name, value)
    output = OpenImageIO.ImageOutput.create(plugin)
    if output is None:
        raise ValueError(said(OpenImageIO) or f"OpenImageIO has no {plugin}")
    try:
        if not (output.open(str(path), spec) and output.write_image(pixels)):
            raise ValueError(said(output) or "OpenImageIO gives no reason")
    finally:
        closed = output.close()
    if not closed:
        raise ValueError(said(output) or "OpenImageIO gives no reason")
