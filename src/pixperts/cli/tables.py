"""Tables on stdout."""

from pixperts.weights.catalogue import Entry


def show(listed: list[Entry]) -> None:
    """Print a table to stdout; as wide as it needs where stdout is no terminal."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in ("name", "does", "what"):
        table.add_column(head)
    for head in ("parameters", "GMAC / MP"):
        table.add_column(head, justify="right")
    for head in ("quality", "licence"):
        table.add_column(head)
    for entry in listed:
        quality = ", ".join(f"{key} {value}" for key, value in entry.quality.items())
        table.add_row(
            entry.name,
            entry.does,
            entry.summary,
            f"{entry.parameters / 1e6:.2f} M",
            f"{entry.gmac_per_megapixel:.0f}",
            quality or ("not measured" if entry.trained else "-"),
            entry.licence or "untrained",
        )
    console = Console(markup=False, highlight=False)
    if not console.is_terminal:
        console.width = 300
    console.print(table)
