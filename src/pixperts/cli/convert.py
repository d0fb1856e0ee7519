"""The command for published weights: convert."""

import sys
from pathlib import Path
from typing import Annotated

import typer


def convert(
    source: Annotated[Path, typer.Argument(metavar="FILE.pth", help="Published weights.")],
    target: Annotated[Path, typer.Argument(metavar="OUT.safetensors", help="What to write.")],
    name: Annotated[
        str | None, typer.Option(help="Preset they belong to; recognised when unset.")
    ] = None,
    licence: Annotated[str, typer.Option(help="Licence of the weights, kept inside.")] = "unknown",
) -> None:
    """Turn published LIIF, LTE or MoCE-IR weights into a file of ours."""
    from pixperts.weights.convert import convert_file

    preset = convert_file(source, target, name=name, licence=licence)
    print(f"{target}: {preset}, licence {licence}", file=sys.stderr)
