"""Photos spoiled for measurements: what each case is, by an independent encoder where it can be."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pixperts.errors import UsageError
from pixperts.evaluation.photo_cases import photo_pair
from pixperts.ops.resize import bicubic
from tests.helpers.places import EXAMPLES

PHOTO = EXAMPLES / "osprey.jpg"


def test_clean_is_a_reduction_in_whole_levels() -> None:
    lr, photo = photo_pair(PHOTO, 3, "clean")
    assert photo.shape[1:] == tuple(3 * side for side in lr.shape[1:])
    with Image.open(PHOTO) as opened:
        original = np.asarray(opened.convert("RGB"))[: photo.shape[1], : photo.shape[2]]
    assert np.array_equal((photo * 255).round().byte().permute(1, 2, 0).numpy(), original)
    assert torch.equal((lr * 255).round() / 255, lr)
    assert (
        float((lr - bicubic(photo, (lr.shape[1], lr.shape[2])).clamp(0, 1)).abs().max())
        <= 0.5001 / 255
    )


def test_jpeg_is_that_of_an_encoder_with_halved_chroma() -> None:
    clean, _ = photo_pair(PHOTO, 2, "clean")
    lr, _ = photo_pair(PHOTO, 2, "jpeg60")
    levels = (clean * 255).round().byte().permute(1, 2, 0).numpy()
    held = io.BytesIO()
    Image.fromarray(levels).save(held, "JPEG", quality=60, subsampling=2)
    decoded = np.asarray(Image.open(held)).astype(int)
    apart = np.abs(decoded - (lr * 255).round().permute(1, 2, 0).numpy())
    assert apart.mean() < 1.0  # decoders differ in how they enlarge the chroma
    assert np.abs(decoded - levels.astype(int)).mean() > 2.0


def test_soft_photos_lack_the_finest_detail_and_are_the_target_too() -> None:
    _, sharp = photo_pair(PHOTO, 2, "clean")
    lr, soft = photo_pair(PHOTO, 2, "soft")
    assert soft.shape == sharp.shape

    def detail(image: torch.Tensor) -> float:
        return float((image[:, :, 2:] - 2 * image[:, :, 1:-1] + image[:, :, :-2]).abs().mean())

    assert detail(soft) < 0.6 * detail(sharp)
    compressed, same = photo_pair(PHOTO, 2, "soft75")
    assert torch.equal(same, soft)
    assert not torch.equal(compressed, lr)


@pytest.mark.parametrize("case", ["", "jpeg", "png75", "75", "softest"])
def test_unknown_cases_are_refused(case: str) -> None:
    with pytest.raises(UsageError, match=r"case is .*, but must be clean, soft, jpegQ or softQ"):
        photo_pair(Path("absent.png"), 2, case)
