"""XMP packets: brought up to date, rid of what points nowhere, joined and split (ISO 16684-1)."""

import re
from collections.abc import Iterator
from xml.dom.minidom import Attr, Document, Element, parseString
from xml.parsers.expat import ExpatError

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_XMLNS = "http://www.w3.org/2000/xmlns/"
_NOTE = "http://ns.adobe.com/xmp/note/"
_CAMERA = "http://ns.google.com/photos/1.0/camera/"
_CONTAINER = "http://ns.google.com/photos/1.0/container/"
_ITEM = _CONTAINER + "item/"
_GAIN_MAP = "http://ns.adobe.com/hdr-gain-map/1.0/"
# Namespaces and the beginnings of names that speak of other pictures and videos in the file.
_ELSEWHERE: tuple[tuple[str, tuple[str, ...], str], ...] = (
    (_CAMERA, ("MicroVideo", "MotionPhoto"), "video"),
    ("http://ns.oplus.com/photos/1.0/camera/", ("MotionPhoto", "OLive", "VideoLength"), "video"),
    (_GAIN_MAP, ("",), "gain map"),
    ("http://ns.apple.com/HDRGainMap/1.0/", ("",), "gain map"),
    ("http://ns.google.com/photos/dd/1.0/", ("",), "depth"),
    (_CONTAINER, ("",), ""),
)
_SEMANTICS = {"motionphoto": "video", "gainmap": "gain map", "depth": "depth"}
_BROKEN = (ExpatError, ValueError, LookupError, RecursionError)
_ROOM_FOR_NOTE = 200

_DIRECTORY = (
    '<rdf:Description rdf:about="" xmlns:hdrgm="{gain_map}" xmlns:Container="{container}" '
    'xmlns:Item="{item}" hdrgm:Version="1.0"><Container:Directory><rdf:Seq>'
    '<rdf:li rdf:parseType="Resource"><Container:Item Item:Semantic="Primary" '
    'Item:Mime="image/jpeg"/></rdf:li><rdf:li rdf:parseType="Resource"><Container:Item '
    'Item:Semantic="GainMap" Item:Mime="image/jpeg" Item:Length="{length}"/></rdf:li></rdf:Seq>'
    "</Container:Directory></rdf:Description>"
)


def updated_xmp(packet: bytes, width: int, height: int) -> bytes:
    """A packet for an upright picture of this size, where it speaks of sizes or orientation.

    >>> updated_xmp(b'<a tiff:Orientation="6" exif:PixelXDimension="40"/>', 80, 60)
    b'<a tiff:Orientation="1" exif:PixelXDimension="80"/>'
    """
    numbers = {
        b"tiff:Orientation": 1,
        b"tiff:ImageWidth": width,
        b"tiff:ImageLength": height,
        b"exif:PixelXDimension": width,
        b"exif:PixelYDimension": height,
    }
    for name, number in numbers.items():
        # As an attribute (name="6") or as an element (<name>6</name>).
        pattern = rb"(" + name + rb"\s*(?:=\s*[\"']|>)\s*)\d+"
        packet = re.sub(pattern, rb"\g<1>%d" % number, packet)
    return packet


def orientation_in(packet: bytes) -> int | None:
    """The orientation that a packet names, from 1 to 8.

    >>> orientation_in(b"<tiff:Orientation>6</tiff:Orientation>")
    6
    """
    found = re.search(rb"tiff:Orientation\s*(?:=\s*[\"']|>)\s*([1-8])\s*[\"'<]", packet)
    return None if found is None else int(found[1])


def without_elsewhere(packet: bytes) -> tuple[bytes, frozenset[str]]:
    """A packet without what it says of other pictures in its file, and what these were.

    They are any of "video", "gain map", "depth" and "picture". A packet that is no XML stays.
    """
    if not any(space.encode() in packet for space, _, _ in _ELSEWHERE):
        return packet, frozenset()
    try:
        document = _parsed(packet)
        found: set[str] = set()
        for node in _descriptions(document):
            for prop in list(_properties(node)):
                kinds = _kinds(prop)
                if kinds is not None:
                    found |= kinds
                    _remove(node, prop)
            if not list(_properties(node)) and node.parentNode is not None:
                node.parentNode.removeChild(node)
        return (_written(document), frozenset(found)) if found else (packet, frozenset())
    except _BROKEN:
        return packet, frozenset()


def _kinds(prop: Attr | Element) -> set[str] | None:
    """What a property speaks of that lies elsewhere; None for all others."""
    for space, names, kind in _ELSEWHERE:
        own, name = prop.namespaceURI or "", prop.localName or ""
        begins = own.startswith(space) if kind == "depth" else own == space
        if begins and name.startswith(names):
            if kind or isinstance(prop, Attr):
                return {kind} - {""}
            semantics = {
                value.lower()
                for element in prop.getElementsByTagName("*")
                if (value := element.getAttributeNS(_ITEM, "Semantic"))
            } - {"primary"}
            return {_SEMANTICS.get(value, "picture") for value in semantics}
    return None


def with_gain_map(packet: bytes | None, length: int) -> bytes:
    """A packet that announces a map of so many bytes behind the picture (Ultra HDR 1.1)."""
    entry = _DIRECTORY.format(
        gain_map=_GAIN_MAP, container=_CONTAINER, item=_ITEM, length=length
    ).encode()
    if packet is not None:
        closing = packet.rfind(b"</rdf:RDF>")
        if closing >= 0:
            return packet[:closing] + entry + packet[closing:]
    return (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="'
        + _RDF.encode() + b'">' + entry + b"</rdf:RDF></x:xmpmeta>"
    )  # fmt: skip


def extension_of(packet: bytes) -> bytes | None:
    """The name of the extension that a packet refers to."""
    found = re.search(rb"HasExtendedXMP\s*(?:=\s*[\"']|>)\s*([0-9A-Fa-f]{32})", packet)
    return None if found is None else found[1]


def joined(main: bytes, extended: bytes | None) -> bytes:
    """One packet of both; of the main one alone, without the reference, where it is None.

    Raises ValueError where one of them cannot be read.
    """
    try:
        document = _parsed(main)
        for node in list(_descriptions(document)):
            for prop in list(_properties(node)):
                if (prop.namespaceURI, prop.localName) == (_NOTE, "HasExtendedXMP"):
                    _remove(node, prop)
        root = document.getElementsByTagNameNS(_RDF, "RDF")[0]
        if extended is not None:
            for node in list(_descriptions(_parsed(extended))):
                root.appendChild(document.importNode(_with_spaces(node), True))
        return _written(document)
    except _BROKEN as error:
        raise ValueError("no XMP") from error


def split(packet: bytes, room: int) -> tuple[bytes, bytes | None] | None:
    """A packet of at most `room` bytes and its extension, without the reference to it yet.

    The largest properties move. None where that cannot be done.
    """
    head, closing, rest = packet.rpartition(b"<?xpacket end")
    bare = head.rstrip() + closing + rest  # without the room to write into
    if len(bare) <= room:
        return bare, None
    try:
        document = _parsed(bare)
        other = _parsed(
            b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="%b"/></x:xmpmeta>'
            % _RDF.encode()
        )
        root = other.getElementsByTagNameNS(_RDF, "RDF")[0]
        sizes = [
            (_size(prop), number, node, prop)
            for number, node in enumerate(_descriptions(document))
            for prop in _properties(node)
        ]
        homes: dict[int, Element] = {}
        over = len(_written(document)) + _ROOM_FOR_NOTE - room
        for size, number, node, prop in sorted(sizes, key=lambda one: -one[0]):
            if over <= 0:
                break
            if number not in homes:
                empty = other.importNode(_with_spaces(node), False)
                for extra in list(_properties(empty)):
                    _remove(empty, extra)
                homes[number] = root.appendChild(empty)
            _remove(node, prop)
            if isinstance(prop, Attr):
                homes[number].setAttributeNS(prop.namespaceURI, prop.name, prop.value)
            else:
                homes[number].appendChild(other.importNode(prop, True))
            over -= size
        main, extended = _written(document), _written(other)
    except _BROKEN:
        return None
    return (main, extended) if len(main) + _ROOM_FOR_NOTE <= room else None


def with_reference(main: bytes, guid: bytes) -> bytes:
    """A packet that refers to its extension."""
    entry = b'<rdf:Description rdf:about="" xmlns:xmpNote="%b" xmpNote:HasExtendedXMP="%b"/>' % (
        _NOTE.encode(),
        guid,
    )
    closing = main.rindex(b"</rdf:RDF>")
    return main[:closing] + entry + main[closing:]


def _parsed(packet: bytes) -> Document:
    packet = packet.strip(b"\0 \r\n\t").removeprefix(b"\xef\xbb\xbf")
    if b"<!DOCTYPE" in packet or b"<!ENTITY" in packet:
        raise ValueError("definitions have no place in XMP")
    return parseString(packet)


def _written(document: Document) -> bytes:
    # Without the declaration of XML, which a packet does not have.
    return b"\n".join(node.toxml().encode() for node in document.childNodes)


def _descriptions(document: Document) -> Iterator[Element]:
    for root in document.getElementsByTagNameNS(_RDF, "RDF")[:1]:
        for node in list(root.childNodes):
            if isinstance(node, Element) and node.localName == "Description":
                yield node


def _properties(node: Element) -> Iterator[Attr | Element]:
    """Attributes and elements that say something of the picture."""
    attributes = [node.attributes.item(i) for i in range(node.attributes.length)]
    for attribute in attributes:
        if isinstance(attribute, Attr) and attribute.namespaceURI not in (_XMLNS, _RDF, None):
            yield attribute
    for child in list(node.childNodes):
        if isinstance(child, Element):
            yield child


def _remove(node: Element, prop: Attr | Element) -> None:
    if isinstance(prop, Attr):
        node.removeAttributeNode(prop)
    else:
        node.removeChild(prop)


def _size(prop: Attr | Element) -> int:
    text = f'{prop.name}="{prop.value}" ' if isinstance(prop, Attr) else prop.toxml()
    return len(text.encode())


def _with_spaces(node: Element) -> Element:
    """The element with the prefixes that were declared around it."""
    parent = node.parentNode
    while isinstance(parent, Element):
        for i in range(parent.attributes.length):
            attribute = parent.attributes.item(i)
            if not isinstance(attribute, Attr) or attribute.namespaceURI != _XMLNS:
                continue
            if not node.hasAttribute(attribute.name):
                node.setAttributeNS(_XMLNS, attribute.name, attribute.value)
        parent = parent.parentNode
    return node
