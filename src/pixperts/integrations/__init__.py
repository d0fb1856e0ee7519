"""The models in other programs. Each module imports its program only when it is used."""

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
