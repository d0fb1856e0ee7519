"""Join the manifests of several shards into one."""

import collections
import hashlib
import heapq
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from pixperts.errors import ImageError, UsageError
from pixperts.io.atomic import replacing
from pixperts.io.vips import reason
from pixperts.jobs.manifest import read_entries


class Joined(NamedTuple):
    """How many lines the joined manifest holds, and how many repeated ones were left out."""

    lines: int
    repeated: int


def join(target: Path, parts: Sequence[Path]) -> Joined:
    """Write the lines of all parts into one manifest, by their times; a line counts once.

    The order within a part is kept. Lines that the target holds already are kept as well, so
    that joining may be repeated when more shards are done.

    Raises:
        UsageError: a part is missing, or a part or the target is not a manifest.
        ImageError: a file cannot be read or written.
    """
    for part in parts:
        if not part.exists():
            raise UsageError(f"{part} does not exist: run its shard, or leave it out.")
    sources = [*([target] if os.path.lexists(target) else []), *parts]
    for source in sources:  # all of them, before anything is written
        collections.deque(_timed(source), maxlen=0)
    seen: set[bytes] = set()
    repeated = 0
    # One open file at a time and a block of each: there may be thousands of shards.
    merged = heapq.merge(*map(_timed, sources), key=lambda one: one[0])
    with replacing(target) as temporary, temporary.open("wb") as file:
        for _, line in merged:
            digest = hashlib.sha256(line).digest()[:16]
            if digest in seen:
                repeated += 1
                continue
            seen.add(digest)
            file.write(line)
    return Joined(len(seen), repeated)


def _timed(path: Path) -> Iterator[tuple[str, bytes]]:
    """The lines of a manifest, each with the latest time so far, so that their order stays."""
    latest = ""
    try:
        for line, entry in read_entries(path):
            latest = max(latest, str(entry.get("time", "")))
            yield latest, line
    except FileNotFoundError as error:
        raise ImageError(f"{path} cannot be read ({reason(error)}).") from None
