"""The faults of typical photos: blur, reduction, camera noise, JPEG.

Conventions as in `common`. Each part is often absent, so that a network that learns to undo the
chain leaves a clean picture as it is.
"""

from dataclasses import dataclass
from typing import Literal

import torch.nn.functional as F
from torch import Tensor

from pixperts.degradations.blur import gaussian_blur
from pixperts.degradations.camera import Chroma, camera_noise, jpeg
from pixperts.degradations.common import random_stream, round_half_up, to_array, to_tensor
from pixperts.ops.resize import bicubic

Kernel = Literal["bicubic", "bilinear", "area"]


@dataclass(frozen=True)
class PhotoChain:
    """The faults of one photo, in the order in which they are applied.

    Attributes:
        blur: standard deviation of a Gaussian in pixels of the reduced picture; 0 = none.
        kernel: of the reduction, widened to the factor (antialiased).
        shot_noise: see `camera.camera_noise`; with a read noise of 0 as well there is none.
        read_noise: see `camera.camera_noise`.
        noise_size: of the noise's correlation, pixels.
        jpegs: quality (1 to 100) and chroma of each compression, one after the other.
    """

    blur: float = 0.0
    kernel: Kernel = "bicubic"
    shot_noise: float = 0.0
    read_noise: float = 0.0
    noise_size: float = 0.0
    jpegs: tuple[tuple[int, Chroma], ...] = ()

    def apply(self, image: Tensor, size: tuple[int, int], seed: int) -> Tensor:
        """Apply the chain to a photo.

        Args:
            image: (3, H, W) in [0, 1], sharp.
            size: (h, w) of the result, at most that of the image.
            seed: of the noise, 0 or more.

        Returns:
            (3, h, w) float32 in [0, 1], multiples of 1 / 255.

        Raises:
            UsageError: an argument out of its range.
        """
        if self.blur:
            image = gaussian_blur(image, sigma=self.blur * image.shape[1] / size[0])
        image = reduced(image, size, self.kernel)
        if self.shot_noise or self.read_noise:
            image = camera_noise(
                image,
                shot_noise=self.shot_noise,
                read_noise=self.read_noise,
                size=self.noise_size,
                seed=seed,
            )
        for quality, chroma in self.jpegs:
            image = jpeg(image, quality=quality, chroma=chroma)
        return to_tensor(round_half_up(to_array(image)), image)


def draw_chain(seed: int) -> PhotoChain:
    """A chain of random parts and strengths.

    One in eight is the reduction alone. Of the others a quarter are blurred (by 0.2 to 0.8 pixels),
    a quarter have camera noise (from hardly visible to that of a telephone in the evening), and
    nine of ten are compressed: quality 30 to 100, 4:2:0 in seven of ten, twice in one of seven.

    Raises:
        UsageError: a bad seed.

    Example:
        >>> draw_chain(2) == draw_chain(2), draw_chain(2) == draw_chain(3)
        (True, False)
    """
    random = random_stream(seed, "chain/parameters")
    kernels: list[Kernel] = ["bicubic", "bilinear", "area"]
    kernel = kernels[int(random.choice(3, p=[0.6, 0.15, 0.25]))]
    if random.random() < 0.12:
        return PhotoChain(kernel=kernel)
    blur = random.uniform(0.2, 0.8) if random.random() < 0.25 else 0.0
    shot, read, size = 0.0, 0.0, 0.0
    if random.random() < 0.25:
        shot, read = 10 ** random.uniform(-4.5, -2.3), 10 ** random.uniform(-3.5, -2.0)
        size = random.uniform(0.35, 0.9) if random.random() < 0.8 else 0.0
    jpegs: list[tuple[int, Chroma]] = []
    if random.random() < 0.9:
        for _ in range(2 if random.random() < 0.15 else 1):
            chroma: Chroma = "4:2:0" if random.random() < 0.7 else "4:4:4"
            jpegs.append((int(random.integers(30, 101)), chroma))
    return PhotoChain(blur, kernel, shot, read, size, tuple(jpegs))


def reduced(image: Tensor, size: tuple[int, int], kernel: Kernel) -> Tensor:
    """Reduce a picture as programs do, clipped to [0, 1].

    Args:
        image: (3, H, W) in [0, 1].
        size: (h, w), at most that of the image.
        kernel: bicubic (`resize.bicubic`), bilinear (a tent as wide as two pixels of the result)
            or area (the mean of the pixels that each pixel of the result touches).

    Returns:
        (3, h, w) float32.
    """
    values = image.float()
    if tuple(values.shape[1:]) == tuple(size):
        return values
    if kernel == "bicubic":
        result = bicubic(values, size)
    elif kernel == "bilinear":
        result = F.interpolate(
            values[None], size=list(size), mode="bilinear", antialias=True, align_corners=False
        )[0]
    else:
        result = F.interpolate(values[None], size=list(size), mode="area")[0]
    return result.clamp(0, 1)
