"""The commands that work on pictures: `upscale` and `restore`."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from pixperts.cli.options import (
    MODEL,
    OUTPUT,
    SIZE,
    Budget,
    Color,
    ColorFixName,
    Device,
    Format,
    IfExists,
    Inputs,
    Json,
    Lossless,
    ManifestFile,
    MaxMemory,
    MaxPixels,
    Name,
    Output,
    Precision,
    Quality,
    Quiet,
    Recursive,
    RepairModel,
    StripMetadata,
    TileSide,
    Workers,
    check_budget,
    parse_bytes,
)
from pixperts.defaults import DEFAULT_MODEL, DEFAULT_REPAIR_MODEL, MAX_PIXELS
from pixperts.errors import UsageError
from pixperts.inference.size_request import SizeRequest

if TYPE_CHECKING:
    from pixperts.jobs.operations import Operation
    from pixperts.jobs.plan import FolderOptions
    from pixperts.ops.color_match import ColorFix


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(upscale)
    app.command()(restore)


@dataclass(frozen=True)
class Loading:
    """How a model is to work, as a person types it."""

    device: str
    tile: str
    max_memory: str | None
    precision: str

    def arguments(self) -> dict[str, Any]:
        """For `jobs.run.run_folder`.

        Raises:
            UsageError: a tile or an amount of memory that is none.

        Example:
            >>> Loading("cpu", "512", "2G", "float32").arguments()["max_memory"]
            2000000000
        """
        digits = self.tile.isascii() and self.tile.isdecimal() and len(self.tile) < 10
        if self.tile != "auto" and not digits:
            raise UsageError(f"--tile is {self.tile!r}, but must be auto or a number of pixels.")
        return {
            "device": self.device,
            "tile": None if self.tile == "auto" else int(self.tile),
            "max_memory": None if self.max_memory is None else parse_bytes(self.max_memory),
            "precision": self.precision,
        }


def upscale(
    inputs: Inputs,
    output: Output,
    scale: Annotated[
        float | None,
        typer.Option(
            "--scale", "-s", help="Factor for both sides, such as 2.5.", rich_help_panel=SIZE
        ),
    ] = None,
    size: Annotated[
        str | None, typer.Option(help="Exact size, such as 1920x1080.", rich_help_panel=SIZE)
    ] = None,
    width: Annotated[
        int | None, typer.Option(help="New width in pixels.", rich_help_panel=SIZE)
    ] = None,
    height: Annotated[
        int | None, typer.Option(help="New height in pixels.", rich_help_panel=SIZE)
    ] = None,
    long_side: Annotated[
        int | None, typer.Option(help="New longer side in pixels.", rich_help_panel=SIZE)
    ] = None,
    short_side: Annotated[
        int | None, typer.Option(help="New shorter side in pixels.", rich_help_panel=SIZE)
    ] = None,
    megapixels: Annotated[
        float | None, typer.Option(help="New area in megapixels.", rich_help_panel=SIZE)
    ] = None,
    model: Annotated[
        str,
        typer.Option(
            "--model",
            "-m",
            help="Name from 'pixperts models', or weights file.",
            rich_help_panel=MODEL,
        ),
    ] = DEFAULT_MODEL,
    budget: Budget = None,
    device: Device = "auto",
    image_format: Format = None,
    quality: Quality = None,
    color: Color = "keep",
    color_fix: ColorFixName = "none",
    lossless: Lossless = False,
    strip_metadata: StripMetadata = False,
    max_pixels: MaxPixels = MAX_PIXELS,
    tile: TileSide = "auto",
    max_memory: MaxMemory = None,
    precision: Precision = "float32",
    expert_map: Annotated[
        str | None,
        typer.Option(
            help="Also draw which expert did which pixel: a .png for one picture, a folder for "
            "several, which receives NAME_experts.png.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    recursive: Recursive = False,
    name: Name = None,
    if_exists: IfExists = None,
    workers: Workers = 1,
    manifest: ManifestFile = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Enlarge pictures to any size: give exactly one of the options that say how large."""
    from pixperts.jobs.job import FileOptions
    from pixperts.jobs.operations import Upscale
    from pixperts.jobs.plan import FolderOptions

    request = SizeRequest.from_options(
        scale=scale,
        size=size,
        width=width,
        height=height,
        long_side=long_side,
        short_side=short_side,
        megapixels=megapixels,
    )
    check_budget(budget)
    loading = Loading(device, tile, max_memory, precision)
    memory = loading.arguments()["max_memory"]
    files = FileOptions(quality, lossless, color, strip_metadata, max_pixels, memory)
    _run(
        inputs,
        output,
        Upscale(request, budget, files, cast("ColorFix", color_fix)),
        model,
        FolderOptions(recursive, name, image_format, if_exists, workers, manifest),
        loading=loading,
        expert_map=expert_map,
        as_json=as_json,
        quiet=quiet,
    )


def restore(
    inputs: Inputs,
    output: Output,
    model: RepairModel = DEFAULT_REPAIR_MODEL,
    strength: Annotated[
        float,
        typer.Option(
            help="1 = what the network says, 0 = the input, between: a blend.",
            rich_help_panel=MODEL,
        ),
    ] = 1.0,
    device: Device = "auto",
    image_format: Format = None,
    quality: Quality = None,
    color: Color = "keep",
    color_fix: ColorFixName = "none",
    lossless: Lossless = False,
    strip_metadata: StripMetadata = False,
    max_pixels: MaxPixels = MAX_PIXELS,
    tile: TileSide = "auto",
    max_memory: MaxMemory = None,
    precision: Precision = "float32",
    recursive: Recursive = False,
    name: Name = None,
    if_exists: IfExists = None,
    workers: Workers = 1,
    manifest: ManifestFile = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Repair pictures: noise, rain, haze, motion blur, darkness, snow and their mixtures."""
    from pixperts.jobs.job import FileOptions
    from pixperts.jobs.operations import Restore
    from pixperts.jobs.plan import FolderOptions

    if not 0.0 <= strength <= 1.0:
        raise UsageError(f"--strength is {strength:g}, but must lie between 0 and 1.")
    loading = Loading(device, tile, max_memory, precision)
    memory = loading.arguments()["max_memory"]
    files = FileOptions(quality, lossless, color, strip_metadata, max_pixels, memory)
    _run(
        inputs,
        output,
        Restore(strength, files, cast("ColorFix", color_fix)),
        model,
        FolderOptions(recursive, name, image_format, if_exists, workers, manifest),
        loading=loading,
        as_json=as_json,
        quiet=quiet,
    )


def _run(
    inputs: list[str],
    output: str,
    operation: "Operation",
    model: str,
    options: "FolderOptions",
    *,
    loading: "Loading",
    as_json: bool,
    quiet: bool,
    expert_map: str | None = None,
) -> None:
    from pixperts.cli.reporter import ConsoleReporter
    from pixperts.jobs.run import run_folder

    with ConsoleReporter(as_json=as_json, quiet=quiet) as reporter:
        summary = run_folder(
            inputs,
            output,
            operation,
            model,
            options=options,
            expert_map=expert_map,
            listener=reporter,
            **loading.arguments(),
        )
    if summary.failed:
        raise typer.Exit(1)
