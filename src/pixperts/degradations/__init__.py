"""Synthetic degradations of clean photos."""

from typing import TYPE_CHECKING

from pixperts.lazy import attach

if TYPE_CHECKING:
    from pixperts.degradations.tasks import TASKS, degrade, draw_parameters
    from pixperts.degradations.weather import Frame
else:
    __getattr__ = attach(
        __name__,
        {
            "tasks": ["TASKS", "degrade", "draw_parameters"],
            "weather": ["Frame"],
        },
    )

__all__ = ["TASKS", "Frame", "degrade", "draw_parameters"]
