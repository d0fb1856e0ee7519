"""JPEG XL by imagecodecs (libjxl), which gives the pixels alone; the header is read here.

Files with a color profile are read by OpenImageIO.
"""

from pathlib import Path

import imagecodecs
import numpy as np

from pixperts.errors import MissingDecoderError
from pixperts.io.containers.jpeg_boxes import boxes, jxl_codestream
from pixperts.io.decoders.foreign import Foreign
from pixperts.io.decoders.jxl_header import read_codestream
from pixperts.io.decoders.open_image_io import read_first
from pixperts.io.decoders.samples import spread
from pixperts.ops.pixels import Pixels

_CONTAINER = b"\0\0\0\x0cJXL "
_LONGEST = 1 << 25  # bytes of metadata once they are unpacked


def read_header(path: Path, kind: str, page: int | None) -> Foreign:
    """Size, depth and colors from the codestream, metadata from the boxes around it."""
    data = path.read_bytes()
    exif = xmp = None
    for name, body in boxes(data) if data.startswith(_CONTAINER) else ():
        if name == b"brob" and body[:4] in (b"Exif", b"xml "):
            name, body = body[:4], bytes(imagecodecs.brotli_decode(body[4:], out=_LONGEST))
        if name == b"Exif":  # an offset stands before it
            exif = body[4 + int.from_bytes(body[:4], "big") :]
        elif name == b"xml ":
            xmp = body
    header = read_codestream(jxl_codestream(data))
    color = header.color
    if color is not None and not (color.is_srgb or color.is_hdr) and not color.profile(header.gray):
        color = None  # a gamma or primaries of its own, which a profile can describe
    notes: tuple[str, ...] = ()
    by_profile = _ByProfile(path) if color is None else None

    def decode() -> Pixels:
        if by_profile is not None:
            return by_profile.decode()
        # Turned upright by libjxl; of an animation, the first frame.
        return spread(np.asarray(imagecodecs.jpegxl_decode(data, index=0)), header.bits)

    if header.animated:
        notes = (*notes, f"{path} is an animation: only the first frame was read.")
    return Foreign(
        *header.size,
        decode,
        icc_later=None if by_profile is None else by_profile.icc,
        exif=exif,
        xmp=xmp,
        color=None if color is None or color.is_srgb else color,
        notes=notes,
    )


class _ByProfile:
    """A file whose colors a profile describes: OpenImageIO decodes it, as imagecodecs tells none.

    Where the pixels are stored as XYB, the profile is one that libjxl chose for what it decodes.
    """

    def __init__(self, path: Path) -> None:
        try:
            import OpenImageIO  # noqa: F401
        except ImportError:
            raise MissingDecoderError(path, "JPEG XL with a color profile", "jxl") from None
        self._path = path
        self._icc: bytes | None = None

    def decode(self) -> Pixels:
        pixels, attributes = read_first(self._path, "jpegxl")
        profile = attributes.get("ICCProfile")
        self._icc = None if profile is None else np.asarray(profile, np.uint8).tobytes()
        return pixels

    def icc(self) -> bytes | None:
        return self._icc
