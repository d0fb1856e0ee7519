"""Work in separate processes, for the page and the service: orders, events, temporary files."""

from typing import TYPE_CHECKING

from pixperts.lazy import attach

if TYPE_CHECKING:
    from pixperts.background.worker import Worker
    from pixperts.background.workspace import Workspace
else:
    __getattr__ = attach(
        __name__,
        {
            "worker": ["Worker"],
            "workspace": ["Workspace"],
        },
    )

__all__ = ["Worker", "Workspace"]
