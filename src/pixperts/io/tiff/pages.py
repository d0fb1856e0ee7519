"""What the directories of a TIFF file say of its pages, and which page is the picture."""

import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from pixperts.io.tiff.tags import Layout, Value, raw_entries, read_layout, read_value

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 256, 257, 258, 259, 262
SAMPLES, ROWS_PER_STRIP, MIN_SAMPLE, MAX_SAMPLE, PLANAR = 277, 278, 280, 281, 284
TILE_WIDTH, TILE_HEIGHT, INK_SET, EXTRA_SAMPLES, SAMPLE_FORMAT = 322, 323, 332, 338, 339
LUMA, SUBSAMPLING, REFERENCE = 529, 530, 532
_KIND, _OLD_KIND, _PREDICTOR, _SUB_PAGES = 254, 255, 317, 330

GRAY_WHITE, GRAY, RGB, PALETTE, MASK, CMYK, YCBCR = 0, 1, 2, 3, 4, 5, 6
CIE_LAB, ICC_LAB = 8, 9
OLD_JPEG, NEW_JPEG = 6, 7

_MOST_PAGES = 4096  # so that a damaged chain of directories comes to an end


@dataclass(frozen=True)
class Page:
    """One page (TIFF 6.0; the names are those of its tags).

    `number` counts the directories of the chain from 0, `at` is the place of the directory in the
    file, `tags` holds the numbers of the tags that say how the pixels are stored. `in_chain` is
    False for a picture that only a preview points to.
    """

    number: int
    at: int
    layout: Layout
    tags: dict[int, tuple[float, ...]] = field(repr=False)
    in_chain: bool = True

    def whole(self, tag: int, default: int = 0) -> int:
        """The first number of a tag."""
        return int(self.tags.get(tag, (default,))[0])

    @property
    def size(self) -> tuple[int, int]:
        """Width and height as stored."""
        return self.whole(WIDTH), self.whole(HEIGHT)

    @property
    def colors(self) -> int:
        """Channels that make the color; 0 where the page holds no such picture."""
        return {GRAY_WHITE: 1, GRAY: 1, PALETTE: 1, MASK: 1, CMYK: 4}.get(
            self.whole(PHOTOMETRIC, -1), 3
        )

    @property
    def extra(self) -> tuple[int, ...] | None:
        """What each further channel is (1 and 2: transparency); None where the file is silent."""
        count = self.whole(SAMPLES, 1) - self.colors
        if count <= 0:
            return ()
        if EXTRA_SAMPLES not in self.tags:
            return None
        known = [int(kind) for kind in self.tags[EXTRA_SAMPLES]][-count:]
        return tuple(known + [0] * (count - len(known)))

    @property
    def is_tiled(self) -> bool:
        """Whether it is stored in tiles and not in strips."""
        return TILE_WIDTH in self.tags

    @property
    def is_planar(self) -> bool:
        """Whether each channel is stored apart."""
        return self.whole(PLANAR, 1) == 2 and self.whole(SAMPLES, 1) > 1

    @property
    def is_picture(self) -> bool:
        """Whether it is not marked as a smaller copy or as the mask of another page."""
        kind = self.whole(_KIND)
        reduced = kind & 1 or (_KIND not in self.tags and self.whole(_OLD_KIND) == 2)
        return not (reduced or kind & 4 or self.whole(PHOTOMETRIC, -1) == MASK)

    @property
    def predictor(self) -> int:
        """1 where samples are stored as they are."""
        return self.whole(_PREDICTOR, 1)

    def is_preview_of(self, other: "Page") -> bool:
        """Whether it is smaller and of the same shape, like a level of a pyramid."""
        (width, height), (full_width, full_height) = self.size, other.size
        # The aspect is kept up to one pixel of rounding per side.
        skew = abs(width * full_height - height * full_width)
        return width < full_width and height < full_height and skew <= full_width + full_height


def read_pages(path: Path) -> tuple[list[Page], bool]:
    """The pages of a TIFF file up to the first damaged directory, and whether these are all."""
    pages: list[Page] = []
    complete = False
    try:
        with path.open("rb") as handle:
            layout = read_layout(handle)
            at, seen = layout.first, set[int]()
            while at and at not in seen and len(pages) < _MOST_PAGES:
                seen.add(at)
                entries, following = raw_entries(handle, layout, at)
                pages.append(Page(len(pages), at, layout, _numbers(handle, layout, entries)))
                at = following
            complete = not at
            if pages and not any(page.is_picture for page in pages):
                pages[0] = _below(handle, pages[0]) or pages[0]
    except (OSError, ValueError, struct.error, OverflowError):
        complete = False
    return pages, complete


def _below(handle: BinaryIO, preview: Page) -> Page | None:
    """The picture among the pages that a preview points to."""
    for at in map(int, preview.tags.get(_SUB_PAGES, ())):
        entries, _ = raw_entries(handle, preview.layout, at)
        tags = _numbers(handle, preview.layout, entries)
        page = Page(preview.number, at, preview.layout, tags, in_chain=False)
        if page.is_picture:
            return page
    return None


def _numbers(
    handle: BinaryIO, layout: Layout, entries: dict[int, bytes]
) -> dict[int, tuple[float, ...]]:
    wanted = {
        *(WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, SAMPLES, ROWS_PER_STRIP, MIN_SAMPLE),
        *(MAX_SAMPLE, PLANAR, TILE_WIDTH, TILE_HEIGHT, INK_SET, EXTRA_SAMPLES, SAMPLE_FORMAT),
        *(LUMA, SUBSAMPLING, REFERENCE, _KIND, _OLD_KIND, _PREDICTOR, _SUB_PAGES),
    }
    found: dict[int, tuple[float, ...]] = {}
    for tag in wanted & entries.keys():
        value = read_value(handle, layout, entries[tag])
        numbers = None if value is None else _decoded(value, layout.order)
        if numbers:
            found[tag] = numbers
    return found


def _decoded(value: Value, order: str) -> tuple[float, ...] | None:
    if value.type in (5, 10):
        pairs = struct.unpack(
            f"{order}{2 * value.number}{'I' if value.type == 5 else 'i'}", value.data
        )
        return tuple(
            above / below if below else 0.0
            for above, below in zip(pairs[::2], pairs[1::2], strict=True)
        )
    if value.type in (11, 12):
        return struct.unpack(f"{order}{value.number}{'f' if value.type == 11 else 'd'}", value.data)
    code = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}.get(value.type)
    return None if code is None else struct.unpack(f"{order}{value.number}{code}", value.data)


def pictures(pages: list[Page]) -> list[Page]:
    """The pages that are pictures of their own, without previews, masks and levels of pyramids.

    Never empty where there are pages.
    """
    found: list[Page] = []
    before: Page | None = None
    for page in filter(lambda page: page.is_picture, pages):
        # The levels of a pyramid become smaller and smaller.
        shrinks = before is not None and page.is_preview_of(before)
        if not (shrinks and page.is_preview_of(found[-1])):
            found.append(page)
        before = page
    return found or pages[:1]
