"""Images of every kind that a caller may hold, as tensors and back: PIL, NumPy, torch."""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pixperts.errors import ImageError
from pixperts.ops.pixels import SLACK, from_float, to_float


def to_tensor(image: Any) -> tuple[Tensor, Callable[[Tensor], Any]]:
    """Pixels (B, C, H, W) float32 in [0, 1], and the way back to the caller's kind.

    Args:
        image: a PIL image; NumPy (H, W) or (H, W, C) uint8, uint16 or float in [0, 1]; torch
            (C, H, W) or (B, C, H, W) of the same types; 1 to 4 channels. Floating point may lie
            outside of [0, 1] by half an 8-bit code (0.00196), which is clipped.

    Returns:
        The pixels, and a function from a result like them, of any size, to the caller's kind:
        mode, dtype, device and number of dimensions. A subclass of PIL's image comes back as a
        plain one.

    Raises:
        ImageError: another kind, shape or type, values out of range or not finite.
    """
    if isinstance(image, Tensor):
        return _from_torch(image)
    if isinstance(image, np.ndarray):
        return _from_numpy(image)
    pil = sys.modules.get("PIL.Image")  # whoever holds such an image has imported it
    if pil is not None and isinstance(image, pil.Image):
        return _from_pil(image)
    raise ImageError(
        f"an image must be a PIL image, a NumPy array or a torch tensor, not {type(image)!r}: "
        "read a file with pixperts.read_image, whose result has the pixels."
    )


def _from_torch(image: Tensor) -> tuple[Tensor, Callable[[Tensor], Any]]:
    if image.dim() not in (3, 4) or image.shape[-3] not in (1, 2, 3, 4) or image.numel() == 0:
        raise ImageError(
            f"a torch image must be (C, H, W) or (B, C, H, W) with 1 to 4 channels, not "
            f"{tuple(image.shape)}."
        )
    if image.dtype in (torch.uint8, torch.uint16):
        codes = image.cpu().numpy()
        pixels = torch.from_numpy(to_float(codes))

        def rounded(result: Tensor) -> Tensor:
            array = from_float(result.cpu().numpy(), codes.dtype)
            given = torch.from_numpy(array).to(image.device)
            return given if image.dim() == 4 else given[0]

        return pixels if image.dim() == 4 else pixels[None], rounded
    if not image.is_floating_point():
        raise ImageError(f"a torch image must be uint8, uint16 or float, not {image.dtype}.")
    pixels = image.detach().to("cpu", torch.float32)
    if not bool(torch.isfinite(pixels).all()):
        raise ImageError("a torch image must hold finite values, not NaN or infinity.")
    if pixels.min() < -SLACK or pixels.max() > 1 + SLACK:
        raise ImageError(
            f"a torch image spans {pixels.min():.4g} to {pixels.max():.4g}: scale it into [0, 1]."
        )

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
    if image.dtype not in (np.uint8, np.uint16) and not np.issubdtype(image.dtype, np.floating):
        raise ImageError(f"a NumPy image must be uint8, uint16 or float, not {image.dtype}.")
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
