"""Linear light of a scene, in floats without an upper end, as OpenEXR has it.

Formats of whole numbers get it encoded by the curve of sRGB, in which 8 bits suffice.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pixperts.errors import UsageError
from pixperts.io.metadata.metadata import Metadata

_AS_IT_IS = ("tiff", "exr")


def is_light(dtype: np.dtype[Any], metadata: Metadata) -> bool:
    """Whether floats are linear light by what their file says."""
    tags = metadata.color
    return dtype == np.float32 and metadata.icc is None and tags is not None and tags.is_linear


def is_encoded(kind: str, dtype: np.dtype[Any], metadata: Metadata) -> bool:
    """Whether such pixels are to be encoded for a format."""
    return kind not in _AS_IT_IS and is_light(dtype, metadata)


def encoded(kind: str, dtype: np.dtype[Any], metadata: Metadata) -> Metadata:
    """The metadata of the pixels as the format gets them."""
    if metadata.color is None or not is_encoded(kind, dtype, metadata):
        return metadata
    return replace(metadata, color=metadata.color.encoded())


def check_light(
    target: Path, kind: str, dtype: np.dtype[Any], metadata: Metadata, *, silent: bool
) -> None:
    """Raise UsageError where OpenEXR would get something else than light in floats.

    `silent` is whether floats are taken for light where nothing says what they are.
    """
    if kind != "exr" or is_light(dtype, metadata):
        return
    unknown = metadata.icc is None and metadata.color is None
    if not (silent and unknown and dtype == np.float32):
        raise UsageError(
            f"{target}: OpenEXR holds linear light in floats, which this picture is not: write "
            ".tif or .png."
        )
