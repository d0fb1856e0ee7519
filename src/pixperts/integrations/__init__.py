"""Our models in other people's programs; each module needs that program, and imports it late."""

from typing import TYPE_CHECKING

from pixperts.lazy import attach

if TYPE_CHECKING:
    from pixperts.integrations.spandrel import register
else:
    __getattr__ = attach(
        __name__,
        {
            "spandrel": ["register"],
        },
    )

__all__ = ["register"]
