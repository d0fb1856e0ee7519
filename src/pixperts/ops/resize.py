"""Bicubic and Lanczos resizing with antialiasing, and rounding to a number of gray levels."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from pixperts.errors import UsageError
from pixperts.ops.windows import Part


def bicubic(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize with the cubic kernel of a = -0.5, widened when shrinking (antialiasing).

    Kernel: Keys, "Cubic convolution interpolation for digital image processing" (1981), with the
    weights at the border renormalized. This is what Pillow computes; MATLAB's imresize differs
    only near the border, where it mirrors the picture. Without antialiasing, PyTorch's own bicubic
    mode has a = -0.75 and aliases.

    Args:
        image: `(B, C, H, W)` or `(C, H, W)`, floating point, any value range.
        size: `(H, W)` of the result in pixels.

    Returns:
        A tensor of the given size, dtype and number of dimensions. Values may overshoot the
        input's range; nothing is clamped.

    Raises:
        UsageError: the tensor is no floating-point picture, or a size is below one pixel.

    An impulse enlarged twice shows the kernel at distances 1.75, 1.25, 0.75 and 0.25:

    >>> import torch
    >>> row = torch.zeros(1, 1, 9)
    >>> row[..., 4] = 1.0
    >>> [round(v, 4) for v in bicubic(row, (1, 18))[0, 0, 5:9].tolist()]
    [-0.0234, -0.0703, 0.2266, 0.8672]
    """
    if image.ndim not in (3, 4) or not image.is_floating_point() or 0 in image.shape:
        raise UsageError(
            "image must be a floating-point tensor (C, H, W) or (B, C, H, W) without empty "
            f"dimensions, but is {image.dtype} of shape {tuple(image.shape)}."
        )
    if len(size) != 2 or min(size) < 1:
        raise UsageError(f"size must be (height, width) of at least one pixel each, not {size}.")
    batch = image if image.ndim == 4 else image.unsqueeze(0)  # (B, C, H, W)
    resized = F.interpolate(
        batch, size=list(size), mode="bicubic", align_corners=False, antialias=True
    )
    return resized if image.ndim == 4 else resized.squeeze(0)


class Kernel(NamedTuple):
    """Weights by distance, and the distance in pixels from which on they are 0."""

    weights: Callable[[Tensor], Tensor]
    reach: int


def _cubic(x: Tensor) -> Tensor:
    """Keys' kernel of a = -0.5 at distances of 0 or more."""
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return torch.where(x < 1, near, torch.where(x < 2, far, 0.0))


def _lanczos(x: Tensor) -> Tensor:
    """Lanczos' kernel of three lobes at distances of 0 or more."""
    return torch.where(x < 3, torch.sinc(x) * torch.sinc(x / 3), 0.0)


CUBIC = Kernel(_cubic, 2)
LANCZOS = Kernel(_lanczos, 3)


def resized_part(
    source: Tensor, size: tuple[int, int], part: Part, kernel: Kernel = CUBIC
) -> Tensor:
    """A part of a resized picture, antialiased, from a tile of the picture.

    Args:
        source: `(B, C, h, w)`, the pixels of `part.source`: all that the part depends on, which is
            the kernel's reach around it, times the factor where the picture shrinks.
        size: `(H, W)` of the whole result.
        part: which part.
        kernel: `CUBIC`, as `bicubic` has it, or `LANCZOS`.

    Returns:
        `(B, C, h', w')`, the pixels of `part.out`.
    """
    out, given, whole = part.out, part.source, part.whole
    wide = _resized(source, 3, (whole[1], size[1]), (out.left, out.right), given.left, kernel)
    return _resized(wide, 2, (whole[0], size[0]), (out.top, out.bottom), given.top, kernel)


def bicubic_rows(
    source: Tensor,
    size: tuple[int, int],
    *,
    out: tuple[int, int] | None = None,
    above: int = 0,
    height: int | None = None,
) -> Tensor:
    """Some rows of a resized picture, the same to the bit however the rows are cut.

    The kernel is that of `bicubic`, whose values differ by rounding: it places its samples in
    float32, and this in float64.

    Args:
        source: `(B, C, h, W)` floating point, some rows of the picture, at least those that
            `rows_needed` says.
        size: `(H', W')` of the whole result.
        out: rows of the result that are wanted, from and before; None = all.
        above: rows of the picture before the first given one.
        height: rows of the whole picture; None = as many as are given.

    Returns:
        `(B, C, rows, W')`.

    >>> row = torch.zeros(1, 1, 1, 9)
    >>> row[..., 4] = 1.0
    >>> [round(v, 4) for v in bicubic_rows(row, (1, 18))[0, 0, 0, 5:9].tolist()]
    [-0.0234, -0.0703, 0.2266, 0.8672]
    """
    width = source.shape[3]
    wide = _resized(source, 3, (width, size[1]), (0, size[1]))  # (B, C, h, W')
    return _resized(wide, 2, (height or source.shape[2], size[0]), out or (0, size[0]), above)


def lanczos_rows(
    source: Tensor, size: tuple[int, int], out: tuple[int, int], above: int, height: int
) -> Tensor:
    """Some rows of a picture reduced by Lanczos' kernel, the same to the bit however they are cut.

    The kernel has three lobes and is widened by the factor of reduction, which is the low-pass;
    at the border its weights are renormalized, as Pillow does.

    Args:
        source: `(B, C, h, W)` floating point, rows of the picture, at least those that
            `rows_needed` says for this kernel.
        size: `(H', W')` of the whole result, at most as large as the picture.
        out: rows of the result that are wanted, from and before.
        above: rows of the picture before the first given one.
        height: rows of the whole picture.

    Returns:
        `(B, C, rows, W')`; values may overshoot the input's range.
    """
    batch, channels, _, width = source.shape
    rows = source.permute(2, 3, 0, 1)  # (h, W, B, C), so that neighbors along an axis are whole
    high = _reduced(rows, (height, size[0]), out, above)
    wide = _reduced(high.transpose(0, 1), (width, size[1]), (0, size[1]))
    return wide.reshape(size[1], out[1] - out[0], batch, channels).permute(2, 3, 1, 0)


def _reduced(
    lines: Tensor, lengths: tuple[int, int], out: tuple[int, int], first: int = 0
) -> Tensor:
    """The first axis of (L, ...) reduced, as far as `out` says; see `_resized`."""
    if lengths[0] == lengths[1]:
        return lines[out[0] - first : out[1] - first]
    flat = lines.reshape(len(lines), -1)
    places, weights = _taps(*lengths, *out, LANCZOS)
    places = torch.where(weights == 0, (places - first).clamp(0, len(flat) - 1), places - first)
    total = torch.zeros(out[1] - out[0], flat.shape[1], dtype=flat.dtype, device=flat.device)
    part = torch.empty_like(total)
    for place, weight in zip(places, weights, strict=True):  # see `_weighted`
        torch.index_select(flat, 0, place, out=part)
        total += part.mul_(weight.to(flat)[:, None])
    return total.reshape(-1, *lines.shape[1:])


def _resized(
    image: Tensor,
    axis: int,
    lengths: tuple[int, int],
    out: tuple[int, int],
    first: int = 0,
    kernel: Kernel = CUBIC,
) -> Tensor:
    """One axis resized, as far as `out` says.

    Args:
        image: (B, C, H, W), all that `out` depends on.
        axis: 2 or 3.
        lengths: of the whole picture along the axis, and of its whole result.
        out: the part of the result that is wanted, from and before.
        first: pixels of the whole picture before the given ones.
        kernel: of the weights.
    """
    places, weights = _taps(*lengths, *out, kernel)
    places = places - first
    # Taps of no weight may lie beyond the given pixels.
    places = torch.where(weights == 0, places.clamp(0, image.shape[axis] - 1), places)
    return _weighted(image, axis, places, weights)


def rows_needed(
    height: int, result: int, top: int, bottom: int, kernel: Kernel = CUBIC
) -> tuple[int, int]:
    """The rows of a picture, from and before, on which rows of its resized form depend.

    >>> rows_needed(10, 20, 8, 10), rows_needed(10, 10, 3, 5)
    ((2, 7), (3, 5))
    """
    places, _ = _taps(height, result, top, bottom, kernel)
    return int(places.min()), int(places.max()) + 1


def _taps(length: int, result: int, begin: int, end: int, kernel: Kernel) -> tuple[Tensor, Tensor]:
    """Where each of some results looks, and how much that weighs, both (taps, results)."""
    if length == result:
        return torch.arange(begin, end)[None], torch.ones(1, end - begin, dtype=torch.float64)
    scale = length / result
    wide = max(scale, 1.0)
    centers = (torch.arange(begin, end, dtype=torch.float64) + 0.5) * scale
    first = torch.floor(centers - kernel.reach * wide + 0.5)
    places = first + torch.arange(math.ceil(2 * kernel.reach * wide))[:, None]
    weights = kernel.weights(((places + 0.5 - centers) / wide).abs())
    weights = torch.where((places >= 0) & (places < length), weights, 0.0)
    return places.clamp(0, length - 1).long(), weights / weights.sum(dim=0)


def _weighted(image: Tensor, axis: int, places: Tensor, weights: Tensor) -> Tensor:
    """(B, C, H, W) with one axis replaced by weighted sums along it, tap by tap."""
    shape = (1, 1, 1, -1) if axis == 3 else (1, 1, -1, 1)
    total: Tensor | None = None
    # No matrix product and no library's convolution: their order of summing changes with sizes.
    for place, weight in zip(places, weights, strict=True):
        part = image.index_select(axis, place.to(image.device))
        part *= weight.to(image).reshape(shape)
        total = part if total is None else total.add_(part)
    assert total is not None
    return total


def quantize(image: Tensor, levels: int = 255) -> Tensor:
    """Clamp to [0, 1] and round half up to multiples of 1 / `levels` (255: what 8 bit can hold).

    Args:
        image: floating-point tensor of any shape.
        levels: the largest stored integer, 1 or more.

    Returns:
        A tensor of the same shape and dtype with values in [0, 1].

    Raises:
        UsageError: `levels` is below 1.

    >>> import torch
    >>> [round(v, 4) for v in quantize(torch.tensor([-0.2, 0.49, 0.5, 1.3]), levels=5).tolist()]
    [0.0, 0.4, 0.6, 1.0]
    """
    if levels < 1:
        raise UsageError(f"levels must be 1 or more, not {levels}.")
    return image.clamp(0.0, 1.0).mul(levels).add(0.5).floor().div(levels)


def low_resolution_size(length: int, scale: float) -> tuple[int, int]:
    """Pixels of the small side, and of the large side's part that it stands for.

    The small side has floor(length / scale) pixels; they stand for the first
    round(small * scale) pixels of the large side (LIIF, arXiv 2012.09161, Sec. 4).

    Args:
        length: pixels of the large side.
        scale: factor of enlargement, 1 or more.

    Raises:
        UsageError: `scale` is below 1 or not finite.

    >>> low_resolution_size(100, 3), low_resolution_size(100, 2.5), low_resolution_size(33, 1.1)
    ((33, 99), (40, 100), (30, 33))
    """
    if not (math.isfinite(scale) and scale >= 1):
        raise UsageError(f"scale must be a finite number of 1 or more, not {scale}.")
    # Without the margin 33 / 1.1 = 29.999999999999996 loses a pixel.
    small = math.floor(length / scale + 1e-9)
    return small, min(round(small * scale), length)
