"""JPEG XL by imagecodecs (libjxl), which gives the pixels alone; the header is read here."""

from pathlib import Path

import imagecodecs
import numpy as np

from pixperts.errors import ImageError
from pixperts.io.decoders.foreign import Foreign
from pixperts.io.decoders.jpeg_2000 import boxes
from pixperts.io.decoders.jxl_header import read_codestream
from pixperts.io.decoders.samples import spread
from pixperts.ops.pixels import Pixels

_LONGEST = 1 << 25  # bytes of metadata once they are unpacked


def read_header(path: Path, kind: str, page: int | None) -> Foreign:
    """Size, depth and colors from the codestream, metadata from the boxes around it."""
    data = path.read_bytes()
    stream, exif, xmp = data, None, None
    if not data.startswith(b"\xff\x0a"):
        stream = b""
        for name, body in boxes(data):
            if name == b"brob" and body[:4] in (b"Exif", b"xml "):
                name, body = body[:4], bytes(imagecodecs.brotli_decode(body[4:], out=_LONGEST))
            if name in (b"jxlc", b"jxlp"):
                stream += body if name == b"jxlc" else body[4:]
            elif name == b"Exif":  # an offset stands before it
                exif = body[4 + int.from_bytes(body[:4], "big") :]
            elif name == b"xml ":
                xmp = body
    header = read_codestream(stream)
    color = header.color
    if color is None:
        raise ImageError(
            f"{path} keeps its colors in a profile that is not read here: convert it to PNG."
        )
    notes: tuple[str, ...] = ()
    icc = None
    if not color.is_srgb:
        icc = color.profile(header.gray)
        if icc is None:
            notes = (f"{path} has colors of an unknown kind ({color.name}), taken for sRGB.",)

    def decode() -> Pixels:
        # Turned upright by libjxl; of an animation, the first frame.
        return spread(np.asarray(imagecodecs.jpegxl_decode(data, index=0)), header.bits)

    if header.animated:
        notes = (*notes, f"{path} is an animation: only the first frame was read.")
    return Foreign(
        *header.size,
        decode,
        icc=icc,
        exif=exif,
        xmp=xmp,
        notes=notes,
    )
