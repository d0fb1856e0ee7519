"""The panels of the plots of docs/results.md, from what was measured."""

from results_text import Row, by_case, rows, way_of
from scatter import Panel, Point, Series

SECONDS = "processor seconds per megapixel"
TITLES = {
    "x2 clean": "x2, clean",
    "x4 clean": "x4, clean",
    "x2 jpeg75": "x2, JPEG of quality 75",
}
FAR = 5.0  # dB below the best; what is further off would squeeze the others into a corner
OWN = ("moeisr", "moce-ir", "liif-edsr")


def panels_enlarging(part: Row) -> list[Panel]:
    """dB against processor seconds, beside other programs."""
    runs = by_case(part)
    return [_panel(runs[name], TITLES[name], "bicubic") for name in TITLES if name in runs]


def panels_repair(part: Row) -> list[Panel]:
    """The same for noise."""
    return [
        _panel(run, f"noise, sigma {name.removeprefix('noise')}", "input")
        for name, run in by_case(part).items()
        if name.startswith("noise")
    ]


def _panel(run: Row, title: str, plain: str) -> Panel:
    best = max(r["psnr"] for r in run["rows"])
    level = next(r["psnr"] for r in run["rows"] if r["method"] == plain)
    others = [r for r in run["rows"] if r["method"] != plain]
    shown = [r for r in others if best - r["psnr"] < FAR and r["seconds"] > 0.1]
    left_out = [r for r in others if r not in shown]
    note = "; ".join(f"{r['method']}: {r['psnr']:.1f}" for r in left_out)
    levels = ((level, plain),) if best - level < FAR else ()
    if not levels:
        note = "; ".join(filter(None, [f"{plain}: {level:.1f}", note]))
    # One color for ours and one for the others: names stand beside the points.
    groups = {"pixperts": True, "others": False}
    series = tuple(
        Series(name, (Point(r["seconds"], r["psnr"], r["method"].replace("bfloat16", "bf16")),))
        for name, own in groups.items()
        for r in shown
        if r["method"].startswith(OWN) == own
    )
    return Panel(title, SECONDS, "PSNR, dB", series, levels, note)


def panels_budgets(part: Row) -> list[Panel]:
    """dB against multiply-adds of the first set: each mixture is a curve of its budgets."""
    first = part["settings"]["sets"][0]
    quality = [r for r in rows(part, set=first) if r["scale"] == round(r["scale"])]
    scales = sorted({r["scale"] for r in quality})
    panels = []
    for scale in scales:
        mine = [r for r in quality if r["scale"] == scale and not _plain(r)]
        plain = [r for r in quality if r["scale"] == scale and r["model"] == "bicubic"]
        note = "".join(f"bicubic: {r['psnr']:.2f} dB" for r in plain)
        names = dict.fromkeys(r["model"] for r in mine)
        series = tuple(_series(name, [r for r in mine if r["model"] == name]) for name in names)
        if series:
            title = f"{first} x{scale:g}"
            panels.append(Panel(title, "GMAC per megapixel", "PSNR, dB", series, note=note))
    return panels


def _plain(row: Row) -> bool:
    return row["model"] in ("bicubic", "Lanczos")


def _series(name: str, mine: list[Row]) -> Series:
    """One model's points by rising cost; those of a mixture say their budget, others their name."""
    points = [
        Point(
            r["multiply_adds_per_pixel"] * 1e-3,
            r["psnr"],
            way_of(r)[1] if r["mixture"] else r["model"],
        )
        for r in sorted(mine, key=lambda r: float(r["multiply_adds_per_pixel"]))
    ]
    return Series(name, tuple(points))
