"""What lies in a folder and below it: the one walk that all listings go."""

import os
from collections.abc import Collection, Iterator
from pathlib import Path

from pixperts.errors import ImageError
from pixperts.io.vips import reason


def walk(
    root: Path, *, links: bool = False, barred: Collection[str] = ()
) -> Iterator[tuple[Path, list[str], list[str]]]:
    """The folders from `root` downwards, in order of their names; hidden entries are left out.

    Args:
        root: a folder.
        links: whether linked folders are entered, except where they lead back to one above.
        barred: real paths of folders that are neither named nor entered.

    Yields:
        A folder, the names of its subfolders, and those of its other entries, both sorted. What
        is removed from the subfolders is not entered.

    Raises:
        ImageError: a folder that cannot be listed.
    """

    def refuse(error: OSError) -> None:
        raise error

    try:
        for parent, folders, names in os.walk(root, onerror=refuse, followlinks=links):
            here = Path(parent)
            above = {here.resolve(), *here.resolve().parents} if links else set()
            folders[:] = sorted(
                name
                for name in folders
                if not name.startswith(".")
                and (not barred or os.path.realpath(here / name) not in barred)
                and (not links or (here / name).resolve() not in above)
            )
            yield here, folders, sorted(name for name in names if not name.startswith("."))
    except OSError as error:
        folder = error.filename or root
        raise ImageError(
            f"The folder {folder} cannot be listed ({reason(error)}): name one you can read."
        ) from None
