"""Pairs to measure how well typical photos are enlarged: compressed, or soft."""

import math
from pathlib import Path

import torch
from torch import Tensor

from pixperts.degradations.camera import jpeg
from pixperts.errors import UsageError
from pixperts.io.image import read_image
from pixperts.ops.pixels import to_float
from pixperts.ops.resize import bicubic, quantize

SOFT = 1.6  # factor by which a photo is reduced and enlarged again to be soft


def photo_pair(path: Path, scale: float, case: str) -> tuple[Tensor, Tensor]:
    """A photo reduced by an antialiased bicubic kernel, rounded to 8 bits, with faults.

    Args:
        path: of the photo; alpha is left out.
        scale: factor of the reduction.
        case: "clean"; "jpegQ", JPEG of quality Q (1 to 100) with 4:2:0 chroma; "soft" and "softQ",
            the same of a photo that was first reduced by 1.6 and enlarged again.

    Returns:
        The reduced picture (3, h, w) and the photo (3, H, W), its target, in [0, 1]; less than
        `scale` rows and columns of the photo are cut off.

    Raises:
        UsageError: an unknown case.
        ImageError: a file that cannot be read.
    """
    quality = case.removeprefix("jpeg").removeprefix("soft")
    if case not in ("clean", "soft") and not (quality.isdecimal() and quality != case):
        raise UsageError(f"case is {case!r}, but must be clean, soft, jpegQ or softQ.")
    photo = torch.from_numpy(to_float(read_image(path).pixels)).permute(2, 0, 1)[:3]
    height, width = (math.floor(length / scale) for length in photo.shape[1:])
    photo = photo[:, : round(height * scale), : round(width * scale)].contiguous()
    if case.startswith("soft"):
        small = (round(photo.shape[1] / SOFT), round(photo.shape[2] / SOFT))
        photo = bicubic(bicubic(photo, small), (photo.shape[1], photo.shape[2])).clamp(0, 1)
    lr = quantize(bicubic(photo, (height, width)))
    if quality.isdecimal():
        lr = jpeg(lr, quality=int(quality))
    return quantize(lr), photo
