"""The golden pictures of the packaged weights: what each makes of a small piece of a photo.

    python scripts/make_goldens.py [NAME ...]

Writes tests/golden/NAME.png for the models that are named, or for all packaged ones; what
tests/weights/test_golden.py then holds later code and weights to. Look at a picture before it is
committed: the change log should say why it changed.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import pixperts
from pixperts.inference.enhancer import Enhancer
from pixperts.io.image import read_image, write_image
from pixperts.models.interfaces import EnhancingNetwork
from pixperts.weights.packaged import packaged_models

ROOT = Path(__file__).resolve().parents[1]
GOLDEN = ROOT / "tests" / "golden"
# Kept as PNG files, because decoders of JPEG and generators of noise may differ by a level.
PHOTO, SPOILT = GOLDEN / "input" / "photo.png", GOLDEN / "input" / "spoilt.png"
CROP = (slice(130, 178), slice(170, 218))  # the eye of the bird: edges, fine lines and plain parts


def make_inputs() -> None:
    """A crop of a sample photo, and the same with noise."""
    import torch

    from pixperts.degradations.tasks import degrade
    from pixperts.ops.pixels import from_float

    crop = read_image(ROOT / "examples" / "budgie.jpg").pixels[CROP]
    write_image(PHOTO, crop)
    degraded = degrade(torch.from_numpy(crop / np.float32(255)).permute(2, 0, 1), "noise25", 0)
    write_image(SPOILT, from_float(degraded.permute(1, 2, 0).numpy(), np.uint8))


def golden_of(name: str) -> NDArray[Any]:
    """What a packaged model makes of the input today: (96, 96, 3) or (48, 48, 3), uint8."""
    # In float32 on every machine, also where bfloat16 is faster.
    model: Any = pixperts.load(name, device="cpu", precision="float32")
    if isinstance(model.model, EnhancingNetwork):
        pixels = Enhancer(model).enhance(read_image(SPOILT).pixels, scale=2)
    elif model.model.does == "upscale":
        pixels = model.upscale(read_image(PHOTO).pixels, scale=2)
    else:
        pixels = model.restore(read_image(SPOILT).pixels)
    return np.asarray(pixels)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="packaged models; all of them by default")
    wanted = parser.parse_args().names or list(packaged_models())
    if not (PHOTO.exists() and SPOILT.exists()):
        make_inputs()
    for name in wanted:
        write_image(GOLDEN / f"{name}.png", golden_of(name))
        print(GOLDEN / f"{name}.png")


if __name__ == "__main__":
    main()
