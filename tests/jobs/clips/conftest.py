"""Short segments, and a look at what is encoded."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from pixperts.jobs.clips import parts
from pixperts.ops.pixels import Pixels
from pixperts.video.segments import write_segment


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments of four frames."""
    monkeypatch.setattr(parts, "_FEWEST", 4)
    monkeypatch.setattr(parts, "_MOST", 4)


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[Pixels]:
    """The frames that are handed to the encoder."""
    seen: list[Pixels] = []

    def write(path: Path, clip: Any, encoding: Any, frames: Iterable[Pixels]) -> int:
        def watched() -> Iterable[Pixels]:
            for pixels in frames:
                seen.append(pixels)
                yield pixels

        return write_segment(path, clip, encoding, watched())

    monkeypatch.setattr("pixperts.jobs.clips.work.write_segment", write)
    return seen
