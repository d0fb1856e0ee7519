"""Damage in tiles of a TIFF file, which libvips passes over: the rest of a tile stays black.

It says so only in its buffer of errors, which belongs to the whole process: other threads write
into it as well, and empty it.
"""

import contextlib
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator

from pixperts.io.vips import libvips

_ONE_AT_A_TIME = threading.Lock()
_TRIES = 8
_PATIENCE = 10  # seconds, if other threads use the buffer all the time
UNCHECKED = "the tiles could not be checked"
_FULL = 8000  # bytes after which the buffer, of 10240, may leave out what is said


@contextlib.contextmanager
def nothing_passed_over(reopen: Callable[[], Callable[[], object]]) -> Iterator[None]:
    """Raise libvips' Error at the end where something inside went wrong without failing.

    `reopen` opens the file anew and returns what decodes the same once more: damage stays, and what
    another thread said does not come again.
    """
    with _ONE_AT_A_TIME:
        mark = _set_mark()
        yield
        found = _said_since(mark)
        tries, start = 0, time.monotonic()
        while found != "":
            # On a busy processor, other threads may empty the buffer during each of many tries.
            if tries >= _TRIES or time.monotonic() - start > _PATIENCE:
                break
            decode = reopen()
            mark = _set_mark()  # afterwards, as opening a file may empty the buffer
            decode()
            found = _said_since(mark)
            tries += found is not None
        if found == "":
            return
        raise libvips().Error("decoding failed", found or UNCHECKED)


def _set_mark() -> bytes:
    """A line in the buffer by which it is seen whether the buffer was emptied since."""
    library = libvips()
    mark = f"pixperts-{secrets.token_hex(8)}"
    library.vips_lib.vips_error_clear()
    # The library has no plainer way in: a file that is missing becomes a line with its name.
    library.vips_lib.vips_foreign_find_load(os.fsencode(mark))
    return mark.encode()


def _said_since(mark: bytes) -> str | None:
    """What libtiff said, "" for nothing; None where other threads emptied or filled the buffer."""
    library = libvips()
    buffer = library.ffi.string(library.vips_lib.vips_error_buffer())
    _, seen, after = buffer.partition(mark)
    lines = [line for line in after.splitlines() if line.startswith(b"tiff2vips: ")]
    if lines:
        return str(lines[0], "utf-8", "replace")
    return "" if seen and len(buffer) < _FULL else None
