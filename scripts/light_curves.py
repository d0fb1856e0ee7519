"""How linear light should go to a network: three curves into [0, 1], judged by the enlarged result.

Photos become light whose highlights are expanded to some times white, are halved as light, enlarged
by moeisr-photo through each curve and compared with the light that they were, in sRGB up to white.

python scripts/light_curves.py examples/*.jpg
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from pixperts.inference.upscaler import Upscaler
from pixperts.ops.high_range import Curve, LightCurve, RangeCurve
from pixperts.ops.pixels import Pixels, srgb_encoded

SIZE = (320, 240)  # of the photos, so that a run takes a minute or two
PEAKS = (1, 4, 16, 64)  # brightest light, in whites


class PeakCurve:
    """The curve of sRGB for light scaled by its peak."""

    def __init__(self, high: float) -> None:
        self.low, self.high = 0.0, high

    def compress(self, pixels: Pixels) -> Pixels:
        return LightCurve(0.0, 1.0).compress(pixels / self.high)

    def expand(self, pixels: Pixels) -> Pixels:
        scaled: Pixels = LightCurve(0.0, 1.0).expand(pixels) * self.high
        return scaled


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("photos", nargs="+", type=Path)
    photos = [read(path) for path in parser.parse_args().photos]
    upscaler = Upscaler.load("moeisr-photo", device="cpu")
    for peak in PEAKS:
        curves: dict[str, Curve] = {
            "sRGB of x / peak": PeakCurve(peak),
            "logarithm (RangeCurve)": RangeCurve(0.0, float(peak)),
            "sRGB, above white a logarithm (LightCurve)": LightCurve(0.0, float(peak)),
        }
        for name, curve in curves.items():
            found = [error(upscaler, curve, expanded(photo, peak)) for photo in photos]
            print(f"{peak:3} x white: {np.mean(found):6.2f} dB  {name}")


def read(path: Path) -> Pixels:
    with Image.open(path) as image:
        codes = np.asarray(image.convert("RGB").resize(SIZE), np.float32) / 255
    return LightCurve(0.0, 1.0).expand(codes)


def expanded(light: Pixels, peak: float) -> Pixels:
    """Light up to white with its highlights up to `peak`."""
    return light / (1 - light * (1 - 1 / peak))


def error(upscaler: Upscaler, curve: Curve, light: Pixels) -> float:
    height, width, _ = light.shape
    half = light.reshape(height // 2, 2, width // 2, 2, 3).mean((1, 3)).astype(np.float32)
    result = curve.expand(upscaler.upscale(curve.compress(half), scale=2))
    shown = [srgb_encoded(np.clip(one, 0, 1)) for one in (result, light)]
    return float(-10 * np.log10(np.mean((shown[0] - shown[1]) ** 2)))


if __name__ == "__main__":
    main()
