"""The command for published weights: convert."""

import sys
from pathlib import Path
from typing import Annotated

from pixperts.options import Option


def convert(
    source: Annotated[Path, Option("Published weights.", positional=True, metavar="FILE.pth")],
    target: Annotated[Path, Option("File to write.", positional=True, metavar="OUT.safetensors")],
    name: Annotated[str | None, Option("Preset they belong to; recognized when unset.")] = None,
    license_name: Annotated[
        str,
        Option("License of the weights, kept inside.", flag="--license", also=("--licence",)),
    ] = "unknown",
) -> None:
    """Turn published LIIF, LTE or MoCE-IR weights into a pixperts file."""
    from pixperts.weights.convert import convert_file

    preset = convert_file(source, target, name=name, license_name=license_name)
    print(f"{target}: {preset}, license {license_name}", file=sys.stderr)
