"""The finished segments of a video that is being made, in a hidden folder beside it."""

import json
import os
import shutil
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from pixperts.errors import ImageError
from pixperts.io.atomic import lock, remove_leftovers, replacing
from pixperts.io.vips import reason
from pixperts.video.segments import ENDING

_SETTINGS = "settings.json"
_LOCK = "lock"
# A killed run loses one segment; but shorter segments have more key frames, which cost bytes.
_PIXELS = 60_000_000  # output pixels of a segment
_FEWEST, _MOST = 24, 250


def segment_length(width: int, height: int) -> int:
    """Frames of a segment of a video of this size.

    >>> segment_length(640, 360), segment_length(1280, 720), segment_length(3840, 2160)
    (250, 65, 24)
    """
    return min(max(round(_PIXELS / (width * height)), _FEWEST), _MOST)


class Parts:
    """The folder of segments; a context in which no other run works on the same output.

    Args:
        target: the video.
        settings: plain values that its pixels depend on. Segments of other settings are removed.
        length: frames of a segment.

    Attributes:
        resumed: whether there are segments of an earlier run.

    Raises:
        ImageError: another run works on it, or the folder cannot be written.
    """

    def __init__(self, target: Path, settings: dict[str, Any], length: int) -> None:
        self.target, self.folder, self.length = target, folder_of(target), length
        self._settings = json.dumps({**settings, "length": length}, sort_keys=True, default=str)
        self._handle: IO[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._handle = (self.folder / _LOCK).open("wb")
        except OSError as error:
            raise ImageError(
                f"{self.target} cannot be written ({reason(error)}): check the free space and the "
                "permissions of its folder."
            ) from None
        if not lock(self._handle, wait=False) and os.name == "posix":
            self._handle.close()
            self._handle = None
            raise ImageError(
                f"{self.target} is being made by another run: wait for it, or name another output."
            )
        remove_leftovers([self.folder])
        known = self.folder / _SETTINGS
        if not known.is_file() or known.read_text(encoding="utf-8") != self._settings:
            for path in self.folder.glob(f"*{ENDING}"):
                path.unlink()
            with replacing(known) as temporary:
                temporary.write_text(self._settings, encoding="utf-8")
        self.resumed = any(self.folder.glob(f"*{ENDING}"))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._handle is not None:
            self._handle.close()

    def segment(self, number: int) -> Path:
        """The file of a segment, counted from 0."""
        return self.folder / f"{number:06}{ENDING}"

    def remove(self) -> None:
        """Remove the folder, once the video is complete."""
        shutil.rmtree(self.folder, ignore_errors=True)


def folder_of(target: Path) -> Path:
    """The hidden folder of the segments of a video."""
    return target.with_name(f".pixperts-{target.name}.parts")


def finished_frames(target: Path) -> int:
    """How many frames lie in segments of an earlier run, whatever its settings were."""
    folder = folder_of(target)
    try:
        known = json.loads((folder / _SETTINGS).read_text(encoding="utf-8"))
        return int(known["length"]) * sum(1 for _ in folder.glob(f"*{ENDING}"))
    except (OSError, ValueError, KeyError, TypeError):
        return 0
