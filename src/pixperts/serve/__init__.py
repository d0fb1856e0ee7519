"""A service for other programs: send a picture, receive it repaired or enlarged (extra `serve`)."""

from typing import TYPE_CHECKING

from pixperts.lazy import attach

if TYPE_CHECKING:
    from pixperts.serve.options import ServeOptions
    from pixperts.serve.server import running, serve
else:
    __getattr__ = attach(
        __name__,
        {
            "options": ["ServeOptions"],
            "server": ["running", "serve"],
        },
    )

__all__ = ["ServeOptions", "running", "serve"]
