"""Convert plain data, from YAML or `--set`, to typed fields."""

import typing
from pathlib import Path
from types import UnionType
from typing import Any

from pixperts.errors import UsageError, named


def read_yaml(path: Path) -> Any:
    """The content of a YAML file as plain data.

    Raises:
        UsageError: the file cannot be read, or is not valid YAML.
    """
    import yaml

    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: the configuration cannot be read ({error}).") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: this is not valid YAML ({error}).") from error


def shown(hint: Any) -> str:
    """The type of a field in words, for messages."""
    if typing.get_origin(hint) is tuple:
        return "a list, such as [a, b]"
    if typing.get_origin(hint) is dict:
        return "a table, such as {a: 1}"
    return hint.__name__ if isinstance(hint, type) else str(hint)


def set_field(values: Any, change: str) -> None:
    """Change one field of the plain data of a configuration.

    Args:
        values: the data, changed in place; if it is no dictionary, nothing happens.
        change: "key=value", the value in YAML; dots in the key lead into nested fields.

    Raises:
        UsageError: the change is not of this form, or the field has no fields within.
    """
    import yaml

    key, equals, text = change.partition("=")
    parts = key.strip().split(".")
    name = f"{named('changes', option='--set')} {change!r}"
    if not equals or not all(parts):
        raise UsageError(f"{name} is not of the form key=value.")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UsageError(f"{name}: the value is not valid YAML ({error}).") from error
    for part in parts[:-1]:
        if not isinstance(values, dict) or not isinstance(values.setdefault(part, {}), dict):
            raise UsageError(f"{name}: {part!r} has no fields within.")
        values = values[part]
    if isinstance(values, dict):
        values[parts[-1]] = value


def convert(value: Any, hint: Any) -> Any:
    """Convert a value from YAML to the type of its field.

    Args:
        value: plain data.
        hint: the type: bool, int, float, str, dict, a tuple of these, or one of them or None.

    Raises:
        TypeError, ValueError: the value is not of this type.
    """
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin is UnionType:  # X | None
        return None if value is None else convert(value, parts[0])
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise TypeError
        if parts[1] is not Ellipsis and len(value) != len(parts):
            raise ValueError
        return tuple(convert(item, parts[0]) for item in value)
    if hint is float and isinstance(value, int | float | str) and not isinstance(value, bool):
        return float(value)  # YAML reads 1e-4, without a point, as text
    if not isinstance(value, origin or hint) or (hint is int and isinstance(value, bool)):
        raise TypeError
    return value
