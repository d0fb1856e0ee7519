"""Make the C library keep freed memory, so that large buffers are not zeroed again and again.

By default glibc returns every block over 32 MB to the kernel when it is freed; the next
allocation faults in fresh pages. Networks allocate and free such blocks thousands of times a
picture.
"""

import contextlib
import ctypes
import re
import sys
from pathlib import Path

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4


def keep_freed_memory() -> bool:
    """Ask glibc to serve large blocks from the heap and not to trim it; True where it agreed."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):  # another C library: it has its own policy
        return False
    wishes = {_M_MMAP_MAX: 0, _M_TRIM_THRESHOLD: 2**31 - 1, _M_TOP_PAD: 64 << 20}
    return all(mallopt(name, value) == 1 for name, value in wishes.items())


def give_back_freed_memory() -> None:
    """Hand the pages of freed blocks back to the system, where glibc is asked to keep them.

    Blocks of another size do not fit into the holes that earlier ones left: a tile of a new shape
    would need its memory on top.
    """
    if sys.platform.startswith("linux"):
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL("libc.so.6").malloc_trim(0)


def resident_memory(status: Path = Path("/proc/self/status")) -> int:
    """Bytes of memory that this process holds now; 400 MB where the system does not tell."""
    try:
        match = re.search(r"^VmRSS:\s+(\d+) kB", status.read_text(), re.MULTILINE)
    except OSError:
        match = None
    return 400_000_000 if match is None else int(match[1]) * 1024
