"""Files that appear whole or not at all, and the temporaries that a killed run left behind.

A temporary is locked for as long as its process works on it. The lock belongs to the file and not
to a number of a process, so that machines and containers that share a folder see each other's.
"""

import contextlib
import os
import re
import secrets
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from pixperts.errors import PixpertsError, WriteError
from pixperts.io.vips import reason

_TEMPORARY = re.compile(r"\.pixperts-[0-9]{1,10}-[0-9A-Za-z]+\.tmp")


@contextlib.contextmanager
def replacing(
    target: Path,
    check: Callable[[], None] | None = None,
    error: type[PixpertsError] = WriteError,
) -> Iterator[Path]:
    """A hidden file beside the target; what is written there replaces it unless anything fails.

    Missing folders are made, a link is followed, and a file that is replaced keeps its
    permissions. `check` is called before a folder is made and before the target is replaced, and
    raises where neither may happen.

    Raises `error` for a failed write.
    """
    check = check or _nothing
    check()
    final = Path(os.path.realpath(target))
    temporary: Temporary | None = None
    try:
        with _explained(target, error):
            final.parent.mkdir(parents=True, exist_ok=True)
            temporary = Temporary(final)
            yield temporary.path
            with contextlib.suppress(FileNotFoundError):
                temporary.path.chmod(stat.S_IMODE(final.stat().st_mode))
            sync(temporary.path)
        check()
        with _explained(target, error):
            os.replace(temporary.path, final)
    finally:
        if temporary is not None:
            temporary.remove()


@contextlib.contextmanager
def appearing(target: Path, check: Callable[[], None] | None = None) -> Iterator[Path]:
    """`replacing` for a part that does more than to write: what it raises comes out as it is."""
    failure: BaseException | None = None
    try:
        with replacing(target, check) as temporary:
            try:
                yield temporary
            except BaseException as error:
                failure = error
                raise
    except Exception as error:
        raise (failure or error) from None


def copy_file(source: Path, target: Path, check: Callable[[], None] | None = None) -> None:
    """The bytes of one file under another name, whole or not at all; see `replacing`."""
    with replacing(target, check) as temporary:
        shutil.copyfile(source, temporary)


@contextlib.contextmanager
def replacing_folder(target: Path) -> Iterator[Path]:
    """A hidden folder beside the target, which becomes the target unless anything fails.

    Its files are flushed to the disk first. The target must be missing or empty.

    Raises OSError for a failed write.
    """
    final = Path(os.path.realpath(target))
    hidden = _hidden_beside(final)
    hidden.mkdir(parents=True)
    try:
        yield hidden
        for path in hidden.rglob("*"):
            if path.is_file():
                sync(path)
        if final.is_dir():
            final.rmdir()
        os.replace(hidden, final)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def sync(path: Path) -> None:
    """Have a file's content on the disk before anything that follows."""
    with path.open("rb+") as handle:
        os.fsync(handle.fileno())


class Temporary:
    """A new hidden file beside a target, locked until `remove`.

    Attributes:
        path: the file, empty at first. Write into it; another file under its name is not locked.

    Raises:
        OSError: the file cannot be made.
    """

    def __init__(self, target: Path) -> None:
        self._handle: IO[bytes] | None = None
        while True:
            self.path = _hidden_beside(target)
            handle = self.path.open("xb")
            if os.name != "posix":  # there, a file that is open cannot be renamed
                handle.close()
                return
            lock(handle)
            if _is_at(handle, self.path):
                self._handle = handle
                return
            handle.close()  # `remove_leftovers` came between the two steps

    def remove(self) -> None:
        """Remove the file where it is still there, and let go of the lock."""
        with contextlib.suppress(OSError):
            self.path.unlink()
        if self._handle is not None:
            self._handle.close()


def lock(handle: IO[Any], *, wait: bool = True) -> bool:
    """Lock a file for this handle until it is closed; whether that was possible.

    Only others that call this are kept out. It is not possible where the system or the file
    system has no such locks, or where another holds it and `wait` is False.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        return False
    return True


def remove_leftovers(folders: Iterable[Path]) -> int:
    """Remove the temporaries that nobody holds, and return how many there were.

    What is locked stays, on whatever machine its process runs, as does everything where files
    cannot be locked. Folders that are missing or cannot be listed are passed over.
    """
    removed = 0
    for folder in set(folders):
        with contextlib.suppress(OSError):
            for entry in os.scandir(folder):
                if _TEMPORARY.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                    removed += _remove_unlocked(Path(entry.path))
    return removed


def _remove_unlocked(path: Path) -> int:
    with contextlib.suppress(OSError), path.open("rb+") as handle:
        if lock(handle, wait=False) and _is_at(handle, path):
            path.unlink()
            return 1
    return 0


def _is_at(handle: IO[Any], path: Path) -> bool:
    """Whether a name still stands for an open file."""
    try:
        return os.path.samestat(os.fstat(handle.fileno()), os.stat(path, follow_symlinks=False))
    except FileNotFoundError:
        return False


def _hidden_beside(path: Path) -> Path:
    return path.with_name(f".pixperts-{os.getpid()}-{secrets.token_hex(4)}.tmp")


@contextlib.contextmanager
def _explained(target: Path, kind: type[PixpertsError]) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise kind(
            f"{target} could not be written ({reason(error)}): check the free space and the "
            "permissions of its folder."
        ) from error


def _nothing() -> None:
    """No objection."""
