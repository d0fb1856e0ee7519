"""The commands for files of other programs: `convert` reads them, `export` writes them."""

import sys
from pathlib import Path
from typing import Annotated, Literal

from pixperts.defaults import JUDGE, REPAIR_PARTS
from pixperts.errors import UsageError, named
from pixperts.inference.size_request import parse_scale
from pixperts.options import Option


def parse_experts(text: str) -> tuple[int, ...]:
    """Numbers with commas between them.

    Raises:
        UsageError: for text that is none.

    Example:
        >>> parse_experts("2,0,1,1"), parse_experts("3")
        ((2, 0, 1, 1), (3,))
    """
    parts = text.split(",")
    if not all(part.isascii() and part.isdecimal() and len(part) < 4 for part in parts):
        raise UsageError(
            f"{named('expert')} is {text!r}, but must be a number, or several with commas."
        )
    return tuple(map(int, parts))


def convert(
    source: Annotated[Path, Option("Published weights.", positional=True, metavar="FILE.pth")],
    target: Annotated[Path, Option("File to write.", positional=True, metavar="OUT.safetensors")],
    name: Annotated[str | None, Option("Preset of the weights; recognized if unset.")] = None,
    license_name: Annotated[
        str,
        Option(
            "License of the weights, stored in the file.", flag="--license", also=("--licence",)
        ),
    ] = "unknown",
) -> None:
    """Turn published LIIF, LTE or MoCE-IR weights into a pixperts file."""
    from pixperts.weights.convert import convert_file

    preset = convert_file(source, target, name=name, license_name=license_name)
    print(f"{target}: {preset}, license {license_name}", file=sys.stderr)


def export(
    model: Annotated[str, Option("Name from 'pixperts models', or weights file.", positional=True)],
    *,
    to: Annotated[
        Literal["onnx", "openvino", "spandrel"],
        Option(
            "Format: onnx, openvino, or spandrel for ComfyUI and what else loads models by it.",
            metavar="FORMAT",
            choices=("onnx", "openvino", "spandrel"),
        ),
    ],
    output: Annotated[
        Path | None,
        Option(
            "File to write. If unset, one in the current folder with the name of the model.",
            also=("-o",),
        ),
    ] = None,
    scale: Annotated[
        float | None,
        Option(
            "Factor of the enlargement, such as 2 or 2.5, for moeisr-light and moeisr-photo, and "
            "for spandrel. If unset, the graph is that of the encoder alone, which is possible "
            "for all models that enlarge.",
            also=("-s",),
            parse=parse_scale,
            metavar="NUMBER",
        ),
    ] = None,
    expert: Annotated[
        tuple[int, ...] | None,
        Option(
            "Expert that serves all pixels; the most expensive one if unset. For moeisr-photo 0, "
            "its network for photos (as if unset), or 1, that for clean pictures. For "
            "moce-ir-light one for each of its four blocks, such as 2,0,1,1; if unset all are in "
            "the graph, and each picture takes those that its routers choose.",
            parse=parse_experts,
            metavar="NUMBERS",
        ),
    ] = None,
    part: Annotated[
        str | None,
        Option(
            "Of moce-ir-light: scout, detail or tone, for programs that cut pictures into tiles "
            "or keep the amounts in their hands; all in one graph if unset. Of moeisr-photo: "
            "judge, which says whether a picture takes expert 0 or 1.",
            choices=(*REPAIR_PARTS, JUDGE),
            metavar="NAME",
        ),
    ] = None,
) -> None:
    """Write a model for other programs: a graph, checked against torch, or weights."""
    from pixperts.export.run import export_model

    done = export_model(model, to, output, scale=scale, expert=expert, part=part)
    checked = ""
    if done.difference is not None:
        checked = f"; at most {done.difference:.1e} away from torch at three sizes"
    print(f"{done.path}: {model}, {done.summary}{checked}", file=sys.stderr)
