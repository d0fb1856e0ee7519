"""Photoshop's image resources, and IPTC among them, as JPEG, TIFF and PNG store them."""

from collections.abc import Iterator
from dataclasses import dataclass

IPTC_RESOURCE = 0x0404
_PHOTOSHOP = b"Photoshop 3.0\0"
_PNG_IPTC = "Raw profile type iptc"
# What counts pixels of the former picture, or shows it: layers' states, grid and guides,
# thumbnails, slices, counts and print areas.
_OF_THE_FORMER = frozenset(
    {0x03F9, 0x0400, 0x0402, 0x0408, 0x0409, 0x040C, 0x0410, 0x0416, 0x041A, 0x0423, 0x042D}
    | {0x042F, 0x0430, 0x0432, 0x0438, 0x043B, 0x043C, 0x1B58, 0x1B59}
)
_PATHS = range(0x07D0, 0x0BB7)  # in parts of the picture's sides


@dataclass(frozen=True)
class Resources:
    """What was found in a set of resources.

    `iptc` are the datasets of an IIM record, `others` the blocks that stay true for a larger
    picture, `damaged` says whether IPTC was there but unreadable.
    """

    iptc: bytes | None = None
    others: bytes | None = None
    damaged: bool = False
    paths: bool = False  # whether any block draws a path over the picture


def read_resources(data: bytes) -> Resources:
    """IPTC and other resources out of what JPEG, TIFF or PNG store; or a bare IPTC record."""
    data = data.removeprefix(_PHOTOSHOP)
    if not data.startswith(b"8BIM"):
        iptc = _record(data)
        return Resources(iptc, damaged=iptc is None and bool(data.strip(b"\0")))
    iptc, damaged, paths = None, False, False
    others = []
    for number, block, content in _blocks(data):
        if number == IPTC_RESOURCE:
            iptc = iptc or _record(content)
            damaged = iptc is None and bool(content.strip(b"\0"))
        elif number not in _OF_THE_FORMER:
            others.append(block)
            paths = paths or number in _PATHS
    return Resources(iptc, b"".join(others) or None, damaged, paths)


def _blocks(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Number, whole block and content of each resource; a cut one ends them."""
    start = 0
    while data[start : start + 4] == b"8BIM" and len(data) > start + 6:
        # Photoshop file formats, "Image Resource Blocks": a Pascal name and data, both even.
        name_size = (data[start + 6] + 2) // 2 * 2
        at = start + 6 + name_size + 4
        size = int.from_bytes(data[at - 4 : at], "big")
        content = data[at : at + size]
        if at > len(data):
            return
        end = at + size + size % 2
        number = int.from_bytes(data[start + 4 : start + 6], "big")
        if len(content) == size or number == IPTC_RESOURCE:
            yield number, data[start:end].ljust(end - start, b"\0"), content
        start = end


def without_paths(resources: bytes) -> bytes | None:
    """The blocks but for those that draw on the picture, for one that was turned."""
    return (
        b"".join(block for number, block, _ in _blocks(resources) if number not in _PATHS) or None
    )


def iptc_record(data: bytes) -> bytes | None:
    """The bare IIM datasets out of what JPEG, TIFF or PNG store, or None where there are none.

    >>> iptc_record(b"Photoshop 3.0\\0" + photoshop_block(b"\\x1c\\x02\\x78\\0\\x02hi"))
    b'\\x1c\\x02x\\x00\\x02hi'
    """
    return read_resources(data).iptc


def _record(data: bytes) -> bytes | None:
    # Some TIFF writers store the record as 32-bit numbers of the wrong byte order.
    if data[3:4] == b"\x1c" and data[:1] != b"\x1c":
        data = b"".join(data[i : i + 4][::-1] for i in range(0, len(data), 4))
    return data if data.startswith(b"\x1c") else None


def photoshop_block(iptc: bytes) -> bytes:
    """An image resource block that holds an IIM record."""
    return b"8BIM\x04\x04\0\0" + len(iptc).to_bytes(4, "big") + iptc + bytes(len(iptc) % 2)


def resource_blocks(iptc: bytes | None, others: bytes | None) -> bytes:
    """All blocks that a file shall have."""
    return (b"" if iptc is None else photoshop_block(iptc)) + (others or b"")


def to_raw_profile(blocks: bytes) -> tuple[str, str]:
    """Keyword and text under which PNG files carry resources, by ImageMagick's custom."""
    digits = blocks.hex()
    lines = [digits[i : i + 72] for i in range(0, len(digits), 72)]
    return _PNG_IPTC, "\n".join(["", "iptc", f"{len(blocks):8d}", *lines, ""])


def from_raw_profile(text: str) -> bytes:
    """What `to_raw_profile` stored; nothing where it is damaged."""
    try:
        return bytes.fromhex(text.split(maxsplit=2)[2])
    except (ValueError, IndexError):
        return b""
