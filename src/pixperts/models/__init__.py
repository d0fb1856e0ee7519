"""The networks: tensors in, `Output(image, routings)` out. They know no files and no devices."""

from typing import TYPE_CHECKING

from pixperts.lazy import attach

if TYPE_CHECKING:
    from pixperts.models.interfaces import Network, RestoringNetwork, UpscalingNetwork
    from pixperts.models.output import Output
    from pixperts.models.presets import FAMILIES, PRESETS, create_model
else:
    __getattr__ = attach(
        __name__,
        {
            "interfaces": ["Network", "UpscalingNetwork", "RestoringNetwork"],
            "output": ["Output"],
            "presets": ["FAMILIES", "PRESETS", "create_model"],
        },
    )

__all__ = [
    "FAMILIES",
    "PRESETS",
    "Network",
    "Output",
    "RestoringNetwork",
    "UpscalingNetwork",
    "create_model",
]
