"""Objects of a store in the place of files: `ObjectPlaces`.

During a run, an object has a path below a folder that does not exist, so that code for names of
files works for objects as well. Its bytes are fetched into a temporary file when work on its
picture begins. A result is written into a temporary file and then uploaded as a whole.
"""

import contextlib
import errno
import itertools
import os
import re
import secrets
import shutil
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from pixperts.errors import ImageError, PixpertsError, explain
from pixperts.io.formats import is_image_path, is_video_path
from pixperts.io.object_store import Children, ObjectStore
from pixperts.io.scratch import ScratchFolder
from pixperts.io.urls import ObjectUrl, parse_url
from pixperts.io.vips import reason
from pixperts.jobs.job import Done, Job
from pixperts.jobs.places import Opened, Places
from pixperts.jobs.reports import Report

_PREFIX = "pixperts-objects-"
FEW = 50  # outputs in a folder; of more, the whole folder is listed to find those that exist
_SUFFIX = re.compile(r"\.\w{1,8}", re.ASCII)


class ObjectPlaces(Places):
    """Objects of a store, and the file system of this machine; a context manager.

    Args:
        url: one of the objects, for the sentence on a missing extra.

    Raises:
        MissingExtraError: obstore is not installed.
    """

    remote = True

    def __init__(self, url: ObjectUrl) -> None:
        self.store = ObjectStore(url)
        # Every path below it is an object. The name is random, so that no file has it by accident.
        self._home = Path(os.path.abspath(os.sep)) / f"{_PREFIX}{secrets.token_hex(8)}"
        self._scratch: ScratchFolder | None = None
        self._numbers = itertools.count(1)
        self._there: set[Path] = set()
        self._listed: set[Path] = set()  # folders of outputs of which `_there` holds all

    def __enter__(self) -> Self:
        try:
            self._scratch = ScratchFolder(_PREFIX).__enter__()
        except OSError as error:
            raise ImageError(
                f"There is no folder for temporary files ({reason(error)}): set TMPDIR to one."
            ) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, PixpertsError):
            error.args = tuple(self._renamed(one) for one in error.args)
        if self._scratch is not None:
            self._scratch.close()

    def path(self, name: str | Path) -> Path:
        """The path that stands for a URL, or the path of a file."""
        url = parse_url(str(name)) if isinstance(name, str) else None
        return Path(name) if url is None else self._home / url.scheme / url.bucket / url.key

    def url(self, path: Path) -> ObjectUrl | None:
        """The object that a path stands for; None for a file."""
        if not path.is_relative_to(self._home):
            return None
        scheme, bucket, *parts = path.relative_to(self._home).parts
        return ObjectUrl(scheme, bucket, "/".join(parts))

    def name(self, path: Path) -> str:
        """The URL of an object, or the absolute path of a file."""
        url = self.url(path)
        return super().name(path) if url is None else str(url)

    def anywhere(self, path: Path) -> str:
        """The URL of an object, or the absolute path of a file."""
        url = self.url(path)
        return super().anywhere(path) if url is None else str(url)

    def named(self, text: str) -> str:
        """The text with URLs in place of the paths that stand for them."""
        start = re.escape(f"{self._home}{os.sep}")
        return re.sub(rf"{start}(\w+){re.escape(os.sep)}", r"\1://", text)

    def names_of(self, job: Job) -> tuple[str, str] | None:
        """URLs or paths of source and target, as the user gave them."""
        return self.named(str(job.source)), self.named(str(job.target))

    def is_folder(self, path: Path) -> bool:
        """Whether there are objects below it and it is not a picture itself."""
        url = self.url(path)
        if url is None:
            return super().is_folder(path)
        if is_image_path(path) and self.is_file(path):
            return False
        return self.store.is_folder(url)

    def is_file(self, path: Path, *, fresh: bool = True) -> bool:
        """Whether there is an object of this name."""
        url = self.url(path)
        if url is None:
            return super().is_file(path, fresh=fresh)
        if path in self._there:
            return True
        if not fresh and not self._listed.isdisjoint(path.parents):
            return False
        return bool(url.key) and self.store.exists(url)

    def exists(self, path: Path, *, fresh: bool = True) -> bool:
        """Whether there is an object of this name; see `is_file`."""
        if self.url(path) is None:
            return super().exists(path, fresh=fresh)
        return self.is_file(path, fresh=fresh)

    def is_top(self, folder: Path) -> bool:
        """Whether this is a bucket."""
        url = self.url(folder)
        return super().is_top(folder) if url is None else not url.key

    def walk(
        self, root: Path, *, barred: Collection[str] = (), deep: bool = True
    ) -> Iterator[tuple[Path, list[str], list[str]]]:
        """As `Places.walk`; objects whose names begin with a dot are left out."""
        url = self.url(root)
        if url is None:
            yield from super().walk(root, barred=barred, deep=deep)
            return
        tree = self._tree(url) if deep else {Path(): self.store.children(url)}
        waiting = [Path()]
        while waiting:
            below = waiting.pop()
            here, found = root / below, tree[below]
            if len(set(found.names)) < len(found.names):
                raise ImageError(
                    f"{self.name(here)} holds objects whose names differ in slashes at the "
                    "beginning only, which is not supported: rename them."
                )
            folders = sorted(
                name
                for name in set(found.folders)
                if not name.startswith(".") and str(here / name) not in barred
            )
            # An empty object of a folder's name is how some programs make a folder. One that is
            # named like a picture may be one.
            names = sorted(
                name
                for name in found.names
                if not name.startswith(".") and (is_image_path(name) or name not in found.folders)
            )
            yield here, folders, names
            if deep:
                waiting += [below / name for name in reversed(folders)]

    def holds_file(self, path: Path) -> bool:
        """True for objects: only objects are listed."""
        return self.url(path) is not None or super().holds_file(path)

    @contextlib.contextmanager
    def reading(self, path: Path) -> Iterator[Path]:
        """A temporary copy of an object, or the file itself."""
        with contextlib.closing(ObjectsOpened(self, Job(path, path, in_place=True))) as opened:
            try:
                yield opened.fetch().source
            except PixpertsError as error:
                error.args = (opened.explain(error),)
                raise

    def sha256(self, path: Path) -> str:
        """SHA-256 of an object, computed while it is received, or of a file."""
        url = self.url(path)
        return super().sha256(path) if url is None else self.store.sha256(url)

    def problem(self, job: Job) -> str | None:
        """Why a picture cannot be processed, as a sentence; videos need files.

        They are made in parts, which are kept beside the result until all are finished.
        """
        here = self.url(job.source) is None and self.url(job.target) is None
        if here or not is_video_path(job.source):
            return None
        return (
            f"{job.source} is a video, whose parts lie beside its result while it is made: copy it "
            "to this machine, and name files."
        )

    def survey(self, jobs: Sequence[Job], *, outputs: bool = True) -> None:
        """Check the buckets of the outputs, and list the folders that get many of them.

        Raises:
            UsageError: a bucket does not exist.
            ImageError: a folder cannot be listed.
        """
        wanted: dict[Path, set[Path]] = defaultdict(set)
        buckets: dict[tuple[str, str], ObjectUrl] = {}
        for job in jobs:
            for path, root in ((job.target, job.root), (job.expert_map, job.map_root)):
                url = None if path is None else self.url(path)
                if path is None or url is None:
                    continue
                buckets[url.scheme, url.bucket] = url
                if root is not None:
                    wanted[root].add(path)
        for url in buckets.values():
            self.store.check_bucket(url)
        for root, paths in wanted.items():
            url = self.url(root)
            if url is None or not outputs or len(paths) <= FEW:
                continue
            bucket = self._home / url.scheme / url.bucket
            self._there |= paths.intersection(bucket / key for key in self.store.below(url))
            self._listed.add(root)

    def open(self, job: Job) -> Opened:
        """The files of a picture, of which some may be objects."""
        return ObjectsOpened(self, job)

    @property
    def temporary(self) -> Path:
        """The folder of all temporary files, which exists inside the context."""
        assert self._scratch is not None
        return self._scratch.root

    def new_folder(self) -> Path:
        """A new folder for the temporary files of one picture.

        Raises:
            OSError: it cannot be made.
        """
        folder = self.temporary / str(next(self._numbers))
        folder.mkdir()
        return folder

    def _tree(self, url: ObjectUrl) -> dict[Path, Children]:
        """All folders below a URL, with the names of their folders and objects."""
        tree: dict[Path, Children] = {Path(): Children([], [])}
        for key in self.store.below(url):
            path = Path(key[len(url.key) :].lstrip("/"))
            _add_folder(tree, path.parent)
            tree[path.parent].names.append(path.name)
        return tree

    def _renamed(self, value: object) -> object:
        return self.named(value) if isinstance(value, str) else value


def _add_folder(tree: dict[Path, Children], folder: Path) -> None:
    if folder not in tree:
        tree[folder] = Children([], [])
        _add_folder(tree, folder.parent)
        tree[folder.parent].folders.append(folder.name)


class ObjectsOpened(Opened):
    """The files of one picture: temporary ones for objects, else the files themselves."""

    def __init__(self, places: ObjectPlaces, job: Job) -> None:
        super().__init__(job)
        self._places = places
        self._folder: Path | None = None
        self._files: dict[Path, tuple[ObjectUrl, Path]] = {}  # by path of the job
        self._fetched: Job | None = None

    def fetch(self) -> Job:
        """The job with files; the source is fetched at the first call."""
        if self._fetched is None:
            job = self.job
            source = self._file(job.source, "input")
            target = source if job.in_place else self._file(job.target, "output")
            chart = None if job.expert_map is None else self._file(job.expert_map, "experts")
            if job.source in self._files:
                self._places.store.fetch(*self._files[job.source])
            self._fetched = replace(job, source=source, target=target, expert_map=chart)
        return self._fetched

    def deliver(self, done: Done) -> None:
        """Upload the map of experts, and then the picture: a picture in the store has its map."""
        unchanged = self.job.in_place and done.loaded.copied
        for path in (self.job.expert_map, None if unchanged else self.job.target):
            url, file = self._files.get(path, (None, None)) if path is not None else (None, None)
            if url is not None and file is not None and file.exists():
                self._places.store.put(file, url)

    def close(self) -> None:
        """Remove the temporary files."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def explain(self, error: Exception) -> str:
        """One sentence on an error, with URLs in place of temporary files."""
        source = self._named(str(self.job.source))
        if isinstance(error, PixpertsError):
            error.args = tuple(
                self._named(one) if isinstance(one, str) else one for one in error.args
            )
        text = self._named(explain(source, error))
        if os.strerror(errno.ENOSPC) in text and self.job.target in self._files:
            return (
                f"{source}: there is no room for its result among the temporary files in "
                f"{self._places.temporary}: make room there, or set TMPDIR to another folder."
            )
        return text

    def report(self, report: Report) -> Report:
        """The report with URLs in place of temporary files."""
        source, target = map(self._named, (str(self.job.source), str(self.job.target)))
        notes = [self._named(note) for note in report.notes]
        return replace(report, input=source, output=target, notes=notes)

    def _file(self, path: Path, name: str) -> Path:
        """The file itself, or for an object a temporary one with the same ending."""
        url = self._places.url(path)
        if url is None:
            return path
        if self._folder is None:
            self._folder = self._places.new_folder()
        suffix = path.suffix if _SUFFIX.fullmatch(path.suffix) else ""
        file = self._folder / f"{name}{suffix}"
        self._files[path] = url, file
        return file

    def _named(self, text: str) -> str:
        for url, file in self._files.values():
            text = text.replace(str(file), str(url))
        return self._places.named(text)
