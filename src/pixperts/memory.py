"""Make the C library keep freed memory, so that large buffers are not zeroed again and again.

By default glibc returns every block over 32 MB to the kernel when it is freed; the next
allocation faults in fresh pages. Networks allocate and free such blocks thousands of times a
picture.
"""

import ctypes
import sys

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
