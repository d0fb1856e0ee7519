"""The texts of PNG files: keywords and what they say (PNG, 3rd edition, 11.3.3).

libvips cuts keywords at the first blank and knows no encodings, so the chunks are handled here.
"""

import os
import struct
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

_SIGNATURE = 8
_LONGEST = 1 << 24
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
# IEND: no data, and the checksum of its name.
_END = b"\0\0\0\0IEND\xae\x42\x60\x82"


def read_texts(path: Path) -> dict[str, str]:
    """Texts by keyword, the last one where a keyword comes twice; damaged ones are left out."""
    found = {}
    try:
        with path.open("rb") as handle:
            handle.seek(_SIGNATURE)
            while len(head := handle.read(8)) == 8:
                size, name = struct.unpack(">I4s", head)
                if name in _TEXTS and size <= _LONGEST:
                    if text := _decoded(name, handle.read(size)):
                        found[text[0]] = text[1]
                    handle.seek(4, os.SEEK_CUR)
                else:
                    handle.seek(size + 4, os.SEEK_CUR)
    except OSError:
        return {}
    return found


def append_texts(handle: BinaryIO, texts: Iterable[tuple[str, str]]) -> None:
    """Put texts between the pixels and the end of a PNG file."""
    handle.seek(-len(_END), os.SEEK_END)
    if handle.read() != _END:
        raise ValueError("no PNG that ends as it should")
    handle.seek(-len(_END), os.SEEK_END)
    for keyword, text in texts:
        body = _encoded(keyword, text)
        handle.write(struct.pack(">I", len(body) - 4) + body)
        handle.write(struct.pack(">I", zlib.crc32(body)))
    handle.write(_END)


def _encoded(keyword: str, text: str) -> bytes:
    """Name and data of a chunk: Latin-1 where it suffices, which every reader knows."""
    key = keyword.encode("latin-1", "replace")[:79] + b"\0"
    try:
        data = text.encode("latin-1")
    except UnicodeEncodeError:
        return b"iTXt" + key + b"\0\0\0\0" + text.encode("utf-8", "replace")
    if len(data) > 1024:
        return b"zTXt" + key + b"\0" + zlib.compress(data)
    return b"tEXt" + key + data


def _decoded(name: bytes, data: bytes) -> tuple[str, str] | None:
    key, _, rest = data.partition(b"\0")
    try:
        if name == b"tEXt":
            return key.decode("latin-1"), rest.decode("latin-1")
        if name == b"zTXt":
            return key.decode("latin-1"), _inflated(rest[1:]).decode("latin-1")
        compressed = rest[:1] == b"\1"
        body = rest[2:].split(b"\0", 2)[2]  # behind language and translated keyword
        return key.decode("latin-1"), (_inflated(body) if compressed else body).decode("utf-8")
    except (zlib.error, IndexError, UnicodeDecodeError):
        return None


def _inflated(data: bytes) -> bytes:
    return zlib.decompressobj().decompress(data, _LONGEST)
