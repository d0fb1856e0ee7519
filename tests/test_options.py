"""Options as fields of dataclasses: bounds, choices, and the groups of the library."""

import inspect
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest

from pixperts.data.options import PackOptions
from pixperts.errors import UsageError
from pixperts.inference.loading import load
from pixperts.inference.options import ModelOptions, parse_tile
from pixperts.jobs.options import FileOptions, FolderOptions, RestoreOptions
from pixperts.jobs.run import run_folder
from pixperts.options import Option, options_of, parse_bytes
from pixperts.training.options import RunOptions, parse_duration


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        (Option("", low=1), 0, "a_b is 0, but must be at least 1."),
        (Option("", high=1), 1.5, "a_b is 1.5, but must be at most 1."),
        (Option("", low=0, high=1), float("nan"), "a_b is nan, but must be between 0 and 1."),
        (Option("", low=0), "3", "a_b takes a number, not '3'."),
        (Option("", low=0), True, "a_b takes a number, not True."),
        (Option("", choices=("x", "y")), "z", "a_b is 'z', but must be x or y."),
        (Option("", choices=("x", "y", "z"), flag="--c"), "", "a_b is '', but must be x, y or z."),
    ],
)
def test_values_that_are_refused(option: Option, value: object, sentence: str) -> None:
    with pytest.raises(UsageError) as caught:
        option.check("a_b", value)
    assert str(caught.value) == sentence


def test_values_that_are_allowed() -> None:
    for option, value in [
        (Option("", low=1, high=3), 1),
        (Option("", low=1, high=3), 3.0),
        (Option("", low=1), None),
        (Option("", choices=("x",)), "x"),
        (Option("", choices=("x",)), None),
        (Option(""), "anything"),
    ]:
        option.check("a", value)


def test_groups_check_themselves() -> None:
    makers: dict[str, Callable[[], object]] = {
        "quality": lambda: FileOptions(quality=101),
        "color": lambda: FileOptions(color="cmyk"),
        "max_pixels": lambda: FileOptions(max_pixels=0),
        "strength": lambda: RestoreOptions(strength=-0.1),
        "workers": lambda: FolderOptions(workers=65),
        "if_exists": lambda: FolderOptions(if_exists="ask"),
        "overlap": lambda: PackOptions(crop=8, overlap=8),
        "format": lambda: PackOptions(format="tiff"),
        "max_steps": lambda: RunOptions(max_steps=0),
        "accelerator": lambda: RunOptions(accelerator="abacus"),
    }
    for name, make in makers.items():
        with pytest.raises(UsageError, match=f"^{name} is"):
            make()


@pytest.mark.parametrize("function", [load, run_folder])
def test_the_library_has_the_same_defaults(function: Callable[..., Any]) -> None:
    parameters = inspect.signature(function).parameters
    for field in fields(ModelOptions):
        assert parameters[field.name].default == field.default, field.name


def test_training_has_the_same_defaults() -> None:
    pytest.importorskip("lightning")
    from pixperts.training.run import train

    keywords = {
        name: parameter.default
        for name, parameter in inspect.signature(train).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    assert keywords == {field.name: field.default for field in fields(RunOptions)}


def test_only_what_changes_results_is_a_setting() -> None:
    settings = {one.name: one.metadata.get("setting", True) for one in fields(FileOptions)}
    assert [name for name, setting in settings.items() if not setting] == [
        "strict", "max_pixels", "max_memory",
    ]  # fmt: skip
    assert "max_memory" not in options_of(FileOptions)  # that of the model serves both


@pytest.mark.parametrize("text", ["", "0", "2X", "2 i", "-1", "1e9", "nan", "Ki", "0.0000001K"])
def test_what_is_no_amount_of_memory(text: str) -> None:
    with pytest.raises(UsageError, match="not an amount of memory"):
        parse_bytes(text)


def test_what_is_no_tile_and_no_time() -> None:
    for text in ("", "-1", "5.0", "Auto", "٣", "1234567890"):
        with pytest.raises(UsageError, match="must be auto or a number"):
            parse_tile(text)
    for text in ("", "1", "00:00:00", "1:60:00", "01:00"):
        with pytest.raises(UsageError, match="hours:minutes:seconds"):
            parse_duration(text)
