"""Images of every kind that a caller may hold: what is taken, and what comes back."""

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pixperts.errors import ImageError
from pixperts.io.arrays import to_tensor

HALF_A_CODE = 0.5 / 255


class Photo(Image.Image):
    """As programs derive their own."""


def test_subclasses_of_pil_images_are_taken() -> None:
    photo = Photo()
    plain = Image.fromarray(np.arange(24, dtype=np.uint8).reshape(2, 4, 3))
    photo._mode, photo._size, photo.im = plain.mode, plain.size, plain.im
    pixels, back = to_tensor(photo)
    assert torch.equal(pixels, to_tensor(plain)[0])
    result = back(pixels)
    assert type(result) is Image.Image
    assert result.tobytes() == plain.tobytes()


@pytest.mark.parametrize("dtype", [np.int32, np.int8, np.bool_, np.complex64, np.dtype(object)])
def test_arrays_of_other_types_are_refused(dtype: Any) -> None:
    with pytest.raises(ImageError, match="must be uint8, uint16 or float, not"):
        to_tensor(np.zeros((4, 4, 3), dtype))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16])
@pytest.mark.parametrize("shape", [(3, 4, 5), (2, 1, 4, 5)])
def test_codes_in_torch_tensors_come_back_as_codes(dtype: torch.dtype, shape: Any) -> None:
    most = torch.iinfo(dtype).max
    image = (torch.rand(shape, generator=torch.Generator().manual_seed(0)) * most).to(dtype)
    pixels, back = to_tensor(image)
    assert pixels.shape == ((1, *shape) if len(shape) == 3 else shape)
    torch.testing.assert_close(pixels.flatten(), image.flatten().float() / most)
    result = back(pixels)
    assert (result.dtype, result.shape) == (dtype, image.shape)
    assert result.tolist() == image.tolist()
    assert back(pixels + 2).flatten()[0].item() == most
    with pytest.raises(ImageError, match="must be uint8, uint16 or float, not"):
        to_tensor(torch.zeros(3, 4, 4, dtype=torch.int32))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("made", [np.asarray, torch.from_numpy])
def test_floats_outside_of_the_range_by_half_a_code_are_clipped(made: Any, dtype: Any) -> None:
    outside = np.array([-0.99 * HALF_A_CODE, 1 + 0.99 * HALF_A_CODE], dtype)
    pixels, _ = to_tensor(made(np.tile(outside[:, None, None], (1, 4, 4))))
    assert sorted(set(pixels.flatten().tolist())) == [0.0, 1.0]
    for value in (-1.1 * HALF_A_CODE, 1 + 1.1 * HALF_A_CODE):
        with pytest.raises(ImageError, match=r"spans? .* into \[0, 1\]"):
            to_tensor(made(np.full((1, 4, 4), value, dtype)))
    for value in (np.nan, np.inf):
        with pytest.raises(ImageError, match="NaN or infinity"):
            to_tensor(made(np.full((1, 4, 4), value, dtype)))
