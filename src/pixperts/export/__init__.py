"""Models in the formats of other programs, checked against torch before they are written."""

from typing import TYPE_CHECKING

from pixperts.lazy import attach

if TYPE_CHECKING:
    from pixperts.export.run import Exported, export_model
else:
    __getattr__ = attach(
        __name__,
        {
            "run": ["Exported", "export_model"],
        },
    )

__all__ = ["Exported", "export_model"]
