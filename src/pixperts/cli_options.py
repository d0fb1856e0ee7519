"""Options that several commands share."""

from typing import Annotated

import typer

from pixperts.errors import UsageError

Inputs = Annotated[
    list[str], typer.Argument(metavar="INPUT", help="Pictures, or folders of pictures.")
]
Output = Annotated[
    str,
    typer.Option(
        "--output",
        "-o",
        help="File for one picture; folder for several, where names stay the same.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Machine-readable lines on stdout.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
Budget = Annotated[
    float | None,
    typer.Option(
        help="Compute to spend: 0 = the cheapest expert everywhere, 1 = the best. Unset, the "
        "model decides.",
        show_default=False,
    ),
]
Quality = Annotated[
    int | None, typer.Option(help="1 to 100, for outputs that are JPEG or WebP; 95 if unset.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Only errors are told.")]
RepairModel = Annotated[
    str,
    typer.Option("--model", "-m", help="Name of a model that repairs, or weights file."),
]


def check_budget(budget: float | None) -> None:
    """Raise UsageError for a budget outside 0..1."""
    if budget is not None and not 0.0 <= budget <= 1.0:
        raise UsageError(f"--budget is {budget:g}, but must lie between 0 and 1.")
