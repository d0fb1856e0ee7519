"""The inference path: one image of any kind in, the same kind out.

The command line, Python callers and the evaluation all come through `Restorer`; it chooses the
device, turns pixels into tensors and back, clamps, and runs the network without gradients.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pixperts import checkpoint
from pixperts.defaults import DEFAULT_MODEL as DEFAULT_MODEL
from pixperts.errors import ImageError, ModelError, UsageError
from pixperts.image import from_float, to_float
from pixperts.memory import keep_freed_memory
from pixperts.models import MoEISR
from pixperts.resize import bicubic
from pixperts.routing import Routing
from pixperts.sizes import SizeRequest, check_memory

WEIGHTS = Path(__file__).parent / "weights"
Progress = Callable[[float], None]


def packaged_models() -> dict[str, Path]:
    """Names and files of the trained models that ship inside the package."""
    return {path.stem: path for path in sorted(WEIGHTS.glob("*.safetensors"))}


def load(name_or_path: str | Path = DEFAULT_MODEL, *, device: str = "auto") -> "Restorer":
    """A restorer for a packaged model's name or a weights file.

    Args:
        name_or_path: a name that `pixperts models` lists, or a .safetensors file of ours.
        device: auto (the GPU where there is one), cpu, cuda, cuda:1, mps.

    Raises:
        ModelError: for an unknown name or a file that is missing, damaged or foreign.
        UsageError: for a device that this machine lacks.
    """
    text, packaged = str(name_or_path), packaged_models()
    path = packaged.get(text, Path(name_or_path))
    if text not in packaged and not path.suffix and not os.path.exists(path):
        raise ModelError(
            f"unknown model {text!r}: packaged are {', '.join(packaged) or 'none'}; "
            "a weights file is given by its path."
        )
    if path.suffix.lower() in {".pth", ".pt", ".ckpt"}:
        raise ModelError(
            f"{path}: published PyTorch weights are used after 'pixperts convert {path} "
            f"{path.stem}.safetensors'."
        )
    model, card = checkpoint.load(path)
    return Restorer(model, card, device=device)


def choose_device(name: str) -> torch.device:
    """`auto` and device names into a device that exists.

    Raises:
        UsageError: naming the device that is missing.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"device {name!r} is unknown: use auto, cpu, cuda or mps.") from error
    present = {
        "cpu": True,
        "cuda": torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    if not present.get(device.type, False):
        raise UsageError(f"device {name!r} is not available on this machine: use auto or cpu.")
    return device


class Restorer:
    """A network, its card and a device; enlarges images of several kinds.

    Attributes:
        model: the network, in evaluation mode.
        card: name, licence, data and notes of the weights.
        device: where it runs.
    """

    def __init__(self, model: MoEISR, card: checkpoint.Card, *, device: str = "auto") -> None:
        keep_freed_memory()
        self.device = choose_device(device)
        self.model = model.eval().to(self.device)
        if self.device.type != "cpu":  # a chunk that fits a CPU's cache starves an accelerator
            self.model.max_pixels = max(self.model.max_pixels, 1 << 18)
        self.card = card

    @property
    def name(self) -> str:
        """Name of the architecture, as in `pixperts models`."""
        return self.card.name

    def upscale(
        self,
        image: Any,
        *,
        scale: float | None = None,
        size: tuple[int, int] | None = None,
        budget: float | None = None,
        progress: Progress | None = None,
    ) -> Any:
        """Enlarge (or reduce) one image; see `upscale_with_routing`, which also tells how."""
        return self.upscale_with_routing(
            image, scale=scale, size=size, budget=budget, progress=progress
        )[0]

    def upscale_with_routing(
        self,
        image: Any,
        *,
        scale: float | None = None,
        size: tuple[int, int] | None = None,
        budget: float | None = None,
        progress: Progress | None = None,
    ) -> tuple[Any, Routing | None]:
        """Enlarge one image and say which expert did which pixel.

        Args:
            image: a PIL image; NumPy (H, W) or (H, W, C) uint8, uint16 or float in [0, 1]; torch
                (C, H, W) or (B, C, H, W) floating point in [0, 1]. C = 1 grey, 2 grey and alpha,
                3 RGB, 4 RGB and alpha. Alpha is enlarged by bicubic interpolation.
            scale: factor for both sides, or
            size: exact (width, height).
            budget: 0 = always the cheapest expert, 1 = always the best, None = as the mapper says.
            progress: called with the share that is done, rising to 1.

        Returns:
            The result, of the kind, depth and channels of the input, within [0, 1] where it is
            floating point; and the routing, None for a dense model.

        Raises:
            UsageError: for sizes, scales or budgets that make no sense, or too little memory.
            ImageError: for an image of an unknown kind, shape or type, or values not finite.
        """
        pixels, restore_kind = _to_tensor(image)  # (B, C, H, W) float32 in [0, 1]
        height, width = pixels.shape[-2:]
        request = SizeRequest(scale=scale, size=size)
        new_width, new_height = request.resolve(width, height)
        if budget is not None and not 0.0 <= budget <= 1.0:
            raise UsageError(f"budget is {budget:g}, but must lie between 0 and 1.")
        if budget is not None and len(self.model.experts) == 1:
            raise UsageError(f"{self.name} has a single expert: leave the budget out.")
        batch = len(pixels)
        check_memory(new_width, new_height * batch)
        check_memory(
            width, height * batch, channels=self._working_channels(), what="Enlarging an image"
        )
        colours = pixels.shape[1] - (1 if pixels.shape[1] in (2, 4) else 0)
        rgb = pixels[:, :colours].expand(-1, 3, -1, -1)
        target = (new_height, new_width)
        with torch.inference_mode():
            output = self.model(rgb.to(self.device), target, budget=budget, progress=progress)
            result = output.image.float()
            if not bool(torch.isfinite(result).all()):
                raise ImageError(f"{self.name} gave values that are not finite for this image.")
            result = result.clamp(0, 1).cpu()
            if colours == 1:
                result = result.mean(dim=1, keepdim=True)
            if colours < pixels.shape[1]:
                alpha = bicubic(pixels[:, colours:], target).clamp(0, 1)
                result = torch.cat([result, alpha], dim=1)
        return restore_kind(result), output.routings[0] if output.routings else None

    def _working_channels(self) -> int:
        """Float32 channels an LR pixel that encoder and tables hold at their peak, roughly."""
        return 4 * int(self.model.encoder.out_channels)

    def multiply_adds(
        self, width: int, height: int, new_width: int, new_height: int, routing: Routing | None
    ) -> float:
        """Analytic multiply-adds of one enlargement as it was routed."""
        shares = None if routing is None else routing.shares
        sizes = (height, width), (new_height, new_width)
        return self.model.multiply_adds(*sizes, shares)["total"]


def _to_tensor(image: Any) -> tuple[Tensor, Callable[[Tensor], Any]]:
    """Pixels (B, C, H, W) float32 in [0, 1], and the way back to the caller's kind."""
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
