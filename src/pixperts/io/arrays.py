"""Images of every kind a caller may hold, as tensors and back: PIL, NumPy, torch."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pixperts.errors import ImageError
from pixperts.ops.pixels import from_float, to_float


def to_tensor(image: Any) -> tuple[Tensor, Callable[[Tensor], Any]]:
    """Pixels (B, C, H, W) float32 in [0, 1], and the way back to the caller's kind.

    Args:
        image: a PIL image; NumPy (H, W) or (H, W, C) uint8, uint16 or float in [0, 1]; torch
            (C, H, W) or (B, C, H, W) floating point in [0, 1]; 1 to 4 channels.

    Raises:
        ImageError: another kind, shape or type, or values out of range.
    """
    if isinstance(image, Tensor):
        return _from_torch(image)
    if isinstance(image, np.ndarray):
        return _from_numpy(image)
    if type(image).__module__.split(".")[0] == "PIL":
        return _from_pil(image)
    raise ImageError(
        f"an image must be a PIL image, a NumPy array or a torch tensor, not {type(image)!r}."
    )


def _from_torch(image: Tensor) -> tuple[Tensor, Callable[[Tensor], Any]]:
    if image.dim() not in (3, 4) or image.shape[-3] not in (1, 2, 3, 4) or image.numel() == 0:
        raise ImageError(
            f"a torch image must be (C, H, W) or (B, C, H, W) with 1 to 4 channels, not "
            f"{tuple(image.shape)}."
        )
    if not image.is_floating_point():
        raise ImageError(f"a torch image must be floating point in [0, 1], not {image.dtype}.")
    pixels = image.detach().to("cpu", torch.float32)
    if not bool(torch.isfinite(pixels).all()) or pixels.min() < -0.01 or pixels.max() > 1.01:
        raise ImageError("a torch image must hold finite values in [0, 1].")

    def back(result: Tensor) -> Tensor:
        # A copy, because tensors of inference mode cannot take part in the caller's autograd.
        result = result.to(image.device, image.dtype, copy=True)
        return result if image.dim() == 4 else result[0]

    return (pixels if image.dim() == 4 else pixels[None]).clamp(0, 1), back


def _from_numpy(image: np.ndarray[Any, Any]) -> tuple[Tensor, Callable[[Tensor], Any]]:
    shaped = image[..., None] if image.ndim == 2 else image
    if shaped.ndim != 3 or shaped.shape[2] not in (1, 2, 3, 4) or shaped.size == 0:
        raise ImageError(
            f"a NumPy image must be (H, W) or (H, W, C) with 1 to 4 channels, not {image.shape}."
        )
    pixels = torch.from_numpy(np.ascontiguousarray(to_float(shaped)))  # (H, W, C)

    def back(result: Tensor) -> np.ndarray[Any, Any]:
        array = np.ascontiguousarray(result[0].permute(1, 2, 0).numpy())  # (H, W, C)
        floating = np.issubdtype(image.dtype, np.floating)
        array = array.astype(image.dtype) if floating else from_float(array, image.dtype)
        return array[..., 0] if image.ndim == 2 else array

    return pixels.permute(2, 0, 1)[None], back


def _from_pil(image: Any) -> tuple[Tensor, Callable[[Tensor], Any]]:
    from PIL import Image

    alpha = "A" in image.getbands() or "transparency" in image.info
    if image.mode in ("1", "L", "LA"):
        image = image.convert("LA" if alpha else "L")
    elif image.mode.startswith(("I;16", "I")) or image.mode == "F":
        raise ImageError(
            f"a PIL image of mode {image.mode} has no certain range: give it as a NumPy array."
        )
    else:
        image = image.convert("RGBA" if alpha else "RGB")
    pixels, back = _from_numpy(np.asarray(image))
    return pixels, lambda result: Image.fromarray(back(result))
