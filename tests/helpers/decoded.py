"""A picture of known pixels, read in every way that there is."""

from pathlib import Path

import numpy as np
import pytest

from pixperts.errors import ImageError
from pixperts.io.decode import header_size
from pixperts.io.image import Picture, read_image
from pixperts.io.rows import RowReader
from tests.helpers.image_files import assert_one_sentence


def rows_of(path: Path) -> np.ndarray:
    """The same picture, read row by row."""
    with RowReader(path) as reader:
        parts = [
            reader.rows(top, min(top + 7, reader.height)) for top in range(0, reader.height, 7)
        ]
    return np.concatenate(parts)


def check(path: Path, expected: np.ndarray) -> Picture:
    """The picture, whose pixels are known, by all ways in."""
    result = read_image(path)
    np.testing.assert_array_equal(result.pixels, expected)
    assert result.pixels.dtype == expected.dtype
    assert header_size(path) == (result.width, result.height)
    np.testing.assert_array_equal(rows_of(path), expected)
    with pytest.raises(ImageError, match="over the limit of 100:") as caught:
        read_image(path, max_pixels=100)
    assert_one_sentence(caught, path)
    return result
