"""Open one page of a TIFF file, where its directory has to be read in another way than it says."""

import mmap
from pathlib import Path
from typing import Any

from pixperts.io.tiff.pages import BITS, MAX_SAMPLE, MIN_SAMPLE, SAMPLE_FORMAT, Page
from pixperts.io.vips import libvips, open_image

# Tags with a number for each channel; libtiff takes a single one for all.
_PER_CHANNEL = frozenset({BITS, MIN_SAMPLE, MAX_SAMPLE, SAMPLE_FORMAT})
_LONG = 4


def open_page(path: Path, page: Page, *, alone: bool) -> tuple[Any, Any]:
    """A lazily decoded page, and the memory that it needs while it is decoded.

    What libtiff says of any page on its way through the file fails the load of this one. So where
    the page is not `alone` in its file and cannot be read, it is read without the others.
    """
    if not page.in_chain:
        return open_changed(path, page, {})
    if alone:
        return open_image(path, "tiff", page.number), None
    try:
        open_image(path, "tiff", page.number).crop(0, 0, 1, 1).avg()
    except libvips().Error:
        changed = open_changed(path, page, {})
        try:
            changed[0].crop(0, 0, 1, 1).avg()
        except libvips().Error:
            pass  # the error of the file itself says more
        else:
            return open_changed(path, page, {})
    return open_image(path, "tiff", page.number), None


def open_changed(path: Path, page: Page, changes: dict[int, int]) -> tuple[Any, Any]:
    """The page as if its directory held other numbers, and the memory that it needs.

    The file stays as it is: it is mapped into memory, where the pages that are written to are
    copies. Tags that the directory does not have are left out.
    """
    with path.open("rb") as handle:
        memory = mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_COPY)
    big, word = page.layout.big, page.layout.word
    order: Any = "little" if page.layout.order == "<" else "big"
    head, size = (8, 20) if big else (2, 12)
    first = 8 if big else 4
    memory[first : first + word] = page.at.to_bytes(word, order)
    count = int.from_bytes(memory[page.at : page.at + head], order)
    for at in range(page.at + head, page.at + head + count * size, size):
        tag = int.from_bytes(memory[at : at + 2], order)
        number = changes.get(tag)
        if number is None and tag in _PER_CHANNEL and changes and tag in page.tags:
            number = page.whole(tag)
        if number is not None:
            row = _LONG.to_bytes(2, order) + (1).to_bytes(word, order) + number.to_bytes(4, order)
            memory[at + 2 : at + size] = row.ljust(size - 2, b"\0")
    link = page.at + head + count * size
    memory[link : link + word] = bytes(word)
    source = libvips().Source.new_from_memory(memory)
    load = libvips().Image.tiffload_source
    return load(source, access="sequential", fail_on="error", revalidate=True), (source, memory)
