"""Hidden temporary files that a killed run left beside its outputs."""

import contextlib
import os
import re
from collections.abc import Iterable
from pathlib import Path

# As `image.write_image` names them: the process first.
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
