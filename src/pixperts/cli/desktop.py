"""The command that adds pixperts to file managers: `desktop`."""

import sys
from typing import Annotated

from pixperts.errors import UsageError
from pixperts.options import Option


def desktop(
    what: Annotated[
        str,
        Option("install or remove.", positional=True, choices=("install", "remove")),
    ],
) -> None:
    """Add pixperts to the "Open with" menu of Linux file managers, or remove it from there."""
    from pixperts.integrations.desktop import install, remove

    if not sys.platform.startswith("linux"):
        raise UsageError(
            "'pixperts desktop' is for Linux: for Windows and macOS, see docs/integrations.md."
        )
    for path in install() if what == "install" else remove():
        print(path)
