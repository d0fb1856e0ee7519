"""pixperts: repair and enlarge photographs with mixtures of experts.

`load("moeisr-photo").upscale(image, scale=2.5)` enlarges; `create_model` gives the bare network.
Names are imported on first use, so that `pixperts --help` need not wait for torch.
"""

from typing import TYPE_CHECKING

from pixperts.errors import (
    DataError,
    ImageError,
    MissingExtraError,
    ModelError,
    PixpertsError,
    UsageError,
)
from pixperts.lazy import attach

if TYPE_CHECKING:
    from pixperts.inference.enhancer import Enhancer
    from pixperts.inference.loading import load
    from pixperts.inference.restorer import Restorer
    from pixperts.inference.upscaler import Upscaler
    from pixperts.io.image import read_image, write_image
    from pixperts.models.presets import create_model
    from pixperts.weights.catalogue import list_models
else:
    __getattr__ = attach(
        __name__,
        {
            "inference": ["Enhancer", "Restorer", "Upscaler", "load"],
            "io": ["read_image", "write_image"],
            "models": ["create_model"],
            "weights": ["list_models"],
        },
    )

__version__ = "0.2.0"

__all__ = [
    "DataError",
    "Enhancer",
    "ImageError",
    "MissingExtraError",
    "ModelError",
    "PixpertsError",
    "Restorer",
    "Upscaler",
    "UsageError",
    "create_model",
    "list_models",
    "load",
    "read_image",
    "write_image",
]
