"""The folder of temporary files of a server: uploads, results and their previews.

It lies in the folder of the system for temporary files, readable by its owner only, and is removed
when the server ends. If a server was killed, the next one of its kind removes it.
"""

import os
import secrets
import shutil
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from pixperts.io.scratch import ScratchFolder
from pixperts.jobs.names import numbered

KEPT = 3600.0  # seconds after which files of a run are removed


class Workspace:
    """A folder with one folder for each run; a context manager, which makes it when entered.

    Args:
        kind: of server, such as "app"; a part of the name of the folder.
        parent: where the folder is made; by default the system's folder for temporary files.

    Attributes:
        root: the folder.
        samples: a folder in it for examples.
    """

    def __init__(self, kind: str, parent: Path | None = None) -> None:
        self._scratch = ScratchFolder(f"pixperts-{kind}-", parent)
        self.root = self._scratch.root
        self.samples = self.root / "samples"
        self._runs: dict[str, Path] = {}
        self._guard = threading.Lock()

    def __enter__(self) -> "Workspace":
        """Make the folder.

        Raises:
            OSError: it cannot be made.
        """
        try:
            self._scratch.__enter__()
            self.samples.mkdir()
            return self
        except BaseException:  # also a signal that ends the program
            self.close()
            raise

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove everything."""
        self._scratch.close()

    def make(self) -> Path:
        """A new folder with a random name, and an empty folder `in` inside."""
        folder = self.root / "runs" / secrets.token_hex(16)
        (folder / "in").mkdir(parents=True)
        return folder

    def begin(self, run: str, uploads: Sequence[str | Path]) -> tuple[Path, list[Path]]:
        """A new folder for a run, with its uploads; an earlier one of the same name is removed.

        Args:
            run: name of the visitor, a slash, and the name of the run.
            uploads: files; equal names get numbers.

        Returns:
            The folder, and the paths of the uploads inside it.
        """
        self.forget(run)
        folder = self.make()
        inside = folder / "in"
        paths: list[Path] = []
        for upload in map(Path, uploads):
            path, number = inside / upload.name, 1
            while path.exists():
                number += 1
                path = numbered(inside / upload.name, number)
            try:
                os.link(upload, path)
            except OSError:  # another file system, or one without links
                shutil.copyfile(upload, path)
            paths.append(path)
        with self._guard:
            self._runs[run] = folder
        return folder, paths

    def forget(self, name: str) -> None:
        """Remove the files of a run, or of all runs of a visitor, and those that are too old."""
        with self._guard:
            gone = [
                run
                for run, folder in self._runs.items()
                if run == name or run.startswith(f"{name}/") or _age(folder) > KEPT
            ]
            folders = [self._runs.pop(run) for run in gone]
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return KEPT + 1
