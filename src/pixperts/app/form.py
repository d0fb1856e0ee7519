"""What a visitor fills in, made from the options of the command line, and what becomes of it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, replace
from typing import Any, get_type_hints

from pixperts.app.orders import Step
from pixperts.defaults import DEFAULT_MODEL, DEFAULT_REPAIR_MODEL
from pixperts.errors import UsageError
from pixperts.inference.size_request import DEFAULT_SCALE, SizeRequest
from pixperts.jobs.operations import Restore, Upscale
from pixperts.jobs.options import FileOptions, FolderOptions, RestoreOptions, UpscaleOptions
from pixperts.options import Option, options_of, parser_of, types_in

REPAIR, ENLARGE, BOTH = "repair", "enlarge", "both"
WORKS = {REPAIR: "Repair", ENLARGE: "Enlarge", BOTH: "Repair, then enlarge"}
# Of FolderOptions those that mean something here, and of FileOptions those that the page sets.
_FOLDER = ("name", "format")
_OWN = ("max_pixels", "max_memory")


@dataclass(frozen=True)
class Field:
    """One option of a group, as a form has it."""

    key: str
    option: Option
    type: Any
    default: Any

    @property
    def label(self) -> str:
        """Its name for a person.

        >>> Field("color_fix", Option("Colors."), str, "none").label
        'Color fix'
        """
        return self.key.replace("_", " ").capitalize()

    @property
    def info(self) -> str:
        """What the command line's help says of it."""
        bounds = "" if self.option.bounds is None else f" ({self.option.bounds})"
        return self.option.summary + bounds

    @property
    def kind(self) -> str:
        """How it is filled in: switch, choice, slider or text.

        Numbers that may be left out are text, because a control for numbers shows 0 for nothing.
        """
        if bool in types_in(self.type):
            return "switch"
        if self.option.choices:
            return "choice"
        bounded = self.option.low is not None and self.option.high is not None
        optional = type(None) in types_in(self.type)
        return "slider" if bounded and not optional and self.option.parse is None else "text"

    def value(self, given: Any) -> Any:
        """What the group receives for what was filled in; empty stands for the default.

        Raises:
            UsageError: for what is not allowed.

        Example:
            >>> quality = Field("quality", Option("Of JPEG.", low=1, high=100), int | None, None)
            >>> quality.value(90.0), quality.value("")
            (90, None)
        """
        if given is None or given == "":
            return self.default
        parse = parser_of(self.option, self.type)
        if parse is not None:
            whole = isinstance(given, float) and given.is_integer()
            try:
                given = parse(str(int(given) if whole else given))
            except UsageError as error:
                name = self.option.name(self.key)
                raise UsageError(f"{name}: {error}") from None
        self.option.check(self.key, given)
        return given


def fields_of(group: type, leave_out: Sequence[str] = ()) -> list[Field]:
    """The options of a group."""
    hints = get_type_hints(group)
    defaults = {one.name: one.default for one in fields(group)}
    return [
        Field(key, found, hints[key], None if defaults[key] is MISSING else defaults[key])
        for key, found in options_of(group).items()
        if key not in leave_out
    ]


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


def steps_of(work: str, given: Mapping[str, Any], max_pixels: int) -> tuple[Step, ...]:
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
    files = replace(_filled(FileOptions, given, _OWN), max_pixels=max_pixels)
    steps = []
    if work in (REPAIR, BOTH):
        model = given.get("repair_model") or DEFAULT_REPAIR_MODEL
        steps.append(Step(_filled(Restore, given, files=files), model))
    if work in (ENLARGE, BOTH):
        model = given.get("enlarge_model") or DEFAULT_MODEL
        steps.append(Step(_filled(Upscale, given, files=files, size=size_of(given)), model))
    return tuple(steps)


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
        raise UsageError(f"The size cannot be given by {by!r}: use {known}.")
    text = given.get("size")
    if text in (None, ""):
        if by != "scale":
            raise UsageError(f"{field.option.name(by)} is empty: give a size.")
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


def _filled(
    group: Any, given: Mapping[str, Any], leave_out: Sequence[str] = (), **more: Any
) -> Any:
    values = {one.key: one.value(given.get(one.key)) for one in fields_of(group, leave_out)}
    return group(**(values | more))
