"""Rain, haze and snow put on a clean photo; conventions as in `common`."""

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pixperts.degradations.common import check_number, random_stream, to_array, to_tensor
from pixperts.errors import UsageError
from pixperts.ops.kernels import Array, capsule


class Frame(NamedTuple):
    """The place of a picture in a larger one that it was cut from, in pixels."""

    top: int
    left: int
    height: int  # of the larger one
    width: int


_CHUNK = 1 << 20  # pixels drawn at once, to bound the memory


def rain(
    image: Tensor,
    *,
    seed: int,
    density: float = 1e-3,
    length: float = 20.0,
    angle: float = 0.0,
    width: float = 1.5,
    strength: float = 0.7,
    blend: Literal["additive", "screen"] = "additive",
) -> Tensor:
    """Rain streaks: a sparse layer of drops, each blurred along its fall, added to the scene.

    O = B + S, clipped (Li et al., CVPR 2016, equation 1; Yang et al., CVPR 2017, whose Rain100L
    has streaks of one type in a picture), or the screen blend O = 1 - (1 - B)(1 - S) (Luo et
    al., ICCV 2015). Drops fall at uniformly random places. Each varies around the given values:
    length by 30 %, direction by 2 degrees, brightness between a fifth and all of `strength`; a
    streak is brightest in its middle and fades toward its ends.

    Args:
        image: (3, H, W) in [0, 1].
        seed: 0 or more.
        density: drops per pixel, 0 to 0.1.
        length: mean length of a streak in pixels, 1 to 200.
        angle: of the fall in degrees from straight down, -60 to 60; positive falls to the right.
        width: of a streak in pixels, 0.5 to 10.
        strength: brightness of the brightest streak, 0 to 1.
        blend: "additive" or "screen".

    Returns:
        (3, H, W) float32 in [0, 1].

    Raises:
        UsageError: an argument out of its range.
    """
    clean = to_array(image)
    check_number("density", density, 0, 0.1)
    check_number("length", length, 1, 200)
    check_number("angle", angle, -60, 60)
    check_number("width", width, 0.5, 10)
    check_number("strength", strength, 0, 1)
    if blend not in ("additive", "screen"):
        raise UsageError(f"blend is {blend!r}: choose 'additive' or 'screen'.")
    streaks = np.zeros(clean.shape[1:])

    def add(places: NDArray[np.int64], values: Array) -> None:
        np.add.at(streaks.reshape(-1), places, values)

    _scatter(
        add,
        streaks.shape,
        random_stream(seed, "rain"),
        density=density,
        half_length=(0.35 * length, 0.65 * length),
        radius=(0.5 * width, 0.5 * width),
        softness=1.0,
        angle=(angle - 2, angle + 2),
        opacity=(0.2 * strength, strength),
        tapered=True,
    )
    np.minimum(streaks, 1, out=streaks)
    rainy = clean + streaks if blend == "additive" else 1 - (1 - clean) * (1 - streaks)
    return to_tensor(rainy, image)


def snow(
    image: Tensor,
    *,
    seed: int,
    density: float = 2e-3,
    size: float = 1.5,
    angle: float = 0.0,
    opacity: float = 0.8,
) -> Tensor:
    """Snow: white flakes of three sizes, the nearest large, soft and drawn out by their fall.

    O = z + B (1 - z) with the mask z of translucent flakes, as Snow100K is composed (Liu et al.,
    DesnowNet, arXiv 1708.04512, equation 1) with white flakes, which is how CDD-11 uses it. Of
    the flakes 70 % have the radius `size`, 25 % twice and 5 % four times that, each 30 % more
    or less; opacities lie between half and all of `opacity`; flakes that overlap cover each
    other: z = 1 - prod(1 - z_i).

    Args:
        image: (3, H, W) in [0, 1].
        seed: 0 or more.
        density: flakes per pixel, 0 to 0.1.
        size: radius of the small flakes in pixels, 0.5 to 10.
        angle: of the fall in degrees from straight down, -60 to 60; positive falls to the right.
        opacity: of the densest flake, 0 to 0.99.

    Returns:
        (3, H, W) float32 in [0, 1].

    Raises:
        UsageError: an argument out of its range.
    """
    clean = to_array(image)
    check_number("density", density, 0, 0.1)
    check_number("size", size, 0.5, 10)
    check_number("angle", angle, -60, 60)
    check_number("opacity", opacity, 0, 0.99)
    random = random_stream(seed, "snow")
    depth = np.zeros(clean.shape[1:])  # sum of -log(1 - z_i)

    def cover(places: NDArray[np.int64], values: Array) -> None:
        np.add.at(depth.reshape(-1), places, -np.log1p(-values))

    for share, scale, drawn_out in ((0.7, 1, 0.0), (0.25, 2, 0.3), (0.05, 4, 0.6)):
        radius = size * scale
        _scatter(
            cover,
            depth.shape,
            random,
            density=density * share,
            half_length=(0.0, drawn_out * radius),
            radius=(0.7 * radius, 1.3 * radius),
            softness=max(1.0, 0.6 * radius),
            angle=(angle - 15, angle + 15),
            opacity=(0.5 * opacity, opacity),
        )
    mask = -np.expm1(-depth)
    return to_tensor(mask + clean * (1 - mask), image)


def haze(
    image: Tensor,
    *,
    beta: float,
    airlight: float,
    depth: Tensor | None = None,
    seed: int | None = None,
    frame: Frame | None = None,
) -> Tensor:
    """Haze by atmospheric scattering: I = J t + A (1 - t) with the transmission t = exp(-beta d).

    Koschmieder's law as in Narasimhan and Nayar (IJCV 2002) and He et al. (CVPR 2009); RESIDE's
    indoor set takes beta from [0.6, 1.8] and A from [0.7, 1] (Li et al., arXiv 1712.04143).

    Args:
        image: (3, H, W) in [0, 1].
        beta: scattering coefficient, 0 or more, in the inverse unit of the depth.
        airlight: A, gray level of the haze itself, 0 to 1.
        depth: (H, W) distances, 0 or more; without it `synthetic_depth` makes one in [0, 1].
        seed: of that depth map; required without `depth`.
        frame: for a crop, its place in the whole picture, for which the depth is made.

    Returns:
        (3, H, W) float32 in [0, 1].

    Raises:
        UsageError: an argument out of its range, a depth of another size, or neither depth nor
            seed.

    >>> import torch
    >>> half = haze(torch.zeros(3, 1, 1), beta=math.log(2), airlight=0.8, depth=torch.ones(1, 1))
    >>> round(half[0].item(), 4)
    0.4
    """
    clean = to_array(image)
    check_number("beta", beta, 0, math.inf)
    check_number("airlight", airlight, 0, 1)
    if depth is None:
        if seed is None:
            raise UsageError("haze needs a depth map, or a seed from which to make one.")
        distance = synthetic_depth(clean.shape[1], clean.shape[2], seed=seed, frame=frame)
    else:
        distance = depth.detach().cpu().numpy().astype(np.float64)
        if distance.shape != clean.shape[1:]:
            raise UsageError(
                f"depth is {distance.shape}, the picture {clean.shape[1:]}: give one distance "
                "for each pixel."
            )
        if not (np.isfinite(distance).all() and distance.min() >= 0):
            raise UsageError("depth holds negative or non-finite distances: give 0 or more.")
    transmission = np.exp(-beta * distance)
    return to_tensor(clean * transmission + airlight * (1 - transmission), image)


def synthetic_depth(height: int, width: int, *, seed: int, frame: Frame | None = None) -> Array:
    """A plausible depth map in [0, 1]: ground that recedes toward the top, with gentle relief.

    A tilted plane (far at the top, by up to 20 % of its slope aslant) plus four cosines of at
    most 1.5 periods a side. How much of [0, 1] a picture spans is random.

    Args:
        height: of the picture, in pixels.
        width: of the picture.
        seed: 0 or more.
        frame: for a crop, its place in the whole picture.

    Returns:
        (height, width) float64.
    """
    random = random_stream(seed, "depth")
    far = random.uniform(0.75, 1.0)
    near = random.uniform(0.15, 0.45)
    aslant = random.uniform(-0.2, 0.2)
    # Pixel centers in (0, 1): the same view at any resolution.
    top, left, whole_height, whole_width = frame or Frame(0, 0, height, width)
    rows = ((top + np.arange(height) + 0.5) / whole_height)[:, None]
    columns = ((left + np.arange(width) + 0.5) / whole_width)[None, :]
    depth = far + (near - far) * (rows + aslant * (columns - 0.5))
    for _ in range(4):
        amplitude = 0.1 * (far - near) * random.uniform(0.3, 1.0)
        vertical, horizontal = random.uniform(-1.5, 1.5, 2)
        phase = random.uniform(0, 1)
        depth = depth + amplitude * np.cos(
            2 * math.pi * (vertical * rows + horizontal * columns + phase)
        )
    return np.clip(depth, 0, 1)


def _scatter(
    add: Callable[[NDArray[np.int64], Array], None],
    shape: tuple[int, ...],
    random: np.random.Generator,
    *,
    density: float,
    half_length: tuple[float, float],
    radius: tuple[float, float],
    softness: float,
    angle: tuple[float, float],
    opacity: tuple[float, float],
    tapered: bool = False,
) -> None:
    """Draw particles all over a (H, W) layer, each a capsule with an edge `softness` wide.

    Pairs are the bounds of uniform draws. `add` is given flat pixel numbers (with repetitions)
    and the particles' values there.
    """
    height, width = shape
    reach = radius[1] + 0.5 * softness
    margin = math.ceil(half_length[1] + reach) + 1
    area = (height + 2 * margin) * (width + 2 * margin)
    # The fractional part is rounded at random, else small pictures would never have a particle.
    count = math.floor(density * area + random.uniform())
    center_row = random.uniform(-margin, height + margin, count)
    center_column = random.uniform(-margin, width + margin, count)
    half, thick = random.uniform(*half_length, count), random.uniform(*radius, count)
    lean = np.radians(random.uniform(*angle, count))
    value = random.uniform(*opacity, count)
    steepest = math.radians(max(abs(angle[0]), abs(angle[1])))
    # Row by row a leaning line crosses only a few columns: far fewer pixels than its whole box.
    spread = math.ceil(reach / math.cos(steepest)) + 1
    window_rows = np.arange(-margin, margin + 1)[None, :, None]
    window_columns = np.arange(-spread, spread + 1)[None, None, :]
    chunk = max(1, _CHUNK // (window_rows.size * window_columns.size))
    for start in range(0, count, chunk):
        part = slice(start, start + chunk)
        # (particles, rows of the window, columns of the window)
        row = np.floor(center_row[part])[:, None, None] + window_rows
        down = row + 0.5 - center_row[part][:, None, None]
        line = center_column[part][:, None, None] + down * np.tan(lean[part])[:, None, None]
        column = np.floor(line) + window_columns
        right = column + 0.5 - center_column[part][:, None, None]
        inside = capsule(
            down,
            right,
            half[part][:, None, None],
            thick[part][:, None, None],
            lean[part][:, None, None],
        )
        cover = np.clip(inside / softness + 0.5, 0, 1) * value[part][:, None, None]
        if tapered:  # a parabola, 0 where the particle ends
            end = half[part] * np.cos(lean[part]) + reach
            cover *= np.maximum(1 - (down / end[:, None, None]) ** 2, 0)
        seen = (cover > 0) & (row >= 0) & (row < height) & (column >= 0) & (column < width)
        places = (row * width + column).astype(np.int64)
        add(places[seen], cover[seen])
