"""Enlarge the sample photos with the packaged weights, and lay before and after side by side.

Runs the same command line that a user would: everything that this writes can be had by hand.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pixperts.expert_maps import label
from pixperts.image import from_float, read_image, to_float, write_image
from pixperts.resize import bicubic

HERE = Path(__file__).parent
PHOTOS = ("budgie", "osprey", "circuits", "colosseum")
CROP = (300, 240)  # width and height of a detail on the sheet, in enlarged pixels


def pixperts(*arguments: str | Path) -> None:
    """Run one command, showing it."""
    words = [str(word) for word in arguments]
    print("\n$ pixperts", *words, flush=True)
    subprocess.run([sys.executable, "-m", "pixperts", *words], check=True)


def plain_enlargement(photo: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """Bicubic: what a browser or viewer would show."""
    tensor = torch.from_numpy(to_float(photo)).permute(2, 0, 1)
    large = bicubic(tensor, (height, width)).clamp(0, 1).permute(1, 2, 0)
    return from_float(large.numpy(), np.uint8)


def row(name: str, out: Path) -> NDArray[np.uint8]:
    """One photo: the enlargement as a whole, then a detail before, after, and its experts."""
    after = read_image(out / "x2.5" / f"{name}.jpg").pixels
    experts = read_image(out / "experts" / f"{name}_experts.png").pixels
    before = plain_enlargement(read_image(HERE / f"{name}.jpg").pixels, *after.shape[1::-1])
    experts = experts[: after.shape[0]]  # without the legend
    # The detail with the most structure: where enlarging is hard.
    gradient = np.abs(np.diff(after.mean(axis=2), axis=1))
    width, height = CROP
    places = [
        (gradient[y : y + height, x : x + width].mean(), y, x)
        for y in range(0, after.shape[0] - height, 60)
        for x in range(0, after.shape[1] - width, 60)
    ]
    _, y, x = max(places)
    window = np.s_[y : y + height, x : x + width]
    whole = plain_enlargement(after, 320, height)
    pictures = {
        f"{name}, x2.5": whole,
        "detail, bicubic": before[window],
        "detail, pixperts": after[window],
        "its experts": experts[window],
    }
    return np.concatenate([label(picture, text) for text, picture in pictures.items()], axis=1)


def main() -> None:
    """Enlarge by factor and to a width, map the experts, write the sheet."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, default=Path("out"))
    out = parser.parse_args().out
    photos = [HERE / f"{name}.jpg" for name in PHOTOS]
    start = time.perf_counter()
    pixperts("upscale", *photos, "-o", out / "x2.5", "-s", "2.5", "--expert-map", out / "experts")
    pixperts("upscale", *photos, "-o", out / "width_1000", "--width", "1000", "--budget", "0.3")
    sheet = np.concatenate([row(name, out) for name in PHOTOS])
    write_image(out / "sheet.png", sheet)
    seconds = time.perf_counter() - start
    print(f"\n{out / 'sheet.png'}: before and after side by side ({seconds:.0f} s in all).")


if __name__ == "__main__":
    main()
