"""How a model is to work: options of everything that loads one. Importing this costs nothing."""

from dataclasses import dataclass

from pixperts.errors import UsageError, named
from pixperts.options import MODEL, check_options, option, parse_bytes

RUNTIMES = ("torch", "openvino", "onnxruntime")


def parse_tile(text: str) -> int | None:
    """The side of the tiles in input pixels from text; None for "auto".

    Raises:
        UsageError: for text that is neither.

    Example:
        >>> parse_tile("512"), parse_tile("auto")
        (512, None)
    """
    digits = text.isascii() and text.isdecimal() and len(text) < 10
    if text != "auto" and not digits:
        raise UsageError(f"{named('tile')} is {text!r}, but must be auto or a number of pixels.")
    return None if text == "auto" else int(text)


@dataclass(frozen=True)
class DeviceOptions:
    """Where a model runs."""

    device: str = option("auto", "auto, cpu, cuda or mps.", panel=MODEL)


@dataclass(frozen=True)
class ModelOptions(DeviceOptions):
    """The options of `inference.restorer.load`, by the same names.

    Raises:
        UsageError: naming the option.
    """

    tile: int | None = option(
        None,
        "Side of the tiles of large pictures, in input pixels; auto: as memory allows.",
        parse=parse_tile,
        shown="auto",
        metavar="PIXELS",
        panel=MODEL,
    )
    max_memory: float | None = option(
        None,
        "Most memory to use, such as 2G; half of the free memory if unset.",
        parse=parse_bytes,
        metavar="BYTES",
        panel=MODEL,
    )
    precision: str = option(
        "auto",
        "auto, float32, bfloat16 or float16 (GPU); auto uses bfloat16 if it is faster for this "
        "model and processor.",
        panel=MODEL,
    )

    offline: bool = option(
        False,
        "Use models of the hub only from its cache.",
        setting=False,
        panel=MODEL,
    )

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True)
class UpscaleModelOptions(ModelOptions):
    """Those of models that enlarge."""

    runtime: str = option(
        "torch",
        "What computes the encoder, which is most of the work: torch, openvino or onnxruntime "
        "(extras of these names, on the CPU).",
        choices=RUNTIMES,
        metavar="NAME",
        panel=MODEL,
    )
