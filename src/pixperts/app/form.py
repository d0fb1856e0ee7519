"""What a visitor fills in, made from the options of the command line, and what becomes of it."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from pixperts.background.fields import Field, fields_of, filled
from pixperts.background.orders import Step
from pixperts.defaults import DEFAULT_ENHANCE_MODEL, DEFAULT_MODEL, DEFAULT_REPAIR_MODEL
from pixperts.errors import UsageError, named
from pixperts.inference.size_request import DEFAULT_SCALE, SizeRequest
from pixperts.jobs.enhance import Enhance
from pixperts.jobs.operations import Restore, Upscale
from pixperts.jobs.options import FileOptions, FolderOptions, RestoreOptions, UpscaleOptions
from pixperts.options import options_of

REPAIR, ENLARGE, BOTH = "repair", "enlarge", "both"
WORKS = {REPAIR: "Repair", ENLARGE: "Enlarge", BOTH: "Repair, then enlarge"}
# Of FolderOptions those that mean something here, and of FileOptions those that the page sets.
_FOLDER = ("name", "format")
_OWN = ("max_pixels", "max_memory")


REPAIR_FIELDS = fields_of(RestoreOptions)
ENLARGE_FIELDS = [
    one for one in fields_of(UpscaleOptions) if one.key not in options_of(RestoreOptions)
]
FILE_FIELDS = [
    *fields_of(FileOptions, _OWN),
    *(one for one in fields_of(FolderOptions) if one.key in _FOLDER),
]
SIZE_FIELDS = fields_of(SizeRequest, ("only_enlarge",))
ONLY_ENLARGE = next(one for one in fields_of(SizeRequest) if one.key == "only_enlarge")


def all_fields() -> Iterator[Field]:
    """Those that have a control each; the size has two for all."""
    yield from (*REPAIR_FIELDS, *ENLARGE_FIELDS, ONLY_ENLARGE, *FILE_FIELDS)


def step_of(work: str, given: Mapping[str, Any], max_pixels: int) -> Step:
    """What is to be done to every picture.

    Args:
        work: a key of `WORKS`.
        given: what was filled in, by the keys of the fields, with size_by, size, repair_model
            and enlarge_model.
        max_pixels: of an upload.

    Raises:
        UsageError: for what makes no sense.
    """
    if work not in WORKS:
        raise UsageError(f"The work {work!r} is unknown: use {', '.join(WORKS)}.")
    files = replace(filled(FileOptions, given, _OWN), max_pixels=max_pixels)
    repairs = given.get("repair_model") or DEFAULT_REPAIR_MODEL
    enlarges = given.get("enlarge_model") or DEFAULT_MODEL
    if work == REPAIR:
        return Step(filled(Restore, given, files=files), repairs)
    size = size_of(given)
    if work == ENLARGE:
        return Step(filled(Upscale, given, files=files, size=size), enlarges)
    operation = filled(Enhance, given, ("restore_model",), files=files, size=size)
    if (repairs, enlarges) == (DEFAULT_REPAIR_MODEL, DEFAULT_MODEL):  # neither was chosen
        return Step(operation, DEFAULT_ENHANCE_MODEL)
    return Step(replace(operation, restore_model=repairs), enlarges)


def size_of(given: Mapping[str, Any]) -> SizeRequest:
    """The size that was filled in.

    Raises:
        UsageError: for one that makes no sense.

    Example:
        >>> size_of({"size_by": "size", "size": "640x480"}).label, size_of({}).label
        ('640x480', 'x2')
    """
    by = given.get("size_by") or "scale"
    field = next((one for one in SIZE_FIELDS if one.key == by), None)
    if field is None:
        known = ", ".join(one.key for one in SIZE_FIELDS)
        raise UsageError(f"The size cannot be given as {by!r}: use {known}.")
    text = given.get("size")
    if text in (None, ""):
        if by != "scale":
            raise UsageError(f"{named(by)} is empty: give a size.")
        text = f"{DEFAULT_SCALE:g}"
    return SizeRequest(
        only_enlarge=ONLY_ENLARGE.value(given.get("only_enlarge")), **{by: field.value(text)}
    )


def folder_options_of(given: Mapping[str, Any]) -> FolderOptions:
    """How results are named and which format they get.

    Raises:
        UsageError: for what makes no sense.
    """
    return FolderOptions(
        **{one.key: one.value(given.get(one.key)) for one in FILE_FIELDS if one.key in _FOLDER}
    )
