"""Files that OpenImageIO writes, and its errors as exceptions. It is imported on demand."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pixperts.io.decoders.open_image_io import said
from pixperts.ops.pixels import Pixels


def write_image(
    path: Path,
    plugin: str,
    pixels: Pixels,
    attributes: Mapping[str, Any],
    *,
    stored: str | None = None,
    names: Sequence[str] = (),
) -> None:
    """Write (H, W, C) pixels with attributes: text, a number, or a type and a value of it.

    `stored` is the type of the samples in the file, that of the pixels where it is None, and
    `names` are those of the channels, the usual ones where it is empty.

    Raises ValueError with what OpenImageIO says.
    """
    import OpenImageIO

    height, width, channels = pixels.shape
    kind = stored or pixels.dtype.name.replace("float32", "float")
    spec = OpenImageIO.ImageSpec(width, height, channels, kind)
    for name, value in attributes.items():
        if isinstance(value, tuple):
            spec.attribute(name, OpenImageIO.TypeDesc(value[0]), value[1])
        else:
            spec.attribute(name, value)
    if names:
        spec.channelnames = tuple(names)
        spec.alpha_channel = names.index("A") if "A" in names else -1
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
