"""Rows of the measurements, and the words and tables that docs/results.md makes of them.

What the sections of `results_page` share; a row is one measurement with its labels.
"""

from collections.abc import Iterable
from typing import Any

Row = dict[str, Any]


def rows(part: Row, **wanted: Any) -> list[Row]:
    """The rows whose labels are these."""
    found = (dict(r) for r in part["rows"].values())
    return [r for r in found if all(r.get(key) == value for key, value in wanted.items())]


def way_of(row: Row) -> tuple[str, str]:
    """Model and budget as they are shown."""
    if not row["mixture"]:
        return row["model"], "-"
    return row["model"], "auto" if row["budget"] is None else f"{row['budget']:g}"


def cells(
    mine: list[Row],
    way: tuple[str, str],
    scales: list[int],
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


def first(settings: Row) -> str:
    """A word that tells that a set was not measured to its end."""
    return "" if settings["limit"] is None else "the first "


def counted(number: int, noun: str) -> str:
    """With the plural where it is one.

    >>> counted(1, "picture"), counted(5, "picture")
    ('1 picture', '5 pictures')
    """
    return f"{number} {noun}{'' if number == 1 else 's'}"
