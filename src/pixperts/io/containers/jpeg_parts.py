"""What libvips would drop, shorten or change, put into the JPEG file that it wrote."""

from typing import BinaryIO

from pixperts.io.containers.behind import append_gain_map
from pixperts.io.containers.jpeg_segments import (
    XMP_ROOM,
    Segment,
    comment_segments,
    encoded,
    guid_of,
    insert_segments,
    photoshop_segments,
    xmp_segments,
)
from pixperts.io.metadata.metadata import Metadata
from pixperts.io.metadata.photoshop import resource_blocks
from pixperts.io.metadata.xmp import split, updated_xmp, with_gain_map, with_reference


def complete_jpeg(handle: BinaryIO, metadata: Metadata, width: int, height: int) -> None:
    """Put what libvips would drop, shorten or change into a JPEG file."""
    packet = None if metadata.xmp is None else updated_xmp(metadata.xmp, width, height)
    gain_map = metadata.gain_map
    if gain_map is not None and gain_map.announced:
        packet = with_gain_map(packet, len(gain_map.data))
    segments = xmp_of_jpeg(packet) or []
    segments += photoshop_segments(resource_blocks(metadata.iptc, metadata.photoshop))
    segments += comment_segments(comments_of(metadata))
    if segments:
        insert_segments(handle, encoded(segments))
    if gain_map is not None:
        append_gain_map(handle, gain_map)


def xmp_of_jpeg(packet: bytes | None) -> list[Segment] | None:
    """A packet as segments, or None where there is none or it is too long and cannot be split."""
    if packet is None:
        return None
    if len(packet) <= XMP_ROOM:
        return xmp_segments(packet, None)
    parts = split(packet, XMP_ROOM)
    if parts is None:
        return None
    main, extended = parts
    if extended is not None:
        main = with_reference(main, guid_of(extended))
    return xmp_segments(main, extended)


def comments_of(metadata: Metadata) -> list[bytes]:
    """Comments of a JPEG, and the texts of a PNG that are named so."""
    texts = [text.encode() for keyword, text in metadata.texts if keyword == "Comment"]
    return [*metadata.comments, *texts]
