"""Samples of fewer bits than their type has."""

import numpy as np

from pixperts.ops.pixels import Pixels


def spread(pixels: Pixels, bits: int) -> Pixels:
    """Codes of so many bits over the whole range of uint8 or uint16; floats as they are.

    >>> spread(np.array([[0, 4095]], np.uint16), 12).tolist()
    [[0, 65535]]
    """
    if (pixels.dtype == np.uint8 and bits < 8) or (pixels.dtype == np.uint16 and bits < 16):
        top, most = (1 << bits) - 1, int(np.iinfo(pixels.dtype).max)
        codes = np.arange(most + 1).clip(max=top)
        return ((codes * most + top // 2) // top).astype(pixels.dtype)[pixels]
    return pixels
