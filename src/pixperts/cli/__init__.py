"""The command line: options, commands, and what is shown of a run."""

from typing import TYPE_CHECKING

from pixperts.lazy import attach

if TYPE_CHECKING:
    from pixperts.cli.app import main
else:
    __getattr__ = attach(
        __name__,
        {
            "app": ["main"],
        },
    )

__all__ = ["main"]
