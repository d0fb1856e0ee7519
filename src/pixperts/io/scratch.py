"""A folder of temporary files that goes with its process, also where that was killed."""

import contextlib
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from pixperts.io.atomic import lock

_LOCK = ".lock"


class ScratchFolder:
    """A new folder, readable by its owner alone; a context manager.

    It is locked for as long as its process lives. Those of the same prefix that nobody holds any
    more are removed when a new one is made.

    Args:
        prefix: of its name.
        parent: where it is made; by default the system's folder for temporary files.

    Attributes:
        root: the folder, without links in its path.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self, prefix: str, parent: Path | None = None) -> None:
        parent = Path(tempfile.gettempdir()) if parent is None else parent
        remove_abandoned(prefix, parent)
        self.root = Path(tempfile.mkdtemp(prefix=prefix, dir=parent)).resolve()
        self._handle: IO[bytes] = (self.root / _LOCK).open("wb")
        lock(self._handle)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remove everything."""
        shutil.rmtree(self.root, ignore_errors=True)
        self._handle.close()


def remove_abandoned(prefix: str, parent: Path) -> int:
    """Remove the folders of processes that no longer run; how many there were."""
    removed = 0
    for folder in parent.glob(f"{prefix}*"):
        with contextlib.suppress(OSError), (folder / _LOCK).open("rb+") as handle:
            if lock(handle, wait=False):
                shutil.rmtree(folder, ignore_errors=True)
                removed += 1
    return removed
