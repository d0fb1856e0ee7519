"""Where the files of a run lie: `Places` is the file system of this machine.

A run uses the file system through this class only, so that objects of a store can take the place
of files (`objects.ObjectPlaces`).
"""

import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import TracebackType
from typing import Self

from pixperts.errors import UsageError, explain, named
from pixperts.io.folders import walk
from pixperts.io.urls import local_name, parse_url
from pixperts.jobs.job import Done, Job
from pixperts.jobs.reports import Report
from pixperts.weights.checksums import file_sha256


class Opened:
    """The files of one picture while it is processed; here those that the job names."""

    def __init__(self, job: Job) -> None:
        self.job = job

    def fetch(self) -> Job:
        """The job with files of this machine, which can be read and written.

        Raises:
            UsageError, ImageError: an object cannot be fetched.
        """
        return self.job

    def deliver(self, done: Done) -> None:
        """Bring each result as a whole to where the job wants it.

        Raises:
            UsageError, ImageError: a result cannot be uploaded.
        """

    def close(self) -> None:
        """Remove temporary files."""

    def explain(self, error: Exception) -> str:
        """One sentence on an error, which names the picture."""
        return explain(self.job.source, error)

    def report(self, report: Report) -> Report:
        """The report with the names that the user gave."""
        return report


class Places:
    """The file system of this machine; a context manager.

    Attributes:
        remote: whether some files are objects of a store, which take time to read.
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
        """Nothing to do for files."""

    def path(self, name: str | Path) -> Path:
        """The path of a file or folder within the run, for a name that the user gave."""
        return Path(name)

    def name(self, path: Path) -> str:
        """The name of a path in a manifest: the absolute path, or a URL."""
        return os.path.abspath(path)

    def anywhere(self, path: Path) -> str:
        """The name of a path that is valid in any working folder: as given, made absolute."""
        return os.path.join(os.getcwd(), path)

    def named(self, text: str) -> str:
        """The text with the names that the user gave in place of paths."""
        return text

    def names_of(self, job: Job) -> tuple[str, str] | None:
        """URLs of source and target if one of them is an object, else None."""
        return None

    def is_folder(self, path: Path) -> bool:
        """Whether this is a folder that exists."""
        return os.path.isdir(path)

    def is_file(self, path: Path, *, fresh: bool = True) -> bool:
        """Whether this is a file that exists now, or unless `fresh`, when `survey` was called."""
        return os.path.isfile(path)

    def exists(self, path: Path, *, fresh: bool = True) -> bool:
        """Whether there is anything of this name, also a broken link; see `is_file` for `fresh`."""
        return os.path.lexists(path)

    def is_top(self, folder: Path) -> bool:
        """Whether the folder has no parent, so that none can be made beside it."""
        return not folder.name

    def walk(
        self, root: Path, *, barred: Collection[str] = (), deep: bool = True
    ) -> Iterator[tuple[Path, list[str], list[str]]]:
        """As `io.folders.walk`; unless `deep`, the caller enters no subfolder."""
        return walk(root, barred=barred)

    def holds_file(self, path: Path) -> bool:
        """Whether a path that `walk` found is a file."""
        return path.is_file()

    def reading(self, path: Path) -> AbstractContextManager[Path]:
        """A context with a file of this machine that holds the bytes of `path`."""
        return nullcontext(path)

    def sha256(self, path: Path) -> str:
        """SHA-256 of a file's bytes, in hexadecimal."""
        return file_sha256(path)

    def problem(self, job: Job) -> str | None:
        """Why a picture cannot be processed where it lies, as a sentence; None if it can."""
        return None

    def survey(self, jobs: Sequence[Job], *, outputs: bool = True) -> None:
        """Check all outputs at once where checking each of them would take long.

        With `outputs`, also find out which of them exist.
        """

    def open(self, job: Job) -> Opened:
        """The files of one picture, to be closed after the work."""
        return Opened(job)


LOCAL = Places()


def places_of(names: Sequence[str]) -> Places:
    """The places of a run: files only, or objects too if a name is a URL such as s3://.

    Raises:
        UsageError: a URL that cannot be used.
        MissingExtraError: there is a URL, and obstore is not installed.
    """
    urls = [url for url in map(parse_url, names) if url is not None]
    if not urls:
        return LOCAL
    from pixperts.jobs.objects import ObjectPlaces

    return ObjectPlaces(urls[0])


def as_file(name: str, argument: str) -> str:
    """The path of a file that must lie on this machine.

    Raises:
        UsageError: the name is the URL of an object; the message names `argument`.
    """
    if parse_url(name) is not None:
        raise UsageError(
            f"{named(argument, name)} is an object, to which nothing can be appended: name a file "
            "of this machine, and copy it there after the run."
        )
    return local_name(name)
