"""Memory: what is free, what a process holds, and what the C library keeps of what was freed.

By default glibc returns every block over 32 MB to the kernel when it is freed, and the next
allocation faults in fresh pages. Networks allocate and free such blocks thousands of times per
picture.
"""

import contextlib
import ctypes
import re
import sys
from pathlib import Path

from pixperts.errors import NotEnoughMemoryError

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4


def keep_freed_memory() -> bool:
    """Make glibc keep freed memory for the next allocation; True where it agreed.

    For the whole process and for good: whatever is freed afterwards, by any library, stays with
    the process. The command line and training call this; `pixperts.load` does not, so a program
    that does little else than repair or enlarge pictures may call it once at its start. It has no
    effect, and returns False, on other systems than Linux and with other C libraries than glibc.
    """
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


def resident_memory() -> int:
    """Bytes of memory that this process holds now."""
    import psutil

    return int(psutil.Process().memory_info().rss)


def check_memory(
    width: int,
    height: int,
    channels: int = 3,
    available: int | None = None,
    what: str = "A result",
) -> None:
    """Raise NotEnoughMemoryError where a float32 result and one working copy pass the free memory.

    `available` is in bytes, `available_memory()` by default. One GB is 10**9 bytes. `what` begins
    the sentence of the error.
    """
    free = available_memory() if available is None else available
    needed = 2 * 4 * width * height * channels
    if needed > free:
        raise NotEnoughMemoryError(
            f"{what} of {width} x {height} pixels needs {needed / 1e9:.1f} GB of memory and "
            f"{free / 1e9:.1f} GB are free: choose a smaller size or close other programs."
        )


def available_memory(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes that a new program may use: what is free, or what a cgroup v2 limit leaves if less.

    Containers limit memory by cgroups, which psutil does not look at. `cgroup` is the folder of
    the limit.
    """
    import psutil

    free = int(psutil.virtual_memory().available)
    left = _left_in(cgroup)
    return free if left is None else min(free, left)


def _left_in(cgroup: Path) -> int | None:
    try:
        limit = (cgroup / "memory.max").read_text().strip()
        used = int((cgroup / "memory.current").read_text())
        # The page cache counts as used, but is given up before anything is refused.
        cache = re.search(
            r"^inactive_file (\d+)", (cgroup / "memory.stat").read_text(), re.MULTILINE
        )
        return max(0, int(limit) - used + (int(cache[1]) if cache else 0))
    except (OSError, ValueError):  # No cgroup v2, or "max" for no limit.
        return None
