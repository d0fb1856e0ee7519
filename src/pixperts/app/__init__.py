"""A page for people who do not use a terminal, served from their own machine (extra `app`)."""

from typing import TYPE_CHECKING

from pixperts.lazy import attach

if TYPE_CHECKING:
    from pixperts.app.options import AppOptions
    from pixperts.app.server import running, serve
else:
    __getattr__ = attach(
        __name__,
        {
            "options": ["AppOptions"],
            "server": ["running", "serve"],
        },
    )

__all__ = ["AppOptions", "running", "serve"]
