"""The texts of PNG files: keywords and what they say (PNG, 3rd edition, 11.3.3).

libvips cuts keywords at the first blank and knows no encodings, so the chunks are handled here.
"""

import contextlib
import os
import struct
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from pixperts.errors import ImageError

_SIGNATURE = 8
_LONGEST = 1 << 24  # bytes of one text and of all together
_BOMB = 1 << 26  # bytes of all texts, inflated and as stored, that are let through to libpng
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
# IEND: no data, and the checksum of its name.
_END = b"\0\0\0\0IEND\xae\x42\x60\x82"


def read_texts(path: Path) -> dict[str, str]:
    """Texts by keyword, the last one where a keyword comes twice; damaged ones are left out."""
    found: dict[str, str] = {}
    left = _LONGEST
    try:
        with path.open("rb") as handle:
            handle.seek(_SIGNATURE)
            while len(head := handle.read(8)) == 8:
                size, name = struct.unpack(">I4s", head)
                if name in _TEXTS and size <= left:
                    if text := _decoded(name, handle.read(size), left):
                        found[text[0]] = text[1]
                        left -= len(text[0]) + len(text[1])
                    handle.seek(4, os.SEEK_CUR)
                else:
                    handle.seek(size + 4, os.SEEK_CUR)
    except OSError:
        return {}
    return found


def refuse_bomb(path: Path) -> None:
    """Raise ImageError for a PNG whose texts would fill the memory: libpng inflates them all."""
    with contextlib.suppress(OSError), path.open("rb") as handle:
        refuse_bomb_in(handle, path)


def refuse_bomb_in(handle: BinaryIO, path: Path) -> None:
    """`refuse_bomb` of an open file."""
    left = _BOMB
    handle.seek(_SIGNATURE)
    while len(head := handle.read(8)) == 8:
        size, name = struct.unpack(">I4s", head)
        if name not in _TEXTS:
            handle.seek(size + 4, os.SEEK_CUR)
            continue
        data = handle.read(min(size, left + 1))
        handle.seek(size - len(data) + 4, os.SEEK_CUR)
        left -= len(data)
        inflater = zlib.decompressobj()
        with contextlib.suppress(zlib.error, IndexError):
            rest = data.partition(b"\0")[2][1:]
            body = rest[1:].split(b"\0", 2)[2] if name == b"iTXt" else rest
            if name != b"tEXt" and left > 0:
                left -= len(inflater.decompress(body, left + 1))
        if left < 0:
            raise ImageError(
                f"{path} holds texts of more than {_BOMB >> 20} MiB, which would fill the "
                "memory: export it again without them."
            )


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


def _decoded(name: bytes, data: bytes, limit: int) -> tuple[str, str] | None:
    """Keyword and text, or None where damaged or longer than `limit` bytes."""
    key, _, rest = data.partition(b"\0")
    keyword = key.decode("latin-1")
    # PNG, 11.3.3.2: 1 to 79 printable characters of Latin-1, no blank at either end.
    if not 1 <= len(key) <= 79 or keyword != keyword.strip() or not _is_printable(key):
        return None
    try:
        if name == b"iTXt":
            compressed = rest[:1] == b"\1"
            body = rest[2:].split(b"\0", 2)[2]  # behind language and translated keyword
            text = (_inflated(body, limit) if compressed else body).decode("utf-8")
        else:
            body = _inflated(rest[1:], limit) if name == b"zTXt" else rest
            text = body.decode("latin-1")
    except (zlib.error, IndexError, UnicodeDecodeError):
        return None
    return None if "\0" in text else (keyword, text)


def _is_printable(key: bytes) -> bool:
    return all(32 <= sign <= 126 or sign >= 161 for sign in key)


def _inflated(data: bytes, limit: int) -> bytes:
    inflater = zlib.decompressobj()
    text = inflater.decompress(data, limit)
    if not inflater.eof:
        raise zlib.error("cut short, or longer than the limit")
    return text
