"""Which part of a picture a network is given, and which part of the result is wanted."""

from typing import NamedTuple


class Window(NamedTuple):
    """Rows `top` to `bottom` and columns `left` to `right` of a picture, the ends left out."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.bottom - self.top, self.right - self.left


class Part(NamedTuple):
    """A tile of an enlargement: `out` of the whole result is wanted, `source` is given.

    `source` are the given pixels' place in the whole LR picture, whose size is `whole` (h, w).
    """

    out: Window
    source: Window
    whole: tuple[int, int]
