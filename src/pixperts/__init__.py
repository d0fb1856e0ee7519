"""pixperts: repair and enlarge photographs with mixtures of experts.

`load("moeisr-tiny").upscale(image, scale=2.5)` enlarges; `create_model` gives the bare network.
Names are imported on first use, so that `pixperts --help` need not wait for torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from pixperts.errors import (
    DataError,
    ImageError,
    MissingExtraError,
    ModelError,
    PixpertsError,
    UsageError,
)

if TYPE_CHECKING:
    from pixperts.inference.loading import load
    from pixperts.inference.restorer import Restorer
    from pixperts.inference.upscaler import Upscaler
    from pixperts.models.presets import create_model

__version__ = "0.1.0"

__all__ = [
    "DataError",
    "ImageError",
    "MissingExtraError",
    "ModelError",
    "PixpertsError",
    "Restorer",
    "Upscaler",
    "UsageError",
    "create_model",
    "load",
]

_LAZY = {
    "Restorer": "pixperts.inference.restorer",
    "Upscaler": "pixperts.inference.upscaler",
    "create_model": "pixperts.models.presets",
    "load": "pixperts.inference.loading",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'pixperts' has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)
