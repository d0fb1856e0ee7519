"""How docstrings of this project read to the program that makes pages of them (griffe).

Named in mkdocs.yml. Fields of dataclasses are explained by a comment behind them or by the help
text of `option`; both become their docstrings. Examples become code.
"""

import ast
import re
from typing import Any

import griffe

COMMENT = re.compile(r"  # (.*)$")
TITLE = re.compile(r"^Example:$", re.MULTILINE)
BARE = re.compile(r"\n\n(?=>>> )")  # an example without a title


def with_examples(docstring: str) -> str:
    r"""A docstring whose examples stand under the title that griffe knows.

    >>> with_examples("Twice.\n\n>>> double(1)\n2")
    'Twice.\n\nExamples:\n    >>> double(1)\n    2'
    >>> with_examples("Twice.\n\nExample:\n    >>> double(1)\n    2")
    'Twice.\n\nExamples:\n    >>> double(1)\n    2'
    """
    docstring = TITLE.sub("Examples:", docstring)
    place = BARE.search(docstring)
    if place is None:
        return docstring
    example = docstring[place.end() :].replace("\n", "\n    ").replace("\n    \n", "\n\n")
    return f"{docstring[: place.start()]}\n\nExamples:\n    {example}"


def field_text(line: str, value: ast.expr | None) -> str:
    """What a field's help text or its comment says; nothing if it has neither.

    >>> line = "batch: int = 16  # patches per step"
    >>> field_text(line, None)
    'patches per step'
    >>> field_text("x", ast.parse("option(95, 'Of JPEG files.', low=1)").body[0].value)
    'Of JPEG files.'
    """
    text = option_arguments(value)[1:2]
    if text and isinstance(text[0], ast.Constant):
        return str(text[0].value)
    comment = COMMENT.search(line)
    return comment[1] if comment else ""


def option_arguments(value: ast.expr | None) -> list[ast.expr]:
    """What `option` is called with, if that is what makes a field: the default, its help."""
    called = isinstance(value, ast.Call) and isinstance(value.func, ast.Name)
    return value.args if called and value.func.id == "option" else []  # type: ignore[union-attr]


def with_fields(docstring: str, fields: list[str]) -> str:
    r"""A docstring with a section of fields, unless it has one of its own.

    >>> with_fields("A page.\n\nExamples:\n    >>> 1\n    1", ["path: of the file"])
    'A page.\n\nAttributes:\n    path: of the file\n\nExamples:\n    >>> 1\n    1'
    """
    if not fields or "\nAttributes:\n" in docstring:
        return docstring
    section = "\n".join(["Attributes:", *(f"    {field}" for field in fields)])
    head, title, examples = docstring.partition("\n\nExamples:\n")
    return f"{head}\n\n{section}{title}{examples}"


class Docstrings(griffe.Extension):
    """Changes docstrings while a package is read."""

    def on_instance(self, *, node: Any, obj: Any, **kwargs: Any) -> None:
        """Called for each module, class, function and attribute."""
        if obj.docstring is not None:
            obj.docstring.value = with_examples(obj.docstring.value)

    def on_class_members(self, *, node: Any, cls: griffe.Class, **kwargs: Any) -> None:
        """Called for each class when all of it is known."""
        if not isinstance(node, ast.ClassDef) or cls.docstring is None:
            return
        fields = []
        for part in node.body:
            if not isinstance(part, ast.AnnAssign) or not isinstance(part.target, ast.Name):
                continue
            name = part.target.id
            field = cls.members[name]
            if name.startswith("_") or not isinstance(field, griffe.Attribute):
                continue
            given = option_arguments(part.value)
            if given:
                field.value = ast.unparse(given[0])  # the default, for the signature
            text = field_text(field.lines[-1] if field.lines else "", part.value)
            fields.append(f"{name} ({ast.unparse(part.annotation)}): {text}".rstrip())
        cls.docstring.value = with_fields(cls.docstring.value, fields)
