"""Pictures in files: formats, metadata and color profiles, read and written."""

from typing import TYPE_CHECKING

from pixperts.lazy import attach

if TYPE_CHECKING:
    from pixperts.io.arrays import to_tensor
    from pixperts.io.folders import walk
    from pixperts.io.image import Picture, list_images, read_image, write_image
    from pixperts.io.metadata.metadata import Metadata
    from pixperts.io.rows import RowReader, RowWriter
else:
    __getattr__ = attach(
        __name__,
        {
            "arrays": ["to_tensor"],
            "folders": ["walk"],
            "image": ["Picture", "list_images", "read_image", "write_image"],
            "metadata.metadata": ["Metadata"],
            "rows": ["RowReader", "RowWriter"],
        },
    )

__all__ = [
    "Metadata",
    "Picture",
    "RowReader",
    "RowWriter",
    "list_images",
    "read_image",
    "to_tensor",
    "walk",
    "write_image",
]
