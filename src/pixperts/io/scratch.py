"""A folder of temporary files that goes with its process, also where that was killed."""

import contextlib
import secrets
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from pixperts.io.atomic import lock

_LOCK = ".lock"


class ScratchFolder:
    """A new folder, readable by its owner alone; a context manager, which makes it when entered.

    It is locked for as long as its process lives. Folders of the same prefix that no process holds
    are removed when a new one is made.

    Args:
        prefix: of its name.
        parent: where it is made; by default the system's folder for temporary files.

    Attributes:
        root: the folder, without links in its path.
    """

    def __init__(self, prefix: str, parent: Path | None = None) -> None:
        parent = Path(tempfile.gettempdir()) if parent is None else parent
        self._prefix = prefix
        # Named before it is made: a signal may end the program at any moment in between, and what
        # has no name yet could not be removed.
        self.root = parent.resolve() / f"{prefix}{secrets.token_hex(8)}"
        self._handle: IO[bytes] | None = None

    def __enter__(self) -> Self:
        """Make the folder.

        Raises:
            OSError: it cannot be made.
        """
        remove_abandoned(self._prefix, self.root.parent)
        try:
            self.root.mkdir(mode=0o700)
            self._handle = (self.root / _LOCK).open("wb")
            lock(self._handle)
            return self
        except BaseException:  # also a signal that ends the program
            self.close()
            raise

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
        if self._handle is not None:
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
