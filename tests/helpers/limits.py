"""Bounds on what a block of a test may take."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) * 1024


@contextlib.contextmanager
def bounded(megabytes: float = 100, seconds: float = 3) -> Iterator[None]:
    """Fails where the block takes more resident memory or processor time than that."""
    reset = Path("/proc/self/clear_refs")
    known = reset.exists()
    if known:
        reset.write_text("5")  # the peak is counted from here on
    before, begin = _status("VmRSS") if known else 0, time.process_time()
    yield
    assert time.process_time() - begin < seconds
    if known:
        assert (_status("VmHWM") - before) / 1e6 < megabytes
