"""One tile through a network: device, precision, and what to do where a result is not finite."""

import warnings
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from typing import TypeVar

import torch
from torch import Tensor

from pixperts.errors import ImageError, UsageError
from pixperts.memory import give_back_freed_memory
from pixperts.models.output import Output

PRECISIONS = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}
T = TypeVar("T")


class DeviceRunner:
    """Runs parts of a network on a device in a precision.

    Args:
        name: of the model, for messages.
        device: where its weights lie.
        precision: float32, bfloat16 or float16; the halves as far as autocast takes them.

    Raises:
        UsageError: another precision, or one that the device lacks.
    """

    def __init__(self, name: str, device: torch.device, precision: str = "float32") -> None:
        if precision not in PRECISIONS:
            raise UsageError(
                f"precision is {precision!r}, but must be auto or one of {', '.join(PRECISIONS)}."
            )
        if precision == "float16" and device.type == "cpu":
            raise UsageError("float16 is not for the CPU: use bfloat16 or float32.")
        self._name, self.device, self._dtype = name, device, PRECISIONS[precision]
        self._precision, self._warned = precision, False
        self._shape: tuple[int, ...] = ()

    def output(self, run: Callable[[], Output]) -> Output:
        """A tile's result, on the CPU as float32 within [0, 1]; see `finite`."""

        def fetched() -> Output:
            output = run()
            return output._replace(image=output.image.float().cpu())

        output = self.finite(fetched, lambda found: [found.image])
        return output._replace(image=output.image.clamp_(0, 1))

    def finite(self, run: Callable[[], T], values: Callable[[T], Iterable[Tensor]]) -> T:
        """What a function of the network gives; again in float32 where it is not finite.

        Args:
            run: the function.
            values: the tensors of its result, on the CPU.

        Raises:
            ImageError: not finite in float32 either.
        """
        result = self.call(run)
        if self._dtype is not None and not all(map(_finite, values(result))):
            if not self._warned:
                warnings.warn(
                    f"{self._name} left the range of {self._precision}: the tiles concerned are "
                    "computed again in float32.",
                    stacklevel=2,
                )
                self._warned = True
            result = run()
        if not all(map(_finite, values(result))):
            raise ImageError(f"{self._name} gave values that are not finite for this image.")
        return result

    def expect(self, tile: Tensor) -> Tensor:
        """The tile on the device; room is made where its shape is a new one."""
        if tuple(tile.shape) != self._shape and self.device.type == "cpu":
            if self._shape:
                give_back_freed_memory()
            self._shape = tuple(tile.shape)
        return tile.to(self.device)

    def call(self, run: Callable[[], T]) -> T:
        """A function of the network in this precision."""
        half = nullcontext()
        if self._dtype is not None:
            half = torch.autocast(self.device.type, dtype=self._dtype)  # type: ignore[assignment]
        with half:
            return run()


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


def _finite(image: Tensor) -> bool:
    # The sum of a tile of finite values this small is finite, and needs no second array.
    return bool(torch.isfinite(image.sum(dtype=torch.float64)))


def colors_and_alpha(pixels: Tensor) -> tuple[Tensor, Tensor | None]:
    """(B, C, H, W) as three colors (B, 3, H, W), and alpha (B, 1, H, W) where there is one."""
    if pixels.shape[1] in (1, 3):
        return pixels.expand(-1, 3, -1, -1), None
    return pixels[:, :-1].expand(-1, 3, -1, -1), pixels[:, -1:]


def joined(image: Tensor, alpha: Tensor | None, channels: int) -> Tensor:
    """Three colors and alpha as `channels`: 1 gray, 2 gray and alpha, 3 RGB, 4 RGB and alpha."""
    if channels < 3:
        image = image.mean(dim=1, keepdim=True)
    return image if alpha is None else torch.cat([image, alpha], dim=1)
