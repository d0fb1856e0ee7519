"""A color for every point of the plane, linear in features that lie at LR resolution.

Thera (arXiv 2311.17643) showed that a field of sines which a network's features weigh can stand in
for an implicit decoder. This one is separable: with t and u in (0, 1), the place within LR pixel n
from top to bottom and from left to right,

    y(n, t, u) = x(n) + sum_ij g_i(s) g_j(s') cos(pi i t) cos(pi j u) c_ij(n),

where c = C z is one 3x3 convolution of the features, s and s' are the factors along the axes and
g are learned gains. With k cosines the phases of a factor up to k span every pattern of output
pixels, as the discrete cosine transform does; the gains fade out what a lower factor cannot show.
For whole factors the cosines fold exactly into the convolution, and a shuffle is left. Any other
factor is rendered at the next whole one, where the network is right, and reduced by Lanczos'
kernel: better than cosines of its own, and cheaper.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixperts.ops.resize import LANCZOS, resized_part, rows_needed
from pixperts.ops.windows import Part, Window

REACH = 4  # LR pixels around an output pixel that a reduction depends on, at most
GAINS = 4  # whole factors with gains of their own, from 1; larger factors use those of the last


class LinearField(nn.Module):
    """From features at LR resolution to colors at any size.

    Args:
        channels: of the features.
        basis: k, cosines along each axis.
    """

    def __init__(self, channels: int, basis: int) -> None:
        super().__init__()
        self.basis = basis
        self.coefficients = nn.Conv2d(channels, 3 * basis * basis, 3, padding=1)
        # The ideal low-pass: a factor s can show the cosines below s.
        factors = range(1, GAINS + 1)
        gains = [[min(1.0, max(0.0, s - i)) if i else 1.0 for i in range(basis)] for s in factors]
        self.gains = nn.Parameter(torch.tensor(gains))  # (factors, k)
        with torch.no_grad():
            self.coefficients.weight.mul_(0.1)  # begins close to the nearest LR pixel
            nn.init.zeros_(self._bias)

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
            part: the output pixels to compute, and the place of `lr`; None = all of both.

        Returns:
            (B, 3, H, W), or of the part, float32, unclamped.
        """
        whole = (lr.shape[2], lr.shape[3]) if part is None else part.whole
        out = Window(0, size[0], 0, size[1]) if part is None else part.out
        first = (0, 0) if part is None else (part.source.top, part.source.left)
        factors = -(-size[0] // whole[0]), -(-size[1] // whole[1])
        fine = whole[0] * factors[0], whole[1] * factors[1]
        if fine == size:
            return self._folded(features, lr, factors, out, first)
        rows = rows_needed(fine[0], size[0], out.top, out.bottom, LANCZOS)
        columns = rows_needed(fine[1], size[1], out.left, out.right, LANCZOS)
        rendered = Window(*rows, *columns)
        image = self._folded(features, lr, factors, rendered, first)
        return resized_part(image, size, Part(out, rendered, fine), LANCZOS)

    def _folded(
        self,
        features: Tensor,
        lr: Tensor,
        factors: tuple[int, int],
        out: Window,
        first: tuple[int, int],
    ) -> Tensor:
        """For whole factors: one convolution computes all phases of the output pixels."""
        tall, wide = factors
        # LR rows and columns on which the output lies, counted in lr.
        top, bottom = out[0] // tall - first[0], -(-out[1] // tall) - first[0]
        left, right = out[2] // wide - first[1], -(-out[3] // wide) - first[1]
        weight, bias = (x.to(features.dtype) for x in self.folded(tall, wide))
        weight = weight.contiguous(memory_format=torch.channels_last)
        # (B, 3 * tall * wide, rows, columns)
        phases = _conv_of_window(features, weight, bias, (top, bottom, left, right)).float()
        batch, _, rows, columns = phases.shape
        image = phases.view(batch, 3, tall, wide, rows, columns)
        image = image + lr[:, :, None, None, top:bottom, left:right]
        image = image.permute(0, 1, 4, 2, 5, 3)  # (B, 3, rows, tall, columns, wide)
        image = image.reshape(batch, 3, rows * tall, columns * wide)
        above, beside = out[0] % tall, out[2] % wide
        return image[:, :, above : above + out[1] - out[0], beside : beside + out[3] - out[2]]

    def folded(self, tall: int, wide: int) -> tuple[Tensor, Tensor]:
        """The convolution to 3 colors of tall x wide phases, T C.

        Returns:
            Kernel (3 * tall * wide, C, 3, 3) and bias (3 * tall * wide,).
        """
        k, weight, bias = self.basis, self.coefficients.weight, self._bias
        rows, columns = self._cosines(tall), self._cosines(wide)
        table = torch.einsum("pi,qj->pqij", rows, columns).reshape(tall * wide, k * k)
        kernel = torch.einsum("pk,ckf->cpf", table, weight.reshape(3, k * k, -1))
        kernel = kernel.reshape(3 * tall * wide, *weight.shape[1:])
        shift = torch.einsum("pk,ck->cp", table, bias.view(3, k * k)).flatten()
        return kernel, shift

    def _cosines(self, factor: int) -> Tensor:
        """Weighted cosines (factor, k) of the output pixels of an LR pixel along one axis."""
        places = (torch.arange(factor) + 0.5) / factor  # t in (0, 1)
        waves = torch.cos(math.pi * places[:, None] * torch.arange(self.basis))
        return waves.to(self.gains.device) * self.gains[min(factor, GAINS) - 1]

    def multiply_adds(self, lr_size: tuple[int, int], size: tuple[int, int]) -> float:
        """Multiply-adds of one picture: of the convolution, and of the reduction after it."""
        tall, wide = (-(-large // small) for large, small in zip(size, lr_size, strict=True))
        fine = lr_size[0] * tall, lr_size[1] * wide
        folded = 9 * self.coefficients.in_channels * fine[0] * fine[1]
        across, down = (
            0 if small == large else math.ceil(2 * LANCZOS.reach * large / small)
            for small, large in zip(reversed(size), reversed(fine), strict=True)
        )
        return 3.0 * (folded + across * fine[0] * size[1] + down * size[0] * size[1])


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
