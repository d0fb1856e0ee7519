"""Scatter plots with a logarithmic cost axis, drawn as SVG text.

Series are lines through marked points, such as one mixture at many budgets; a panel may hold level
lines, such as the quality of an input that cost nothing. Labels keep clear of one another and of
the points where there is room.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

PLOT = (250.0, 200.0)  # of a panel's axes, in the units of the SVG
MARGIN = (46.0, 16.0, 28.0, 42.0)  # of a panel: left, right, top, bottom
LEGEND = 30.0  # height of the legend above all panels
FONT = 11.0
_LETTER = 0.56  # mean width of a letter over the font's size
# Okabe and Ito's palette without yellow, which is too light on white.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")

Box = tuple[float, float, float, float]  # left, top, right, bottom


@dataclass(frozen=True)
class Point:
    """One measurement: cost (above 0), decibels, and what to write beside it."""

    x: float
    y: float
    label: str = ""


@dataclass(frozen=True)
class Series:
    """Points of one color, joined in their order."""

    name: str
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Panel:
    """One pair of axes."""

    title: str
    x_title: str
    y_title: str
    series: tuple[Series, ...]
    levels: tuple[tuple[float, str], ...] = ()  # (y, label) of dashed lines
    note: str = ""  # in the right lower corner, of what lies far outside


def log_place(value: float, low: float, high: float, start: float, length: float) -> float:
    """Where a value lies on a logarithmic axis from `low` at `start` over `length`.

    >>> log_place(10.0, 1.0, 100.0, 20.0, 300.0)
    170.0
    """
    return start + length * math.log(value / low) / math.log(high / low)


def log_ticks(low: float, high: float) -> list[float]:
    """1, 2, 5 in each decade; 1 and 3, or 1 alone, where these would be more than six.

    >>> log_ticks(0.4, 6.0)
    [0.5, 1.0, 2.0, 5.0]
    >>> log_ticks(0.02, 20.0)
    [0.03, 0.1, 0.3, 1.0, 3.0, 10.0]
    >>> log_ticks(0.02, 200.0)
    [0.1, 1.0, 10.0, 100.0]
    """
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1, 2, 5), (1, 3), (1,)):
        ticks = [float(f"{factor}e{decade}") for decade in decades for factor in factors]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if len(ticks) <= 6:
            break
    return ticks


def even_ticks(low: float, high: float) -> list[float]:
    """At most six multiples of 1, 2 or 5 times a power of ten.

    >>> even_ticks(30.2, 34.9)
    [31.0, 32.0, 33.0, 34.0]
    """
    step = 10.0 ** math.floor(math.log10((high - low) / 6))
    while (high - low) / step > 6:
        step *= 2.5 if f"{step:e}"[0] == "2" else 2
    first, last = math.ceil(low / step), math.floor(high / step)
    return [round(number * step, 9) for number in range(first, last + 1)]


def scatter(panels: Sequence[Panel], columns: int) -> str:
    """The panels in rows of some columns under one legend, as the text of an SVG file."""
    wide = PLOT[0] + MARGIN[0] + MARGIN[1]
    tall = PLOT[1] + MARGIN[2] + MARGIN[3]
    height = LEGEND + tall * -(-len(panels) // columns)
    names = list(dict.fromkeys(series.name for panel in panels for series in panel.series))
    width = wide * min(columns, len(panels))
    width = max(width, MARGIN[0] + sum(30 + _wide(name) for name in names))  # of the legend
    colors = {name: COLORS[place % len(COLORS)] for place, name in enumerate(names)}
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
        f'width="{width:g}" height="{height:g}" font-family="sans-serif" font-size="{FONT:g}">',
        f'<rect width="{width:g}" height="{height:g}" fill="#ffffff"/>',
    ]
    left = MARGIN[0]
    for name in names:
        lines.append(f'<circle cx="{left:g}" cy="15" r="4" fill="{colors[name]}"/>')
        lines.append(_text(left + 9, 19, name))
        left += 30 + _wide(name)
    for number, panel in enumerate(panels):
        row, column = divmod(number, columns)
        lines += _panel(panel, (column * wide + MARGIN[0], LEGEND + row * tall + MARGIN[2]), colors)
    return "\n".join([*lines, "</svg>", ""])


def _panel(panel: Panel, corner: tuple[float, float], colors: dict[str, str]) -> list[str]:
    points = [point for series in panel.series for point in series.points]
    low, high = min(p.x for p in points) / 1.6, max(p.x for p in points) * 1.6
    values = [*(p.y for p in points), *(y for y, _ in panel.levels)]
    room = max(max(values) - min(values), 0.5) * 0.12
    bottom, top = min(values) - room, max(values) + room
    (left, upper), (width, height) = corner, PLOT

    def place(x: float, y: float) -> tuple[float, float]:
        return (
            log_place(x, low, high, left, width),
            upper + height * (top - y) / (top - bottom),
        )

    lines = [
        f'<rect x="{left:g}" y="{upper:g}" width="{width:g}" height="{height:g}" '
        'fill="none" stroke="#999999"/>',
        _text(left, upper - 9, panel.title, weight="bold"),
        _text(left + width / 2, upper + height + 34, panel.x_title, anchor="middle"),
        f'<text transform="translate({left - 34:g} {upper + height / 2:g}) rotate(-90)" '
        f'text-anchor="middle" fill="#222222">{escape(panel.y_title)}</text>',
    ]
    for tick in log_ticks(low, high):
        x = place(tick, top)[0]
        lines.append(_line((x, upper), (x, upper + height), "#e4e4e4"))
        lines.append(_text(x, upper + height + 15, f"{tick:g}", anchor="middle"))
    for tick in even_ticks(bottom, top):
        y = place(low, tick)[1]
        lines.append(_line((left, y), (left + width, y), "#e4e4e4"))
        lines.append(_text(left - 5, y + 4, f"{tick:g}", anchor="end"))
    frame = (left, upper, left + width, upper + height)
    spots = [place(p.x, p.y) for p in points]
    taken: list[Box] = [(x - 4, y - 4, x + 4, y + 4) for x, y in spots]
    for value, label in panel.levels:
        y = place(low, value)[1]
        lines.append(_line((left, y), (left + width, y), "#777777", dashed=True))
        lines.append(_text(left + 4, y - 4, label))
        taken.append((left + 4, y - 4 - FONT, left + 4 + _wide(label), y - 2))
    if panel.note:
        right, base = left + width - 5, upper + height - 7
        lines.append(_text(right, base, panel.note, anchor="end"))
        taken.append((right - _wide(panel.note), base - FONT, right, base + 3))
    for series in panel.series:
        color = colors[series.name]
        marks = [place(p.x, p.y) for p in series.points]
        if len(marks) > 1:
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in marks)
            lines.append(f'<polyline points="{path}" fill="none" stroke="{color}"/>')
        lines += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{color}"/>' for x, y in marks]
    inks = [colors[series.name] for series in panel.series for _ in series.points]
    for point, spot, ink in zip(points, spots, inks, strict=True):
        if point.label:
            box = free_place(spot, _wide(point.label), FONT, taken, frame)
            taken.append(box)
            lines.append(_beside(spot[0], box, point.label, ink))
    return lines


def free_place(
    spot: tuple[float, float], width: float, height: float, taken: Sequence[Box], frame: Box
) -> Box:
    """A box for a label beside a point: the place around it that covers least of what is there.

    Right, left, above and below are tried in this order, then the four corners; what lies outside
    of the frame counts as covered.

    >>> free_place((50, 50), 20, 10, [], (0, 0, 100, 100))
    (56, 45.0, 76, 55.0)
    >>> free_place((90, 50), 20, 10, [], (0, 0, 100, 100))
    (64, 45.0, 84, 55.0)
    """
    x, y = spot
    half, gap = height / 2, 6
    corners = [
        (x + gap, y - half), (x - gap - width, y - half),
        (x - width / 2, y - gap - height), (x - width / 2, y + gap),
        (x + gap - 2, y - gap - half), (x + gap - 2, y + gap - half),
        (x - gap + 2 - width, y - gap - half), (x - gap + 2 - width, y + gap - half),
    ]  # fmt: skip
    boxes: list[Box] = [(a, b, a + width, b + height) for a, b in corners]

    def covered(box: Box) -> float:
        outside = width * height - _common(box, frame)
        return outside + sum(_common(box, other) for other in taken)

    return min(boxes, key=covered)


def _beside(x: float, box: Box, label: str, ink: str) -> str:
    """A label that ends, begins or lies at its point, however wide the font really is."""
    if box[2] <= x:
        return _text(box[2], box[3] - 2, label, anchor="end", ink=ink)
    if box[0] >= x:
        return _text(box[0], box[3] - 2, label, ink=ink)
    return _text((box[0] + box[2]) / 2, box[3] - 2, label, anchor="middle", ink=ink)


def _common(one: Box, other: Box) -> float:
    """The area that two boxes share."""
    across = min(one[2], other[2]) - max(one[0], other[0])
    down = min(one[3], other[3]) - max(one[1], other[1])
    return max(across, 0.0) * max(down, 0.0)


def _wide(text: str) -> float:
    return _LETTER * FONT * len(text)


def _text(
    x: float,
    y: float,
    text: str,
    *,
    anchor: str = "start",
    weight: str = "normal",
    ink: str = "#222222",
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}" '
        f'fill="{ink}">{escape(text)}</text>'
    )


def _line(
    start: tuple[float, float], stop: tuple[float, float], color: str, *, dashed: bool = False
) -> str:
    dash = ' stroke-dasharray="4 3"' if dashed else ""
    return (
        f'<line x1="{start[0]:.1f}" y1="{start[1]:.1f}" x2="{stop[0]:.1f}" y2="{stop[1]:.1f}" '
        f'stroke="{color}"{dash}/>'
    )
