"""The judge of moeisr-photo: which of two networks will enlarge a picture with the smaller error.

It looks at square pieces of the picture, each by itself, and estimates the squared error that each
network would make there. Squared errors add up, so the sums over all pieces stand for the picture:
a flat sky, where both are right, does not outvote the few pieces with detail.

What compression, blur and noise do shows in how strong each frequency is and how evenly it is
spread. So a piece is described by statistics of its discrete cosine transform, in blocks of 4x4
pixels at every second place, and by how much steeper steps are at every eighth column and row,
where JPEG's blocks meet.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixperts.models.bounds import check_integer
from pixperts.ops.windows import Window

SIDE = 64  # of a piece, in pixels
MOST = 6  # pieces along each axis
LEAST = 16  # sides of smaller pieces are filled up by repeating the last pixels
_BLOCK, _STEP = 4, 2  # of the cosine transform
_GRID = 8  # side of JPEG's blocks
_COLORS = 3 * (_BLOCK * _BLOCK - 1)  # frequencies of all channels, without the constant one
_FLAT, _SMALL, _STEEP = 1.5, 10.0, 40.0  # steps between neighbors in levels, see `rippled`
_RATIO = (1.1, 2.6)  # of small steps to steep ones
_WORSE = 1.0  # added to the logarithm of an error
FEATURES = 4 * _COLORS + 1 + 2 * 3
_USUAL = -7.5  # about the mean logarithm of a squared error, at which training begins
# ITU-R BT.601: luma, and the two differences of color, in levels of 8 bits.
_YCBCR = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))


def pieces_of(height: int, width: int) -> list[Window]:
    """Where the judge looks: all of a small picture, evenly spread pieces of a large one.

    Example:
        >>> pieces_of(64, 100)
        [Window(top=0, bottom=64, left=0, right=64), Window(top=0, bottom=64, left=36, right=100)]
        >>> len(pieces_of(3000, 4000))
        36
    """
    rows, columns = _spans(height), _spans(width)
    return [Window(*tall, *wide) for tall in rows for wide in columns]


def _spans(length: int) -> list[tuple[int, int]]:
    if length <= SIDE:
        return [(0, length)]
    count = min(MOST, -(-length // SIDE))
    starts = [number * (length - SIDE) // (count - 1) for number in range(count)]
    return [(start, start + SIDE) for start in starts]


class Judge(nn.Module):
    """Estimates the squared errors of several networks in a piece of a picture.

    Args:
        width: of its hidden layers.
        members: number of networks.
    """

    bank: Tensor
    colors: Tensor
    center: Tensor
    spread: Tensor

    def __init__(self, width: int, members: int) -> None:
        super().__init__()
        check_integer("the judge", "width", width, 1, 4096)
        self.register_buffer("bank", _cosines(), persistent=False)
        self.register_buffer("colors", 255 * torch.tensor(_YCBCR), persistent=False)
        # By which features are standardized: of the first training samples.
        self.register_buffer("center", torch.zeros(FEATURES))
        self.register_buffer("spread", torch.ones(FEATURES))
        self.first = nn.Linear(FEATURES + 2, width)
        self.second = nn.Linear(width, width)
        self.estimate = nn.Linear(width, members)
        with torch.no_grad():
            self.estimate.weight.mul_(0.1)
            self.estimate.bias.fill_(_USUAL)

    def features(self, pieces: Tensor) -> Tensor:
        """What describes each piece: (N, 3, h, w) in [0, 1] -> (N, `FEATURES`) float32.

        Sides must be `LEAST` pixels or more.
        """
        with torch.autocast(pieces.device.type, enabled=False):
            x = torch.einsum("dc,nchw->ndhw", self.colors, pieces.float())
            count, _, height, width = x.shape
            # No wave has a constant part. Small numbers keep their digits where a GPU rounds.
            waves = x - x.mean(dim=(2, 3), keepdim=True)
            waves = F.conv2d(waves.reshape(3 * count, 1, height, width), self.bank, stride=_STEP)
            waves = waves.reshape(count, _COLORS, -1)
            size, square = waves.abs(), waves.square()
            luma = x[:, 0]
            found = [
                (size.mean(dim=2) + 0.05).log(),
                (square.mean(dim=2) + 0.01).log() / 2,
                2 * (size.sqrt().mean(dim=2) + 0.05).log(),
                3 * (1 / (1 + square)).mean(dim=2),  # about the share of zeros
                luma.mean(dim=(1, 2))[:, None] / 64 - 2,
                _steps((luma[:, :, 1:] - luma[:, :, :-1]).abs().mean(dim=1)),
                _steps((luma[:, 1:] - luma[:, :-1]).abs().mean(dim=2)),
            ]
        return torch.cat(found, dim=1)

    def estimates(self, pieces: Tensor, factors: Tensor) -> Tensor:
        """Estimated logarithms of the squared errors, as they decide.

        All but the first network are taken to be much worse in pieces of compressed drawings:
        whatever their squared error, they draw the ripples around letters and lines sharper.

        Args:
            pieces: (N, 3, h, w) in [0, 1], of `LEAST` pixels a side or more.
            factors: (N, 2) of the enlargement, vertical and horizontal.

        Returns:
            (N, J) float32, of pixel values in [0, 1].
        """
        found = self.learned(pieces, factors)
        first = found[:, :1]
        worse = torch.cat([first, torch.maximum(found[:, 1:], first) + _WORSE], dim=1)
        return torch.where(self.rippled(pieces)[:, None], worse, found)

    def rippled(self, pieces: Tensor) -> Tensor:
        """(N,) bool: whether a piece shows a drawing or text with ripples of compression.

        Such a piece is flat in part and has steep edges. The small steps that are left are about as
        many as the edges after compression, mostly far fewer before, and mostly more in photos.
        """
        with torch.autocast(pieces.device.type, enabled=False):
            luma = torch.einsum("c,nchw->nhw", self.colors[0], pieces.float())
            tall = (luma[:, 1:] - luma[:, :-1]).abs().flatten(1)
            wide = (luma[:, :, 1:] - luma[:, :, :-1]).abs().flatten(1)
            steps = torch.cat([tall, wide], dim=1)
            flat = (steps < _FLAT).float().mean(dim=1)
            steep = (steps >= _STEEP).float().mean(dim=1)
            small = ((steps >= _FLAT) & (steps < _SMALL)).float().mean(dim=1)
            ratio = small / (steep + 1e-3)
        return (flat > 0.3) & (steep > 0.02) & (ratio > _RATIO[0]) & (ratio < _RATIO[1])

    def learned(self, pieces: Tensor, factors: Tensor) -> Tensor:
        """Estimated logarithms of the squared errors, as they were learned.

        Args:
            pieces: (N, 3, h, w) in [0, 1], of `LEAST` pixels a side or more.
            factors: (N, 2) of the enlargement, vertical and horizontal.

        Returns:
            (N, J) float32, of pixel values in [0, 1].
        """
        seen = (self.features(pieces) - self.center) / self.spread
        with torch.autocast(pieces.device.type, enabled=False):
            x = torch.cat([seen, 2 * factors.float().log()], dim=1)
            found: Tensor = self.estimate(F.relu(self.second(F.relu(self.first(x)))))
        return found

    def forward(self, pieces: Tensor, factors: Sequence[float]) -> Tensor:
        """As `estimates`, of pieces with any sides and with the same two factors."""
        missing = (max(0, LEAST - pieces.shape[3]), max(0, LEAST - pieces.shape[2]))
        if any(missing):
            pieces = F.pad(pieces, (0, missing[0], 0, missing[1]), mode="replicate")
        same = torch.tensor([factors], dtype=torch.float32, device=pieces.device)
        return self.estimates(pieces, same.expand(len(pieces), 2))

    def errors(self, pieces: Tensor, factors: Sequence[float]) -> Tensor:
        """Estimated squared errors, summed over the pixels of pieces (N, 3, h, w).

        Returns:
            (J,) float64 on the CPU, as some accelerators have no float64.
        """
        pixels = pieces.shape[2] * pieces.shape[3]
        estimates: Tensor = self(pieces, factors)
        # No squared error is above 1, whatever is estimated for a piece unlike all others.
        return pixels * estimates.cpu().double().clamp(max=0).exp().sum(dim=0)

    def multiply_adds(self, size: tuple[int, int]) -> float:
        """Of a picture (h, w)."""
        pieces = pieces_of(*size)
        pixels = sum(piece.size[0] * piece.size[1] for piece in pieces)
        layers = (self.first, self.second, self.estimate)
        once = sum(layer.weight.numel() for layer in layers)
        return pixels * (9 + _COLORS * (_BLOCK / _STEP) ** 2) + float(once * len(pieces))


def _cosines() -> Tensor:
    """The discrete cosine transform of a block as kernels (15, 1, 4, 4), without the constant."""
    number = torch.arange(float(_BLOCK))
    waves = torch.cos(math.pi * (number + 0.5) * number[:, None] / _BLOCK)
    waves *= torch.where(number[:, None] == 0, 1.0, math.sqrt(2)) / math.sqrt(_BLOCK)
    kernels = torch.einsum("ia,jb->ijab", waves, waves).reshape(-1, 1, _BLOCK, _BLOCK)
    return kernels[1:].contiguous()


def _steps(steps: Tensor) -> Tensor:
    """How uneven the mean steps (N, L) between neighbors are, by their place in a grid of 8.

    The two steepest places and the flattest, relative to the middle one: (N, 3) logarithms.
    """
    count = steps.shape[1] // _GRID
    places = steps[:, : count * _GRID].reshape(len(steps), count, _GRID)
    ranked = (places.mean(dim=1) + 0.05).log().sort(dim=1).values
    middle = ranked[:, 3:4]
    return torch.cat([ranked[:, -2:] - middle, middle - ranked[:, :1]], dim=1)
