"""Directories of tags: the structure that TIFF files and EXIF blocks share (TIFF 6.0, BigTIFF).

A directory is read into a `Tree`, from tag to `Value` or, where a tag points to a directory of
its own (EXIF, GPS, interoperability), to another `Tree`. Changes are appended and the header is
pointed to them, so that nothing else moves: a camera's own notes hold offsets that nobody but its
maker knows.
"""

import os
import struct
from typing import BinaryIO, Literal, NamedTuple, Union

EXIF_IFD, GPS_IFD, INTEROP_IFD = 0x8769, 0x8825, 0xA005
_SUB_IFDS = frozenset({EXIF_IFD, GPS_IFD, INTEROP_IFD})

BYTE, ASCII, SHORT, LONG, RATIONAL = 1, 2, 3, 4, 5
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_SIZES |= {16: 8, 17: 8, 18: 8}
# Rationals are pairs of 32-bit numbers and are swapped as such.
_WORDS = _SIZES | {5: 4, 10: 4}

# A value longer than this is no metadata of a photograph but a damaged count, and so is more than
# that of all values together: values and whole directories may lie over one another.
_LONGEST = 1 << 22
_LARGEST = 1 << 25
_OVERHEAD = 200  # bytes that an entry takes beside its value


class Value(NamedTuple):
    """A tag's content: TIFF type, number of elements, and their bytes in the given order."""

    type: int
    number: int
    data: bytes


Tree = dict[int, Union[Value, "Tree"]]


class Layout(NamedTuple):
    """How a structure is stored: byte order "<" or ">", 64-bit offsets, its first directory."""

    order: str
    big: bool
    first: int

    @property
    def word(self) -> int:
        """Bytes of an offset."""
        return 8 if self.big else 4


def read_layout(handle: BinaryIO) -> Layout:
    """The header; ValueError where it is none."""
    handle.seek(0)
    head = handle.read(16)
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    if order is None or len(head) < 8:
        raise ValueError("no TIFF header")
    (magic,) = struct.unpack_from(f"{order}H", head, 2)
    if magic == 43 and len(head) == 16:
        layout = Layout(order, True, struct.unpack_from(f"{order}Q", head, 8)[0])
    elif magic == 42:
        layout = Layout(order, False, struct.unpack_from(f"{order}I", head, 4)[0])
    else:
        raise ValueError("no TIFF header")
    if layout.first < 2 * layout.word:
        raise ValueError("directory inside the header")
    return layout


def raw_entries(handle: BinaryIO, layout: Layout, at: int) -> tuple[dict[int, bytes], int]:
    """A directory's entries as stored, and the offset of the next one (0: there is none)."""
    count_size, entry_size = (8, 20) if layout.big else (2, 12)
    handle.seek(at)
    (count,) = struct.unpack(layout.order + ("Q" if layout.big else "H"), handle.read(count_size))
    if count > 65535:
        raise ValueError("damaged directory")
    table = handle.read(count * entry_size)
    if len(table) < count * entry_size:
        raise ValueError("directory cut short")
    rows = [table[i : i + entry_size] for i in range(0, len(table), entry_size)]
    after = handle.read(layout.word)
    following = int.from_bytes(after, _name(layout.order)) if len(after) == layout.word else 0
    return {struct.unpack_from(f"{layout.order}H", row)[0]: row for row in rows}, following


def read_tree(handle: BinaryIO, layout: Layout, at: int) -> Tree:
    """A directory with what it points to; entries that are damaged are left out.

    Raises ValueError or struct.error where the directory itself cannot be read.
    """
    budget = [_LARGEST]
    tree = _read_tree(handle, layout, at, 0, budget)
    if budget[0] < 0:
        raise ValueError("directory of impossible size")
    return tree


def _read_tree(handle: BinaryIO, layout: Layout, at: int, depth: int, budget: list[int]) -> Tree:
    """As `read_tree`; `budget` holds the bytes left for all directories together."""
    tree: Tree = {}
    for tag, row in raw_entries(handle, layout, at)[0].items():
        value = read_value(handle, layout, row)
        if value is None:
            continue
        budget[0] -= len(value.data) + _OVERHEAD
        if budget[0] < 0:
            raise ValueError("directory of impossible size")
        if tag not in _SUB_IFDS:
            tree[tag] = value
        elif depth < 3 and len(value.data) >= 4:
            offset = int.from_bytes(value.data, _name(layout.order))
            try:
                tree[tag] = _read_tree(handle, layout, offset, depth + 1, budget)
            except (ValueError, struct.error, OverflowError):
                continue
    return tree


def read_value(handle: BinaryIO, layout: Layout, row: bytes) -> Value | None:
    """What one stored entry holds, or None where it cannot be right."""
    pattern = "HHQ" if layout.big else "HHI"
    _, kind, count = struct.unpack_from(layout.order + pattern, row)
    size = count * _SIZES.get(kind, 0)
    if not 0 < size <= _LONGEST:
        return None
    field = row[-layout.word :]
    if size <= layout.word:
        return Value(kind, count, field[:size])
    handle.seek(int.from_bytes(field, _name(layout.order)))
    data = handle.read(size)
    return Value(kind, count, data) if len(data) == size else None


def swapped(value: Value) -> Value:
    """The same value in the other byte order."""
    width = _WORDS[value.type]
    words = (value.data[i : i + width][::-1] for i in range(0, len(value.data), width))
    return Value(value.type, value.number, b"".join(words))


def swapped_tree(tree: Tree) -> Tree:
    """`swapped` of everything in a directory.

    >>> swapped_tree({256: Value(SHORT, 1, b"\\x01\\x02")})[256].data
    b'\\x02\\x01'
    """
    return {k: swapped_tree(v) if isinstance(v, dict) else swapped(v) for k, v in tree.items()}


def amend(handle: BinaryIO, changes: Tree, drop: frozenset[int] = frozenset()) -> None:
    """Set or add tags of the first directory; further directories are cut off.

    The values are in the structure's own byte order. The new directory goes to the end and the
    old one becomes zeros; values that stay are left where they are.

    Raises ValueError or struct.error where the structure cannot be read.
    """
    layout = read_layout(handle)
    entries, _ = raw_entries(handle, layout, layout.first)
    size = (16 if layout.big else 6) + len(entries) * (20 if layout.big else 12)
    handle.seek(layout.first)
    handle.write(bytes(size))
    kept = {tag: row for tag, row in entries.items() if tag not in drop and tag not in changes}
    at = _append_directory(handle, layout, changes, kept)
    handle.seek(8 if layout.big else 4)
    handle.write(at.to_bytes(layout.word, _name(layout.order)))


def build(tree: Tree, handle: BinaryIO, order: str = "<") -> None:
    """Write a new structure with one first directory, 32-bit offsets."""
    layout = Layout(order, False, 0)
    handle.write((b"II*\0" if order == "<" else b"MM\0*") + bytes(4))
    at = _append_directory(handle, layout, tree, {})
    handle.seek(4)
    handle.write(at.to_bytes(4, _name(order)))


def _append_directory(handle: BinaryIO, layout: Layout, tree: Tree, kept: dict[int, bytes]) -> int:
    """Values first and the directory behind them, all at the end; its offset."""
    rows = dict(kept)
    for tag, value in tree.items():
        if isinstance(value, dict):
            offset = _append_directory(handle, layout, value, {})
            kind = 18 if layout.big else LONG  # 18: IFD8, a directory's offset of 64 bit
            value = Value(kind, 1, offset.to_bytes(layout.word, _name(layout.order)))
        data = value.data
        if len(data) > layout.word:
            data = _append(handle, data).to_bytes(layout.word, _name(layout.order))
        pattern = layout.order + ("HHQ" if layout.big else "HHI")
        head = struct.pack(pattern, tag, value.type, value.number)
        rows[tag] = head + data.ljust(layout.word, b"\0")
    count = struct.pack(layout.order + ("Q" if layout.big else "H"), len(rows))
    body = b"".join(rows[tag] for tag in sorted(rows))
    return _append(handle, count + body + bytes(layout.word))


def _append(handle: BinaryIO, data: bytes) -> int:
    # TIFF 6.0, section 2: directories and values begin on a word boundary.
    at = handle.seek(0, os.SEEK_END)
    handle.write(bytes(at % 2) + data)
    return at + at % 2


def _name(order: str) -> Literal["little", "big"]:
    return "little" if order == "<" else "big"
