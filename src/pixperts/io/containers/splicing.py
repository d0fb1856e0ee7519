"""Bytes put into the middle of a file, which grows in place."""

import os
from typing import BinaryIO

_PART = 1 << 20


def insert(handle: BinaryIO, at: int, data: bytes, replaced: int = 0) -> None:
    """Put `data` where `replaced` bytes begin at `at`; what follows moves, from the end forwards.

    Raises ValueError where the file would become shorter.
    """
    shift = len(data) - replaced
    if shift < 0:
        raise ValueError("fewer bytes than they replace")
    end = handle.seek(0, os.SEEK_END)
    while shift and end > at + replaced:
        start = max(at + replaced, end - _PART)
        handle.seek(start)
        part = handle.read(end - start)
        handle.seek(start + shift)
        handle.write(part)
        end = start
    handle.seek(at)
    handle.write(data)
