"""Drawings, which have details that look like faults but are none.

Hatching, line drawings, pages of text, screens and white dots, drawn from a seed. A network that
mistakes thin lines for rain or blur, or dots for snow, learns from them to leave them alone.
"""

from collections.abc import Callable

import numpy as np
from torch import Tensor

from pixperts.degradations.common import random_stream, to_array, to_tensor
from pixperts.errors import UsageError
from pixperts.ops.kernels import Array, capsule

Random = np.random.Generator


def draw_over(photo: Tensor, seed: int, kind: str | None = None) -> Tensor:
    """A drawing with the size of a photo; some kinds are drawn over the photo.

    Args:
        photo: (3, H, W) in [0, 1].
        seed: 0 or more.
        kind: hatching, lines, page, screen or dots; None = the seed picks one.

    Returns:
        (3, H, W) float32 in [0, 1], multiples of 1 / 255.

    Raises:
        UsageError: an unknown kind, a bad seed or picture.
    """
    random = random_stream(seed, "drawings")
    names = list(_KINDS)
    drawn = names[int(random.choice(len(names), p=_SHARES))] if kind is None else kind
    if drawn not in _KINDS:
        raise UsageError(f"There is no drawing {drawn!r}: choose from {', '.join(names)}.")
    values = _KINDS[drawn](to_array(photo), random)
    return to_tensor(np.floor(np.clip(values, 0, 1) * 255 + 0.5) / 255, photo)


def _two_colors(random: Random) -> tuple[Array, Array]:
    """Paper and ink, (3, 1, 1) each: mostly black on white, else any two that differ."""
    if random.random() < 0.5:
        pair = np.ones((3, 1, 1)), np.zeros((3, 1, 1))
    else:
        light = random.uniform(0.6, 1, (3, 1, 1)), random.uniform(0, 0.35, (3, 1, 1))
        pair = light if random.random() < 0.75 else (light[1], light[0])
    return pair


def _inked(paper: Array, ink: Array, cover: Array) -> Array:
    return paper + (ink - paper) * cover


def _grid(photo: Array) -> tuple[Array, Array]:
    rows, columns = np.mgrid[: photo.shape[1], : photo.shape[2]].astype(np.float64)
    return rows, columns


def _hatching(photo: Array, random: Random) -> Array:
    """Parallel lines, sometimes crossed by others, smooth or jagged; in patches of their own."""
    rows, columns = _grid(photo)
    paper, ink = _two_colors(random)
    cover = np.zeros(rows.shape)
    for _ in range(int(random.integers(1, 4))):
        period = random.uniform(3, 14) if random.random() < 0.5 else float(random.integers(3, 12))
        width = min(random.uniform(0.8, 2.5), 0.6 * period)
        angle = float(random.choice([0, 45, 90, 135])) if random.random() < 0.6 else None
        turn = np.radians(random.uniform(0, 180) if angle is None else angle)
        if angle in (45, 135) and random.random() < 0.5:  # a pixel wide, as programs draw them
            step = round(period)
            place = (rows + columns * (1 if angle == 45 else -1)) % step
            lines = (place == 0).astype(np.float64)
        else:
            place = (rows * np.cos(turn) + columns * np.sin(turn)) % period
            inside = 0.5 * width - np.minimum(place, period - place)
            lines = np.clip(inside + 0.5, 0, 1) if random.random() < 0.6 else (inside > 0) * 1.0
        if random.random() < 0.6:  # only within a part of the picture
            top, left = random.uniform(-0.5, 0.5, 2) * rows.shape
            bottom, right = np.array([top, left]) + random.uniform(0.3, 1.2, 2) * rows.shape
            inside = (rows >= top) & (rows < bottom) & (columns >= left) & (columns < right)
            lines = lines * inside
        cover = np.maximum(cover, lines)
    return _inked(paper, ink, cover)


def _lines(photo: Array, random: Random) -> Array:
    """Straight strokes and circles."""
    rows, columns = _grid(photo)
    height, width = rows.shape
    paper, ink = _two_colors(random)
    canvas = np.broadcast_to(paper, photo.shape).copy()
    for _ in range(int(random.integers(6, 24))):
        row, column = random.uniform(0, height), random.uniform(0, width)
        radius = np.asarray(random.uniform(0.4, 1.8))
        if random.random() < 0.6:
            half = np.asarray(random.uniform(0.05, 0.5) * height)
            inside = capsule(
                rows - row, columns - column, half, radius, np.asarray(random.uniform(0, np.pi))
            )
        else:
            distance = np.sqrt((rows - row) ** 2 + (columns - column) ** 2)
            inside = radius - np.abs(distance - random.uniform(3, 0.4 * height))
        color = ink if random.random() < 0.7 else random.uniform(0, 1, (3, 1, 1))
        canvas = _inked(canvas, color, np.clip(inside + 0.5, 0, 1))
    return canvas


def _glyphs(height: int, random: Random) -> list[Array]:
    """Some signs of strokes, each (height, width)."""
    signs = []
    pen = np.asarray(max(0.45, height * random.uniform(0.04, 0.09)))
    for _ in range(10):
        width = max(2, round(height * random.uniform(0.35, 0.75)))
        rows, columns = np.mgrid[:height, :width].astype(np.float64)
        cover = np.zeros(rows.shape)
        for _ in range(int(random.integers(2, 5))):
            if random.random() < 0.7:
                turn = np.asarray(random.choice([0, np.pi / 2, np.pi / 4, -np.pi / 4]))
                half = np.asarray(random.uniform(0.2, 0.4) * height)
                row, column = random.uniform(0.2, 0.8) * height, random.uniform(0.1, 0.9) * width
                inside = capsule(rows - row, columns - column, half, pen, turn)
            else:
                distance = np.sqrt((rows - 0.6 * height) ** 2 + (columns - 0.5 * width) ** 2)
                inside = pen - np.abs(distance - 0.28 * height)
            cover = np.maximum(cover, np.clip(inside + 0.5, 0, 1))
        signs.append(cover)
    return signs


def _write(canvas: Array, random: Random, ink: Array, area: tuple[int, int, int, int]) -> None:
    """Lines of signs in place within an area (top, bottom, left, right)."""
    top, bottom, left, right = area
    size = int(random.integers(7, 25))
    signs = _glyphs(size, random)
    row = top + 2
    while row + size < bottom:
        column = left + 2
        end = right - int(random.integers(0, max(1, (right - left) // 3)))
        while column < end:
            sign = signs[int(random.integers(len(signs)))]
            width = sign.shape[1]
            if column + width >= end:
                break
            place = canvas[:, row : row + size, column : column + width]
            place += (ink - place) * sign
            column += width + (max(1, size // 6) if random.random() < 0.8 else size // 2)
        row += round(size * random.uniform(1.3, 1.8))


def _page(photo: Array, random: Random) -> Array:
    paper, ink = _two_colors(random)
    canvas = np.broadcast_to(paper, photo.shape).copy()
    _write(canvas, random, ink, (0, photo.shape[1], 0, photo.shape[2]))
    return canvas


def _screen(photo: Array, random: Random) -> Array:
    """Areas of one color with thin borders, text, and a part of the photo."""
    height, width = photo.shape[1:]
    canvas = np.broadcast_to(random.uniform(0, 1, (3, 1, 1)), photo.shape).copy()
    for _ in range(int(random.integers(4, 12))):
        top, left = int(random.integers(height - 8)), int(random.integers(width - 8))
        bottom = min(height, top + int(random.integers(8, height)))
        right = min(width, left + int(random.integers(8, width)))
        place = canvas[:, top:bottom, left:right]
        kind = random.random()
        if kind < 0.2:
            place[:] = photo[:, top:bottom, left:right]
            continue
        color, other = _two_colors(random)
        place[:] = color
        if kind < 0.5:
            shade = np.linspace(0, random.uniform(-0.2, 0.2), place.shape[1])
            place += shade[None, :, None]
        if random.random() < 0.6:
            place[:, 0], place[:, -1] = other[:, :, 0], other[:, :, 0]
            place[:, :, 0], place[:, :, -1] = other[:, :, 0], other[:, :, 0]
        if random.random() < 0.7:
            _write(canvas, random, other, (top, bottom, left, right))
    return canvas


def _dots(photo: Array, random: Random) -> Array:
    """White or light dots upon the photo or upon darkness: painted ones, stars, lamps."""
    rows, columns = _grid(photo)
    height, width = rows.shape
    night = random.random() < 0.3
    canvas = photo * random.uniform(0, 0.15) if night else photo.copy()
    ordered = random.random() < 0.4
    count = int(random.integers(20, 150))
    step = random.uniform(8, 20)
    radius = random.uniform(0.6, 3.5)
    for number in range(count):
        if ordered:
            across = max(1, int(width / step))
            row, column = (number // across + 0.5) * step, (number % across + 0.5) * step
        else:
            row, column = random.uniform(0, height), random.uniform(0, width)
        own = radius if ordered else radius * random.uniform(0.5, 1.3)
        top, left = max(0, int(row - own - 2)), max(0, int(column - own - 2))
        area = (slice(top, int(row + own + 3)), slice(left, int(column + own + 3)))
        distance = np.sqrt((rows[area] - row) ** 2 + (columns[area] - column) ** 2)
        cover = np.clip(own - distance + 0.5, 0, 1)
        place = canvas[(slice(None), *area)]
        place += (random.uniform(0.75, 1, (3, 1, 1)) - place) * cover
    return canvas


_KINDS: dict[str, Callable[[Array, Random], Array]] = {
    "hatching": _hatching, "lines": _lines, "page": _page, "screen": _screen, "dots": _dots,
}  # fmt: skip
_SHARES = (0.25, 0.125, 0.25, 0.125, 0.25)
