"""A stage for motion blur before MoCE-IR: estimate how the camera moved, and undo it.

The experts of the decoder share a trunk with all other tasks, which gives them little information
on blur (see LAB.md). Straight, even motion has one length and one angle for a whole picture, and
its inverse is known. So this stage estimates both and filters, or leaves the picture as it is.

A line of length L multiplies the spectrum by a sinc, so the logarithm of the spectrum has dark
stripes, and its transform, the cepstrum, a dip at L along the line (Rom, IEEE Trans. Information
Theory 1975; Lagendijk and Biemond, Handbook of Image and Video Processing, 2005). A small network
reads the vector of the motion off the cepstrum, or "none"; a picture with sharp steps along that
vector counts as "none" too (`steps.py`); a Wiener filter of limited reach undoes the motion.
"""

import math
from typing import NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixperts.models.moce_ir.statistics import Census, Sums
from pixperts.models.moce_ir.steps import can_be_motion, step_sums
from pixperts.ops.kernels import line_kernel
from pixperts.ops.windows import Window

SIDE = 64  # of a window
STRIDE = 32  # from window to window; tiles of a picture must begin at multiples of it
FEWEST = 16  # windows that are required: with 9, one clean picture in 40 counted as blurred
REACH = 24  # pixels; size of the part of the cepstrum that is used
LONGEST = 20  # pixels; longest motion that can be recognized
RADIUS = 32  # of the inverse filter, in pixels
# Probability of "none" below which a picture counts as blurred: filtering a sharp picture costs
# more than leaving a blurred one. Clean photos of 512 pixels had 0.65 or more, of 160 pixels 0.18
# (LAB.md).
SURE_OF_MOTION = 0.005
_LIGHT = (0.2126, 0.7152, 0.0722)  # of linear RGB (ITU-R BT.709)
_FLOOR = 1e-7 * SIDE**2  # of a window's power: what rounding to 8 bit leaves
_CONTRAST = 0.5  # power at which a window counts half
# In linear light the inverse filter's ringing would be magnified in the shadows, in the file's
# levels the blur is no convolution; of 1, 1.5 and 2.2 this served best, and 1.3 as well.
_GAMMA = 1.5


class Motion(NamedTuple):
    """The motion of the camera while each picture was taken; tensors of shape (B,)."""

    length: Tensor  # of the path, in pixels
    angle: Tensor  # in degrees, anticlockwise from the horizontal
    none: Tensor  # probability that the camera did not move


def cepstrum_sums(image: Tensor, inner: Window | None = None) -> Sums:
    """Sums over windows from which `cepstrum` is computed.

    Args:
        image: (B, 3, H, W) in [0, 1].
        inner: windows whose corner lies in this part are counted; None = all.

    Returns:
        (B, 64, 33) the windows' logarithmic power spectra, weighed by contrast; (B, 1) the weights;
        (B, 1) the number of windows; and the two of `steps.step_sums`.
    """
    batch, _, height, width = image.shape
    total = image.new_zeros(batch, SIDE, SIDE // 2 + 1, dtype=torch.float32)
    weights, count = (image.new_zeros(batch, 1, dtype=torch.float32) for _ in range(2))
    inner = inner if inner is not None else Window(0, height, 0, width)
    light = torch.tensor(_LIGHT, device=image.device).view(1, 3, 1, 1)
    steps = step_sums((image.float().clamp(0, 1) ** 2.2 * light).sum(dim=1), inner)
    top, bottom, left, right = inner
    left = -(-left // STRIDE) * STRIDE
    columns = max(0, min((right - left - 1) // STRIDE, (width - SIDE - left) // STRIDE) + 1)
    if columns == 0:
        return total, weights, count, *steps
    taper = torch.hann_window(SIDE, periodic=False, device=image.device)
    taper = taper[:, None] * taper
    for row in range(-(-top // STRIDE) * STRIDE, min(bottom, height - SIDE + 1), STRIDE):
        rows = image[:, :, row : row + SIDE, left : left + (columns - 1) * STRIDE + SIDE]
        gray = (rows.float().clamp(0, 1) ** 2.2 * light).sum(dim=1)  # (B, 64, w)
        windows = gray.unfold(2, SIDE, STRIDE).transpose(1, 2)  # (B, columns, 64, 64)
        windows = (windows - windows.mean(dim=(2, 3), keepdim=True)) * taper
        power = torch.fft.rfft2(windows).abs().square()  # (B, columns, 64, 33)
        contrast = power.mean(dim=(2, 3), keepdim=True)
        weight = contrast / (contrast + _CONTRAST) + 1e-9
        total = total + ((power + _FLOOR).log() * weight).sum(dim=1)
        weights = weights + weight.sum(dim=1).view(batch, 1)
        count = count + columns
    return total, weights, count, *steps


def cepstrum(sums: Sums) -> Tensor:
    """The mean cepstrum from `cepstrum_sums`: (B, 1, 49, 25), rows -24 to 24, columns 0 to 24."""
    total, weights = sums[:2]
    mean = total / weights.clamp_min(1e-9)[:, :, None]
    whole = torch.fft.irfft2(mean.to(torch.complex64), s=(SIDE, SIDE))  # (B, 64, 64)
    rows = torch.arange(-REACH, REACH + 1, device=whole.device) % SIDE
    part: Tensor = whole[:, None, rows, : REACH + 1]
    return part


class MotionStage(nn.Module):
    """Estimate straight motion blur of each picture, and undo it if there is any.

    Its weights are trained separately (`scripts/train_motion.py`). In other trainings they get no
    gradient, and the stage stays in evaluation mode.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self) -> None:
        super().__init__()
        shape = (1, 2 * REACH + 1, REACH + 1)
        cells = (2 * LONGEST + 1) * (LONGEST + 1)
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("spread", torch.ones(shape))
        self.local = nn.Sequential(
            nn.Conv2d(1, 16, 5, padding=2),
            nn.GELU(),
            nn.Conv2d(16, 16, 3, padding=1),
            nn.GELU(),
            nn.Conv2d(16, 1, 3, padding=1),
        )
        self.drop = nn.Dropout(0.3)
        self.hidden = nn.Linear(math.prod(shape), 48)
        self.whole = nn.Linear(48, 1 + cells)
        with torch.no_grad():  # untrained, it leaves every picture as it is
            self.whole.bias[0] = 10.0
        self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> Self:
        """Set training mode only if the weights of the stage itself require gradients.

        Else dropout would hide a motion from the network after the stage, and draw numbers from the
        generator of torch.
        """
        return super().train(mode and any(p.requires_grad for p in self.parameters()))

    def logits(self, cepstra: Tensor) -> Tensor:
        """(B, 1, 49, 25) -> (B, 862): none, then vectors, rows -20 to 20 by columns 0 to 20."""
        x = (cepstra - self.mean) / self.spread
        # A cepstrum is even: what is left of column 0 is the right side, turned by 180 degrees.
        left = x.flip(2)[:, :, :, 1:].flip(3)
        rows = slice(REACH - LONGEST, REACH + LONGEST + 1)
        columns = slice(REACH, REACH + LONGEST + 1)
        local = self.local(torch.cat([left, x], dim=3))[:, 0, rows, columns].flatten(1)
        whole: Tensor = self.whole(F.gelu(self.hidden(self.drop(x.flatten(1)))))
        return whole + F.pad(local, (1, 0))

    @torch.no_grad()
    def estimate(self, image: Tensor, census: Census | None = None) -> Motion:
        """Estimate how the camera moved while each picture was taken.

        Args:
            image: (B, 3, H, W) in [0, 1]; pictures with fewer than 16 windows of 64 pixels, 32
                apart (160x160), count as not blurred.
            census: records the sums over the picture, or provides them if the image is a tile.
        """
        sums: Sums
        if census is None:
            sums = cepstrum_sums(image)
        else:
            sums = census.sums(lambda: cepstrum_sums(image, census.window))
        return self.read(sums)

    @torch.no_grad()
    def read(self, sums: Sums) -> Motion:
        """Estimate how the camera moved, from the sums over whole pictures."""
        device = sums[0].device
        with torch.autocast(device.type, enabled=False):
            shares = self.logits(cepstrum(sums).to(self.mean.dtype)).float().softmax(dim=1)
        none = torch.where(sums[2][:, 0] < FEWEST, 1.0, shares[:, 0])
        plane = shares[:, 1:].view(-1, 1, 2 * LONGEST + 1, LONGEST + 1)
        best = plane.flatten(1).argmax(dim=1)
        row, column = best // (LONGEST + 1), best % (LONGEST + 1)
        # The mean of the most probable cell and its neighbors, weighted by their probabilities.
        # Left of column 0 lies column 1, turned by 180 degrees.
        beside = torch.cat([plane.flip(2)[:, :, :, 1:2], plane], dim=3)
        near = F.unfold(F.pad(beside, (0, 1, 1, 1)), 3)  # (B, 9, cells)
        near = near.gather(2, best.view(-1, 1, 1).expand(-1, 9, 1))[:, :, 0]
        near = near / near.sum(dim=1, keepdim=True).clamp_min(1e-12)
        steps = torch.arange(-1, 2, device=device, dtype=near.dtype)
        down = row - LONGEST + (near * steps.repeat_interleave(3)).sum(dim=1)
        across = column + (near * steps.repeat(3)).sum(dim=1)
        length = (down.square() + across.square()).sqrt()
        angle = torch.rad2deg(torch.atan2(-down, across))
        none = torch.where(can_be_motion(sums[3], sums[4], length, angle), none, 1.0)
        return Motion(length, angle, none)

    def multiply_adds(self, size: tuple[int, int]) -> float:
        """Of the estimate for a picture of (H, W): transforms of 2.5 n log2 n flops, and reading.

        The filter, for blurred pictures only, is not counted: 400 a pixel.
        """
        windows = max(0, (size[0] - SIDE) // STRIDE + 1) * max(0, (size[1] - SIDE) // STRIDE + 1)
        transform = 1.25 / 2 * SIDE**2 * math.log2(SIDE**2)
        local = (2 * REACH + 1) ** 2 * (25 * 16 + 9 * 16 * 16 + 9 * 16)
        matrices = self.hidden.weight.numel() + self.whole.weight.numel()
        return windows * transform + local + matrices

    @torch.no_grad()
    def forward(self, image: Tensor, census: Census | None = None) -> tuple[Tensor, Motion]:
        """(B, 3, H, W) in [0, 1] -> the same without the motion, and the motion."""
        motion = self.estimate(image, census)
        return without(image, motion), motion


def without(image: Tensor, motion: Motion) -> Tensor:
    """(B, 3, H, W), in which the motion blur that was found is undone."""
    results = [
        undone(picture, length, angle) if none < SURE_OF_MOTION else picture
        for picture, length, angle, none in zip(
            image, *(values.tolist() for values in motion), strict=True
        )
    ]
    return torch.stack(results)


def inverse_filter(length: float, angle: float) -> Tensor:
    """The inverse of a straight motion blur, (65, 65) float64 of sum 1.

    A Wiener filter, K / (K^2 + N): the kernel is even, so its transform K is real; N, the power of
    noise by that of the picture, grows with the square of the frequency, as pictures have less
    there, from a floor that also keeps the filter short.

    Args:
        length: of the path in pixels, 1 to 101, as `blur.motion_blur`.
        angle: in degrees, anticlockwise from the horizontal.

    Example:
        >>> weights = inverse_filter(1.0, 0.0)  # nothing to undo
        >>> bool((weights[32, 32] > 0.8) & (weights.abs().sum() < 1.6))
        True
    """
    kernel = torch.from_numpy(line_kernel(length, angle))
    size = 4 * RADIUS
    reach = len(kernel) // 2
    padded = F.pad(kernel, (0, size - len(kernel), 0, size - len(kernel)))
    response = torch.fft.fft2(padded.roll((-reach, -reach), (0, 1))).real
    frequency = torch.fft.fftfreq(size, dtype=torch.float64)
    squared = frequency[:, None] ** 2 + frequency**2
    wiener = response / (response**2 + 0.4 * squared + 0.01)
    weights = torch.fft.ifft2(wiener).real.roll((RADIUS, RADIUS), (0, 1))
    weights = weights[: 2 * RADIUS + 1, : 2 * RADIUS + 1]
    fade = torch.hann_window(2 * RADIUS + 3, periodic=False, dtype=torch.float64)[1:-1]
    fade = (2 * fade).clamp_max(1)  # the outer half fades out
    weights = weights * fade[:, None] * fade
    inverse: Tensor = weights / weights.sum()
    return inverse


def undone(picture: Tensor, length: float, angle: float) -> Tensor:
    """A picture (3, H, W) without a motion blur, clipped to [0, 1]."""
    weights = inverse_filter(max(1.0, length), angle).to(picture.device, torch.float32)
    height, width = picture.shape[1:]
    light = picture.float().clamp(0, 1) ** _GAMMA
    light = light[:, _mirrored(height, picture)][:, :, _mirrored(width, picture)]
    size = [_smooth(side) for side in light.shape[1:]]
    product = torch.fft.rfft2(light, s=size) * torch.fft.rfft2(weights, s=size)
    filtered = torch.fft.irfft2(product, s=size)
    filtered = filtered[:, 2 * RADIUS : 2 * RADIUS + height, 2 * RADIUS : 2 * RADIUS + width]
    result: Tensor = filtered.clamp(0, 1) ** (1 / _GAMMA)
    return result.to(picture.dtype)


def _mirrored(side: int, like: Tensor) -> Tensor:
    """Places of a side of pixels mirrored by the filter's radius, edge pixels repeated."""
    places = torch.arange(-RADIUS, side + RADIUS, device=like.device) % (2 * side)
    return torch.where(places < side, places, 2 * side - 1 - places)


def _smooth(side: int) -> int:
    """The next size whose only prime factors are 2, 3 and 5, for a fast transform."""
    while True:
        rest = side
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return side
        side += 1
