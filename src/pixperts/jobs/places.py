"""Where the files of a run lie: `Places` is this machine.

What a run asks of a file system goes through here, so that objects of a store can take the place
of files (`objects.ObjectPlaces`).
"""

import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import TracebackType
from typing import Self

from pixperts.errors import UsageError, explain
from pixperts.io.folders import walk
from pixperts.io.urls import local_name, parse_url
from pixperts.jobs.job import Done, Job
from pixperts.jobs.reports import Report
from pixperts.weights.checksums import file_sha256


class Opened:
    """The files of one picture while it is in work; here those that the job names."""

    def __init__(self, job: Job) -> None:
        self.job = job

    def fetch(self) -> Job:
        """The job with files that can be read and written.

        Raises:
            UsageError, ImageError: with one sentence.
        """
        return self.job

    def deliver(self, done: Done) -> None:
        """Have the results where the job wants them, whole or not at all.

        Raises:
            UsageError, ImageError: with one sentence.
        """

    def close(self) -> None:
        """Remove what was only needed for the work."""

    def explain(self, error: Exception) -> str:
        """One sentence that names the picture."""
        return explain(self.job.source, error)

    def report(self, report: Report) -> Report:
        """With the names of the job."""
        return report


class Places:
    """The file system of this machine; a context manager.

    Attributes:
        remote: whether some files are objects of a store, which take time to be reached.
    """

    remote = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Nothing is left to be removed."""

    def path(self, name: str | Path) -> Path:
        """What a name of a file or folder is called during the run."""
        return Path(name)

    def name(self, path: Path) -> str:
        """What a path is called in a manifest, the same from wherever it is seen."""
        return os.path.abspath(path)

    def anywhere(self, path: Path) -> str:
        """What a path is called from any working folder, on any machine."""
        return os.path.join(os.getcwd(), path)

    def named(self, text: str) -> str:
        """A text for a person, in which paths are called by their names."""
        return text

    def names_of(self, job: Job) -> tuple[str, str] | None:
        """Names of source and target where they are not those of files."""
        return None

    def is_folder(self, path: Path) -> bool:
        """Whether this is a folder that exists."""
        return os.path.isdir(path)

    def is_file(self, path: Path, *, fresh: bool = True) -> bool:
        """Whether this is a file that exists; unless `fresh`, at the time of `survey`."""
        return os.path.isfile(path)

    def exists(self, path: Path, *, fresh: bool = True) -> bool:
        """Whether anything is here, a broken link included; see `is_file`."""
        return os.path.lexists(path)

    def is_top(self, folder: Path) -> bool:
        """Whether no other folder can be made beside this one."""
        return not folder.name

    def walk(
        self, root: Path, *, barred: Collection[str] = (), deep: bool = True
    ) -> Iterator[tuple[Path, list[str], list[str]]]:
        """As `io.folders.walk`; unless `deep`, no folder will be entered."""
        return walk(root, barred=barred)

    def holds_file(self, path: Path) -> bool:
        """Whether what `walk` named is a file."""
        return path.is_file()

    def reading(self, path: Path) -> AbstractContextManager[Path]:
        """A file that can be read."""
        return nullcontext(path)

    def sha256(self, path: Path) -> str:
        """SHA-256 of a file's bytes, in hexadecimal."""
        return file_sha256(path)

    def problem(self, job: Job) -> str | None:
        """Why a picture cannot be done where it lies, as a sentence."""
        return None

    def survey(self, jobs: Sequence[Job], *, outputs: bool = True) -> None:
        """Refuse what cannot be written to, where asking for each output takes long.

        With `outputs`, find out at once which of them exist.
        """

    def open(self, job: Job) -> Opened:
        """Take up a picture."""
        return Opened(job)


LOCAL = Places()


def places_of(names: Sequence[str]) -> Places:
    """Those of a run, by the names of its inputs and outputs.

    Raises:
        UsageError: a URL that cannot be used.
        MissingExtraError: one that requires an extra.
    """
    urls = [url for url in map(parse_url, names) if url is not None]
    if not urls:
        return LOCAL
    from pixperts.jobs.objects import ObjectPlaces

    return ObjectPlaces(urls[0])


def as_file(name: str, option: str) -> str:
    """The path of a file that must be one of this machine.

    Raises:
        UsageError: the URL of an object.
    """
    if parse_url(name) is not None:
        raise UsageError(
            f"{option} {name} is an object, to which nothing can be appended: name a file of this "
            "machine, and copy it there after the run."
        )
    return local_name(name)
