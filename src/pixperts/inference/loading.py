"""Load a model from a name or a file: `load`."""

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
    """Load a model, ready for use.

    For type checkers, use `Upscaler.load` or `Restorer.load`: their return type is known.

    `load` does not change how the process allocates memory. `memory.keep_freed_memory` does: large
    pictures are then faster, but freed memory is not returned to the system.

    Args:
        name_or_path: a name that `pixperts models` lists, a .safetensors file of pixperts, a folder
            with one, or "org/name" or "org/name@revision" for the Hugging Face hub.
        device: auto (the GPU if there is one), cpu, cuda, cuda:1 or mps.
        tile: side of the tiles into which large pictures are cut, in input pixels; None = as
            large as the memory allows, which may be the whole picture.
        max_memory: bytes that the process may use on a CPU, or the tiles on another device;
            None = half of the free memory.
        precision: auto, float32, bfloat16 or (on a GPU) float16. "auto" is bfloat16 if it is
            faster for this network and processor, and float32 otherwise.
        runtime: what computes the encoder of a model that enlarges: torch, onnxruntime or
            openvino. The last two run on the CPU.
        offline: look for models of the hub only in its cache, not on the network.

    Returns:
        An `Upscaler` for a model that enlarges, a `Restorer` for one that repairs.

    Raises:
        ModelError: the name is unknown, or the file is missing, damaged or of another kind.
        UsageError: this machine has no such device, or the tile, memory, precision or runtime is
            not possible.

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
