"""JPEG 2000 by imagecodecs (OpenJPEG), with the metadata put into boxes of their own."""

import struct
from collections.abc import Iterator
from pathlib import Path

import imagecodecs
import numpy as np

from pixperts.io.containers.jpeg_boxes import JP2_EXIF, JP2_XMP, box, boxes
from pixperts.io.encoders.foreign import Content

_RESTRICTED_PROFILE = b"\2\0\0"  # how a profile is announced (ISO/IEC 15444-1, I.5.3.3)


def write(path: Path, content: Content) -> None:
    """A JP2 file; quality 1 is a signal-to-noise ratio of 24 dB, and each 4 more are 1 dB."""
    pixels = content.pixels
    data = imagecodecs.jpeg2k_encode(
        pixels[..., 0] if pixels.shape[2] == 1 else pixels,
        codecformat="jp2",
        level=0 if content.lossless else round(24 + content.quality / 4),
        reversible=content.lossless,
        numthreads=1,
    )
    path.write_bytes(b"".join(_with_metadata(bytes(data), content)))


def _with_metadata(data: bytes, content: Content) -> Iterator[bytes]:
    for name, body in boxes(data):
        if name == b"jp2h":
            yield box(name, b"".join(_header(body, content)))
            if content.exif is not None:
                yield box(b"uuid", JP2_EXIF + content.exif)
            if content.xmp is not None:
                yield box(b"uuid", JP2_XMP + content.xmp)
        else:
            yield box(name, body)


def _header(body: bytes, content: Content) -> Iterator[bytes]:
    """The boxes that describe the picture, with its profile and what its channels mean."""
    for name, part in boxes(body):
        if name == b"colr" and content.icc is not None:
            part = _RESTRICTED_PROFILE + content.icc
        if name != b"cdef":
            yield box(name, part)
    channels = content.pixels.shape[2]
    if channels in (2, 4):
        colors = [(at, 0, at + 1) for at in range(channels - 1)]
        entries = np.array([*colors, (channels - 1, 1, 0)], ">u2")  # opacity of the whole
        yield box(b"cdef", struct.pack(">H", channels) + entries.tobytes())
