"""Options as fields of a form or a request, and groups of options from their values."""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any, get_type_hints

from pixperts.errors import UsageError
from pixperts.options import Option, options_of, parser_of, types_in

_SWITCHES = {True: ("true", "yes", "on", "1"), False: ("false", "no", "off", "0")}


@dataclass(frozen=True)
class Field:
    """One option of a group, as a field of a form or a parameter of a request."""

    key: str
    option: Option
    type: Any
    default: Any

    @property
    def label(self) -> str:
        """The name of the field on the page.

        >>> Field("color_fix", Option("Colors."), str, "none").label
        'Color fix'
        """
        return self.key.replace("_", " ").capitalize()

    @property
    def info(self) -> str:
        """The text of the help of the command line."""
        bounds = "" if self.option.bounds is None else f" ({self.option.bounds})"
        return self.option.summary + bounds

    @property
    def kind(self) -> str:
        """The kind of control: switch, choice, slider or text.

        Optional numbers are text, because a control for numbers shows 0 if it is empty.
        """
        if bool in types_in(self.type):
            return "switch"
        if self.option.choices:
            return "choice"
        bounded = self.option.low is not None and self.option.high is not None
        optional = type(None) in types_in(self.type)
        return "slider" if bounded and not optional and self.option.parse is None else "text"

    def value(self, given: Any) -> Any:
        """The value of the option for the content of the field; empty gives the default.

        Raises:
            UsageError: the value is not allowed.

        Example:
            >>> quality = Field("quality", Option("Of JPEG.", low=1, high=100), int | None, None)
            >>> quality.value(90.0), quality.value("")
            (90, None)
            >>> Field("strict", Option("Refuse more."), bool, False).value("yes")
            True
        """
        if given is None or given == "":
            return self.default
        parse = parser_of(self.option, self.type)
        if parse is not None:
            whole = isinstance(given, float) and given.is_integer()
            try:
                given = parse(str(int(given) if whole else given))
            except UsageError as error:
                name = self.option.named(self.key)
                raise UsageError(f"{name}: {error}") from None
        elif self.kind == "switch" and isinstance(given, str):
            given = self._switched(given)
        self.option.check(self.key, given)
        return given

    def _switched(self, text: str) -> bool:
        for value, words in _SWITCHES.items():
            if text.lower() in words:
                return value
        raise UsageError(f"{self.option.named(self.key)} takes true or false, not {text!r}.")


def fields_of(group: type, leave_out: Sequence[str] = ()) -> list[Field]:
    """The options of a group as fields.

    Args:
        group: a dataclass whose fields were made by `option`.
        leave_out: names of fields to skip.
    """
    hints = get_type_hints(group)
    defaults = {one.name: one.default for one in fields(group)}
    return [
        Field(key, found, hints[key], None if defaults[key] is MISSING else defaults[key])
        for key, found in options_of(group).items()
        if key not in leave_out
    ]


def filled(group: Any, given: Mapping[str, Any], leave_out: Sequence[str] = (), **more: Any) -> Any:
    """A group of options from the contents of fields, by the names of its fields.

    Args:
        group: a dataclass whose fields were made by `option`.
        given: contents by name; other names are ignored.
        leave_out: fields that keep their defaults.
        more: values of further fields, used as they are.

    Raises:
        UsageError: a value is not allowed.
    """
    values = {one.key: one.value(given.get(one.key)) for one in fields_of(group, leave_out)}
    return group(**(values | more))
