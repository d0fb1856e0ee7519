"""OpenEXR by OpenImageIO: linear light in floats, from one part and one layer of a file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pixperts.errors import ImageError
from pixperts.io.color.tags import ColorTags
from pixperts.io.decoders.foreign import Foreign
from pixperts.io.decoders.open_image_io import open_input, said
from pixperts.io.metadata.exr import CHROMATICITIES, ExrHeader
from pixperts.ops.pixels import Pixels

_MOST_PARTS = 256
_MOST_NAMES = 8  # of channels in a sentence
# What is written anew, or says how the file was stored.
_STRUCTURE = frozenset({"compression", "name", "view", "version", "tiles", "preview"})
_INNER = ("oiio:", "openexr:")


def read_header(path: Path, kind: str, page: int | None) -> Foreign:
    """Of the part with this number, the first one with colors where it is None."""
    opened = open_input(path, "openexr")
    try:
        parts = _parts(opened)
    finally:
        opened.close()
    found = [_colors(one.channelnames) for one in parts]
    number = next((at for at, one in enumerate(found) if one), 0) if page is None else page
    spec, channels = parts[number], found[number]
    if not channels:
        names = ", ".join(spec.channelnames[:_MOST_NAMES])
        raise ImageError(f"{path} has no channels R, G and B or Y, but {names}: export it as RGB.")
    if spec.deep:
        raise ImageError(f"{path} is deep OpenEXR, with several samples of a pixel: flatten it.")
    kinds = {str(spec.channelformat(at)) for at in channels}
    if not kinds <= {"half", "float"}:
        raise ImageError(f"{path} stores {', '.join(sorted(kinds))} samples: export it as half.")
    attributes = {one.name: (str(one.type), one.value) for one in spec.extra_attribs}
    notes = tuple(_notes(path, spec, channels, len(parts) if page is None else 1))
    color, more = _color(path, attributes.get(CHROMATICITIES, ("", None))[1])
    kept = tuple(
        (name, *value)
        for name, value in attributes.items()
        if name not in _STRUCTURE and not name.startswith(_INNER)
    )

    def decode() -> Pixels:
        return _decoded(path, number, channels)

    return Foreign(
        spec.width,
        spec.height,
        decode,
        color=color,
        exr=ExrHeader(kinds == {"half"}, kept),
        pages=len(parts),
        notes=(*notes, *more),
    )


def _parts(opened: Any) -> list[Any]:
    parts: list[Any] = []
    while len(parts) < _MOST_PARTS and opened.seek_subimage(len(parts), 0):
        parts.append(opened.spec())
    opened.geterror()  # of the end
    if not parts:
        raise ValueError("it holds no part")
    return parts


def _colors(names: Sequence[str]) -> list[int]:
    """The channels of the picture in order: those without a layer, else of the first layer."""
    layers = dict.fromkeys(["", *(name.rpartition(".")[0] for name in names)])
    for layer in layers:
        start = f"{layer}." if layer else ""
        for wanted in ("RGB", "Y"):
            channels = [f"{start}{one}" for one in wanted]
            # Luminance with chroma of fewer pixels would need its own way to RGB.
            if all(one in names for one in channels) and f"{start}RY" not in names:
                alpha = [f"{start}A"] if f"{start}A" in names else []
                return [list(names).index(one) for one in channels + alpha]
    return []


def _notes(path: Path, spec: Any, channels: Sequence[int], parts: int) -> list[str]:
    notes = []
    if parts > 1:
        notes.append(f"{path} holds {parts} parts: only the first with colors was read.")
    others = [name for at, name in enumerate(spec.channelnames) if at not in channels]
    if others:
        more = f" and {len(others) - _MOST_NAMES} more" if len(others) > _MOST_NAMES else ""
        listed = ", ".join(others[:_MOST_NAMES]) + more
        notes.append(f"{path} has other channels, which were left out: {listed}.")
    shown = (spec.full_x, spec.full_y, spec.full_width, spec.full_height)
    if shown != (spec.x, spec.y, spec.width, spec.height):
        notes.append(
            f"{path} holds another part of its picture than it shows: all that it holds was read."
        )
    return notes


def _color(path: Path, corners: Any) -> tuple[ColorTags, tuple[str, ...]]:
    """Linear light of these primaries, which are those of sRGB where none are named."""
    if corners is None:
        return ColorTags((1, 8)), ()
    tags = ColorTags.linear(tuple(map(float, corners)))
    if tags is not None:
        return tags, ()
    note = f"{path} has primaries that only OpenEXR can name: elsewhere its colors look different."
    return ColorTags((1, 8)), (note,)


def _decoded(path: Path, number: int, channels: Sequence[int]) -> Pixels:
    opened = open_input(path, "openexr")
    try:
        first, last = min(channels), max(channels) + 1
        # Those between them only where they are few: their number is not limited.
        spans = [(first, last)] if last - first <= 8 else [(at, at + 1) for at in channels]
        found = [opened.read_image(number, 0, *span, "float") for span in spans]
        if any(part is None for part in found):
            raise ValueError(said(opened) or "it is damaged")
        size = opened.spec_dimensions(number)
    finally:
        opened.close()
    pixels = np.concatenate([np.asarray(x).reshape(size.height, size.width, -1) for x in found], 2)
    picked: Pixels = pixels[..., [at - first for at in channels]] if len(spans) == 1 else pixels
    return straight(picked) if picked.shape[2] in (2, 4) else picked


def straight(pixels: Pixels) -> Pixels:
    """Colors that are multiplied by alpha, as OpenEXR has them, divided by it where it is not 0."""
    alpha = pixels[..., -1:]
    divisor = np.where(alpha > 0, alpha, np.float32(1))
    with np.errstate(all="ignore"):  # what is not finite is refused later, in a sentence
        return np.concatenate([pixels[..., :-1] / divisor, alpha], axis=-1)
