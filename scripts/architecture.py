"""Draw docs/images/architecture.svg: the packages in their layers, and who imports whom.

    python scripts/architecture.py            # writes the picture, prints the imports by package
    python scripts/architecture.py --check    # fails where the picture is out of date

The layers are those of the contract in pyproject.toml, the arrows come from the imports. An arrow
that follows from others (a package that imports both another and what that one imports) is not
drawn; the number of all arrows stands below the picture.
"""

import argparse
import sys
import tomllib
from collections import Counter
from pathlib import Path
from xml.sax.saxutils import escape

import grimp

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs/images/architecture.svg"
PACKAGE = "pixperts"

BOX = (128, 34)  # width and height of a package
GAP = (48, 38)  # between packages of a layer, and between layers
MARGIN = 24

Arrows = Counter[tuple[str, str]]  # (importing package, imported package): number of imports


def layers() -> list[list[str]]:
    """Packages by layer, the highest first, as the contract of import-linter lists them."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    found = next(contract for contract in contracts if contract["id"] == "layers")
    return [[name.strip() for name in layer.split("|")] for layer in found["layers"]]


def arrows(names: set[str]) -> Arrows:
    """Imports between these packages, counted from module to module."""
    graph = grimp.build_graph(PACKAGE, cache_dir=None)
    counts: Arrows = Counter()
    for module in graph.modules:
        for imported in graph.find_modules_directly_imported_by(module):
            pair = (_package(module), _package(imported))
            if pair[0] != pair[1] and names.issuperset(pair):
                counts[pair] += 1
    return counts


def _package(module: str) -> str:
    """The package that a module belongs to.

    >>> _package("pixperts.io.rows"), _package("pixperts")
    ('io', '')
    """
    return module.split(".")[1] if "." in module else ""


def needed(pairs: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """The arrows that do not follow from others; there must be no circle.

    >>> sorted(needed({("a", "b"), ("b", "c"), ("a", "c")}))
    [('a', 'b'), ('b', 'c')]
    """
    reach: dict[str, set[str]] = {}

    def reached(start: str) -> set[str]:
        if start not in reach:
            direct = {b for a, b in pairs if a == start}
            reach[start] = direct.union(*(reached(b) for b in direct))
        return reach[start]

    return {
        (a, b) for a, b in pairs if not any(b in reached(c) for x, c in pairs if x == a and c != b)
    }


def draw(rows: list[list[str]], counts: Arrows) -> str:
    """The picture as SVG text."""
    columns = max(map(len, rows))
    width = 2 * MARGIN + columns * BOX[0] + (columns - 1) * GAP[0]
    height = 2 * MARGIN + len(rows) * BOX[1] + (len(rows) - 1) * GAP[1] + 22
    places = {}
    for level, row in enumerate(rows):
        left = (width - len(row) * BOX[0] - (len(row) - 1) * GAP[0]) / 2
        for number, name in enumerate(row):
            top = MARGIN + level * (BOX[1] + GAP[1])
            places[name] = (left + number * (BOX[0] + GAP[0]), float(top))
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="14">',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0 0 8 4 0 8z" fill="#55606e"/></marker></defs>',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
    ]
    for start, end in sorted(needed(set(counts))):
        lines.append(_curve(places[start], places[end]))
    for name, (x, y) in places.items():
        lines.append(
            f'<rect x="{x:g}" y="{y:g}" width="{BOX[0]}" height="{BOX[1]}" rx="6" '
            'fill="#e8f1fa" fill-opacity="0.8" stroke="#0072b2"/>'
            f'<text x="{x + BOX[0] / 2:g}" y="{y + 22:g}" text-anchor="middle">'
            f"{escape(name)}</text>"
        )
    lines.append(
        f'<text x="{width / 2:g}" y="{height - 14:g}" text-anchor="middle" font-size="12" '
        f'fill="#55606e">{len(places)} packages in {len(rows)} layers, {len(counts)} arrows '
        "between packages, none upwards</text>"
    )
    return "\n".join([*lines, "</svg>", ""])


def _curve(start: tuple[float, float], end: tuple[float, float]) -> str:
    """An arrow from the lower edge of one box to the upper edge of another."""
    x, y = start[0] + BOX[0] / 2, start[1] + BOX[1]
    to_x, to_y = end[0] + BOX[0] / 2, end[1]
    bend = max(GAP[1] / 2, (to_y - y) / 3)
    return (
        f'<path d="M{x:g} {y:g}C{x:g} {y + bend:g} {to_x:g} {to_y - bend:g} {to_x:g} {to_y:g}" '
        'fill="none" stroke="#55606e" marker-end="url(#tip)"/>'
    )


def upwards(rows: list[list[str]], counts: Arrows) -> list[tuple[str, str]]:
    """Arrows that do not point to a lower layer."""
    level = {name: number for number, row in enumerate(rows) for name in row}
    return [pair for pair in counts if level[pair[0]] >= level[pair[1]]]


def main() -> None:
    """Draw or compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="fail where it is out of date")
    options = parser.parse_args()
    rows = layers()
    counts = arrows({name for row in rows for name in row})
    if wrong := upwards(rows, counts):
        sys.exit(f"imports against the layers: {wrong}")
    drawn = draw(rows, counts)
    if not options.check:
        PICTURE.write_text(drawn, encoding="utf-8")
        for name in (name for row in rows for name in row):
            uses = ", ".join(f"{b} {n}" for (a, b), n in sorted(counts.items()) if a == name)
            print(f"{name:12} {uses}")
    elif drawn != PICTURE.read_text(encoding="utf-8"):
        sys.exit("docs/images/architecture.svg is out of date: run python scripts/architecture.py")


if __name__ == "__main__":
    main()
