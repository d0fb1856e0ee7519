"""HEIC by pillow-heif, which brings a decoder of HEVC."""

from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif

from pixperts.io.decoders.foreign import Foreign
from pixperts.ops.pixels import Pixels


def read_header(path: Path, kind: str, page: int | None) -> Foreign:
    """Of a picture, the main one where `page` is None.

    libheif has turned it upright already, whatever the orientation in its EXIF data says.
    """
    # A copy of the bytes: nothing else of the file is read later, even if it is replaced.
    held = pillow_heif.open_heif(path.read_bytes(), convert_hdr_to_8bit=False)
    found = held[held.primary_index if page is None else page]
    width, height = found.size
    info: dict[str, Any] = found.info
    pages = len(held)
    depth = int(info.get("bit_depth") or 8)

    def decode() -> Pixels:
        if found.mode.startswith("RGBa"):
            return np.asarray(found.to_pillow().convert("RGBA"))
        pixels = np.array(found)
        # libheif shifts deeper samples up; so does libvips, and `avif.full_range` spreads both.
        return pixels

    return Foreign(
        width,
        height,
        decode,
        icc=info.get("icc_profile") or None,
        exif=info.get("exif") or None,
        xmp=info.get("xmp") or None,
        bits=depth,
        pages=pages,
        notes=(f"{path} holds {pages} pictures: only the main one was read.",) * (pages > 1),
    )
