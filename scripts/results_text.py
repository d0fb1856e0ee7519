"""Rows of the measurements, and the words and tables that docs/results.md makes of them.

What the sections of `results_page` share; a row is one measurement with its labels.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np

Row = dict[str, Any]
COMMAND = "python scripts/results.py"
FIGURES = "images/results"  # below the folder of the page


def rows(part: Row, **wanted: Any) -> list[Row]:
    """The rows whose labels are these."""
    found = (dict(r) for r in part["rows"].values())
    return [r for r in found if all(r.get(key) == value for key, value in wanted.items())]


def summaries(part: Row, **wanted: Any) -> list[Row]:
    """Rows of `Part.pictures`, each over as many pictures as all of these rows have."""
    found = rows(part, **wanted)
    count = min((len(r["pictures"]) for r in found), default=0)
    return [summary(r, count) for r in found] if count else []


def by_case(part: Row) -> dict[str, Row]:
    """The runs of benchmarks/peers.py cut up: settings and rows of each case."""
    found: dict[str, Row] = {}
    for name, run in part["rows"].items():
        if name != "peak":
            for case in dict.fromkeys(r["case"] for r in run["rows"]):
                mine = [r for r in run["rows"] if r["case"] == case]
                found[case] = {"settings": run["settings"], "rows": mine}
    return found


def summary(row: Row, count: int) -> Row:
    """Labels, means over the first pictures, and what the worst of them did.

    >>> pictures = [{"psnr": 30.0, "before": 28.0}, {"psnr": 20.0, "before": 21.0}]
    >>> found = summary({"task": "rain", "pictures": pictures}, 2)
    >>> found["psnr"], found["gain"], found["lowest_gain"], found["worse"], found["lowest"]
    (25.0, 0.5, -1.0, 1, 20.0)
    """
    pictures = row["pictures"][:count]
    gains = [p["psnr"] - p["before"] for p in pictures]
    means = {key: np.mean([p[key] for p in pictures], axis=0).tolist() for key in pictures[0]}
    return (
        {key: value for key, value in row.items() if key != "pictures"}
        | means
        | {
            "gain": sum(gains) / count,
            "lowest_gain": min(gains),
            "worse": sum(gain < 0 for gain in gains),
            "lowest": min(p["psnr"] for p in pictures),
            "images": count,
        }
    )


def way_of(row: Row) -> tuple[str, str]:
    """Model and budget as they are shown."""
    if not row["mixture"]:
        return row["model"], "-"
    return row["model"], "auto" if row["budget"] is None else f"{row['budget']:g}"


def cells(
    mine: list[Row],
    way: tuple[str, str],
    scales: list[float],
    key: str,
    form: str,
    factor: float = 1.0,
) -> list[str]:
    """One value a scale, a dash where there is none."""
    found = {r["scale"]: r[key] for r in mine if way_of(r) == way}
    return [form.format(found[s] * factor) if found.get(s) is not None else "-" for s in scales]


def table(head: list[str], body: Iterable[list[str]]) -> list[str]:
    """Lines of a Markdown table.

    >>> table(["a", "b"], [["1", "2"]])
    ['| a | b |', '|---|---|', '| 1 | 2 |']
    """
    return [
        f"| {' | '.join(head)} |",
        "|---" * len(head) + "|",
        *(f"| {' | '.join(r)} |" for r in body),
    ]


def circumstances(settings: Row) -> str:
    """Threads and machine."""
    return f"{counted(settings['threads'], 'thread')}, {settings['machine']}"


def counted(number: int, noun: str) -> str:
    """With the plural where it is one.

    >>> counted(1, "picture"), counted(5, "picture")
    ('1 picture', '5 pictures')
    """
    return f"{number} {noun}{'' if number == 1 else 's'}"


def factor(scale: float) -> str:
    """As people write it.

    >>> factor(2.0), factor(2.5)
    ('x2', 'x2.5')
    """
    return f"x{scale:g}"


def beside(run: Row, gain: str) -> list[str]:
    """The table of one run of benchmarks/peers.py."""
    peer = run["settings"]["peer"]
    body = [
        [
            r["method"],
            f"{r['psnr']:.2f}",
            f"{r['gain']:+.2f} ({r['lowest_gain']:+.2f})",
            f"{r['ssim']:.4f}",
            f"{r['seconds']:.2f}",
            "-" if r["ratio"] is None else f"{r['ratio']:.2f}",
            "-" if r["memory"] is None else f"{r['memory']:.0f}",
        ]
        for r in run["rows"]
    ]
    head = ["method", "dB", f"{gain} (lowest)", "SSIM", "core-s/MP", f"times {peer}", "MB/MP"]
    return table(head, body)
