"""Old prints and slides: dust, hairs and scratches on a picture; conventions as in `common`."""

import numpy as np
from torch import Tensor

from pixperts.degradations.common import check_number, random_stream, to_array, to_tensor
from pixperts.ops.kernels import Array, capsule

Random = np.random.Generator


def dust_and_scratches(
    image: Tensor,
    *,
    seed: int,
    specks: float = 4e-4,
    hairs: float = 1e-5,
    scratches: float = 2e-5,
    light: float = 0.7,
    opacity: float = 0.8,
) -> Tensor:
    """Specks of dust, hairs and scratches, as scans of old prints, slides and negatives have them.

    Each covers what is below it by a part of `opacity`, in a nearly gray tone that is either light
    (dust on a negative, damage down to the paper) or dark (dust on a slide or on the glass).
    Scratches are long, nearly straight and mostly of one direction, and break off here and there.

    Args:
        image: (3, H, W) in [0, 1].
        seed: 0 or more.
        specks: per pixel, 0 to 0.01.
        hairs: bent fibers of 10 to 50 pixels, per pixel, 0 to 0.001.
        scratches: per pixel, 0 to 0.001.
        light: share of the marks that are light, 0 to 1.
        opacity: of the strongest mark, 0 to 1.

    Returns:
        (3, H, W) float32 in [0, 1].

    Raises:
        UsageError: a parameter or the picture out of range, or a bad seed.
    """
    check_number("specks", specks, 0, 0.01)
    check_number("hairs", hairs, 0, 0.001)
    check_number("scratches", scratches, 0, 0.001)
    check_number("light", light, 0, 1)
    check_number("opacity", opacity, 0, 1)
    canvas = to_array(image).copy()
    random = random_stream(seed, "dust_and_scratches")
    main = random.uniform(0, np.pi)
    for draw, density in ((_speck, specks), (_hair, hairs), (_scratch, scratches)):
        for _ in range(int(random.poisson(density * canvas[0].size))):
            tone = random.uniform(0.75, 1) if random.random() < light else random.uniform(0, 0.25)
            color = np.clip(tone + random.normal(0, 0.02, (3, 1, 1)), 0, 1)
            draw(canvas, random, color, opacity * random.uniform(0.3, 1) ** 0.5, main)
    return to_tensor(canvas, image)


def _speck(canvas: Array, random: Random, color: Array, opacity: float, main: float) -> None:
    """A grain of one or a few short strokes at one place."""
    row, column = random.random(2) * canvas.shape[1:]
    radius = min(4.0, 0.45 * random.uniform(0.12, 1) ** -1.0)
    for _ in range(int(random.integers(1, 4))):
        half, turn = radius * random.uniform(0, 1.2), random.uniform(0, np.pi)
        own = radius * random.uniform(0.5, 1)
        place = row + random.normal(0, 0.6 * radius), column + random.normal(0, 0.6 * radius)
        _stroke(canvas, place, half, own, turn, color, opacity)


def _hair(canvas: Array, random: Random, color: Array, opacity: float, main: float) -> None:
    """A bent fiber: short strokes whose direction turns steadily."""
    row, column = random.random(2) * canvas.shape[1:]
    turn, bend = random.uniform(0, 2 * np.pi), random.normal(0, 0.25)
    radius = random.uniform(0.35, 0.8)
    for _ in range(int(random.integers(4, 18))):
        _stroke(canvas, (row, column), 1.5, radius, turn, color, opacity)
        row, column = row + 3 * np.cos(turn), column + 3 * np.sin(turn)
        turn += bend + random.normal(0, 0.12)


def _scratch(canvas: Array, random: Random, color: Array, opacity: float, main: float) -> None:
    """A long line of pieces, each a little off the last one, some of them missing."""
    height, width = canvas.shape[1:]
    row, column = random.random(2) * (height, width)
    turn = main + random.normal(0, 0.05) if random.random() < 0.75 else random.uniform(0, np.pi)
    radius, piece = random.uniform(0.3, 1.0), 12.0
    strength = opacity
    for _ in range(int(random.uniform(0.15, 1) * max(height, width) / piece) + 1):
        strength = float(np.clip(strength + random.normal(0, 0.15), 0.15 * opacity, opacity))
        if random.random() < 0.9:
            _stroke(canvas, (row, column), 0.5 * piece, radius, turn, color, strength)
        row, column = row + piece * np.cos(turn), column + piece * np.sin(turn)
        turn += random.normal(0, 0.01)
        if not (-piece < row < height + piece and -piece < column < width + piece):
            break


def _stroke(
    canvas: Array,
    place: tuple[float, float],
    half: float,
    radius: float,
    turn: float,
    color: Array,
    opacity: float,
) -> None:
    reach = half + radius + 1
    top, left = (max(0, int(np.floor(value - reach))) for value in place)
    bottom, right = (int(np.ceil(value + reach)) + 1 for value in place)
    area = canvas[:, top : max(top, bottom), left : max(left, right)]
    if area.size == 0:
        return
    rows, columns = np.mgrid[top : top + area.shape[1], left : left + area.shape[2]]
    inside = capsule(
        rows - place[0], columns - place[1], np.asarray(half), np.asarray(radius), np.asarray(turn)
    )
    # Thinner than a pixel, a mark is fainter instead.
    cover = np.clip(inside + 0.5, 0, 1) * opacity
    area += (color - area) * cover


def fade(image: Tensor, *, amount: float, warmth: float, contrast: float, black: float) -> Tensor:
    """Colors of an old print: drained, brownish, flat.

    Args:
        image: (3, H, W) in [0, 1].
        amount: of the color that is gone, 0 to 1.
        warmth: of what is left in its place, 0 (gray) to 1 (sepia).
        contrast: share of the contrast that is left, 0 to 1.
        black: level to which black has risen, 0 to 0.5.

    Returns:
        (3, H, W) float32 in [0, 1].

    Raises:
        UsageError: a parameter or the picture out of range.
    """
    check_number("amount", amount, 0, 1)
    check_number("warmth", warmth, 0, 1)
    check_number("contrast", contrast, 0, 1)
    check_number("black", black, 0, 0.5)
    values = to_array(image)
    gray = np.tensordot([0.299, 0.587, 0.114], values, 1)[None]
    # Darker tones turn brown first; white paper yellows a little.
    sepia = gray ** (1 + warmth * np.array([-0.25, 0.0, 0.35])[:, None, None])
    values = values + amount * (sepia - values)
    return to_tensor(black + (1 - black) * contrast * values, image)
