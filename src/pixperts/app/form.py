"""What a visitor fills in, made from the options of the command line, and what becomes of it."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from pixperts.background.fields import Field, fields_of, filled
from pixperts.background.orders import Step
from pixperts.defaults import DEFAULT_MODEL, DEFAULT_REPAIR_MODEL, models_for_both
from pixperts.errors import UsageError, named
from pixperts.inference.size_request import DEFAULT_SCALE, SizeRequest
from pixperts.jobs.enhance import Enhance
from pixperts.jobs.operations import Restore, Upscale
from pixperts.jobs.options import FileOptions, FolderOptions, RestoreOptions, UpscaleOptions
from pixperts.options import options_of

REPAIR, ENLARGE, BOTH = "repair", "enlarge", "both"
WORKS = {BOTH: "Repair and enlarge", REPAIR: "Repair", ENLARGE: "Enlarge"}
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
    model, restore_model = models_of(work, given.get("repair_model"), given.get("enlarge_model"))
    if work == REPAIR:
        return Step(filled(Restore, given, files=files), model)
    size = size_of(given)
    if work == ENLARGE:
        return Step(filled(Upscale, given, files=files, size=size), model)
    operation = filled(Enhance, given, ("restore_model",), files=files, size=size)
    return Step(replace(operation, restore_model=restore_model), model)


def models_of(work: str, repairs: str | None, enlarges: str | None) -> tuple[str, str | None]:
    """The model of a step, and the one that repairs before it, if any.

    Args:
        work: a key of `WORKS`.
        repairs: the chosen model that repairs; the default if empty.
        enlarges: the chosen model that enlarges, alike.

    Example:
        >>> models_of("both", "moce-ir-tiny", ""), models_of("repair", "", "")
        (('moeisr-photo', 'moce-ir-tiny'), ('moce-ir-light', None))
    """
    repairs, enlarges = repairs or DEFAULT_REPAIR_MODEL, enlarges or DEFAULT_MODEL
    if work == REPAIR:
        return repairs, None
    if work == ENLARGE:
        return enlarges, None
    return models_for_both(enlarges, repairs)


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
