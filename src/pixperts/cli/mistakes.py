"""Sentences for command lines that cannot be understood."""

import difflib
from collections.abc import Mapping

from cyclopts import (
    CoercionError,
    CycloptsError,
    MissingArgumentError,
    UnknownCommandError,
    UnusedCliTokensError,
)
from cyclopts.exceptions import UnknownOptionError

from pixperts.cli.commands import Command


def sentence_of(error: CycloptsError, command: str, others: Mapping[str, Command]) -> str:
    """One sentence that says what is wrong with a command line.

    Args:
        error: what the parser says.
        command: that was called.
        others: all other commands, which may have the option that this one lacks.
    """
    name = "" if error.argument is None else error.argument.name
    has_value = error.argument is not None and bool(error.argument.tokens)
    match error:
        case UnknownOptionError():
            known = [one for argument in error.argument_collection for one in argument.names]
            given = error.token.keyword or error.token.value
            return _of_another(given, command, others) or _unknown("option", given, known)
        case UnknownCommandError() if error.unused_tokens and error.app is not None:
            token = error.unused_tokens[0]
            known = [one for one in error.app if token.startswith("-") == one.startswith("-")]
            return _unknown("option" if token.startswith("-") else "command", token, known)
        case MissingArgumentError() if has_value or error.keyword is not None:
            return f"Option {name!r} requires a value."
        case MissingArgumentError():
            return f"Missing {'option' if name.startswith('-') else 'argument'} {name!r}."
        case CoercionError() if error.token is not None:
            return f"Option {name!r} takes no value such as {error.token.value!r}."
        case UnusedCliTokensError() if error.unused_tokens:
            return f"Unexpected argument {error.unused_tokens[0]!r}: leave it out."
        case _:
            return str(error)


def _of_another(given: str, command: str, others: Mapping[str, Command]) -> str | None:
    """For an option of another command, those of the same kind first."""
    option = given.split("=")[0]
    for name, other in others.items():
        for entry in other.entries():
            if option in (entry.name, *entry.option.also):
                return (
                    f"{command!r} has no option {option!r}, but 'pixperts {name}' has: "
                    f"{entry.meaning[0].lower()}{entry.meaning[1:]}"
                )
    return None


def _unknown(kind: str, given: str, known: list[str]) -> str:
    """For an option or a command that does not exist."""
    given = given.split("=")[0]
    near = difflib.get_close_matches(given, known, n=1)
    if near:
        return f"No such {kind} {given!r}: did you mean {near[0]}?"
    if kind == "command":
        return f"No such command {given!r}: use {', '.join(known[:-1])} or {known[-1]}."
    return f"No such option {given!r}: --help lists the options."
