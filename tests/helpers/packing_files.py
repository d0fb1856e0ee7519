"""Photos and pairs to pack, and comparisons of what came out, for the tests of shards."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from pixperts.io.image import write_image


def pixels(height: int, width: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng([seed, height, width])
    return random.integers(0, 256, (height, width, channels), dtype=np.uint8)


def put_photos(folder: Path) -> Path:
    """Six photos of all kinds, two of them JPEG, one below 128 pixels and one to be left out."""
    (folder / "sub").mkdir(parents=True)
    write_image(folder / "b.png", pixels(150, 200))
    write_image(folder / "a.png", pixels(140, 130, 1))
    write_image(folder / "deep.png", pixels(131, 133).astype(np.uint16) * 257)
    write_image(folder / "alpha.png", pixels(128, 129, 4))
    Image.fromarray(pixels(144, 160)).save(folder / "c.jpg", quality=90)
    turned = Image.Exif()
    turned[0x112] = 6
    Image.fromarray(pixels(150, 160)).save(folder / "sub" / "d.jpg", exif=turned)
    write_image(folder / "small.png", pixels(60, 300))
    write_image(folder / "out.png", pixels(200, 200))
    return folder


def put_pairs(root: Path, count: int = 3) -> tuple[Path, Path]:
    for number in range(count):
        clean = pixels(20 + number, 26, seed=number) // 2 * 2
        write_image(root / "gt" / f"{number}.png", clean)
        write_image(root / "lq" / f"{number}.png", clean // 2)
    return root / "lq", root / "gt"


def same(first: Any, second: Any) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def sums(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}
