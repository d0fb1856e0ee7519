"""The folder of a server's temporary files: uploads, results and what is shown of them.

It lies in the system's folder for temporary files, readable by its owner alone, and goes with the
server. What one that was killed left behind is removed by the next one of its kind.
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

KEPT = 3600.0  # seconds after which the files of a visitor who went away are removed


class Workspace:
    """A folder with one folder for each run; a context manager.

    Args:
        kind: of server, such as app; a part of the folder's name.
        parent: where the folder is made; by default the system's folder for temporary files.

    Attributes:
        root: the folder.
        samples: a folder in it for examples.
    """

    def __init__(self, kind: str, parent: Path | None = None) -> None:
        self._scratch = ScratchFolder(f"pixperts-{kind}-", parent)
        self.root = self._scratch.root
        self.samples = self.root / "samples"
        self.samples.mkdir()
        self._runs: dict[str, Path] = {}
        self._guard = threading.Lock()

    def __enter__(self) -> "Workspace":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove everything."""
        self._scratch.close()

    def make(self) -> Path:
        """A new folder with an empty folder `in`, of which nobody else knows the name."""
        folder = self.root / "runs" / secrets.token_hex(16)
        (folder / "in").mkdir(parents=True)
        return folder

    def begin(self, run: str, uploads: Sequence[str | Path]) -> tuple[Path, list[Path]]:
        """A folder for a run, with its uploads inside; the former one of that name is removed.

        Uploads of the same name get numbers. The name is that of the visitor, a slash, and more.
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
        """Remove the files of a run, or of all runs of a visitor, and those of long ago."""
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
