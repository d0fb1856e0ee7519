"""From a name or a file to a model that is ready: `load`."""

from pathlib import Path

from pixperts.defaults import DEFAULT_MODEL
from pixperts.inference.restorer import Restorer
from pixperts.inference.upscaler import Upscaler
from pixperts.weights import store
from pixperts.weights.packaged import weights_file


def load(
    name_or_path: str | Path = DEFAULT_MODEL,
    *,
    device: str = "auto",
    tile: int | None = None,
    max_memory: float | None = None,
    precision: str = "auto",
    runtime: str = "torch",
    offline: bool = False,
) -> Upscaler | Restorer:
    """A packaged model by its name, or that of a weights file, ready for use.

    The allocator of the process stays as it is; `memory.keep_freed_memory` makes large pictures
    faster at the price of memory that is not returned to the system.

    For type checkers, `Upscaler.load` and `Restorer.load` return the one or the other.

    Args:
        name_or_path: a name that `pixperts models` lists, a .safetensors file of ours or a folder
            with one, or "org/name" or "org/name@revision" on the Hugging Face hub.
        device: auto (the GPU where there is one), cpu, cuda, cuda:1, mps.
        tile: side of the tiles that large pictures are worked on in, input pixels; None = as
            large as the memory allows, the whole picture where it does.
        max_memory: bytes that the process may take on a CPU, and the tiles on another device;
            None = half of what is free.
        precision: auto, float32, bfloat16 or (on a GPU) float16, see `Predictor`.
        runtime: torch, or onnxruntime or openvino for the encoder, see `runtimes`; on the CPU,
            for models that enlarge.
        offline: only look for models of the hub in its cache.

    Returns:
        An `Upscaler` for a model that enlarges, a `Restorer` for one that repairs.

    Raises:
        ModelError: for an unknown name or a file that is missing, damaged or foreign.
        UsageError: for a device that this machine lacks, or a tile, memory, precision or
            runtime that is not possible.

    Example:
        >>> import numpy as np
        >>> from PIL import Image
        >>> model = load("moeisr-photo", device="cpu")
        >>> pixels = np.full((4, 6, 3), 128, np.uint8)
        >>> large = model.upscale(pixels, scale=2)
        >>> large.shape, large.dtype
        ((8, 12, 3), dtype('uint8'))
        >>> model.upscale(Image.fromarray(pixels), size=(9, 6)).size
        (9, 6)
    """
    model, card = store.load(weights_file(name_or_path, offline=offline))
    kind = Upscaler if model.does == "upscale" else Restorer
    return kind(
        model,
        card,
        device=device,
        tile=tile,
        max_memory=max_memory,
        precision=precision,
        runtime=runtime,
    )
