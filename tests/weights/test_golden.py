"""The packaged weights make of a small picture what they made when it was approved."""

import numpy as np
import pytest

from make_goldens import GOLDEN, golden_of
from pixperts.io.image import read_image
from pixperts.weights.packaged import packaged_models

# Levels of 255. Another processor rounds a few values to the next level: instruction sets from SSE
# to AMX differ by 4e-5 of a level on average. Weights changed by 0.1 % differ by 0.02 to 0.06.
MEAN, LARGEST = 0.02, 2
FLIPPED = 0.001  # share of values that may differ by more: where two experts are as good as equal


@pytest.mark.parametrize("name", list(packaged_models()))
def test_the_picture_is_the_golden_one(name: str) -> None:
    path = GOLDEN / f"{name}.png"
    assert path.is_file(), (
        f"{name} has no golden picture: run 'python scripts/make_goldens.py {name}', look at "
        f"{path} and commit it."
    )
    got, golden = golden_of(name).astype(int), read_image(path).pixels.astype(int)
    assert got.shape == golden.shape
    apart = np.abs(got - golden)
    advice = f"if the change is meant, run 'python scripts/make_goldens.py {name}'"
    assert apart.mean() <= MEAN, advice
    assert (apart > LARGEST).mean() <= FLIPPED, advice


def test_every_golden_picture_is_of_a_packaged_model() -> None:
    assert {path.stem for path in GOLDEN.glob("*.png")} == packaged_models().keys()
