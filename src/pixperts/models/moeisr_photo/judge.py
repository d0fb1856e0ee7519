"""The judge of moeisr-photo: which of two networks will enlarge a picture with the smaller error.

It looks at square pieces of the picture, each by itself, and estimates the squared error that each
network would make there. Squared errors add up, so the sums over all pieces are those of the
picture: a flat sky, where both are right, does not outvote the few pieces with detail.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixperts.models.bounds import check_integer
from pixperts.ops.windows import Window

SIDE = 64  # of a piece, in pixels
MOST = 8  # pieces along each axis
_UNSHUFFLE = 2
_USUAL = -7.5  # about the mean logarithm of a squared error, at which training begins


def pieces_of(height: int, width: int) -> list[Window]:
    """Where the judge looks: all of a small picture, evenly spread pieces of a large one.

    Example:
        >>> pieces_of(64, 100)
        [Window(top=0, bottom=64, left=0, right=64), Window(top=0, bottom=64, left=36, right=100)]
        >>> len(pieces_of(3000, 4000))
        64
    """
    rows, columns = _spans(height), _spans(width)
    return [Window(*tall, *wide) for tall in rows for wide in columns]


def _spans(length: int) -> list[tuple[int, int]]:
    if length <= SIDE:
        return [(0, length)]
    count = min(MOST, -(-length // SIDE))
    starts = [round(number * (length - SIDE) / (count - 1)) for number in range(count)]
    return [(start, start + SIDE) for start in starts]


class Judge(nn.Module):
    """Estimates the squared errors of several networks in a piece of a picture.

    Args:
        width: channels of its convolutions.
        members: number of networks.
    """

    def __init__(self, width: int, members: int) -> None:
        super().__init__()
        check_integer("the judge", "width", width, 1, 4096)
        self.members = members
        self.first = nn.Conv2d(3 * _UNSHUFFLE**2, width, 3, padding=1)
        self.second = nn.Conv2d(width, 2 * width, 2, stride=2)
        self.third = nn.Conv2d(2 * width, 2 * width, 3, padding=1)
        self.mix = nn.Linear(4 * width + 2, 2 * width)
        self.estimate = nn.Linear(2 * width, members)
        with torch.no_grad():
            self.estimate.weight.mul_(0.1)
            self.estimate.bias.fill_(_USUAL)

    def forward(self, pieces: Tensor, factors: Sequence[float]) -> Tensor:
        """Estimated logarithms of the squared errors.

        Args:
            pieces: (N, 3, h, w) in [0, 1].
            factors: of the enlargement, vertical and horizontal.

        Returns:
            (N, J) float32, of pixel values in [0, 1].
        """
        with torch.autocast(pieces.device.type, enabled=False):
            x = pieces.float()
            odd = x.shape[2] % 4 and 4 - x.shape[2] % 4, x.shape[3] % 4 and 4 - x.shape[3] % 4
            if any(odd):
                x = F.pad(x, (0, odd[1], 0, odd[0]), mode="replicate")
            x = F.pixel_unshuffle(x - 0.5, _UNSHUFFLE)  # (N, 12, h / 2, w / 2)
            x = F.relu_(self.first(x))
            x = F.relu_(self.second(x))  # (N, C, h / 4, w / 4)
            x = F.relu_(self.third(x))
            mean, square = x.mean(dim=(2, 3)), x.square().mean(dim=(2, 3))
            # Faults differ by factors, not by amounts.
            seen = [((value + 1e-4).log() + 4) / 3 for value in (mean, square)]
            logs = x.new_tensor([math.log(factor) for factor in factors]).expand(len(x), 2)
            mixed = F.relu(self.mix(torch.cat([*seen, logs], dim=1)))
            estimates: Tensor = self.estimate(mixed)
        return estimates

    def errors(self, pieces: Tensor, factors: Sequence[float]) -> Tensor:
        """(J,) float64: estimated squared errors, summed over the pixels of pieces (N, 3, h, w)."""
        pixels = pieces.shape[2] * pieces.shape[3]
        estimates: Tensor = self(pieces, factors)
        return pixels * estimates.double().exp().sum(dim=0)

    def multiply_adds(self, size: tuple[int, int]) -> float:
        """Of a picture (h, w)."""
        fine = self.first.weight.numel() / _UNSHUFFLE**2
        coarse = (self.second.weight.numel() + self.third.weight.numel()) / (2 * _UNSHUFFLE) ** 2
        pieces = pieces_of(*size)
        pixels = sum(piece.size[0] * piece.size[1] for piece in pieces)
        once = self.mix.weight.numel() + self.estimate.weight.numel()
        return (fine + coarse) * pixels + float(once * len(pieces))
