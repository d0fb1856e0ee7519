"""Training sets of pairs in their published layouts, small and synthetic, for the tests."""

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pixperts.data.image_files import PictureFile
from pixperts.data.pairs import Pair
from pixperts.degradations.tasks import COMPOSITIONS
from pixperts.errors import DataError
from pixperts.io.image import write_image


def put(root: Path, *names: str, width: int = 6, height: int = 4, bands: int = 3) -> None:
    """Pictures of these names below the root, each in a color of its own."""
    for name in names:
        level = sum(name.encode()) % 256
        write_image(root / name, np.full((height, width, bands), level, np.uint8))


def put_bmp(path: Path, pixels: np.ndarray, *, top_first: bool = False, bits: int = 24) -> None:
    """A BMP written field by field; pixels (H, W, 3) in RGB order."""
    height, width = pixels.shape[:2]
    stride = (3 * width + 3) // 4 * 4
    rows = np.zeros((height, stride), np.uint8)
    rows[:, : 3 * width] = pixels[:, :, ::-1].reshape(height, -1)
    data = (rows if top_first else rows[::-1]).tobytes()
    info = struct.pack(
        "<IiiHHIIiiII",
        40,
        width,
        -height if top_first else height,
        1,
        bits,
        0,
        len(data),
        0,
        0,
        0,
        0,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"BM" + struct.pack("<IHHI", 54 + len(data), 0, 0, 54) + info + data)


def path_of(file: PictureFile) -> Path:
    assert isinstance(file, Path)
    return file


def names(pairs: list[Pair], root: Path) -> list[tuple[str | None, str, str]]:
    return [
        (
            None if pair.degraded is None else path_of(pair.degraded).relative_to(root).as_posix(),
            path_of(pair.clean).relative_to(root).as_posix(),
            pair.task,
        )
        for pair in pairs
    ]


def put_denoise(root: Path) -> None:
    put(root / "BSD400", "100007.jpg", "22013.jpg")
    put_bmp(root / "WaterlooED" / "00001.bmp", np.zeros((4, 5, 3), np.uint8))


def put_rain(root: Path) -> None:
    put(root / "rainy", "rain-1.png", "rain-10.png", "rain-2.png")
    put(root / "gt", "norain-1.png", "norain-10.png", "norain-2.png")


def put_haze(root: Path) -> None:
    for part in range(1, 5):
        put(root / f"part{part}", f"000{part}_0.8_0.04.jpg", f"000{part}_1_0.2.jpg")
        put(root / "clear", f"000{part}.jpg")
    put(root / "clear", "9999.jpg")  # used by no hazy picture


def put_blur(root: Path) -> None:
    for half in ("input_crops", "target_crops"):
        put(root / "crop" / "train" / half, "GOPR0372_07_00-000047-s001.png", "b.png")


def put_low_light(root: Path) -> None:
    for half in ("low", "high"):
        put(root / "our485" / half, "2.png", "5.png")


def put_cdd11(root: Path) -> None:
    for kind in ("clear", *COMPOSITIONS):
        put(root / "train" / kind, "00001.png", "00002.png")


WRITERS: dict[str, Callable[[Path], None]] = {
    "denoise": put_denoise,
    "rain": put_rain,
    "haze": put_haze,
    "blur": put_blur,
    "low_light": put_low_light,
    "cdd11": put_cdd11,
}


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(DataError) as caught:
        call()
    message = str(caught.value)
    assert message.endswith(".")
    assert "\n" not in message
    return message
