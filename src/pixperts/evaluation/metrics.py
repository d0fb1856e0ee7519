"""PSNR and SSIM as super-resolution papers measure them: channel, border, data range 1."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from pixperts.errors import DataError, MissingExtraError, UsageError

SSIM_WINDOW = 11
SSIM_SIGMA = 1.5


@dataclass(frozen=True)
class Protocol:
    """Which channels and which pixels of two pictures are compared."""

    name: str
    description: str
    luma: bool  # compare BT.601 luma instead of RGB
    border: int | Callable[[float], int]  # pixels cut at each side: fixed, or from the scale

    def cut(self, scale: float | None = None) -> int:
        """Pixels to cut at each of the four sides.

        Raises:
            UsageError: the protocol needs the scale and it is missing, below 1 or not finite.

        >>> PROTOCOLS["y-shave"].cut(3), PROTOCOLS["rgb-shave"].cut(2.5), PROTOCOLS["rgb"].cut()
        (3, 9, 0)
        """
        if isinstance(self.border, int):
            return self.border
        if scale is None or not (math.isfinite(scale) and scale >= 1):
            raise UsageError(
                f"Protocol {self.name!r} cuts a border that depends on the scale: "
                f"scale must be a finite number of 1 or more, not {scale}."
            )
        return self.border(scale)


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            name="y-shave",
            description="BT.601 luma, border of `scale` pixels cut",
            luma=True,
            border=math.ceil,
        ),
        Protocol(
            name="rgb-shave",
            description="RGB, border of `scale` + 6 pixels cut",
            luma=False,
            border=lambda scale: math.ceil(scale) + 6,
        ),
        Protocol(name="rgb", description="RGB, whole picture", luma=False, border=0),
    )
}


def find_protocol(protocol: str | Protocol) -> Protocol:
    """The protocol of this name; a `Protocol` is returned as it is.

    Raises:
        UsageError: there is no protocol of this name.
    """
    if isinstance(protocol, Protocol):
        return protocol
    if protocol not in PROTOCOLS:
        raise UsageError(f"protocol must be one of {', '.join(PROTOCOLS)}, not {protocol!r}.")
    return PROTOCOLS[protocol]


def luma(rgb: Tensor) -> Tensor:
    """BT.601 studio luma, MATLAB's rgb2ycbcr: (65.481 R + 128.553 G + 24.966 B + 16) / 255.

    Args:
        rgb: `(..., 3, H, W)`, floating point in [0, 1].

    Returns:
        `(..., 1, H, W)` from 16/255 (black) to 235/255 (white).

    Raises:
        UsageError: the tensor does not have three channels.

    Black 16, white 16 + 219 = 235, red 16 + 65.481 = 81.481:

    >>> import torch
    >>> pixels = torch.tensor([[0.0, 1.0, 1.0], [0.0, 1.0, 0.0], [0.0, 1.0, 0.0]])
    >>> [round(v * 255, 3) for v in luma(pixels[:, None, :].double()).flatten().tolist()]
    [16.0, 235.0, 81.481]
    """
    if rgb.ndim < 3 or rgb.shape[-3] != 3:
        raise UsageError(f"rgb must have the shape (..., 3, H, W), not {tuple(rgb.shape)}.")
    red, green, blue = rgb.unbind(dim=-3)
    return ((65.481 * red + 128.553 * green + 24.966 * blue + 16.0) / 255.0).unsqueeze(-3)


def psnr(
    prediction: Tensor, target: Tensor, protocol: str | Protocol, scale: float | None = None
) -> float:
    """Peak signal-to-noise ratio in dB of one picture, data range 1.

    The prediction is clamped to [0, 1] and not rounded to 8 bit. On luma this equals LIIF's
    benchmark figure: its weights 65.738 / 256, 129.057 / 256, 25.064 / 256 are those of `luma`, and
    the offset cancels. Tables made in MATLAB round luma to integers as well, which costs bicubic
    0.01 to 0.04 dB on Set5.

    Args:
        prediction: `(3, H, W)`, floating point.
        target: `(3, H, W)`, floating point in [0, 1].
        protocol: a `Protocol` or the name of one in `PROTOCOLS`.
        scale: factor of enlargement, for protocols whose border depends on it.

    Returns:
        The PSNR; infinity for equal pictures.

    Raises:
        UsageError: no such protocol, or it needs the scale.
        DataError: the shapes differ, or nothing is left within the border.

    Off by 0.1 everywhere, the mean squared error is 0.01 and the PSNR 20 dB:

    >>> import torch
    >>> target = torch.full((3, 20, 20), 0.5)
    >>> round(psnr(target + 0.1, target, "rgb"), 3)
    20.0

    On luma the same error shrinks by 219 / 255, 20 - 20 log10(219 / 255) = 21.322 dB:

    >>> round(psnr(target + 0.1, target, "y-shave", scale=2), 3)
    21.322
    """
    ours, true = _compared(prediction.double(), target.double(), protocol, scale, smallest=1)
    error = (ours - true).square().mean().item()
    return math.inf if error == 0 else -10.0 * math.log10(error)


def ssim(
    prediction: Tensor, target: Tensor, protocol: str | Protocol, scale: float | None = None
) -> float:
    """Structural similarity of one picture, data range 1, mean over channels.

    Wang et al., "Image quality assessment" (2004): Gaussian window of 11x11, sigma 1.5, averaged
    over the windows that lie wholly inside the picture.

    Args:
        prediction: `(3, H, W)`, floating point, clamped to [0, 1].
        target: `(3, H, W)`, floating point in [0, 1].
        protocol: a `Protocol` or the name of one in `PROTOCOLS`.
        scale: factor of enlargement, for protocols whose border depends on it.

    Returns:
        The SSIM, at most 1.

    Raises:
        MissingExtraError: torchmetrics is not installed.
        UsageError: no such protocol, or it needs the scale.
        DataError: the shapes differ, or less than 11x11 pixels are left within the border.

    Flat gray 0.5 against 0.6 differs in luminance alone,
    (2 * 0.5 * 0.6 + 0.0001) / (0.25 + 0.36 + 0.0001) = 0.98361:

    >>> import torch
    >>> target = torch.full((3, 16, 16), 0.5)
    >>> round(ssim(target + 0.1, target, "rgb"), 4)
    0.9836
    """
    similarity = load_ssim()
    ours, true = _compared(
        prediction.float(), target.float(), protocol, scale, smallest=SSIM_WINDOW
    )
    _, local = similarity(
        ours.unsqueeze(0),
        true.unsqueeze(0),
        sigma=SSIM_SIGMA,
        kernel_size=SSIM_WINDOW,
        data_range=1.0,
        return_full_image=True,
    )
    # The library pads by reflection and counts those windows too; the definition does not.
    half = SSIM_WINDOW // 2
    inside: Tensor = local[..., half:-half, half:-half]
    return inside.double().mean().item()


def load_ssim() -> Callable[..., Any]:
    """The torchmetrics function behind `ssim`, imported on first use.

    Raises:
        MissingExtraError: torchmetrics is not installed.
    """
    try:
        from torchmetrics.functional.image import structural_similarity_index_measure
    except ModuleNotFoundError as error:
        raise MissingExtraError("Measuring SSIM", "evaluate") from error
    function: Callable[..., Any] = structural_similarity_index_measure
    return function


def _compared(
    prediction: Tensor,
    target: Tensor,
    protocol: str | Protocol,
    scale: float | None,
    *,
    smallest: int,
) -> tuple[Tensor, Tensor]:
    chosen = find_protocol(protocol)
    if prediction.shape != target.shape or target.ndim != 3 or target.shape[0] != 3:
        raise DataError(
            "Prediction and target must both have the shape (3, H, W), "
            f"but are {tuple(prediction.shape)} and {tuple(target.shape)}."
        )
    cut = chosen.cut(scale)
    height, width = target.shape[-2:]
    if min(height, width) - 2 * cut < smallest:
        raise DataError(
            f"A picture of {width}x{height} pixels is too small for protocol {chosen.name!r}: less "
            f"than {smallest}x{smallest} pixels are left after cutting {cut} at each side."
        )
    inside = (..., slice(cut, height - cut), slice(cut, width - cut))
    ours, true = prediction.clamp(0.0, 1.0)[inside], target[inside]
    ours = ours.to(device=true.device, dtype=true.dtype)
    return (luma(ours), luma(true)) if chosen.luma else (ours, true)
