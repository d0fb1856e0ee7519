"""Options that several commands share, and the panels that they appear in."""

import re
from fractions import Fraction
from pathlib import Path
from typing import Annotated

import typer

from pixperts.errors import UsageError

SIZE = "Size"
MODEL = "Model"
OUTPUT = "Output"
FOLDER = "Folder jobs"

Inputs = Annotated[
    list[str],
    typer.Argument(
        metavar="INPUT",
        help="Pictures, folders of pictures, or patterns in quotes, such as 'photos/**/*.jpg'.",
    ),
]
Output = Annotated[
    str,
    typer.Option(
        "--output",
        "-o",
        help="File for one picture; folder for several, where names stay the same.",
        rich_help_panel=OUTPUT,
    ),
]
Json = Annotated[
    bool,
    typer.Option("--json", help="Machine-readable lines on stdout.", rich_help_panel=OUTPUT),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.", rich_help_panel=MODEL)]
Budget = Annotated[
    float | None,
    typer.Option(
        help="Compute to spend: 0 = the cheapest expert everywhere, 1 = the best. Unset, the "
        "model decides.",
        show_default=False,
        rich_help_panel=MODEL,
    ),
]
Quality = Annotated[
    int | None,
    typer.Option(
        help="1 to 100, for outputs whose format loses something; visually lossless if unset.",
        rich_help_panel=OUTPUT,
    ),
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Only errors are printed.", rich_help_panel=OUTPUT)
]
RepairModel = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        help="Name of a model that repairs, or weights file.",
        rich_help_panel=MODEL,
    ),
]
Format = Annotated[
    str | None,
    typer.Option(
        "--format",
        help="Format of the outputs in a folder, such as png or jpeg; that of each input if unset.",
        rich_help_panel=OUTPUT,
    ),
]
Color = Annotated[
    str,
    typer.Option(
        help="keep: pixels stay in the encoding of their profile, which is kept; srgb: convert.",
        rich_help_panel=OUTPUT,
    ),
]
ColorFixName = Annotated[
    str,
    typer.Option(
        "--color-fix",
        help="none, or give the result the input's mean colour (mean) or its low frequencies "
        "(wavelet).",
        rich_help_panel=OUTPUT,
    ),
]
Lossless = Annotated[
    bool,
    typer.Option("--lossless", help="Lossless WebP, AVIF and the like.", rich_help_panel=OUTPUT),
]
StripMetadata = Annotated[
    bool,
    typer.Option(
        "--strip-metadata",
        help="Leave out EXIF, XMP, IPTC and texts; the profile stays.",
        rich_help_panel=OUTPUT,
    ),
]
MaxPixels = Annotated[
    int,
    typer.Option(help="Refuse larger inputs, by their header.", rich_help_panel=OUTPUT),
]
TileSide = Annotated[
    str,
    typer.Option(
        "--tile",
        help="Side of the tiles of large pictures, in input pixels; auto: as memory allows.",
        rich_help_panel=MODEL,
    ),
]
MaxMemory = Annotated[
    str | None,
    typer.Option(
        metavar="BYTES",
        help="Memory that may be used, such as 2G; half of what is free if unset.",
        rich_help_panel=MODEL,
    ),
]
Precision = Annotated[
    str, typer.Option(help="float32, bfloat16 or float16 (GPU).", rich_help_panel=MODEL)
]
Recursive = Annotated[
    bool,
    typer.Option(
        "--recursive",
        "-r",
        help="Subfolders too, mirrored below the output folder.",
        rich_help_panel=FOLDER,
    ),
]
Name = Annotated[
    str | None,
    typer.Option(
        metavar="TEMPLATE",
        help="Names of the outputs, such as '{stem}_{model}_x{scale}'. Fields: stem, name, "
        "suffix, ext, model, scale, width, height, index.",
        rich_help_panel=FOLDER,
    ),
]
IfExists = Annotated[
    str | None,
    typer.Option(
        metavar="WHAT",
        help="skip, overwrite, rename (to NAME_1) or error. If unset, a file named by -o is "
        "overwritten, and files in a folder are kept.",
        rich_help_panel=FOLDER,
    ),
]
Workers = Annotated[
    int,
    typer.Option(
        help="Pictures read ahead, and pictures being written, while one is computed; 0 takes "
        "the least memory.",
        rich_help_panel=FOLDER,
    ),
]
ManifestFile = Annotated[
    Path | None,
    typer.Option(
        "--manifest",
        metavar="FILE",
        help="Append a JSON line a picture: hashes, model, settings, times. What it knows to be "
        "made otherwise is made again.",
        rich_help_panel=FOLDER,
    ),
]


def check_budget(budget: float | None) -> None:
    """Raise UsageError for a budget outside 0..1."""
    if budget is not None and not 0.0 <= budget <= 1.0:
        raise UsageError(f"--budget is {budget:g}, but must lie between 0 and 1.")


def parse_bytes(text: str) -> int:
    """An amount of memory such as "2G", "1.5 GB", "800M" or "4GiB", in bytes.

    K, M, G and T are powers of 1000, with an i powers of 1024.

    Raises UsageError for anything else, and for nothing.

    >>> parse_bytes("2G"), parse_bytes("512 MiB")
    (2000000000, 536870912)
    """
    match = re.fullmatch(r"\s*([0-9]{1,15}(?:\.[0-9]{1,9})?)\s*([kKmMgGtT]?)(i?)[bB]?\s*", text)
    amount = 0
    if match is not None and (match[2] or not match[3]):
        power = "kmgt".find(match[2].lower()) + 1 if match[2] else 0
        amount = int(Fraction(match[1]) * (1024 if match[3] else 1000) ** power)
    if amount < 1:
        raise UsageError(f"{text!r} is no amount of memory: give one such as 2G or 800M.")
    return amount
