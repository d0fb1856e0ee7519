"""Files that appear whole or not at all, and the temporaries that a killed run left behind."""

import contextlib
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from pixperts.errors import ImageError
from pixperts.io.vips import reason


@contextlib.contextmanager
def replacing(target: Path, check: Callable[[], None] | None = None) -> Iterator[Path]:
    """A hidden path beside the target; what is written there replaces it unless anything fails.

    `check` is called before a folder is made and before the target is replaced, and raises where
    neither may happen.

    Raises ImageError for a failed write.
    """
    check = check or _nothing
    check()
    final = Path(os.path.realpath(target))
    temporary = hidden_beside(final)
    try:
        with _told_as_failed(target):
            final.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            with contextlib.suppress(FileNotFoundError):
                temporary.chmod(stat.S_IMODE(final.stat().st_mode))
            with temporary.open("rb+") as handle:
                os.fsync(handle.fileno())
        check()
        with _told_as_failed(target):
            os.replace(temporary, final)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


@contextlib.contextmanager
def _told_as_failed(target: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise ImageError(
            f"{target} could not be written ({reason(error)}): check the free space and the "
            "permissions of its folder."
        ) from error


def _nothing() -> None:
    """No objection."""


def hidden_beside(path: Path) -> Path:
    """A new hidden name in the folder of a path."""
    return path.with_name(f".pixperts-{os.getpid()}-{secrets.token_hex(4)}.tmp")


# As `hidden_beside` names them: the process first.
_TEMPORARY = re.compile(r"\.pixperts-([0-9]{1,10})-[0-9A-Za-z]+\.tmp")


def remove_leftovers(folders: Iterable[Path]) -> int:
    """Remove the temporaries of processes that are gone, and return how many there were.

    Those of living processes stay, as does everything where the system does not tell who lives.
    Folders that are missing or cannot be listed are passed over.
    """
    if os.name != "posix":  # elsewhere signal 0 is no question but an order
        return 0
    removed = 0
    for folder in set(folders):
        with contextlib.suppress(OSError):
            for entry in os.scandir(folder):
                match = _TEMPORARY.fullmatch(entry.name)
                if match and entry.is_file(follow_symlinks=False) and not _lives(int(match[1])):
                    with contextlib.suppress(OSError):
                        os.unlink(entry.path)
                        removed += 1
    return removed


def _lives(process: int) -> bool:
    """Whether a process of this number exists; in doubt it does."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True
