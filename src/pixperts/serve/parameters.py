"""The parameters of a request, from its query: the options of the command line."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pixperts.background.fields import Field, fields_of, filled
from pixperts.defaults import DEFAULT_ENHANCE_MODEL, DEFAULT_MODEL, DEFAULT_REPAIR_MODEL
from pixperts.errors import UsageError, named
from pixperts.inference.size_request import SizeRequest
from pixperts.io.formats import is_video_path
from pixperts.jobs.enhance import Enhance
from pixperts.jobs.operation import Operation
from pixperts.jobs.operations import Restore, Upscale
from pixperts.jobs.options import FileOptions, FolderOptions
from pixperts.options import Option

RESTORE, UPSCALE, ENHANCE = "restore", "upscale", "enhance"
OPERATIONS: dict[str, Any] = {RESTORE: Restore, UPSCALE: Upscale, ENHANCE: Enhance}
_LONGEST_NAME = 200  # bytes; file systems take 255, and something is added to the name
# Fields of FileOptions that the service sets itself.
_OWN = ("max_pixels", "max_memory")

_MODELS = {RESTORE: DEFAULT_REPAIR_MODEL, UPSCALE: DEFAULT_MODEL, ENHANCE: DEFAULT_ENHANCE_MODEL}
_FILENAME = Field(
    "filename",
    Option(
        "Name of the picture, for messages and for the name of the result. Formats without first "
        "bytes of their own (TGA, most camera raw) are known by it."
    ),
    str | None,
    None,
)


@dataclass(frozen=True)
class Wanted:
    """The work that a request wants."""

    operation: Operation
    model: str
    options: FolderOptions
    filename: str | None


def fields_for(name: str) -> dict[str, Field]:
    """The parameters of an operation by their keys; `name` is one of `OPERATIONS`."""
    size = [] if name == RESTORE else fields_of(SizeRequest)
    model = Field("model", Option("Name of a model of this service."), str, _MODELS[name])
    form = [one for one in fields_of(FolderOptions) if one.key == "format"]
    every = [
        *size,
        *fields_of(OPERATIONS[name]),
        model,
        *fields_of(FileOptions, _OWN),
        *form,
        _FILENAME,
    ]
    return {one.key: one for one in every}


def wanted(
    name: str, query: Iterable[tuple[str, str]], max_pixels: int, max_memory: float | None
) -> Wanted:
    """Parse the query of a request.

    Args:
        name: one of `OPERATIONS`.
        query: pairs of keys and values; of equal keys the last one counts, and a switch needs no
            value. Dashes and underscores in keys are the same.
        max_pixels: largest number of pixels of a picture.
        max_memory: bytes that the working process may use; None = half of the free memory.

    Raises:
        UsageError: an unknown key, or a value that is not allowed; the message names the key.

    Example:
        >>> found = wanted("upscale", [("long-side", "640"), ("lossless", "")], 10**6, None)
        >>> found.operation.size.label, found.operation.files.lossless
        ('long640', True)
    """
    known = fields_for(name)
    given: dict[str, Any] = {}
    for key, value in query:
        key = key.replace("-", "_")
        if key not in known:
            raise UsageError(_unknown(name, key, known))
        given[key] = True if not value and known[key].kind == "switch" else value
    files = filled(FileOptions, given, _OWN, max_pixels=max_pixels, max_memory=max_memory)
    if files.page == "all":
        raise UsageError(
            f"{named('page', 'all')} makes several files: give the number of one page."
        )
    size = {} if name == RESTORE else {"size": filled(SizeRequest, given)}
    return Wanted(
        operation=filled(OPERATIONS[name], given, files=files, **size),
        model=given.get("model") or _MODELS[name],
        # For one picture, reading and writing in parallel gains nothing.
        options=FolderOptions(format=given.get("format") or None, workers=0),
        filename=_file_name(given.get("filename")),
    )


def _unknown(name: str, key: str, known: Mapping[str, Field]) -> str:
    near = difflib.get_close_matches(key, known, n=1)
    cure = f"did you mean {near[0]}?" if near else f"use {', '.join(known)}."
    return f"{name} has no option {key!r}: {cure}"


def _file_name(given: str | None) -> str | None:
    """The last part of a path of any operating system."""
    if not given:
        return None
    name = given.replace("\\", "/").rpartition("/")[2]
    if not name.strip(".") or not name.isprintable() or len(name.encode()) > _LONGEST_NAME:
        raise UsageError(
            f"filename is {given[:80]!r}, but must be the name of a file, of at most "
            f"{_LONGEST_NAME} bytes, without control characters."
        )
    if is_video_path(name):  # videos are recognized by their names
        raise UsageError(f"{name} is a video: the service takes pictures; use the command line.")
    return name
