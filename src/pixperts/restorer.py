"""The inference path: one image of any kind in, the same kind out.

The command line, Python callers and the evaluation all come through `Restorer`; it chooses the
device, turns pixels into tensors and back, clamps, and runs the network without gradients.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pixperts import checkpoint
from pixperts.defaults import DEFAULT_MODEL as DEFAULT_MODEL
from pixperts.errors import ImageError, ModelError, UsageError
from pixperts.kinds import to_tensor
from pixperts.memory import keep_freed_memory
from pixperts.models import MoCEIR, MoEISR, Network, as_repairer, as_upscaler
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
    """A network, its card and a device; enlarges or repairs images of several kinds.

    Attributes:
        model: the network, in evaluation mode.
        card: name, licence, data and notes of the weights.
        device: where it runs.
    """

    def __init__(self, model: Network, card: checkpoint.Card, *, device: str = "auto") -> None:
        keep_freed_memory()
        self.device = choose_device(device)
        self.model = model.eval().to(self.device)
        # A chunk that fits a CPU's cache starves an accelerator.
        if isinstance(model, MoEISR) and self.device.type != "cpu":
            model.max_pixels = max(model.max_pixels, 1 << 18)
        self.card = card

    @property
    def name(self) -> str:
        """Name of the architecture, as in `pixperts models`."""
        return self.card.name

    @property
    def upscaler(self) -> MoEISR:
        """The network, if it is one that enlarges.

        Raises:
            UsageError: if it repairs.
        """
        return as_upscaler(self.model, self.name)

    @property
    def repairer(self) -> MoCEIR:
        """The network, if it is one that repairs.

        Raises:
            UsageError: if it enlarges.
        """
        return as_repairer(self.model, self.name)

    @property
    def takes_budget(self) -> bool:
        """Whether there is a choice between experts that a budget could shift."""
        return isinstance(self.model, MoEISR) and len(self.model.experts) > 1

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
        model = self.upscaler
        pixels, restore_kind = to_tensor(image)  # (B, C, H, W) float32 in [0, 1]
        height, width = pixels.shape[-2:]
        request = SizeRequest(scale=scale, size=size)
        new_width, new_height = request.resolve(width, height)
        if budget is not None and not 0.0 <= budget <= 1.0:
            raise UsageError(f"budget is {budget:g}, but must lie between 0 and 1.")
        if budget is not None and not self.takes_budget:
            raise UsageError(f"{self.name} has a single expert: leave the budget out.")
        batch = len(pixels)
        check_memory(new_width, new_height * batch)
        # Float32 channels an LR pixel that encoder and tables hold at their peak, roughly.
        channels = 4 * int(model.encoder.out_channels)
        check_memory(width, height * batch, channels=channels, what="Enlarging an image")
        target = (new_height, new_width)
        with torch.inference_mode():
            rgb, alpha = _split(pixels)
            output = model(rgb.to(self.device), target, budget=budget, progress=progress)
            if alpha is not None:
                alpha = bicubic(alpha, target).clamp(0, 1)
            result = self._joined(output.image, pixels, alpha)
        return restore_kind(result), output.routings[0] if output.routings else None

    def restore(
        self, image: Any, *, strength: float = 1.0, progress: Progress | None = None
    ) -> Any:
        """Repair one image; see `restore_with_routing`, which also tells how."""
        return self.restore_with_routing(image, strength=strength, progress=progress)[0]

    def restore_with_routing(
        self, image: Any, *, strength: float = 1.0, progress: Progress | None = None
    ) -> tuple[Any, tuple[Routing, ...]]:
        """Repair one image and say which expert served in each decoder block.

        Args:
            image: of any kind that `upscale_with_routing` takes. Grey is repaired as grey; alpha
                stays as it is.
            strength: 1 = what the network says, 0 = the input; between them a blend.
            progress: called with 1.0 at the end.

        Returns:
            The result, of the kind, depth, size and channels of the input, and the routing of
            each decoder block in the order of execution.

        Raises:
            UsageError: for a strength outside 0..1, a model that enlarges, or too little memory.
            ImageError: for an image of an unknown kind, shape or type, or values not finite.
        """
        model = self.repairer
        if not 0.0 <= strength <= 1.0:
            raise UsageError(f"strength is {strength:g}, but must lie between 0 and 1.")
        pixels, restore_kind = to_tensor(image)  # (B, C, H, W) float32 in [0, 1]
        height, width = pixels.shape[-2:]
        # Measured: 107 to 116 bytes a pixel and channel of `dim` at the peak, tiny and small alike.
        channels = 14 * model.config.dim
        check_memory(width, height * len(pixels), channels=channels, what="Repairing an image")
        with torch.inference_mode():
            rgb, alpha = _split(pixels)
            output = model(rgb.to(self.device))
            image = output.image.float().cpu()
            if strength < 1:
                image = torch.lerp(rgb, image, strength)
            result = self._joined(image, pixels, alpha)
        if progress is not None:
            progress(1.0)
        return restore_kind(result), output.routings

    def _joined(self, image: Tensor, pixels: Tensor, alpha: Tensor | None) -> Tensor:
        """The network's picture as (B, C, H, W) in [0, 1], with the channels of the input."""
        result = image.float()
        if not bool(torch.isfinite(result).all()):
            raise ImageError(f"{self.name} gave values that are not finite for this image.")
        result = result.clamp(0, 1).cpu()
        if pixels.shape[1] < 3:
            result = result.mean(dim=1, keepdim=True)
        return result if alpha is None else torch.cat([result, alpha], dim=1)

    def multiply_adds(
        self, width: int, height: int, new_width: int, new_height: int, routing: Routing | None
    ) -> float:
        """Analytic multiply-adds of one enlargement as it was routed."""
        shares = None if routing is None else routing.shares
        sizes = (height, width), (new_height, new_width)
        return self.upscaler.multiply_adds(*sizes, shares)["total"]


def _split(pixels: Tensor) -> tuple[Tensor, Tensor | None]:
    """(B, C, H, W) as three colours (B, 3, H, W), and alpha (B, 1, H, W) where there is one."""
    if pixels.shape[1] in (1, 3):
        return pixels.expand(-1, 3, -1, -1), None
    return pixels[:, :-1].expand(-1, 3, -1, -1), pixels[:, -1:]
