"""Weights files: written, read, converted, and those that ship inside the package."""

from typing import TYPE_CHECKING

from pixperts.lazy import attach

if TYPE_CHECKING:
    from pixperts.weights.catalogue import Entry, list_models
    from pixperts.weights.convert import convert_file, from_published
    from pixperts.weights.packaged import packaged_models, weights_file
    from pixperts.weights.store import Card, load, read_card, save
else:
    __getattr__ = attach(
        __name__,
        {
            "catalogue": ["Entry", "list_models"],
            "convert": ["convert_file", "from_published"],
            "packaged": ["packaged_models", "weights_file"],
            "store": ["Card", "load", "read_card", "save"],
        },
    )

__all__ = [
    "Card",
    "Entry",
    "convert_file",
    "from_published",
    "list_models",
    "load",
    "packaged_models",
    "read_card",
    "save",
    "weights_file",
]
