"""Whether a file of a format that has a lossy and a lossless mode was written without loss."""

import re
from pathlib import Path

_HEAD = 1 << 16  # bytes of an AVIF in which its properties stand


def is_lossless(path: Path, kind: str) -> bool:
    """True for WebP of the lossless kind and AVIF that stores RGB as it is; else False.

    The file is one of this format, by its first bytes.
    """
    if kind == "webp":
        return _is_lossless_webp(path)
    return kind == "avif" and _stores_rgb(path)


def _is_lossless_webp(path: Path) -> bool:
    # RFC 9649, 2.3: chunks of a name, a size and data of an even length.
    with path.open("rb") as handle:
        end, at = handle.seek(0, 2), 12
        while at + 8 <= end:
            handle.seek(at)
            head = handle.read(8)
            name, size = head[:4], int.from_bytes(head[4:], "little")
            if name in (b"VP8L", b"VP8 "):
                return name == b"VP8L"
            # A frame of an animation: 16 bytes of its own, then chunks.
            at += 24 if name == b"ANMF" else 8 + size + size % 2
    return False


def _stores_rgb(path: Path) -> bool:
    # ITU-T H.273, table 4: matrix 0 is none at all, which only lossless files have.
    with path.open("rb") as handle:
        head = handle.read(_HEAD)
    found = re.search(rb"colrnclx.{4}(.{2})", head, re.DOTALL)
    return found is not None and found[1] == b"\0\0"
