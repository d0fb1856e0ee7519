"""Repair and enlarge the sample photos with the packaged weights, before and after side by side.

Runs the same command line that a user would: everything that this writes can be made by hand.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pixperts.degradations.tasks import degrade
from pixperts.evaluation.repair_cases import small_pair
from pixperts.inference.expert_maps import label
from pixperts.io.image import read_image, write_image
from pixperts.ops.pixels import from_float, to_float
from pixperts.ops.resize import bicubic

HERE = Path(__file__).parent
PHOTOS = ("budgie", "osprey", "circuits", "colosseum")
CROP = (300, 240)  # width and height of a detail on the sheet, in enlarged pixels
# What is done to one sample photo before it is repaired; synthetic, the same on every machine.
DAMAGED = "budgie"
TASKS = {
    "noise25": "noisy",
    "rain": "rainy",
    "haze": "hazy",
    "low_light": "dark",
    "blur": "blurred",
}
# What is done to small versions of sample photos before they are repaired and enlarged.
SMALL = {
    "osprey": ("phone", "noise of a phone, JPEG"),
    "colosseum": ("rain", "rain"),
    "budgie": ("dark0.12_jpeg", "dark, JPEG"),
}
SEED = 4
MIXTURE = "moeisr-tiny"  # the smallest model whose experts share a picture among them


def pixperts(*arguments: str | Path) -> None:
    """Run one command, showing it."""
    words = [str(word) for word in arguments]
    print("\n$ pixperts", *words, flush=True)
    subprocess.run([sys.executable, "-m", "pixperts", *words], check=True)


def small_and_bad(out: Path) -> list[Path]:
    """Write versions of sample photos that are half as large and need repair."""
    files = []
    for name, (case, _) in SMALL.items():
        photo = torch.from_numpy(to_float(read_image(HERE / f"{name}.jpg").pixels)).permute(2, 0, 1)
        pixels = small_pair(photo, 2, case, SEED)[0].permute(1, 2, 0).numpy()
        files.append(out / "small" / f"{name}.png")
        write_image(files[-1], from_float(pixels, np.uint8))
    return files


def enhanced_row(file: Path, out: Path) -> NDArray[np.uint8]:
    """The middle of one small photo: enlarged as it is, repaired and enlarged, the original."""
    after = read_image(out / "enhanced" / file.name).pixels
    before = plain_enlargement(read_image(file).pixels, *after.shape[1::-1])
    pictures = {
        f"small, {SMALL[file.stem][1]} (synthetic), bicubic": before,
        "repaired and enlarged by pixperts": after,
        "original": read_image(HERE / f"{file.stem}.jpg").pixels,
    }
    return middles(pictures)


def plain_enlargement(photo: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """Bicubic: what a browser or viewer would show."""
    tensor = torch.from_numpy(to_float(photo)).permute(2, 0, 1)
    large = bicubic(tensor, (height, width)).clamp(0, 1).permute(1, 2, 0)
    return from_float(large.numpy(), np.uint8)


def enlarged(experts: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """A map of experts at another size, without mixing its colors."""
    rows = np.arange(height) * experts.shape[0] // height
    columns = np.arange(width) * experts.shape[1] // width
    shown: NDArray[np.uint8] = experts[rows][:, columns]
    return shown


def row(name: str, out: Path) -> NDArray[np.uint8]:
    """One photo: the enlargement as a whole, then a detail before, after, and its experts."""
    after = read_image(out / "x2.5" / f"{name}.jpg").pixels
    mixed = read_image(out / "width_1000" / f"{name}.jpg").pixels
    experts = read_image(out / "experts" / f"{name}_experts.png").pixels
    before = plain_enlargement(read_image(HERE / f"{name}.jpg").pixels, *after.shape[1::-1])
    experts = experts[: mixed.shape[0]]  # without the legend
    experts = enlarged(experts, after.shape[1], after.shape[0])
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
        f"experts of {MIXTURE}": experts[window],
    }
    return np.concatenate([label(picture, text) for text, picture in pictures.items()], axis=1)


def damage(out: Path) -> list[Path]:
    """Write versions of one sample photo that need repair."""
    photo = torch.from_numpy(to_float(read_image(HERE / f"{DAMAGED}.jpg").pixels)).permute(2, 0, 1)
    files = []
    for task, name in TASKS.items():
        pixels = degrade(photo, task, SEED).permute(1, 2, 0).numpy()
        files.append(out / "damaged" / f"{DAMAGED}_{name}.png")
        write_image(files[-1], from_float(pixels, np.uint8))
    return files


def repaired_row(file: Path, out: Path) -> NDArray[np.uint8]:
    """One damaged photo: as it is, repaired, and the original, each in part."""
    pictures = {
        f"{file.stem.replace('_', ', ')} (synthetic)": read_image(file).pixels,
        "repaired by pixperts": read_image(out / "repaired" / file.name).pixels,
        "original": read_image(HERE / f"{DAMAGED}.jpg").pixels,
    }
    return middles(pictures)


def middles(pictures: Mapping[str, NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """The middle of each picture below its text, side by side."""
    rows, columns = CROP[1], (4 * CROP[0] + 20) // 3
    shown = []
    for text, picture in pictures.items():
        top, left = (
            (side - room) // 2
            for side, room in zip(picture.shape[:2], (rows, columns), strict=True)
        )
        part = picture[max(top, 0) :, max(left, 0) :][:rows, :columns]
        shown.append(label(np.ascontiguousarray(part), text))
    return np.concatenate(shown, axis=1)


def stack(rows: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Rows one below the other, made equally wide."""
    width = max(row.shape[1] for row in rows)
    padding = [((0, 0), (0, width - row.shape[1]), (0, 0)) for row in rows]
    return np.concatenate(
        [np.pad(row, pad, constant_values=24) for row, pad in zip(rows, padding, strict=True)]
    )


def main() -> None:
    """Repair and enlarge, enlarge by factor and to a width, map the experts, repair; the sheet."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, default=Path("out"))
    out = parser.parse_args().out
    photos = [HERE / f"{name}.jpg" for name in PHOTOS]
    start = time.perf_counter()
    small = small_and_bad(out)
    pixperts("enhance", *small, "-o", f"{out / 'enhanced'}/", "-s", "2")
    pixperts("upscale", *photos, "-o", out / "x2.5", "-s", "2.5")
    mixture = ("-m", MIXTURE, "--expert-map", out / "experts", "--budget", "0.3")
    pixperts("upscale", *photos, "-o", out / "width_1000", "--width", "1000", *mixture)
    damaged = damage(out)
    pixperts("restore", *damaged, "-o", f"{out / 'repaired'}/")
    sheet = [enhanced_row(file, out) for file in small] + [row(name, out) for name in PHOTOS]
    sheet += [repaired_row(file, out) for file in damaged]
    write_image(out / "sheet.png", stack(sheet))
    seconds = time.perf_counter() - start
    print(f"\n{out / 'sheet.png'}: before and after side by side ({seconds:.0f} s in all).")


if __name__ == "__main__":
    main()
