"""A color for every point of the plane, linear in features that lie at LR resolution.

Thera (arXiv 2311.17643) showed that a field of sines which a network's features weigh can stand in
for an implicit decoder. This one is separable: with t and u in (0, 1), the place within LR pixel n
from top to bottom and from left to right,

    y(n, t, u) = x(n) + sum_ij g_i(s) g_j(s') cos(pi i t) cos(pi j u) c_ij(n),

where c = C z is one 3x3 convolution of the features, s and s' are the factors along the axes and
g are learned gains. With k cosines the phases of a factor up to k span every pattern of output
pixels, as the discrete cosine transform does; the gains fade out what a lower factor cannot show.
For whole factors the cosines fold exactly into the convolution, and a shuffle is left.

A lower factor also wants other colors, not only fainter ones: at x1.5 they must be right to 40 dB,
which gains alone miss by 3. So between whole factors the coefficients change,

    C(s) = C + sum_k h_k(ln s) D_k,

with hat functions h_k around some factors of their own. C(s) is one convolution, whatever k.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixperts.ops.windows import Part

_SHARED = (2.0, 3.0, 4.0)  # factors at which all have the same coefficients
KNOTS = (1.0, 1.5, 2.0, 3.0, 4.0)  # the factors at which gains are learned; between them, by log


class LinearField(nn.Module):
    """From features at LR resolution to colors at any size.

    Args:
        channels: of the features.
        basis: k, cosines along each axis.
        own: rising factors around which coefficients change; at whole factors they do not.
    """

    def __init__(self, channels: int, basis: int, own: Sequence[float] = ()) -> None:
        super().__init__()
        self.basis, self.own = basis, tuple(own)
        self.coefficients = nn.Conv2d(channels, 3 * basis * basis, 3, padding=1)
        # The ideal low-pass: a factor s can show the cosines below s.
        gains = [[min(1.0, max(0.0, s - i)) if i else 1.0 for i in range(basis)] for s in KNOTS]
        self.gains = nn.Parameter(torch.tensor(gains))  # (knots, k)
        with torch.no_grad():
            self.coefficients.weight.mul_(0.1)  # begins close to the nearest LR pixel
            nn.init.zeros_(self._bias)
        if own:
            shape = self.coefficients.weight.shape
            # One after the other, in four dimensions, as a memory format with channels last wants.
            self.changes = nn.Parameter(torch.zeros(len(own) * shape[0], *shape[1:]))
            self.shifts = nn.Parameter(torch.zeros(len(own) * shape[0]))

    def coefficients_at(self, tall: float, wide: float) -> tuple[Tensor, Tensor]:
        """Weight (3 k^2, C, 3, 3) and bias (3 k^2,) of C for the factors along both axes."""
        weight, bias = self.coefficients.weight, self._bias
        for place, share in hats(self.own, math.sqrt(tall * wide)):
            rows = slice(place * len(bias), (place + 1) * len(bias))
            weight = weight + share * self.changes[rows]
            bias = bias + share * self.shifts[rows]
        return weight, bias

    @property
    def _bias(self) -> Tensor:
        assert self.coefficients.bias is not None
        return self.coefficients.bias

    def forward(
        self, features: Tensor, lr: Tensor, size: tuple[int, int], part: Part | None = None
    ) -> Tensor:
        """Colors of all output pixels, or of a part.

        Args:
            features: (B, C, h, w), z.
            lr: (B, 3, h, w) in [0, 1], x.
            size: (H, W) of the whole output.
            part: which output pixels, and where `lr` lies; None = all of both.

        Returns:
            (B, 3, H, W), or of the part, float32, unclamped.
        """
        whole = (lr.shape[2], lr.shape[3]) if part is None else part.whole
        out = (0, size[0], 0, size[1]) if part is None else tuple(part.out)
        first = (0, 0) if part is None else (part.source[0], part.source[2])
        if all(large % small == 0 for large, small in zip(size, whole, strict=True)):
            factors = size[0] // whole[0], size[1] // whole[1]
            return self._folded(features, lr, factors, out, first)
        return self._separable(features, lr, size, whole, out, first)

    def _folded(
        self,
        features: Tensor,
        lr: Tensor,
        factors: tuple[int, int],
        out: tuple[int, ...],
        first: tuple[int, int],
    ) -> Tensor:
        """Whole factors: each phase is a convolution of its own, all phases one convolution."""
        tall, wide = factors
        # LR rows and columns on which the output lies, counted in lr.
        top, bottom = out[0] // tall - first[0], -(-out[1] // tall) - first[0]
        left, right = out[2] // wide - first[1], -(-out[3] // wide) - first[1]
        weight, bias = self._kernel(tall, wide, features)
        # (B, 3 * tall * wide, rows, columns)
        phases = _conv_of_window(features, weight, bias, (top, bottom, left, right)).float()
        batch, _, rows, columns = phases.shape
        image = phases.view(batch, 3, tall, wide, rows, columns)
        image = image + lr[:, :, None, None, top:bottom, left:right]
        image = image.permute(0, 1, 4, 2, 5, 3)  # (B, 3, rows, tall, columns, wide)
        image = image.reshape(batch, 3, rows * tall, columns * wide)
        above, beside = out[0] % tall, out[2] % wide
        return image[:, :, above : above + out[1] - out[0], beside : beside + out[3] - out[2]]

    def _kernel(self, tall: int, wide: int, features: Tensor) -> tuple[Tensor, Tensor]:
        """The convolution to 3 colors of tall x wide phases: T C, exactly."""
        k, (weight, bias) = self.basis, self.coefficients_at(tall, wide)
        device = weight.device
        rows = self.cosines(torch.arange(tall, device=device), tall, 1)[1]
        columns = self.cosines(torch.arange(wide, device=device), wide, 1)[1]
        table = torch.einsum("pi,qj->pqij", rows, columns).reshape(tall * wide, k * k)
        kernel = torch.einsum("pk,ckf->cpf", table, weight.reshape(3, k * k, -1))
        kernel = kernel.reshape(3 * tall * wide, *weight.shape[1:])
        shift = torch.einsum("pk,ck->cp", table, bias.view(3, k * k)).flatten()
        kernel = kernel.to(features.dtype).contiguous(memory_format=torch.channels_last)
        return kernel, shift.to(features.dtype)

    def _separable(
        self,
        features: Tensor,
        lr: Tensor,
        size: tuple[int, int],
        whole: tuple[int, int],
        out: tuple[int, ...],
        first: tuple[int, int],
    ) -> Tensor:
        """Any factors: rows of the output from the coefficients, then its columns."""
        k, device = self.basis, lr.device
        y, tall = self.cosines(torch.arange(out[0], out[1], device=device), size[0], whole[0])
        x, wide = self.cosines(torch.arange(out[2], out[3], device=device), size[1], whole[1])
        y, x = y - first[0], x - first[1]
        top, bottom, left, right = int(y[0]), int(y[-1]) + 1, int(x[0]), int(x[-1]) + 1
        weight, bias = self.coefficients_at(size[0] / whole[0], size[1] / whole[1])
        found = _conv_of_window(features, weight, bias, (top, bottom, left, right))
        # (B, 3, k, k, rows, columns): vertical cosines first
        found = found.float().reshape(len(lr), 3, k, k, bottom - top, right - left)
        y, x = y - top, x - left
        rows = sum(found[:, :, i].index_select(3, y) * tall[:, i, None] for i in range(k))
        assert isinstance(rows, Tensor)  # (B, 3, k, H, columns)
        base = lr[:, :, top:bottom, left:right].index_select(2, y).index_select(3, x)
        for j in range(k):
            base = base + rows[:, :, j].index_select(3, x) * wide[:, j]
        return base

    def cosines(self, positions: Tensor, length: int, lr_length: int) -> tuple[Tensor, Tensor]:
        """LR pixel (N,) and weighted cosines (N, k) of output positions along one axis."""
        scaled = (2 * positions + 1) * lr_length  # in halves of 1 / length, whole numbers
        index = torch.div(scaled, 2 * length, rounding_mode="floor")
        place = (scaled - index * 2 * length).to(torch.float32) / (2 * length)  # t in (0, 1)
        order = torch.arange(self.basis, device=positions.device)
        waves = torch.cos(math.pi * place[:, None] * order)
        return index, waves * self._gains_at(length / lr_length)

    def _gains_at(self, factor: float) -> Tensor:
        """(k,) gains for a factor, constant beyond the outer knots."""
        place = math.log(min(max(factor, KNOTS[0]), KNOTS[-1]))
        lower = max(i for i in range(len(KNOTS) - 1) if math.log(KNOTS[i]) <= place)
        low, high = math.log(KNOTS[lower]), math.log(KNOTS[lower + 1])
        share = (place - low) / (high - low)
        return self.gains[lower] * (1 - share) + self.gains[lower + 1] * share

    def multiply_adds(self, lr_size: tuple[int, int], size: tuple[int, int]) -> float:
        """Multiply-adds of one picture: the convolution, and the two products where not folded."""
        lr_pixels = lr_size[0] * lr_size[1]
        taps = 9 * self.coefficients.in_channels
        if size[0] % lr_size[0] == 0 and size[1] % lr_size[1] == 0:
            return 3.0 * taps * (size[0] // lr_size[0]) * (size[1] // lr_size[1]) * lr_pixels
        k = self.basis
        return 3.0 * k * (taps * k * lr_pixels + k * size[0] * lr_size[1] + size[0] * size[1])


def hats(own: Sequence[float], factor: float) -> list[tuple[int, float]]:
    """Places in `own` of what counts at a factor, and by how much; at whole ones nothing does.

    Piecewise linear in the factor's logarithm: 1 at an own factor, 0 at the next ones and at 2, 3
    and 4. Below the first it stays 1.

    Example:
        >>> hats((1.5, 2.5), 1.2), hats((1.5, 2.5), 2.0), hats((1.5, 2.5), 2.5)
        ([(0, 1.0)], [], [(1, 1.0)])
    """
    knots = sorted({*own, *_SHARED})
    place = math.log(min(max(factor, knots[0]), knots[-1]))
    shares = []
    for number, knot in enumerate(own):
        at = knots.index(knot)
        low = math.log(knots[at - 1]) if at else -math.inf
        high = math.log(knots[at + 1]) if at + 1 < len(knots) else math.inf
        middle = math.log(knot)
        side = low if place < middle else high
        share = 1.0 if place == middle else 1 - (place - middle) / (side - middle)
        if share > 0:
            shares.append((number, share))
    return shares


def _conv_of_window(
    features: Tensor, weight: Tensor, bias: Tensor, window: tuple[int, int, int, int]
) -> Tensor:
    """A 3x3 convolution, zeros around the picture, of the pixels of a window only."""
    top, bottom, left, right = window
    height, width = features.shape[2:]
    cut = features[:, :, max(0, top - 1) : bottom + 1, max(0, left - 1) : right + 1]
    margin = (int(left == 0), int(right == width), int(top == 0), int(bottom == height))
    if margin == (1, 1, 1, 1):
        return F.conv2d(cut, weight, bias, padding=1)
    return F.conv2d(F.pad(cut, margin), weight, bias)


def pixels_below(lr: Tensor, size: tuple[int, int], part: Part | None) -> tuple[Tensor, Tensor]:
    """The LR row and column below each output row (H,) and column (W,), counted in lr.

    Args:
        lr: (B, C, h, w), the picture or a tile of it.
        size: (H, W) of the whole output.
        part: which output pixels, and where `lr` lies; None = all of both.

    Example:
        >>> pixels_below(torch.zeros(1, 3, 1, 2), (1, 4), None)[1]
        tensor([0, 0, 1, 1])
    """
    whole = (lr.shape[2], lr.shape[3]) if part is None else part.whole
    out = (0, size[0], 0, size[1]) if part is None else tuple(part.out)
    found = []
    for axis in (0, 1):
        positions = torch.arange(out[2 * axis], out[2 * axis + 1], device=lr.device)
        index = torch.div((2 * positions + 1) * whole[axis], 2 * size[axis], rounding_mode="floor")
        found.append(index - (0 if part is None else part.source[2 * axis]))
    return found[0], found[1]
