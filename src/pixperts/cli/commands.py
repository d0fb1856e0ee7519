"""Commands from functions: a parameter is an option, or a dataclass that groups options.

An option is `Annotated[type, Option(...)]`; in a group, also in a nested one, it is a field made
by `pixperts.options.option`. Cyclopts parses the command line and shows the help.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from cyclopts import App, Group, Parameter

from pixperts.errors import UsageError
from pixperts.options import Option, parser_of, types_in

REQUIRED = inspect.Parameter.empty
# Stands for "-" as a value, which the parser takes for an option; no argument of a program has it.
DASH = "\0-"
PANELS = (
    "Arguments", "Options", "Size", "Pairs", "Model", "Output", "Folder jobs", "Clusters", "Limits",
)  # fmt: skip
GROUPS = {name: Group(name, sort_key=place) for place, name in enumerate(PANELS)}
_METAVARS = {str: "TEXT", int: "INT", float: "NUMBER", Path: "PATH", bool: None}

Function = Callable[..., int | None]


@dataclass(frozen=True)
class Entry:
    """One option or argument of a command."""

    key: str  # parameter of the function, or field
    option: Option
    type: Any
    default: Any  # REQUIRED where there is none

    @property
    def name(self) -> str:
        """As a person types it."""
        return self.option.name(self.key)

    @property
    def panel(self) -> str:
        """Of the help."""
        return "Arguments" if self.option.positional else self.option.panel or "Options"

    @property
    def several(self) -> bool:
        """Whether it may be given more than once, for a list."""
        return any(get_origin(part) is list for part in types_in(self.type))

    @property
    def metavar(self) -> str | None:
        """What stands for the value in the help; None for a switch."""
        types = [one for one in types_in(self.type) if one in _METAVARS]
        return self.option.metavar or (_METAVARS[types[0]] if types else "TEXT")

    @property
    def meaning(self) -> str:
        """What the help says of it."""
        bounds = self.option.bounds
        return self.option.summary + ("" if bounds is None else f" ({bounds})")

    @property
    def default_text(self) -> str | None:
        """The default as the help shows it."""
        if self.option.shown is not None:
            return self.option.shown
        nothing = self.default is REQUIRED or self.default is None or self.default is False
        return None if nothing else str(self.default)

    def parameter(self) -> inspect.Parameter:
        """For cyclopts."""
        kind, default = self.type, self.default
        if self._parse is not None:
            kind = str if default is REQUIRED else str | None
            default = default if default is REQUIRED else None
        elif self.option.choices:  # checked by `Option.check`, whose sentence names the cure
            kind = str | None
        text = self.default_text
        details = Parameter(
            name=(self.name, *self.option.also),
            help=self.meaning,
            group=GROUPS[self.panel],
            metavar=None if self.option.positional else self.metavar,
            negative=(),
            # The last one counts, so that an alias of the shell can be overruled.
            allow_repeating=None if self.several else True,
            show_default=False if text is None else lambda _: text,
        )
        positional = self.option.positional
        where = inspect.Parameter.POSITIONAL_ONLY if positional else inspect.Parameter.KEYWORD_ONLY
        return inspect.Parameter(
            self.key, where, default=default, annotation=Annotated[kind, details]
        )

    def value(self, given: Any) -> Any:
        """What the function receives for what cyclopts understood.

        Raises:
            UsageError: from the option's own `parse`, or for a value that is not allowed.
        """
        given = _with_dashes(given)
        if self._parse is not None:
            given = self.default if given is None else self._parsed(self._parse, given)
        self.option.check(self.key, given)
        return given

    @property
    def _parse(self) -> Callable[[str], Any] | None:
        """From the text of a person; None leaves it to cyclopts, which would round 2.5 to 2."""
        return parser_of(self.option, self.type)

    def _parsed(self, parse: Callable[[str], Any], text: str) -> Any:
        try:
            return parse(text)
        except UsageError as error:
            if self.name in str(error):
                raise
            raise UsageError(f"Invalid value for {self.name!r}: {error}") from None


@dataclass(frozen=True)
class Command:
    """A command made from a function, whose docstring is its help.

    The function returns the exit code; None stands for 0.
    """

    name: str
    function: Function

    @property
    def summary(self) -> str:
        """Its help."""
        return inspect.getdoc(self.function) or ""

    @property
    def usage(self) -> str:
        """How it is called: with its options, those that it requires, and its arguments."""
        words = ["pixperts", self.name]
        found = self.entries()
        if any(entry.default is not REQUIRED for entry in found if not entry.option.positional):
            words.append("[OPTIONS]")
        words += [
            f"{entry.name} {entry.metavar}"
            for entry in found
            if entry.default is REQUIRED and not entry.option.positional
        ]
        for entry in found:
            if entry.option.positional:
                word = entry.name + ("..." if entry.several else "")
                words.append(word if entry.default is REQUIRED else f"[{word}]")
        return " ".join(words)

    def entries(self) -> list[Entry]:
        """All options and arguments, those of groups in their places, arguments first."""
        return sorted(_walk(self.function), key=lambda entry: not entry.option.positional)

    def add_to(self, app: App, place: int) -> None:
        """Make it a command of the program; in the help, `place` gives the order."""

        def run(*given: Any, **options: Any) -> int | None:
            arguments = [entry.key for entry in known if entry.option.positional]
            values = {**options, **dict(zip(arguments, given, strict=False))}
            return self.function(**_build(self.function, values))

        known = self.entries()
        run.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [entry.parameter() for entry in known]
        )
        run.__doc__ = self.summary
        app.command(run, name=self.name, sort_key=place, usage=f"Usage: {self.usage}")


def _with_dashes(given: Any) -> Any:
    """A value, or a list of them, in which lone dashes are themselves again."""
    if isinstance(given, list):
        return [_with_dashes(one) for one in given]
    return "-" if given == DASH else given


def _members(owner: Any) -> Iterator[tuple[str, Any, Option | None, Any]]:
    """(name, type, option, default) of the parameters of a function or the fields of a group."""
    hints = get_type_hints(owner, include_extras=True)
    if is_dataclass(owner):
        for field in fields(owner):
            default = REQUIRED if field.default is MISSING else field.default
            yield field.name, hints[field.name], field.metadata.get("option"), default
        return
    for parameter in inspect.signature(owner).parameters.values():
        kind = hints[parameter.name]
        parts = get_args(kind) if get_origin(kind) is Annotated else (kind,)
        kind, found = parts[0], next((one for one in parts if isinstance(one, Option)), None)
        if found is None and not is_dataclass(kind):
            raise TypeError(f"{parameter.name} is neither an option nor a group of options")
        yield parameter.name, kind, found, parameter.default


def _walk(owner: Any) -> Iterator[Entry]:
    """Every option of a function or group, and of the groups inside it."""
    for name, kind, found, default in _members(owner):
        if found is not None:
            yield Entry(name, found, kind, default)
        elif is_dataclass(kind):
            yield from _walk(kind)


def _build(owner: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """The keyword arguments of a function or group from the values of all options."""
    built = {}
    for name, kind, found, default in _members(owner):
        if found is not None:
            entry = Entry(name, found, kind, default)
            built[name] = entry.value(given[name]) if name in given else default
        elif is_dataclass(kind):
            built[name] = kind(**_build(kind, given))  # type: ignore[operator]
    return built
